defmodule UroDiscord.Config.Web do
  @moduledoc """
  The options under `web:`, for a host without Phoenix: where UroDiscord serves HTTP (`/discord/…`) itself. Phoenix mounts
  `UroDiscord.Plug` instead.

      config :uro_discord, web: [port: 4001]
  """

  import UroDiscord.Config.Checks, only: [integer: 2, is_not: 2]
  import UroDiscord.Config.Schema, only: [option: 3]
  alias UroDiscord.Config.Schema

  @doc false
  @spec options() :: [Schema.option()]
  def options do
    [
      option(:port, &port/1,
        doc:
          "the port to listen on; none is opened without it, and 0 takes a free one, which `UroDiscord.status/0` tells",
        allowed: "an integer from 0 to 65535, or nil",
        example: "web: [port: 4001]"
      ),
      option(:ip, &ip/1,
        default: {127, 0, 0, 1},
        doc: "the address to listen on. What does TLS stands in front of it",
        allowed: "an address of this machine, as a string",
        example: ~s|web: [port: 4001, ip: "127.0.0.1"]|
      ),
      option(:connections, &integer(&1, 1..100_000),
        default: 512,
        doc: "how many connections there may be; with more, the one that has kept the server waiting longest is closed",
        allowed: "an integer from 1 to 100000; the operating system's limit of open files must be above it",
        example: "web: [port: 4001, connections: 512]"
      )
    ]
  end

  defp port(port) when port == nil or port in 0..65_535, do: {:ok, port}
  defp port(value), do: is_not(value, "a port")

  defp ip(text) when is_binary(text) do
    with {:error, _} <- text |> String.to_charlist() |> :inet.parse_strict_address(), do: is_not(text, "an address")
  end

  defp ip(value), do: is_not(value, "a string")
end

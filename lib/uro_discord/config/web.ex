defmodule UroDiscord.Config.Web do
  @moduledoc """
  The options under `web:`, for a host without Phoenix: where UroDiscord serves HTTP (`/discord/…`) itself. Phoenix mounts
  `UroDiscord.Plug` instead.

      config :uro_discord, web: [port: 4001]
  """

  import UroDiscord.Config.Checks, only: [integer: 2, is_not: 2]
  import UroDiscord.Config.Option, only: [option: 3]
  alias UroDiscord.Config.Option

  @doc false
  @spec options() :: [Option.t()]
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
        doc: "the address to listen on. Without `tls:`, what does TLS stands in front of it",
        allowed: "an address of this machine, as a string",
        example: ~s|web: [port: 4001, ip: "127.0.0.1"]|
      ),
      option(:tls, &tls/1,
        doc:
          "the certificate (with those that lead to a root) and its key, for HTTPS, on the bridge's machine; they are taken anew when the files change",
        allowed: "two files of PEM, as an ACME client writes them",
        example: ~s|web: [port: 443, tls: [certificate: "/etc/uro/fullchain.pem", key: "/etc/uro/privkey.pem"]]|
      ),
      option(:connections, &integer(&1, 1..10_000),
        default: 512,
        doc:
          "how many connections there may be; with more, the one that has kept the listener waiting longest is closed",
        allowed: "an integer from 1 to 10000; the operating system's limit of open files must be above it",
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

  defp tls(nil), do: {:ok, nil}

  defp tls([{_, _}, {_, _}] = files) do
    case Map.new(files) do
      %{certificate: certificate, key: key} = tls when is_binary(certificate) and is_binary(key) -> {:ok, tls}
      _other -> is_not(files, "[certificate: file, key: file]")
    end
  end

  defp tls(value), do: is_not(value, "[certificate: file, key: file]")

  @doc false
  # Those of the certificate's files that are not on this machine, where the listener is.
  @spec missing(map()) :: [String.t()]
  def missing(%{tls: nil}), do: []
  def missing(%{tls: tls}), do: Enum.reject([tls.certificate, tls.key], &File.regular?/1)
end

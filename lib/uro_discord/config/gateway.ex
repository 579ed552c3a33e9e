defmodule UroDiscord.Config.Gateway do
  @moduledoc """
  The options under `gateway:`, for whoever acts on events of Discord's.

      config :uro_discord,
        intents: [:guilds, :guild_messages, :message_content],
        gateway: [events: ["MESSAGE_CREATE"]]

    * `events` are kept until somebody subscribes to them, see `UroDiscord.subscribe/2`;
    * `shards` is how many connections there are, each for a part of the guilds. With `:auto` Discord says how many when the first one is
      made, and when all of their sessions have ended; another number ends sessions, and what they had not brought yet;
    * `identify_floor`: Discord takes the token away from a bot that identifies more than (mostly) 1000 times a day. The gateway waits rather
      than use up the last ones.
  """

  import UroDiscord.Config.Checks
  import UroDiscord.Config.Schema, only: [option: 3]
  alias UroDiscord.Config.Schema

  @doc false
  @spec options() :: [Schema.option()]
  def options do
    [
      option(:events, &events/1,
        default: [],
        doc: "gateway events that are kept until somebody subscribes to them",
        allowed: "a list of Discord's names of dispatches",
        example: ~s|gateway: [events: ["MESSAGE_CREATE"]]|
      ),
      option(:shards, &shards/1,
        default: :auto,
        doc: "how many connections to Discord's gateway there are; :auto for what Discord recommends",
        allowed: ":auto, or an integer from 1 to 1000",
        example: "gateway: [shards: :auto]"
      ),
      option(:identify_floor, &identify_floor/1,
        default: 50,
        doc: "how many of the identifies that Discord allows in a day are not used",
        allowed: "an integer from 0 to 1000",
        example: "gateway: [identify_floor: 50]"
      )
    ]
  end

  # https://discord.com/developers/docs/events/gateway-events
  defp events(value) when is_list(value) do
    case Enum.reject(value, &(is_binary(&1) and &1 =~ ~r/\A[A-Z][A-Z0-9_]*\z/)) do
      [] -> {:ok, Enum.uniq(value)}
      [wrong | _] -> is_not(wrong, "the name of a dispatch")
    end
  end

  defp events(value), do: is_not(value, "a list")

  defp shards(:auto), do: {:ok, :auto}
  defp shards(value) when is_integer(value) and value in 1..1_000, do: {:ok, value}
  defp shards(value), do: is_not(value, "a number of shards")

  defp identify_floor(value) when is_integer(value) and value in 0..1_000, do: {:ok, value}
  defp identify_floor(value), do: is_not(value, "such an integer")
end

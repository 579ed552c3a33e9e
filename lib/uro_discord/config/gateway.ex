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
  import UroDiscord.Config.Option, only: [option: 3]
  alias UroDiscord.Config.Option
  alias UroDiscord.Gateway.Dispatches

  @doc false
  @spec options() :: [Option.t()]
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

  defp events(value) when is_list(value) do
    case Enum.find_value(value, &problem/1) do
      nil -> {:ok, Enum.uniq(value)}
      problem -> {:error, problem}
    end
  end

  defp events(value), do: is_not(value, "a list")

  defp problem("INTERACTION_CREATE"), do: "\"INTERACTION_CREATE\" is not kept: it must be answered within 3 s"
  # Its intent may be one that comes later in the configuration; that is asked when somebody subscribes.
  defp problem(type), do: Dispatches.problem(type, intent_names())

  defp shards(:auto), do: {:ok, :auto}
  defp shards(value) when is_integer(value) and value in 1..1_000, do: {:ok, value}
  defp shards(value), do: is_not(value, ":auto, or an integer from 1 to 1000")

  defp identify_floor(value) when is_integer(value) and value in 0..1_000, do: {:ok, value}
  defp identify_floor(value), do: is_not(value, "an integer from 0 to 1000")
end

defmodule UroDiscord.Bridge.Fact do
  @moduledoc false
  # What the bridge says of a gateway connection, for `UroDiscord.status/0` and for the log.

  require Logger
  alias UroDiscord.Config

  # As the portal calls them.
  @privileged [
    guild_members: "Server Members Intent",
    guild_presences: "Presence Intent",
    message_content: "Message Content Intent"
  ]

  @doc "A fact as `UroDiscord.status/0` shows it: the state, since when, and what else is known."
  @spec new(atom(), map(), Config.t()) :: map()
  def new(state, info, config) do
    known = %{
      session: info["session_id"],
      resumed: info["resumed"],
      user_id: info["user_id"],
      code: info["code"],
      reason: info["reason"],
      advice: if(state == :fatal, do: advice(info["code"], config.intents)),
      # Too few shards, of a number that Discord recommended: it does so anew.
      asks_again: if(state == :fatal and info["code"] == 4011 and config.gateway.shards == :auto, do: true)
    }

    known
    |> Map.reject(fn {_key, value} -> is_nil(value) end)
    |> Map.merge(%{state: state, since: DateTime.utc_now()})
    |> then(fn fact -> if fact[:asks_again], do: Map.delete(fact, :advice), else: fact end)
  end

  @spec log(non_neg_integer(), map()) :: :ok
  def log(shard, %{asks_again: true}),
    do: Logger.warning("Discord's gateway wants more shards (4011, said to shard #{shard}), and is asked how many")

  def log(shard, %{state: :fatal} = fact) do
    closed = "#{fact[:code]} #{String.trim_trailing(fact[:reason] || "", ".")}"

    Logger.error(
      "Discord's gateway closed shard #{shard} for good: #{closed}. #{fact.advice}, and restart; it is not tried again before"
    )
  end

  def log(shard, %{state: :active, resumed: true}), do: Logger.info("gateway shard #{shard} resumed")
  def log(shard, %{state: :active}), do: Logger.info("gateway shard #{shard} is ready")
  def log(_shard, _fact), do: :ok

  @doc """
  What to do about a close code after which Discord is not tried again
  (https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes).

      iex> UroDiscord.Bridge.Fact.advice(4014, [:guilds, :message_content])
      "Turn on Message Content Intent (:message_content of :intents) on the Bot page of the developer portal, or take it out of :intents"
      iex> UroDiscord.Bridge.Fact.advice(4004, [])
      "The token is not valid: set :token to the one on the Bot page of the developer portal"
  """
  @spec advice(integer() | nil, [atom()]) :: String.t()
  def advice(4004, _intents),
    do: "The token is not valid: set :token to the one on the Bot page of the developer portal"

  def advice(4010, _intents), do: "Discord does not know this shard: look at shards: of :gateway"
  def advice(4011, _intents), do: "The bot is in too many guilds for so few shards: set gateway: [shards: :auto]"
  def advice(4012, _intents), do: "Discord no longer speaks this version of its gateway: update uro_discord"
  def advice(4013, _intents), do: "The intents are not valid: look at :intents"

  def advice(4014, intents) do
    privileged = for {intent, name} <- @privileged, intent in intents, do: "#{name} (#{inspect(intent)} of :intents)"

    "Turn on #{Enum.join(privileged, " and ")} on the Bot page of the developer portal, or take it out of :intents"
  end

  def advice(_code, _intents), do: "Look up the code in Discord's documentation"
end

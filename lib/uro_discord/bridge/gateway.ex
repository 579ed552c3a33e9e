defmodule UroDiscord.Bridge.Gateway do
  @moduledoc false
  # What the bridge says of a gateway connection, for `UroDiscord.status/0` and for the log.

  require Logger

  @doc "A fact as `UroDiscord.status/0` shows it: the state, since when, and what else is known."
  @spec fact(atom(), map()) :: map()
  def fact(state, info) do
    known = %{
      session: info["session_id"],
      resumed: info["resumed"],
      user_id: info["user_id"],
      code: info["code"],
      reason: info["reason"]
    }

    known
    |> Map.reject(fn {_key, value} -> is_nil(value) end)
    |> Map.merge(%{state: state, since: DateTime.utc_now()})
  end

  @spec log(non_neg_integer(), atom(), map()) :: :ok
  def log(shard, :fatal, info) do
    closed = Enum.join([info["code"], info["reason"]], " ")
    Logger.error("Discord's gateway closed shard #{shard} for good: #{closed}. #{advice(info["code"])}")
  end

  def log(shard, :active, %{"resumed" => true}), do: Logger.info("gateway shard #{shard} resumed")
  def log(shard, :active, _info), do: Logger.info("gateway shard #{shard} is ready")
  def log(_shard, _state, _info), do: :ok

  # https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
  defp advice(4004), do: "The token is not valid: set :token to the one on the Bot page of the developer portal"
  defp advice(4013), do: "The intents are not valid: look at :intents"

  defp advice(4014) do
    "A privileged intent of :intents is not allowed: turn it on on the Bot page of the developer portal, or take it out"
  end

  defp advice(_code), do: "It is not tried again until UroDiscord restarts"
end

defmodule UroDiscord.Events do
  @moduledoc false
  # Who wants to hear of what. Topics are `:shards`, `:status` and `{:gateway, "MESSAGE_CREATE"}`; a subscriber gets
  # `{:uro_discord, topic, event}`. The bridge is told of comings and goings, since only subscribed dispatches cross to us.

  @registry __MODULE__

  @type topic :: :shards | :status | {:gateway, String.t()}

  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(_options), do: Registry.child_spec(keys: :duplicate, name: @registry)

  @spec subscribe(topic()) :: :ok
  def subscribe(topic) do
    {:ok, _owner} = Registry.register(@registry, topic, nil)
    tell_bridge(topic)
  end

  @spec unsubscribe(topic()) :: :ok
  def unsubscribe(topic) do
    :ok = Registry.unregister(@registry, topic)
    tell_bridge(topic)
  end

  @doc "Sends an event to every subscriber; returns how many there are."
  @spec publish(topic(), term()) :: non_neg_integer()
  def publish(topic, event) do
    subscribers = Registry.lookup(@registry, topic)
    for {pid, _value} <- subscribers, do: send(pid, {:uro_discord, topic, event})
    length(subscribers)
  end

  @doc "The gateway events that somebody wants."
  @spec wanted() :: [String.t()]
  def wanted do
    # An entry is {key, pid, value}; only the key matters.
    @registry
    |> Registry.select([{{{:gateway, :"$1"}, :_, :_}, [], [:"$1"]}])
    |> Enum.uniq()
    |> Enum.sort()
  end

  defp tell_bridge({:gateway, _type}), do: UroDiscord.Bridge.events_wanted()
  defp tell_bridge(_topic), do: :ok
end

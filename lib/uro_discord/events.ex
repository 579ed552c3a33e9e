defmodule UroDiscord.Events do
  @moduledoc false
  # Who wants to hear of what. Topics are those of `UroDiscord.subscribe/2`; a subscriber gets
  # `{:uro_discord, topic, event}`. The bridge's owner is told of comings and goings, since only subscribed dispatches cross to us.

  alias UroDiscord.{Bridge, Runtime}

  @registry __MODULE__

  @type topic :: :shards | :status | :voice | {:gateway, String.t()} | {:webhook, String.t()}

  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(_options), do: Registry.child_spec(keys: :duplicate, name: @registry)

  @spec subscribe(topic(), keyword()) :: :ok
  def subscribe(topic, options \\ []) do
    ack? = Keyword.get(options, :ack, false)
    if ack?, do: check_kept(topic)
    {:ok, _owner} = Registry.register(@registry, topic, if(ack?, do: :ack))
    with {:gateway, _type} <- topic, do: Bridge.subscribed()
    :ok
  end

  # Otherwise some would go past it before it is there.
  defp check_kept({:gateway, type}) do
    {:ok, %{config: config}} = Runtime.fetch()

    if config.enabled and type not in config.gateway.events do
      raise ArgumentError,
            "to subscribe to #{type} with `ack: true`, name it in the configuration, so that it is kept until you do: " <>
              "config :uro_discord, gateway: [events: #{inspect(Enum.sort([type | config.gateway.events]))}]"
    end
  end

  defp check_kept(topic),
    do: raise(ArgumentError, "only events of Discord's gateway are acknowledged, and #{inspect(topic)} is not one")

  @spec unsubscribe(topic()) :: :ok
  def unsubscribe(topic) do
    :ok = Registry.unregister(@registry, topic)
    with {:gateway, type} <- topic, do: Bridge.unsubscribed(self(), type)
    :ok
  end

  @doc "Sends an event to every subscriber."
  @spec publish(topic(), term()) :: :ok
  def publish(topic, event) do
    for {pid, _value} <- Registry.lookup(@registry, topic), do: send(pid, {:uro_discord, topic, event})
    :ok
  end

  @doc "Sends a dispatch to its subscribers, and returns these: those that acknowledge it, and the others."
  @spec dispatch(map()) :: {acknowledging :: [pid()], others :: [pid()]}
  def dispatch(%{type: type} = event) do
    topic = {:gateway, type}

    for {pid, value} <- alive(topic), reduce: {[], []} do
      {acknowledging, others} when value == :ack ->
        send(pid, {:uro_discord, topic, Map.put(event, :subscriber, pid)})
        {[pid | acknowledging], others}

      {acknowledging, others} ->
        send(pid, {:uro_discord, topic, event})
        {acknowledging, [pid | others]}
    end
  end

  @spec subscribed?(topic()) :: boolean()
  def subscribed?(topic), do: alive(topic) != []

  # The registry hears of an end in its own time.
  defp alive(topic), do: for({pid, _value} = entry <- Registry.lookup(@registry, topic), Process.alive?(pid), do: entry)

  @doc "The dispatches that somebody wants."
  @spec wanted() :: [String.t()]
  def wanted do
    # An entry is {key, pid, value}; only the key matters.
    @registry
    |> Registry.select([{{{:gateway, :"$1"}, :_, :_}, [], [:"$1"]}])
    |> Enum.uniq()
    |> Enum.sort()
  end
end

defmodule UroDiscord.Bridge.GatewayState do
  @moduledoc false
  # The gateway as the bridge is to have it, and what it says of it. Part of the bridge's owner: functions return what that is to
  # tell the bridge, and the gateway after.

  alias UroDiscord.{Bridge, Config, Events, Secret}
  alias UroDiscord.Bridge.{Fact, Protocol}
  alias UroDiscord.Gateway.{EventFlow, Leader, Sessions, Spread}

  # Where shards are spread, each bridge has a lease of its own for so long at most: another one has its shards sooner when it is not reached.
  @lease_ms 4_000

  @enforce_keys [:config, :flow, :share]
  defstruct [
    :config,
    :flow,
    # The shards that the bridge is to have, and those that it was told to leave and has not left.
    :share,
    leaving: MapSet.new(),
    # The lease as the bridge knows it; the events that cross to us.
    lease: nil,
    events: [],
    # What the bridge last said of each shard, and the presence it sent there.
    shards: %{},
    presences: %{}
  ]

  @type t :: %__MODULE__{}
  @type told :: {[Protocol.to_bridge()], t()}

  @spec new(Config.t(), Bridge.name()) :: t()
  def new(config, name),
    do: %__MODULE__{config: config, flow: EventFlow.new(config.gateway.events), share: Spread.share(config, name)}

  ## The bridge's life

  @doc "A bridge is up: the gateway that it is to have, and what else it is told."
  @spec started(t()) :: {map() | nil, told()}
  def started(gateway) do
    {credit, flow} = EventFlow.start(gateway.flow)
    gateway = take_lease(%{gateway | flow: flow, events: EventFlow.wanted(flow)}, Leader.lease())
    {desired(gateway), {time(gateway) ++ if(credit > 0, do: [{:credit, credit}], else: []), gateway}}
  end

  @doc "It ended. What Discord will not have does not change with another one."
  @spec ended(t()) :: t()
  def ended(gateway) do
    Leader.bridge_ended(gateway.share)
    shards = Map.filter(gateway.shards, fn {_shard, fact} -> fact.state == :fatal end)
    %{gateway | shards: shards, presences: %{}, leaving: MapSet.new()}
  end

  @doc """
  The bridge is to have these shards from now on. Of `releasing` those come back that it does not have any more; of the others it says so itself, if it is up.
  """
  @spec share(t(), MapSet.t(non_neg_integer()), [non_neg_integer()], up? :: boolean()) :: {[non_neg_integer()], told()}
  def share(%{share: before} = gateway, share, releasing, up?) do
    removed = MapSet.difference(before, share)
    leaving = gateway.leaving |> MapSet.union(removed) |> MapSet.difference(share)
    kept = fn facts -> Map.reject(facts, fn {shard, _fact} -> shard in removed end) end

    gateway = %{
      gateway
      | share: share,
        leaving: if(up? and gateway.lease != nil, do: leaving, else: MapSet.new()),
        shards: kept.(gateway.shards),
        presences: kept.(gateway.presences),
        flow: EventFlow.forget(gateway.flow, removed)
    }

    told = if share != before and gateway.lease != nil, do: desire(gateway), else: []
    {Enum.reject(releasing, &(&1 in gateway.leaving)), {told, gateway}}
  end

  ## What is wanted

  # nil: another node has the lease, or it is not known how many shards there are, or Discord will not have one of ours.
  defp desired(%{lease: %{shards: shards}, config: config} = gateway) when shards != nil do
    if not fatal?(gateway) do
      %{
        "token" => Secret.reveal(config.token),
        "intents" => Config.Checks.intent_bits(config.intents),
        "url" => config.gateway_url,
        "shards" => shards,
        "sessions" =>
          for({n, session} <- Sessions.all(gateway.lease.fence), has?(gateway, n), do: Map.put(session, "shard", n)),
        "events" => gateway.events
      }
      |> held(gateway.share)
    end
  end

  defp desired(_gateway), do: nil

  defp held(desired, :all), do: desired
  defp held(desired, share), do: Map.put(desired, "held", Enum.sort(share))

  defp has?(%{share: share}, shard), do: share == :all or shard in share

  defp fatal?(gateway), do: Enum.any?(gateway.shards, fn {_shard, fact} -> fact.state == :fatal end)

  # What Discord closed for good is tried again when it is desired again, and nothing has changed for Discord.
  defp desire(gateway) do
    if gateway.lease != nil and fatal?(gateway), do: [], else: [{:desired, %{"gateway" => desired(gateway)}}]
  end

  @doc "Whether this node has the gateway's lease."
  @spec held?() :: boolean()
  def held?, do: Leader.held?()

  @doc "This node has the bridge that the gateway wants: it may have the lease now."
  @spec up() :: :ok
  def up, do: Leader.bridge_up()

  @doc "The lease was taken, renewed or lost, or it is known by now how many shards there are."
  @spec lease_changed(t()) :: told()
  def lease_changed(%{lease: before} = gateway) do
    case gateway |> take_lease(Leader.lease()) |> uncounted() do
      %{lease: nil} = gateway when before == nil ->
        {[], gateway}

      %{lease: lease} = gateway when lease == nil or before == nil ->
        {desire(gateway) ++ time(gateway), gateway}

      gateway when gateway.lease.fence == before.fence and gateway.lease.shards == before.shards ->
        {time(gateway), gateway}

      gateway ->
        {desire(gateway) ++ time(gateway), gateway}
    end
  end

  # While Discord is asked how many shards there should be, what it closed for good for their number is over.
  # And a session is one of so many.
  defp uncounted(%{lease: %{shards: nil}} = gateway) do
    :ok = Sessions.forget(gateway.lease.fence)
    %{gateway | shards: Map.reject(gateway.shards, fn {_shard, fact} -> Map.get(fact, :asks_again, false) end)}
  end

  defp uncounted(gateway), do: gateway

  # A new lease brings the sessions of whoever had it before; without one they are another node's.
  defp take_lease(gateway, lease),
    do: %{
      gateway
      | lease: lease,
        flow: EventFlow.lease(gateway.flow, lease && lease.fence, gateway.share)
    }

  defp time(%{lease: nil}), do: []
  defp time(%{lease: lease, share: :all}), do: [{:lease, left(lease)}]
  defp time(%{lease: lease}), do: [{:lease, min(left(lease), @lease_ms)}]

  defp left(lease), do: max(lease.until - System.monotonic_time(:millisecond), 0)

  @doc "A shard may identify. It may have given up waiting meanwhile."
  @spec identify(t(), non_neg_integer()) :: told()
  def identify(gateway, shard) do
    waiting? = match?(%{^shard => %{state: :waiting}}, gateway.shards)
    {if(waiting?, do: [{:identify, shard}], else: []), gateway}
  end

  ## Subscribers

  @doc "Somebody subscribed."
  @spec subscribed(t()) :: told()
  def subscribed(gateway) do
    flow = EventFlow.release(gateway.flow)
    gateway = %{gateway | flow: flow}

    case EventFlow.wanted(flow) do
      events when events == gateway.events ->
        {[], gateway}

      events ->
        gateway = %{gateway | events: events}
        {desire(gateway), gateway}
    end
  end

  @spec unsubscribed(t(), pid(), String.t()) :: told()
  def unsubscribed(gateway, pid, type),
    do: subscribed(%{gateway | flow: EventFlow.unsubscribed(gateway.flow, pid, type)})

  @spec died(t(), pid(), term()) :: t()
  def died(gateway, pid, reason), do: %{gateway | flow: EventFlow.died(gateway.flow, pid, reason)}

  @spec acknowledge(t(), Sessions.place(), pid()) :: t()
  def acknowledge(gateway, place, pid), do: %{gateway | flow: EventFlow.acknowledge(gateway.flow, place, pid)}

  ## What the bridge says

  # What is said of a shard comes with what is to be published of it, or nil. What is said of one that it is not to have any more was under way.
  @spec handle(t(), Protocol.from_bridge()) :: t() | {t(), term()}
  # Somebody waits for its answer: it costs no credit, waits for nobody, and is not kept.
  def handle(gateway, {:event, shard, session, seq, "INTERACTION_CREATE" = type, data}) do
    Events.dispatch(%{shard: shard, session: session, seq: seq, type: type, data: data})
    gateway
  end

  def handle(%{share: %MapSet{} = share} = gateway, message) when elem(message, 0) in [:event, :sequence] do
    if elem(message, 1) in share, do: received(gateway, message), else: %{gateway | flow: EventFlow.late(gateway.flow)}
  end

  def handle(gateway, message) when elem(message, 0) in [:event, :sequence], do: received(gateway, message)

  def handle(%{leaving: leaving} = gateway, {:gateway, shard, :released, _info}),
    do: {%{gateway | leaving: MapSet.delete(leaving, shard)}, nil}

  def handle(gateway, message) do
    if has?(gateway, elem(message, 1)), do: fact(gateway, message), else: {gateway, nil}
  end

  defp received(gateway, {:event, shard, session, seq, type, data}) do
    event = %{shard: shard, session: session, seq: seq, type: type, data: data}
    %{gateway | flow: EventFlow.event(gateway.flow, event)}
  end

  defp received(gateway, {:sequence, shard, session, seq}),
    do: %{gateway | flow: EventFlow.sequence(gateway.flow, {shard, session, seq})}

  defp fact(gateway, {:gateway, shard, state, info}) do
    fact = Fact.new(state, info, gateway.config)
    Fact.log(shard, fact)
    Leader.fact(shard, fact)
    with :new <- EventFlow.fact(gateway.flow, shard, state, info), do: Leader.store_soon()
    {%{gateway | shards: Map.put(gateway.shards, shard, fact)}, {:gateway, shard, fact}}
  end

  defp fact(gateway, {:presence, shard, data}),
    do: {%{gateway | presences: Map.put(gateway.presences, shard, data)}, {:presence, shard, data}}

  @doc "After whatever may have had events handled: the bridge may send more."
  @spec follow(t()) :: {:ok | :full, told()}
  def follow(gateway) do
    {grant, flow} = EventFlow.grant(gateway.flow)
    gateway = %{gateway | flow: flow}

    case grant do
      {:grant, credit} -> {:ok, {[{:credit, credit}], gateway}}
      :nothing -> {:ok, {[], gateway}}
      :full -> {:full, {[], gateway}}
    end
  end

  @doc "To be called now and then: whoever holds it back for long is told of."
  @spec watch(t()) :: t()
  def watch(gateway), do: %{gateway | flow: EventFlow.watch(gateway.flow)}

  @doc "Whether something holds it back."
  @spec stopped?(t()) :: boolean()
  def stopped?(gateway), do: EventFlow.stopped?(gateway.flow)

  @doc "`shards` and `held_back` of `UroDiscord.status/0`."
  @spec status(t()) :: map()
  def status(gateway), do: %{shards: gateway.shards, held_back: EventFlow.held_back(gateway.flow)}
end

defmodule UroDiscord.Gateway.Spread do
  @moduledoc false
  # Which of several bridges with the role :gateway has which shard. Where there is one, that has all, and there is no such process.
  #
  # A shard has one bridge, which alone may connect it. It becomes another's in two steps: the owner of the one says that it is released (the bridge has
  # closed its connection; or it is away, and the lease that it was last told is over), and then the other is given it, and resumes.
  #
  # What was decided are facts of `UroDiscord.Runtime`, so that the end of this process, or of an owner, moves nothing.

  use UroDiscord.Server

  alias UroDiscord.Bridge.Reach
  alias UroDiscord.{Config, Runtime}
  alias UroDiscord.Gateway.Sessions

  # What a bridge that was told that there is no gateway takes to close at most. Another lease may come sooner.
  @closing_ms 1_000
  # Bridges that come one after the other, as at a start, are waited for, before shards that have one are moved.
  @settle_ms 2_000
  # A bridge that has ended, or is not reached, has let go after so long. What its owner told it last may have reached it 2 s later, since it ends a connection that is
  # silent for 5 s, and the owner one that is so for 3 s; the lease is 4 s from then, and it has 1 s to close.
  @let_go_ms 7_000

  @type name :: atom()
  @type shard :: non_neg_integer()

  @enforce_keys [:lease, :weights]
  defstruct [
    # As it is now.
    :lease,
    :weights,
    # How many shards there are, nil without a lease, and that lease's fence; :unknown until that was said.
    total: nil,
    fence: :unknown,
    # Whose each shard is, and those of which the owner has yet to say that they are released.
    holders: %{},
    releasing: MapSet.new(),
    # The owners of the bridges that are up, by the monitors of them, and when (monotonic ms) each of the others has let go of what it had.
    up: %{},
    let_go: %{},
    # Not before this time: what is without a bridge gets one; what has one is moved.
    give_at: nil,
    move_at: nil,
    timer: nil
  ]

  ## What others ask

  @doc "The bridge that has a shard, where there are several; nil where there is one, or none has it."
  @spec holder(shard()) :: name() | nil
  def holder(shard), do: Runtime.lookup({:gateway_of, shard})

  @doc "The shards that a bridge has; `:all` where it is the only one."
  @spec share(Config.t(), name()) :: :all | MapSet.t(shard())
  def share(config, name) do
    if several?(config), do: Runtime.lookup({:gateway_share, name}) || MapSet.new(), else: :all
  end

  @doc "Whether there are several bridges with the role :gateway."
  @spec several?(Config.t()) :: boolean()
  def several?(config), do: match?([_, _ | _], names(config))

  @doc "The names of the bridges with the role :gateway."
  @spec names(Config.t()) :: [name()]
  def names(config), do: for(bridge <- config.bridges, :gateway in bridge.roles, do: bridge.name)

  ## What owners of bridges say

  @doc "The calling process owns a bridge with the role :gateway."
  @spec own(name()) :: :ok
  def own(name), do: Runtime.put({:gateway_owner, name}, self())

  @doc "A bridge is up, and has its share."
  @spec up(name()) :: :ok
  def up(name), do: GenServer.cast(__MODULE__, {:up, name, self()})

  @doc "A bridge has ended, or is not reached."
  @spec ended(name()) :: :ok
  def ended(name), do: GenServer.cast(__MODULE__, {:ended, name, now() + @let_go_ms})

  @doc "A bridge does not have these shards any more, and nothing that it said of them counts from now on."
  @spec released(name(), [shard()]) :: :ok
  def released(name, shards), do: GenServer.cast(__MODULE__, {:released, name, shards})

  @doc "An owner has acted on the gateway's lease: said whenever that changes, and every second. What it is then is read here, as owners say it in no order."
  @spec lease() :: :ok
  def lease, do: GenServer.cast(__MODULE__, :lease)

  @typedoc "Has the gateway's lease: `UroDiscord.Gateway.Leader.lease/0`."
  @type lease :: (() -> %{fence: pos_integer(), shards: pos_integer() | nil} | nil)

  @spec start_link({Config.t(), lease()}) :: GenServer.on_start()
  def start_link({%Config{}, _lease} = start), do: GenServer.start_link(__MODULE__, start, name: __MODULE__)

  ## Who is to have what

  @doc """
  Whose each shard is to be, given whose it is (nil: nobody's) and how much each bridge that is there takes. Who has a shard keeps it unless another one has
  less by one and more.

      iex> alias UroDiscord.Gateway.Spread
      iex> Spread.plan(Map.new(0..3, &{&1, nil}), %{a: 1, b: 1})
      %{0 => :a, 1 => :b, 2 => :a, 3 => :b}
      iex> Spread.plan(Map.new(0..3, &{&1, :a}), %{a: 1, b: 1})
      %{0 => :a, 1 => :a, 2 => :b, 3 => :b}
      iex> Spread.plan(%{0 => :a, 1 => :b, 2 => :gone}, %{a: 1, b: 1})
      %{0 => :a, 1 => :b, 2 => :a}
      iex> Spread.plan(%{0 => :a, 1 => :a, 2 => :b}, %{a: 1, b: 1})
      %{0 => :a, 1 => :a, 2 => :b}
      iex> Spread.plan(Map.new(0..3, &{&1, nil}), %{a: 3, b: 1}) |> Enum.frequencies_by(&elem(&1, 1))
      %{a: 3, b: 1}
      iex> Spread.plan(%{0 => :gone}, %{})
      %{0 => :gone}
  """
  @spec plan(%{shard() => name() | nil}, %{name() => pos_integer()}) :: %{shard() => name() | nil}
  def plan(holders, weights) when weights == %{}, do: holders

  def plan(holders, weights) do
    {kept, free} = Enum.split_with(Enum.sort(holders), fn {_shard, name} -> is_map_key(weights, name) end)

    free
    |> Enum.reduce(Map.new(kept), fn {shard, _gone}, plan -> Map.put(plan, shard, least(plan, weights)) end)
    |> balance(weights)
  end

  defp balance(plan, weights) do
    counts = counts(plan, weights)
    load = fn name, more -> (counts[name] + more) / weights[name] end
    most = Enum.max_by(in_order(weights), &load.(&1, 0))
    least = Enum.min_by(in_order(weights), &load.(&1, 1))

    # Moving one leaves the fuller still no emptier than the other was before.
    if load.(most, 0) > load.(least, 1) do
      {shard, _most} = plan |> Enum.filter(fn {_shard, name} -> name == most end) |> Enum.max()
      plan |> Map.put(shard, least) |> balance(weights)
    else
      plan
    end
  end

  defp least(plan, weights) do
    counts = counts(plan, weights)
    Enum.min_by(in_order(weights), &((counts[&1] + 1) / weights[&1]))
  end

  # OTP 26 and later order the names in a map as they like.
  defp in_order(weights), do: Enum.sort(Map.keys(weights))

  defp counts(plan, weights),
    do: Map.merge(Map.new(weights, fn {name, _weight} -> {name, 0} end), Enum.frequencies(Map.values(plan)))

  ## The process

  @impl true
  def init({config, lease}) do
    names = names(config)

    state = %__MODULE__{
      lease: lease,
      weights:
        for(%{name: name} = bridge <- config.bridges, name in names, into: %{}, do: {name, Map.get(bridge, :weight, 1)})
    }

    state = Enum.reduce(names, state, &found(&1, Reach.fetch(&1), &2))
    holders = Runtime.all(:gateway_of)
    # Those of which the process before was to hear that they are released; their owners say it again.
    releasing = for {shard, name} <- holders, shard not in shards_of(name), into: MapSet.new(), do: shard

    state = %{
      state
      | holders: holders,
        releasing: releasing,
        give_at: now(),
        move_at: now() + @settle_ms
    }

    {:ok, Enum.reduce(names, state, &tell_share(&2, &1))}
  end

  defp found(name, :up, state) do
    # If it is no more, its monitor says so.
    came(state, name, Runtime.lookup({:gateway_owner, name}))
  end

  defp found(name, {:away, since}, state), do: gone(state, name, since + @let_go_ms)
  # It has not begun; or it serves another node, before which it let go.
  defp found(name, _none_or_held, state), do: gone(state, name, now())

  @impl true
  def handle_cast({:up, name, owner}, state), do: {:noreply, state |> came(name, owner) |> tell_share(name) |> spread()}
  def handle_cast({:ended, name, let_go}, state), do: {:noreply, state |> gone(name, let_go) |> spread()}

  def handle_cast({:released, name, shards}, state) do
    released = for shard <- shards, state.holders[shard] == name and shard in state.releasing, do: shard
    for shard <- released, do: Runtime.delete({:gateway_of, shard})
    holders = Map.drop(state.holders, released)
    {:noreply, spread(%{state | holders: holders, releasing: MapSet.difference(state.releasing, MapSet.new(released))})}
  end

  def handle_cast(:lease, state), do: {:noreply, state |> lease(state.lease.()) |> spread()}

  @impl true
  def handle_info(:spread, state), do: {:noreply, spread(%{state | timer: nil})}

  # The bridge ended with its owner, or will.
  def handle_info({:DOWN, monitor, :process, _owner, _reason}, state) do
    names = for {name, ^monitor} <- state.up, do: name
    {:noreply, names |> Enum.reduce(state, &gone(&2, &1, now() + @let_go_ms)) |> spread()}
  end

  # Another bridge of the same owner may have come, or the same one to another owner.
  defp came(state, name, owner) do
    state = forget(state, name)
    up = Map.put(state.up, name, Process.monitor(owner))
    %{state | up: up, let_go: Map.delete(state.let_go, name), move_at: now() + @settle_ms}
  end

  defp gone(state, name, let_go) do
    state = forget(state, name)
    %{state | let_go: Map.put(state.let_go, name, let_go)}
  end

  defp forget(state, name) do
    {monitor, up} = Map.pop(state.up, name)
    if monitor, do: Process.demonitor(monitor, [:flush])
    %{state | up: up}
  end

  ## The lease

  defp lease(%{total: total, fence: fence} = state, %{shards: total, fence: fence}), do: state

  # What the process before has given.
  defp lease(%{fence: :unknown} = state, %{shards: total, fence: fence}) when total != nil do
    state = if Enum.all?(Map.keys(state.holders), &(&1 < total)), do: state, else: begin_anew(state)
    %{state | total: total, fence: fence}
  end

  defp lease(state, %{shards: total, fence: fence}) when total != nil,
    do: %{begin_anew(state) | total: total, fence: fence}

  defp lease(state, _none), do: %{begin_anew(state) | total: nil, fence: nil}

  # What bridges had they were told to leave, or cannot be told.
  defp begin_anew(%{holders: holders} = state) when holders == %{}, do: state

  defp begin_anew(state) do
    for {shard, _name} <- state.holders, do: Runtime.delete({:gateway_of, shard})
    give_at = Enum.max([now() + @closing_ms | Map.values(state.let_go)])
    state = %{state | holders: %{}, releasing: MapSet.new(), give_at: give_at}
    for {name, _weight} <- state.weights, reduce: state, do: (state -> put_share(state, name, MapSet.new()))
  end

  ## Giving and taking

  defp spread(%{total: nil} = state), do: state
  defp spread(%{up: up} = state) when up == %{}, do: state

  defp spread(state) do
    holders = Map.new(0..(state.total - 1), &{&1, if(&1 not in state.releasing, do: state.holders[&1])})
    plan = plan(holders, Map.take(state.weights, Map.keys(state.up)))
    state |> take(plan) |> give(plan) |> again()
  end

  # From those that are away and have let go; from those that are up when all have had the time to come.
  defp take(state, plan) do
    taken =
      for {shard, name} <- state.holders,
          plan[shard] != name or shard in state.releasing,
          if(is_map_key(state.up, name),
            do: shard not in state.releasing and due?(state.move_at),
            else: due?(state.let_go[name])
          ),
          do: {name, shard}

    for {name, shards} <- Enum.group_by(taken, &elem(&1, 0), &elem(&1, 1)), reduce: state do
      state ->
        state = %{state | releasing: MapSet.union(state.releasing, MapSet.new(shards))}
        put_share(state, name, MapSet.difference(shards_of(name), MapSet.new(shards)))
    end
  end

  defp give(state, plan) do
    free = for {shard, name} <- plan, not is_map_key(state.holders, shard), due?(state.give_at), do: {name, shard}

    for {name, shards} <- Enum.group_by(free, &elem(&1, 0), &elem(&1, 1)), reduce: state do
      state ->
        # What whoever had them did not see handled comes again.
        :ok = Sessions.rewind(state.fence, shards)
        for shard <- shards, do: :ok = Runtime.put({:gateway_of, shard}, name)
        state = %{state | holders: Enum.reduce(shards, state.holders, &Map.put(&2, &1, name))}
        put_share(state, name, MapSet.union(shards_of(name), MapSet.new(shards)))
    end
  end

  defp put_share(state, name, shards) do
    :ok = Runtime.put({:gateway_share, name}, shards)
    tell_share(state, name)
  end

  # An owner that is not there reads its share when it is.
  defp tell_share(state, name) do
    releasing = for {shard, ^name} <- state.holders, shard in state.releasing, do: shard
    owner = Runtime.lookup({:gateway_owner, name})
    if owner, do: GenServer.cast(owner, {:share, shards_of(name), releasing})
    state
  end

  defp shards_of(name), do: Runtime.lookup({:gateway_share, name}) || MapSet.new()

  defp again(state) do
    if state.timer, do: Process.cancel_timer(state.timer)
    holding = state.holders |> Map.values() |> Enum.uniq()
    times = [state.give_at, state.move_at | Map.values(Map.take(state.let_go, holding))]

    case Enum.filter(times, &(not due?(&1))) do
      [] -> %{state | timer: nil}
      later -> %{state | timer: Process.send_after(self(), :spread, Enum.min(later), abs: true)}
    end
  end

  defp due?(time), do: now() >= time
  defp now, do: System.monotonic_time(:millisecond)
end

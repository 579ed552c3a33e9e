defmodule UroDiscord.Gateway.Leader do
  @moduledoc """
  Which node holds the bot's gateway. Of the nodes that share a store exactly one does, by a lease in that; when it dies, another
  resumes its sessions within 10 seconds, and at once when it stops properly. One that has lost its bridge gives way to one that has its own.

  `UroDiscord.subscribe(:status)` hears `{:lease, :held}` and `{:lease, :lost}`.
  """

  # Holds the lease, stores the sessions and the identify budget under it, and lets shards identify. What talks to the store is a
  # task, one at a time, so that the lease's time is kept whatever the store does; sessions are in a table (`UroDiscord.Gateway.Sessions`), so
  # that the bridge's owner waits for nobody.

  use UroDiscord.Server, shutdown: 10_000
  require Logger

  alias UroDiscord.{Bridge, Config, Events, JSON, Runtime, Store}
  alias UroDiscord.Gateway.{Budget, Identify, Lease, Sessions}

  # How often there is a look at what is to be stored, or at whose the lease is.
  @tick_ms 500
  @renew_ms 2_000
  # Between two questions for a number of shards that is enough.
  @too_few_ms 60_000
  # Whoever waits for the lease says so as often; a wish that is not older is one of a node that is there.
  @wish_ms 2_000
  @wished_ms 6_000
  # How often there is a look for wishes, and how long one that is without its bridge looks before it takes the lease.
  @look_ms 1_500
  @looking_ms 2_500
  # A bridge that is away for so long has let go of the gateway. What it was told last may have reached it 2 s later, the lease is over after that, and it has 1 s to close.
  @let_go_ms Lease.lease_ms() + 3_000
  # For the last word to the store when UroDiscord stops.
  @farewell_ms 3_000
  @table __MODULE__

  @typep lease :: %{fence: Lease.fence(), until: integer(), shards: pos_integer() | nil}

  @doc "Whether this node holds the gateway. Cheap; false also where UroDiscord does not run."
  @spec held?() :: boolean()
  def held?, do: lease() != nil

  @doc false
  # The lease, while this node has it: until when (monotonic ms), and how many shards there are (nil: not known yet).
  @spec lease() :: lease() | nil
  def lease do
    case :ets.lookup(@table, :lease) do
      [lease: lease] -> if monotonic() < lease.until, do: lease
      [] -> nil
    end
  rescue
    ArgumentError -> nil
  end

  @doc false
  # There is a session that the store should have at once; what becomes of the others it gets in its own time.
  @spec store_soon() :: :ok
  def store_soon, do: GenServer.cast(__MODULE__, :store)

  @doc false
  # What the bridge says of a shard, where that matters here.
  @spec fact(non_neg_integer(), map()) :: :ok
  def fact(shard, %{state: state}) when state in [:waiting, :identifying],
    do: GenServer.cast(__MODULE__, {state, shard})

  def fact(shard, %{state: :fatal, asks_again: true}), do: GenServer.cast(__MODULE__, {:too_few, shard})
  def fact(_shard, _fact), do: :ok

  @doc false
  @spec bridge_up() :: :ok
  def bridge_up, do: GenServer.cast(__MODULE__, :bridge_up)

  @doc false
  @spec bridge_ended(:all | MapSet.t(non_neg_integer())) :: :ok
  def bridge_ended(shards), do: GenServer.cast(__MODULE__, {:bridge_ended, shards})

  @doc false
  # `lease` and `identifies` of `UroDiscord.status/0`, as this process last said.
  @spec status() :: map()
  def status do
    with %{leader: leader} = told <- Runtime.lookup(:leader), true <- Process.alive?(leader) do
      Map.delete(told, :leader)
    else
      _gone ->
        identifies = %{state: :unknown, remaining: nil, reset_at: nil, waiting: []}
        %{lease: %{held: false, holder: nil}, identifies: identifies}
    end
  end

  @doc false
  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(config) do
    # To store the last sessions and to give the lease back.
    Process.flag(:trap_exit, true)
    :ets.new(@table, [:named_table, read_concurrency: true])
    :ok = Sessions.init()
    {:ok, runtime} = Runtime.fetch()
    send(self(), :tick)

    {:ok,
     %{
       runtime: runtime,
       # A number, or :auto; and what the stored sessions must have been made for.
       shards: config.gateway.shards,
       intents: Config.Checks.intent_bits(config.intents),
       lease: nil,
       # So many shards Discord called too few.
       too_few: 0,
       # The lease's row as it was last seen, and since when it is so.
       seen: nil,
       # What the store is asked, and since when; one thing at a time.
       task: nil,
       renewed_at: 0,
       # When it was last said that this node would have the lease; the last that was heard of others who would, when that came, and when it was asked for.
       wished_at: nil,
       wished: %{last: :unknown, came: nil, asked: nil, since: nil},
       store_failed: false,
       # The identify budget as the store has it.
       budget: nil,
       # The state of identifies as it was last published.
       told: :ok,
       identify: %Identify{floor: config.gateway.identify_floor, rest: runtime.rest}
     }}
  end

  @impl true
  def handle_cast({:bridge_ended, shards}, state),
    do: noreply(%{state | identify: Identify.bridge_ended(state.identify, shards)})

  # Who has a bridge takes the lease at once.
  def handle_cast(:bridge_up, %{lease: nil} = state), do: noreply(work(state))
  def handle_cast(:bridge_up, state), do: noreply(state)

  # What was said under a lease that is lost.
  def handle_cast(_fact, %{lease: nil} = state), do: noreply(state)

  def handle_cast(:store, state), do: noreply(work(state))

  # Discord wants more shards than it recommended before: the sessions are of no use, and it is asked anew.
  def handle_cast({:too_few, _shard}, %{shards: :auto, lease: %{shards: shards} = lease} = state) when shards != nil do
    :ok = Sessions.forget(lease.fence)
    noreply(%{state | too_few: shards} |> lease(%{lease | shards: nil}) |> ask_shards())
  end

  # Another shard has said so before.
  def handle_cast({:too_few, _shard}, state), do: noreply(state)

  def handle_cast({:waiting, shard}, state), do: noreply(identify(state, Identify.waiting(state.identify, shard)))

  def handle_cast({:identifying, shard}, state),
    do: noreply(identify(state, Identify.identifying(state.identify, shard, now())))

  @impl true
  def handle_info(:tick, state) do
    Process.send_after(self(), :tick, @tick_ms)
    noreply(state |> check_end() |> give_way() |> work())
  end

  def handle_info({ref, result}, %{task: {%Task{ref: ref}, what}} = state) do
    Process.demonitor(ref, [:flush])
    noreply(done(what, result, %{state | task: nil}))
  end

  def handle_info(:identify, state), do: noreply(identify(state, state.identify))
  def handle_info(:ask, %{lease: %{}} = state), do: noreply(%{state | identify: Identify.ask(state.identify)})
  def handle_info({:EXIT, _from, :normal}, state), do: noreply(state)
  def handle_info({:EXIT, _from, reason}, state), do: {:stop, reason, state}

  def handle_info(message, state) do
    case Identify.answered(state.identify, message) do
      {:recommended, shards, identify} -> noreply(recommended(shards, store_permits(%{state | identify: identify})))
      {:failed, identify} -> noreply(%{state | identify: identify})
      # Of a time before.
      :unrelated -> noreply(state)
    end
  end

  # The bridge's owner has stopped before us, so these are the last sessions.
  @impl true
  def terminate(_reason, %{lease: nil, task: {task, {:take, _asked_at}}, runtime: %{store: store, bot_id: bot_id}}) do
    with {:ok, {:ok, fence, _sessions, _budget}} <- Task.yield(task, @farewell_ms),
         do: Lease.release(store, bot_id, fence)
  end

  def terminate(_reason, %{lease: nil}), do: :ok

  def terminate(_reason, %{runtime: %{store: store, bot_id: bot_id}, lease: %{fence: fence}} = state) do
    with {task, _what} <- state.task, do: Task.yield(task, @farewell_ms) || Task.shutdown(task, :brutal_kill)
    changes = changes(state)

    farewell =
      Task.async(fn ->
        with :ok <- Lease.renew(store, bot_id, fence, changes), do: Lease.release(store, bot_id, fence)
      end)

    case Task.yield(farewell, @farewell_ms) || Task.shutdown(farewell, :brutal_kill) do
      {:ok, {:error, error}} -> Logger.warning("the gateway's lease was not given back: #{Exception.message(error)}")
      nil -> Logger.warning("the gateway's lease was not given back: the store did not answer")
      _done -> :ok
    end
  end

  ## The store

  # The node that has the bridge is to have the gateway.
  defp work(%{task: nil, lease: nil} = state), do: claim(Bridge.reach(), state)

  defp work(%{task: nil, runtime: runtime, lease: %{fence: fence}} = state) do
    changes = changes(state)

    if changes == %{sessions: %{}, budget: nil} and monotonic() < state.renewed_at + @renew_ms do
      state
    else
      what = {:renew, monotonic(), changes, state.identify.permitted}
      task(state, what, fn -> Lease.renew(runtime.store, runtime.bot_id, fence, changes) end)
    end
  end

  defp work(state), do: state

  defp claim(:held, state), do: state

  defp claim(:up, %{seen: {_row, _since}} = state) do
    if due?(state.wished_at, @wish_ms), do: wish(state), else: claim(state)
  end

  defp claim(:up, state), do: claim(state)
  # Only if nobody else would, who has a bridge.
  defp claim({:away, _ms}, state) do
    cond do
      due?(state.wished.asked, @look_ms) -> look(state)
      wished?(state) or not due?(state.wished.since, @looking_ms) -> state
      true -> claim(state)
    end
  end

  defp claim(%{runtime: runtime, seen: seen} = state),
    do: task(state, {:take, monotonic()}, fn -> Lease.claim(runtime.store, runtime.bot_id, runtime.owner, seen) end)

  defp wish(%{runtime: runtime} = state),
    do:
      task(%{state | wished_at: monotonic()}, :wish, fn -> Lease.wish(runtime.store, runtime.bot_id, runtime.owner) end)

  defp look(%{runtime: runtime} = state) do
    wished = %{state.wished | asked: monotonic(), since: state.wished.since || monotonic()}
    task(%{state | wished: wished}, :look, fn -> Lease.wished(runtime.store, runtime.bot_id) end)
  end

  defp due?(at, ms), do: at == nil or monotonic() >= at + ms
  defp wished?(%{wished: %{came: came}}), do: came != nil and monotonic() < came + @wished_ms

  defp task(state, what, ask_store), do: %{state | task: {Task.async(ask_store), what}}

  # What the store does not have yet.
  defp changes(%{lease: lease} = state) do
    sessions =
      Map.new(Sessions.changes(lease.fence), fn {shard, session} ->
        {shard, session && %{session: session, shards: lease.shards, intents: state.intents}}
      end)

    {:ok, budget} = state.identify.budget |> Budget.to_term() |> JSON.encode()
    %{sessions: sessions, budget: if(budget != state.budget, do: budget)}
  end

  defp done(what, {:error, error}, state) do
    if not state.store_failed,
      do: Store.failed(error, "the store of the gateway's lease failed, and is tried again")

    # A lease lasts without the store until its end.
    if match?({:renew, _, _, _}, what),
      do: check_end(%{state | store_failed: true}),
      else: %{state | store_failed: true}
  end

  defp done(what, result, %{store_failed: true} = state), do: done(what, result, %{state | store_failed: false})

  defp done({:take, asked_at}, {:ok, fence, sessions, budget}, state),
    do: taken(asked_at, fence, sessions, budget, state)

  defp done({:take, _asked_at}, {:held, watch}, state), do: %{state | seen: watch}

  defp done(what, _result, state) when what in [:wish, :give_back], do: state
  defp done(:look, {:ok, nil}, state), do: state
  defp done(:look, {:ok, last}, %{wished: %{last: last}} = state), do: state

  defp done(:look, {:ok, last}, state) do
    came = if state.wished.last != :unknown, do: monotonic()
    %{state | wished: %{state.wished | last: last, came: came || state.wished.came}}
  end

  # It ended while the store was asked.
  defp done({:renew, _asked_at, _changes, _permitted}, _result, %{lease: nil} = state), do: state
  defp done({:renew, _asked_at, _changes, _permitted}, :lost, state), do: lost(state, "another node has taken it")

  defp done({:renew, asked_at, changes, permitted}, :ok, state) do
    sessions = Map.new(changes.sessions, fn {shard, kept} -> {shard, kept && kept.session} end)
    :ok = Sessions.stored(state.lease.fence, sessions)
    state = %{state | renewed_at: asked_at, budget: changes.budget || state.budget}
    state = lease(state, %{state.lease | until: asked_at + Lease.lease_ms()})
    {granted, identify} = Identify.granted(state.identify, permitted)
    Enum.each(granted, &Bridge.identify/1)
    # What came up meanwhile.
    store_permits(%{state | identify: identify})
  end

  ## The lease

  # `asked_at` is from before the store was asked, so that the lease ends here before it does there.
  defp taken(asked_at, fence, stored, budget, state) do
    {shards, usable, useless} = usable(stored, state)
    :ok = Sessions.load(fence, usable, useless)
    {:ok, term} = if budget, do: JSON.decode(budget), else: {:ok, nil}

    %{
      state
      | seen: nil,
        renewed_at: asked_at,
        budget: budget,
        identify: %{state.identify | budget: Budget.from_term(term), stopped: nil}
    }
    |> lease(%{fence: fence, until: asked_at + Lease.lease_ms(), shards: shards})
    |> tell()
    |> tap(fn _ -> Events.publish(:status, {:lease, :held}) end)
    |> ask_shards()
  end

  # Sessions for other intents or another number of shards would not give what is wanted now. How many shards there are: as configured, or as
  # there were, or (nil) as Discord will say.
  defp usable(stored, %{shards: wanted, intents: intents}) do
    {good, others} =
      Enum.split_with(stored, fn {_shard, kept} -> kept.intents == intents and wanted in [:auto, kept.shards] end)

    case Enum.uniq(for {_shard, kept} <- good, do: kept.shards) do
      [shards] -> {shards, sessions(good), sessions(others)}
      _none_or_mixed when wanted == :auto -> {nil, %{}, sessions(stored)}
      [] -> {wanted, %{}, sessions(others)}
    end
  end

  defp sessions(kept), do: Map.new(kept, fn {shard, kept} -> {shard, kept.session} end)

  defp lease(state, lease) do
    :ets.insert(@table, {:lease, lease})
    Bridge.lease_changed()
    %{state | lease: lease}
  end

  defp check_end(%{lease: %{until: until}} = state) do
    if monotonic() < until, do: state, else: lost(state, "the store could not be asked in time")
  end

  defp check_end(state), do: state

  defp give_way(%{lease: %{}, task: nil} = state), do: give_way(Bridge.reach(), state)
  defp give_way(state), do: state

  defp give_way(:held, state), do: give_back(state, "its bridge serves another node")

  defp give_way({:away, ms}, state) do
    cond do
      ms >= @let_go_ms and wished?(state) -> give_back(state, "its bridge is away, and another node has one")
      due?(state.wished.asked, @look_ms) -> look(state)
      true -> state
    end
  end

  defp give_way(:up, state), do: state

  # Its bridge has let go of the gateway before.
  defp give_back(%{runtime: %{store: store, bot_id: bot_id}, lease: %{fence: fence}} = state, why) do
    changes = changes(state)

    task(lost(state, why), :give_back, fn ->
      with :ok <- Lease.renew(store, bot_id, fence, changes), do: Lease.release(store, bot_id, fence)
    end)
  end

  defp lost(state, why) do
    Logger.warning("this node no longer holds the gateway: #{why}")
    :ets.delete_all_objects(@table)
    :ok = Sessions.drop()
    Bridge.lease_changed()
    state = tell(%{state | lease: nil, identify: Identify.bridge_ended(state.identify, :all)})
    Events.publish(:status, {:lease, :lost})
    state
  end

  ## Identifying

  defp identify(%{lease: nil} = state, identify), do: %{state | identify: identify}
  defp identify(state, identify), do: store_permits(%{state | identify: Identify.proceed(identify)})

  # They are in the store before they are used, so that they are known whoever counts on from there.
  defp store_permits(%{task: nil, identify: %{permitted: [_ | _]}} = state), do: work(state)
  defp store_permits(state), do: state

  # Its recommendation may be late.
  defp recommended(shards, %{too_few: too_few, lease: %{shards: nil}} = state) when shards <= too_few do
    Logger.warning("Discord recommends #{shards} gateway shards, which it has just called too few; it is asked again")
    Process.send_after(self(), :ask, @too_few_ms)
    state
  end

  # Discord's recommendation, as long as there are no sessions that another number would end.
  defp recommended(shards, %{shards: :auto, lease: %{} = lease} = state) when lease.shards != shards do
    if Sessions.all(lease.fence) == %{}, do: lease(state, %{lease | shards: shards}), else: state
  end

  defp recommended(_shards, state), do: state

  # How many shards there are is what a first connection needs to know.
  defp ask_shards(%{lease: %{shards: nil}} = state), do: %{state | identify: Identify.ask(state.identify)}
  defp ask_shards(state), do: state

  ## Status

  defp noreply(state), do: {:noreply, tell(state)}

  # For `status/0`; whoever hears an event finds it there.
  defp tell(state) do
    identifies = Identify.status(state.identify)
    :ok = Runtime.put(:leader, %{leader: self(), lease: lease_status(state), identifies: identifies})
    if identifies.state not in [:ok, state.told], do: Events.publish(:status, {:identifies, identifies})
    %{state | told: identifies.state}
  end

  defp lease_status(%{lease: %{}} = state), do: %{held: true, holder: state.runtime.owner}
  defp lease_status(%{seen: {row, _since}}), do: %{held: false, holder: row.owner}
  defp lease_status(_state), do: %{held: false, holder: nil}

  defp monotonic, do: System.monotonic_time(:millisecond)
  defp now, do: System.os_time(:millisecond)
end

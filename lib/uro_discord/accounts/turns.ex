defmodule UroDiscord.Accounts.Turns do
  @moduledoc false
  # One after the other for each name, such as a member: in this VM by this process, and among nodes by a lease in the store. Whoever ends gives his turn
  # to the next one.

  use UroDiscord.Server
  alias UroDiscord.{Clock, Error, Runtime, Server, Store}
  alias UroDiscord.Store.Lease

  @lease %{table: "uro_discord_account_locks", key: "name", ms: 200_000}
  # Whatever is done in a turn has its end before the lease does: nobody is asked for anything later than this.
  @turn_ms 150_000
  # So long one waits for another node, and so often one looks.
  @patience_ms 60_000
  @look_ms 100
  @kept_ms 86_400_000

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(_argument), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @typedoc """
  A turn among nodes: `until` is when it ends, in ms of the monotonic clock. What is written in it is written behind its `fence`, and its `owner`: a row that
  went and came again has the same fences.
  """
  @type t :: %{name: String.t(), fence: pos_integer(), owner: String.t(), until: integer()}

  @doc "Calls a function, of nothing or of the turn, when it is this one's turn, and returns its result."
  @spec run(String.t(), (() -> result) | (t() -> result)) :: result | {:error, Error.t()} when result: term()
  def run(name, fun) when is_function(fun, 0), do: run(name, fn _turn -> fun.() end)

  def run(name, fun) do
    here(name, fn ->
      with {:ok, %{store: store, owner: owner}} <- Runtime.fetch_enabled(),
           {:ok, fence, until} <-
             claim(store, name, owner, Runtime.lookup({:account_watch, name}), now() + @patience_ms) do
        Runtime.delete({:account_watch, name})
        turn = %{name: name, fence: fence, owner: owner, until: until}

        try do
          fun.(turn)
        after
          # Where this fails the lease runs out, and this node takes it before that.
          release(store, turn)
        end
      end
    end)
  end

  @doc "How much is left of a turn, in ms: for deadlines."
  @spec left_ms(t()) :: non_neg_integer()
  def left_ms(%{until: until}), do: max(until - now(), 0)

  @doc """
  Writes what has come of a turn, in one batch: each statement's first parameters are those of `held/1`, which is its condition. A turn that has
  become another's writes nothing, and is an error of the kind `:conflict`.
  """
  @spec write(Store.t(), t(), [Store.statement()]) :: :ok | {:error, Error.t()}
  def write(store, turn, statements) do
    {_held, parameters} = held(turn)
    # It locks the row, so that nobody takes it in the middle.
    renewal = {"UPDATE #{@lease.table} SET lease_until = $4 WHERE #{ours()}", parameters ++ [Clock.local() + @lease.ms]}

    case Store.run(store, [renewal | statements], :write) do
      {:ok, [%{num_rows: 1} | _written]} -> :ok
      {:ok, _nothing} -> {:error, %Error{kind: :conflict, message: "another node is at #{turn.name} by now"}}
      {:error, error} -> {:error, error}
    end
  end

  @doc "The condition of a statement of `write/3`, and its three parameters."
  @spec held(t()) :: {String.t(), [Store.parameter()]}
  def held(turn), do: {"EXISTS (SELECT 1 FROM #{@lease.table} WHERE #{ours()})", [turn.name, turn.fence, turn.owner]}

  defp ours, do: "#{@lease.key} = $1 AND fence = $2 AND owner = $3"

  @doc "The same for what concerns this VM alone."
  @spec here(term(), (() -> result)) :: result | {:error, Error.t()} when result: term()
  def here(name, fun), do: turn({:enter, name}, name, fun)

  @doc "The same for who does not wait: `:busy` where somebody is at it."
  @spec if_free(term(), (() -> result)) :: result | :busy | {:error, Error.t()} when result: term()
  def if_free(name, fun), do: turn({:enter_if_free, name}, name, fun)

  defp turn(request, name, fun) do
    with {:turn, turn} <- Server.call(__MODULE__, request, :infinity) do
      try do
        fun.()
      after
        GenServer.cast(__MODULE__, {:leave, name, turn})
      end
    end
  end

  defp claim(store, name, owner, watch, until) do
    asked_at = now()

    case Lease.claim(store, @lease, name, owner, watch) do
      {:ok, fence, []} ->
        {:ok, fence, asked_at + @turn_ms}

      {:held, watch} ->
        # Whoever asks next has watched it for as long: of a node that is gone and whose clock was wrong nothing else says that it has run out.
        Runtime.put({:account_watch, name}, watch)

        if now() < until do
          Process.sleep(@look_ms)
          claim(store, name, owner, watch, until)
        else
          {:error, %Error{kind: :busy, message: "another node is at #{name}: it is tried again later"}}
        end

      {:error, error} ->
        {:error, error}
    end
  end

  # The row goes, or there would be one for each member for ever.
  defp release(store, turn) do
    {_held, parameters} = held(turn)

    with {:error, error} <- Store.run(store, [{"DELETE FROM #{@lease.table} WHERE #{ours()}", parameters}], :write),
         do: Store.failed(error, "a lease was not given back")
  end

  @doc "Forgets the turns of nodes that are gone, where nobody has wanted them since: a day later, whatever the clocks say."
  @spec sweep(Store.t()) :: :ok | {:error, Error.t()}
  def sweep(store) do
    sql = "DELETE FROM #{@lease.table} WHERE lease_until < $1"
    with {:ok, _} <- Store.run(store, [{sql, [Clock.local() - @kept_ms]}], :write), do: :ok
  end

  defp now, do: System.monotonic_time(:millisecond)

  ## The process: of each name who is at it, and who waits.

  @impl true
  def init(nil) do
    # To give all back at the end.
    Process.flag(:trap_exit, true)
    {:ok, %{turns: %{}, names: %{}}}
  end

  @impl true
  def handle_call({:enter_if_free, name}, _from, %{turns: turns} = state) when is_map_key(turns, name),
    do: {:reply, :busy, state}

  def handle_call({:enter_if_free, name}, from, state), do: handle_call({:enter, name}, from, state)

  def handle_call({:enter, name}, {pid, _tag} = from, state) do
    turn = Process.monitor(pid)
    state = put_in(state.names[turn], name)

    case state.turns do
      %{^name => {at_it, waiting}} -> {:noreply, put_in(state.turns[name], {at_it, :queue.in({turn, from}, waiting)})}
      _free -> {:reply, {:turn, turn}, put_in(state.turns[name], {turn, :queue.new()})}
    end
  end

  @impl true
  def handle_cast({:leave, name, turn}, state) do
    Process.demonitor(turn, [:flush])
    {:noreply, left(state, name, turn)}
  end

  @impl true
  def handle_info({:DOWN, turn, :process, _pid, _reason}, state) do
    case state.names do
      %{^turn => name} -> {:noreply, left(state, name, turn)}
      _gone -> {:noreply, state}
    end
  end

  # The tasks have ended, and gave nothing back: other nodes would wait until their leases have run out.
  @impl true
  def terminate(_reason, _state) do
    with {:ok, %{store: store, owner: owner}} <- Runtime.fetch_enabled(),
         {:error, error} <- Store.run(store, [{"DELETE FROM #{@lease.table} WHERE owner = $1", [owner]}], :write),
         do: Store.failed(error, "leases were not given back")
  end

  defp left(state, name, turn) do
    state = %{state | names: Map.delete(state.names, turn)}

    case state.turns do
      %{^name => {^turn, waiting}} -> next(state, name, waiting)
      # It only waited.
      %{^name => {at_it, waiting}} -> put_in(state.turns[name], {at_it, :queue.filter(&(elem(&1, 0) != turn), waiting)})
      _none -> state
    end
  end

  defp next(state, name, waiting) do
    case :queue.out(waiting) do
      {{:value, {turn, from}}, waiting} ->
        GenServer.reply(from, {:turn, turn})
        put_in(state.turns[name], {turn, waiting})

      {:empty, _} ->
        %{state | turns: Map.delete(state.turns, name)}
    end
  end
end

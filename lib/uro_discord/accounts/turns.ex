defmodule UroDiscord.Accounts.Turns do
  @moduledoc false
  # One after the other for each name, such as a member: in this VM by this process, and among nodes by a lease in the store. Whoever ends gives his turn
  # to the next one.

  use UroDiscord.Server
  alias UroDiscord.{Error, Runtime, Server, Store}
  alias UroDiscord.Store.Lease

  # Longer than anything that is done in a turn: three requests at most, each with a deadline.
  @lease %{table: "uro_discord_account_locks", key: "name", ms: 200_000}
  # So long one waits for another node, and so often one looks.
  @patience_ms 60_000
  @look_ms 100

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(_argument), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc "Calls a function when it is this one's turn, and returns its result."
  @spec run(String.t(), (() -> result)) :: result | {:error, Error.t()} when result: term()
  def run(name, fun) do
    here(name, fn ->
      with {:ok, %{store: store, owner: owner}} <- Runtime.fetch_enabled(),
           {:ok, fence} <- claim(store, name, owner, nil, now() + @patience_ms) do
        try do
          fun.()
        after
          # Where this fails the lease runs out, and this node takes it before that.
          release(store, name, fence)
        end
      end
    end)
  end

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
    case Lease.claim(store, @lease, name, owner, watch) do
      {:ok, fence, []} ->
        {:ok, fence}

      {:held, watch} ->
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
  defp release(store, name, fence) do
    sql = "DELETE FROM #{@lease.table} WHERE #{@lease.key} = $1 AND fence = $2"

    with {:error, error} <- Store.run(store, [{sql, [name, fence]}], :write),
         do: Store.failed(error, "a lease was not given back")
  end

  defp now, do: System.monotonic_time(:millisecond)

  ## The process: of each name who is at it, and who waits.

  @impl true
  def init(nil), do: {:ok, %{turns: %{}, names: %{}}}

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

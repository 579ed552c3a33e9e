defmodule UroDiscord.TestRepo.Pool do
  @moduledoc false
  use GenServer

  @size 8

  def start_link(connection), do: GenServer.start_link(__MODULE__, connection, name: __MODULE__)

  def with_connection(fun) do
    connection = GenServer.call(__MODULE__, :take, :infinity)

    try do
      fun.(connection)
    after
      GenServer.cast(__MODULE__, {:give, connection})
    end
  end

  @doc "What is remembered of a connection's prepared statement."
  def prepared(connection, name) do
    case :ets.lookup(__MODULE__, {connection, name}) do
      [{_, prepared}] -> prepared
      [] -> nil
    end
  end

  def prepared(connection, name, prepared) do
    :ets.insert(__MODULE__, {{connection, name}, prepared})
    prepared
  end

  @impl true
  def init(options) do
    # A connection that the server closes exits.
    Process.flag(:trap_exit, true)
    :ets.new(__MODULE__, [:named_table, :public, read_concurrency: true])
    idle = for _ <- 1..@size, do: connect(options)
    {:ok, %{options: options, idle: idle, taken: %{}, waiting: :queue.new()}}
  end

  @impl true
  def handle_call(:take, from, state),
    do: {:noreply, hand_out(%{state | waiting: :queue.in(from, state.waiting)})}

  @impl true
  def handle_cast({:give, connection}, state) do
    case Map.pop(state.taken, connection) do
      {nil, _taken} ->
        {:noreply, state}

      {monitor, taken} ->
        Process.demonitor(monitor, [:flush])
        {:noreply, hand_out(%{state | taken: taken, idle: [connection | state.idle]})}
    end
  end

  # Its holder died: what it was doing is undone by closing it, of which the clause below hears.
  @impl true
  def handle_info({:DOWN, monitor, :process, _pid, _reason}, state) do
    {connection, ^monitor} = List.keyfind(Map.to_list(state.taken), monitor, 1)
    Process.exit(connection, :kill)
    {:noreply, state}
  end

  def handle_info({:EXIT, connection, _reason}, state) do
    {monitor, taken} = Map.pop(state.taken, connection)
    if monitor, do: Process.demonitor(monitor, [:flush])
    idle = [connect(state.options) | List.delete(state.idle, connection)]
    {:noreply, hand_out(%{state | taken: taken, idle: idle})}
  end

  defp hand_out(%{idle: [connection | idle]} = state) do
    case :queue.out(state.waiting) do
      {{:value, {pid, _tag} = from}, waiting} ->
        taken = Map.put(state.taken, connection, Process.monitor(pid))
        GenServer.reply(from, connection)
        hand_out(%{state | idle: idle, taken: taken, waiting: waiting})

      {:empty, _} ->
        state
    end
  end

  defp hand_out(state), do: state

  defp connect(options) do
    {isolation, options} = Keyword.pop(options, :isolation)
    connection = UroDiscord.Postgres.connect!(options)
    Process.link(connection)

    if isolation do
      ["SET"] =
        UroDiscord.Postgres.query(
          connection,
          "SET default_transaction_isolation = '#{isolation}'"
        )
    end

    connection
  end
end

defmodule UroDiscord.Web.Server.Waiting do
  @moduledoc false
  # The connections that wait for their client, the one that waits longest first, and those that have had an answer (a proxy
  # keeps such) after all others. When there are too many connections, the first is closed to make room: clients that send
  # little, slowly, or nothing, push each other out, and nobody whose request is there. The table is written by the
  # connections; this process owns it.

  use GenServer

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(_argument), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc "The calling connection waits from now on, having had so many answers; returns what `done/1` takes."
  @spec begin(non_neg_integer()) :: term()
  def begin(answers) do
    entry = {min(answers, 1), System.unique_integer([:monotonic]), self()}
    :ets.insert(__MODULE__, {entry})
    entry
  end

  @spec done(term()) :: :ok
  def done(entry) do
    :ets.delete(__MODULE__, entry)
    :ok
  end

  @doc "Ends the connection that waits longest, and returns when it has. `:none` when all are at work."
  @spec evict() :: :ok | :none
  def evict do
    case :ets.first(__MODULE__) do
      :"$end_of_table" ->
        :none

      {_answers, _since, pid} = entry ->
        # Another acceptor may be at the same one.
        monitor = Process.monitor(pid)
        if :ets.take(__MODULE__, entry) != [], do: Process.exit(pid, :kill)

        receive(
          do: ({:DOWN, ^monitor, :process, ^pid, _reason} -> :ok),
          after: (100 -> Process.demonitor(monitor, [:flush]))
        )

        :ok
    end
  end

  @impl true
  def init(nil) do
    {:ok, :ets.new(__MODULE__, [:named_table, :ordered_set, :public, write_concurrency: true])}
  end
end

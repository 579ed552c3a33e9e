defmodule UroDiscord.Web.Server.Waiting do
  @moduledoc false
  # The connections that wait for their client, the one that waits longest first, and those that have had an answer (a proxy
  # keeps such) after all others. When there are too many connections, the first is closed to make room: clients that send
  # little, slowly, or nothing, push each other out, and nobody whose request is there, nor anybody who has come just now: a client
  # needs a moment to say what it wants, and of many that come at once it may be the first. The table is written by the connections; this
  # process owns it.

  use UroDiscord.Server

  # Less than the acceptor's patience, so that in the end there is somebody to make room.
  @grace_ms 500

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(_argument), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc """
  The calling connection waits from now on, having had so many answers since it began (monotonic ms); returns what `done/1` takes.
  """
  @spec begin(non_neg_integer(), integer()) :: term()
  def begin(answers, began) do
    entry = {min(answers, 1), System.unique_integer([:monotonic]), self()}
    :ets.insert(__MODULE__, {entry, began})
    entry
  end

  @spec done(term()) :: :ok
  def done(entry) do
    :ets.delete(__MODULE__, entry)
    :ok
  end

  @doc "Ends the connection that waits longest, and returns when it has. `:none` when all are at work, or new."
  @spec evict() :: :ok | :none
  def evict do
    latest = System.monotonic_time(:millisecond) - @grace_ms

    case :ets.select(__MODULE__, [{{:"$1", :"$2"}, [{:"=<", :"$2", latest}], [:"$1"]}], 1) do
      :"$end_of_table" ->
        :none

      {[{_answers, _since, pid} = entry], _more} ->
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

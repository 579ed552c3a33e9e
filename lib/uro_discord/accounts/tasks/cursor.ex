defmodule UroDiscord.Accounts.Tasks.Cursor do
  @moduledoc false
  # How far a task has come, in the store: so it goes on where it was after whatever ended it, and of several nodes one is at it. Its row is held by a
  # lease, behind whose fence all is written.

  alias UroDiscord.{Clock, Error, JSON, Store}
  alias UroDiscord.Accounts.Tasks.Tally
  alias UroDiscord.Store.Lease

  @kind %{table: "uro_discord_task_cursors", key: "task", ms: 30_000}
  # What nobody went on with for so long begins anew: much may have changed of those whom it has looked at.
  @stale_ms 86_400_000

  @typedoc "`cursor` is the Discord id of the last one who is done; nil before the first."
  @type t :: %{
          task: String.t(),
          fence: pos_integer(),
          cursor: String.t() | nil,
          tally: Tally.t(),
          started_at: integer(),
          begun: :new | :goes_on | {:anew, why :: String.t()}
        }

  @doc """
  Takes a task up: where it was, if it was not finished, or from the beginning. `settings` is a number that stands for the configuration that the task goes by:
  with another one, what is done already does not count.

  `{:held, watch}`: somebody else has it; the next call gets `watch`, which shows whether that one still lives. An error of the kind
  `:busy`: a `watch` was given, and the other one has come to its end meanwhile.
  """
  @spec take(Store.t(), atom(), String.t(), non_neg_integer(), Lease.watch(), restart: boolean()) ::
          {:ok, t()} | {:held, Lease.watch()} | {:error, Error.t()}
  def take(store, task, owner, settings, watch \\ nil, options \\ []) do
    task = Atom.to_string(task)
    look = {"SELECT cursor, progress, started_at, finished_at FROM #{@kind.table} WHERE task = $1", [task]}
    now = Clock.local()

    with {:ok, fence, [%{rows: [[cursor, progress, started_at, finished_at]]}]} <-
           Lease.claim(store, @kind, task, owner, watch, [look]),
         :ok <- unfinished(store, task, fence, watch, finished_at) do
      kept = kept(progress)

      case begin(cursor, started_at, finished_at, kept, settings, now - (kept["at"] || 0), options) do
        :goes_on ->
          tally = Tally.load(kept["tally"])
          {:ok, %{task: task, fence: fence, cursor: cursor, tally: tally, started_at: started_at, begun: :goes_on}}

        begun ->
          taken = %{task: task, fence: fence, cursor: nil, tally: %Tally{}, started_at: now, begun: begun}
          with :ok <- first(store, taken, settings), do: {:ok, taken}
      end
    end
  end

  # Who waited to go on with it has nothing to do where whoever was at it has come to the end.
  defp unfinished(_store, _task, _fence, watch, finished_at) when watch == nil or finished_at == nil, do: :ok

  defp unfinished(store, task, fence, _watch, _finished_at) do
    with :ok <- Lease.release(store, @kind, task, fence),
         do: {:error, %Error{kind: :busy, message: "the task #{task} was just run to its end on another node"}}
  end

  defp kept(nil), do: %{}

  defp kept(json) do
    {:ok, kept} = JSON.decode(json)
    kept
  end

  defp begin(nil, _started_at, _finished_at, _kept, _settings, _idle_ms, _options), do: :new
  defp begin(_cursor, _started_at, at, _kept, _settings, _idle_ms, _options) when at != nil, do: :new

  defp begin(_cursor, _started_at, nil, kept, settings, idle_ms, options) do
    cond do
      options[:restart] -> {:anew, "as was asked for"}
      kept["settings"] != settings -> {:anew, "the configuration is another one since"}
      idle_ms > @stale_ms -> {:anew, "the unfinished run is older than a day"}
      true -> :goes_on
    end
  end

  defp first(store, taken, settings) do
    sql = """
    UPDATE #{@kind.table} SET cursor = NULL, progress = $3, started_at = $4, finished_at = NULL WHERE task = $1 AND fence = $2
    """

    held(store, {sql, [taken.task, taken.fence, progress(taken.tally, settings), taken.started_at]})
  end

  @doc "Keeps how far it has come, and the lease. A lease that is another's by now is `{:error, %Error{kind: :conflict}}`."
  @spec keep(Store.t(), t(), String.t() | nil, Tally.t(), non_neg_integer()) :: :ok | {:error, Error.t()}
  def keep(store, taken, cursor, tally, settings) do
    sql = """
    UPDATE #{@kind.table} SET cursor = CAST($3 AS TEXT), progress = $4, lease_until = $5 WHERE task = $1 AND fence = $2
    """

    {_sql, [_task, _fence, until]} = Lease.renewal(@kind, taken.task, taken.fence)
    held(store, {sql, [taken.task, taken.fence, cursor, progress(tally, settings), until]})
  end

  @doc "It has been with everybody; the lease is given back."
  @spec finish(Store.t(), t(), Tally.t(), non_neg_integer()) :: :ok | {:error, Error.t()}
  def finish(store, taken, tally, settings) do
    sql = """
    UPDATE #{@kind.table} SET cursor = NULL, progress = $3, finished_at = $4, owner = '', lease_until = 0
    WHERE task = $1 AND fence = $2
    """

    held(store, {sql, [taken.task, taken.fence, progress(tally, settings), Clock.local()]})
  end

  @doc "Gives it back, for another run to go on at once."
  @spec release(Store.t(), t()) :: :ok | {:error, Error.t()}
  def release(store, taken), do: Lease.release(store, @kind, taken.task, taken.fence)

  @doc "When a task began and ended last (Unix ms, nil: never), and whether there is something to go on with."
  @spec last(Store.t(), atom()) ::
          {:ok, %{started_at: integer() | nil, finished_at: integer() | nil}} | {:error, Error.t()}
  def last(store, task) do
    sql = "SELECT started_at, finished_at FROM #{@kind.table} WHERE task = $1"

    case Store.run(store, [{sql, [Atom.to_string(task)]}], :read) do
      {:ok, [%{rows: [[started_at, finished_at]]}]} -> {:ok, %{started_at: started_at, finished_at: finished_at}}
      {:ok, [%{rows: []}]} -> {:ok, %{started_at: nil, finished_at: nil}}
      {:error, error} -> {:error, error}
    end
  end

  @doc "The same of a task with a schedule. Of one that has never been run that begins now: links are fresh when they are made."
  @spec scheduled(Store.t(), atom()) ::
          {:ok, %{started_at: integer() | nil, finished_at: integer() | nil}} | {:error, Error.t()}
  def scheduled(store, task) do
    with {:ok, %{started_at: nil, finished_at: nil}} <- last(store, task) do
      sql = """
      INSERT INTO #{@kind.table} (task, owner, fence, lease_until, finished_at) VALUES ($1, '', 0, 0, $2)
      ON CONFLICT (task) DO NOTHING
      """

      with {:ok, _} <- Store.run(store, [{sql, [Atom.to_string(task), Clock.local()]}], :write), do: last(store, task)
    end
  end

  defp progress(tally, settings) do
    {:ok, json} = JSON.encode(%{"tally" => Tally.dump(tally), "settings" => settings, "at" => Clock.local()})
    json
  end

  defp held(store, statement) do
    case Store.run(store, [statement], :write) do
      {:ok, [%{num_rows: 1}]} -> :ok
      {:ok, [%{num_rows: 0}]} -> {:error, lost()}
      {:error, error} -> {:error, error}
    end
  end

  defp lost do
    %Error{
      kind: :conflict,
      message: "another node has taken the task up, since this one was not heard of for #{div(@kind.ms, 1_000)} s"
    }
  end
end

defmodule UroDiscord.Store.Keeper do
  @moduledoc false
  # The configured store, opened as soon as it can be. It is a store itself: until the other one is open, each batch gets
  # `:unavailable`, as it does when a database goes away later. So nobody else has to know whether it was there at the start.
  #
  # It also tells, once each, when the store goes away and when it is back. Those who use it leave that to it, by `Store.failed/2`.

  @behaviour UroDiscord.Store.Adapter

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Backoff, Error, Runtime, Store}
  alias UroDiscord.Notify.Outbox

  @pauses {500, 30_000}
  # A start waits for so long, so that the store is mostly there when UroDiscord is.
  @start_ms 5_000

  @typedoc "As `UroDiscord.status/0` shows it, and the store (nil: it was never open)."
  @type status :: %{
          state: :opening | :open | :unavailable,
          since: DateTime.t(),
          error: Error.t() | nil,
          store: Store.t() | nil
        }

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(_argument), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc "The store that this is."
  @spec store() :: Store.t()
  def store, do: {__MODULE__, nil}

  @doc "By who has made `UroDiscord.Runtime`: it is not open yet."
  @spec prepare() :: :ok
  def prepare, do: Runtime.put(:store, closed())

  defp closed, do: %{state: :opening, since: DateTime.utc_now(), error: nil, store: nil}

  @spec status() :: map()
  def status, do: Map.delete(Runtime.lookup(:store) || closed(), :store)

  ## The store

  @impl Store.Adapter
  def open(_argument), do: {:ok, nil}

  @impl Store.Adapter
  def run(_handle, statements, mode) do
    case Runtime.lookup(:store) do
      %{store: nil, error: error} -> {:error, not_open(error)}
      %{store: store} = status -> store |> Store.run(statements, mode) |> tap(&note(&1, status))
      nil -> {:error, Runtime.not_started()}
    end
  end

  defp not_open(nil), do: %Error{kind: :unavailable, message: "the store is being opened"}
  defp not_open(error), do: %Error{kind: :unavailable, message: "not open yet: #{error.message}"}

  # Of many who see it one tells.
  defp note({:error, %Error{kind: :unavailable} = error}, %{state: :open} = status) do
    if Runtime.replace(:store, status, changed(status, :unavailable, error)),
      do: Logger.error("the store has gone away: #{Exception.message(error)}. It is tried again until it is there")
  end

  defp note({:ok, _answers}, %{state: :unavailable} = status) do
    if Runtime.replace(:store, status, changed(status, :open, nil)),
      do: Logger.warning("the store is there again, after #{DateTime.diff(DateTime.utc_now(), status.since)} s")
  end

  defp note(_result, _status), do: :ok

  defp changed(status, state, error), do: %{status | state: state, error: error, since: DateTime.utc_now()}

  ## Opening it

  @impl GenServer
  def init(nil) do
    {:ok, %{config: config}} = Runtime.fetch()
    source = if config.repo, do: {:repo, config.repo}, else: {:sqlite, config.database}
    state = %{source: source, task: nil, backoff: Backoff.new(@pauses)}
    {:ok, if(Runtime.lookup(:store).store, do: state, else: state |> try_open() |> wait())}
  end

  # Nobody waits for this process, but a database may take its time to say no.
  defp try_open(%{source: source} = state) do
    task =
      Task.async(fn ->
        with {:ok, store} <- Store.open(source),
             {:ok, last} <- Outbox.last_position(store),
             {:ok, runtime} <- Runtime.fetch() do
          # Here, as the file that this may look into is closed when the process ends.
          Store.Advice.log(runtime.config)
          {:ok, store, last}
        end
      end)

    %{state | task: task}
  end

  defp wait(%{task: task} = state) do
    case Task.yield(task, @start_ms) do
      {:ok, result} -> tried(result, state)
      nil -> state
    end
  end

  @impl GenServer
  def handle_info({ref, result}, %{task: %Task{ref: ref}} = state) do
    Process.demonitor(ref, [:flush])
    {:noreply, tried(result, state)}
  end

  def handle_info(:open, %{task: nil} = state), do: {:noreply, try_open(state)}

  defp tried({:ok, store, last}, state) do
    Runtime.raise_position(last)
    if Backoff.failures(state.backoff) > 0, do: Logger.warning("the store is open")
    Runtime.put(:store, %{closed() | state: :open, store: store})
    %{state | task: nil}
  end

  # Said once for each reason.
  defp tried({:error, error}, state) do
    status = Runtime.lookup(:store)

    if status.error == nil or status.error.message != error.message do
      Logger.error(
        "the #{Exception.message(error)}. It is tried again until it can be opened; nothing is accepted before"
      )

      Runtime.put(:store, changed(status, :opening, error))
    end

    {pause, backoff} = Backoff.failed(state.backoff)
    Process.send_after(self(), :open, pause)
    %{state | task: nil, backoff: backoff}
  end
end

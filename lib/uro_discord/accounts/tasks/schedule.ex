defmodule UroDiscord.Accounts.Tasks.Schedule do
  @moduledoc false
  # Starts tasks when their time has come (`accounts: [tasks: [schedule: …]]`). When each ended last is in the store, so neither a restart nor another
  # node's run makes it early or late; every node looks, and the task's lease lets one run it. One that was interrupted is gone on with.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.Accounts.{Tasks, Work}
  alias UroDiscord.Accounts.Tasks.Cursor
  alias UroDiscord.{Backoff, Clock, Config, Error, Runtime, Store}

  @look_ms 60_000
  # After a run that has failed.
  @pauses {60_000, 3_600_000}

  @doc "Whether there is anything to start."
  @spec needed?(Config.t()) :: boolean()
  def needed?(config), do: config.accounts.guilds != [] and config.accounts.tasks.schedule != []

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(config) do
    send(self(), :look)
    {:ok, %{schedule: config.accounts.tasks.schedule, running: %{}, failures: %{}, not_before: %{}}}
  end

  @impl true
  def handle_info(:look, state) do
    Process.send_after(self(), :look, @look_ms)
    {:noreply, look(state)}
  end

  def handle_info({ref, result}, state) when is_map_key(state.running, ref) do
    Process.demonitor(ref, [:flush])
    {:noreply, ended(state, ref, result)}
  end

  def handle_info({:DOWN, ref, :process, _pid, _reason}, state) when is_map_key(state.running, ref) do
    error = %Error{kind: :crash, message: "it has crashed, which the log tells of"}
    {:noreply, ended(state, ref, {:error, error})}
  end

  defp look(state) do
    {:ok, %{store: store}} = Runtime.fetch()

    Enum.reduce(state.schedule, state, fn {task, every}, state ->
      with false <- task in Map.values(state.running),
           true <-
             System.monotonic_time(:millisecond) >= Map.get(state.not_before, task, System.monotonic_time(:millisecond)),
           {:ok, last} <- Cursor.scheduled(store, task),
           true <- due?(last, every, Clock.local()) do
        %{state | running: Map.put(state.running, Work.start(fn -> Tasks.run(task) end), task)}
      else
        {:error, error} ->
          Store.failed(error, "it cannot be read when the task #{task} ended last")
          state

        _not_yet ->
          state
      end
    end)
  end

  @doc """
  Whether it is time. A clock that was set back delays a task by one period at most.

      iex> alias UroDiscord.Accounts.Tasks.Schedule
      iex> last = %{started_at: 0, finished_at: 100_000}
      iex> for now <- [159_999, 160_000, 39_999], do: Schedule.due?(last, 60_000, now)
      [false, true, true]
      iex> Schedule.due?(%{started_at: 5, finished_at: nil}, 60_000, 6)
      true
  """
  @spec due?(map(), pos_integer(), integer()) :: boolean()
  def due?(%{finished_at: nil}, _every, _now), do: true
  def due?(%{finished_at: at}, every, now), do: (now - at) not in -every..(every - 1)//1

  defp ended(state, ref, result) do
    {task, running} = Map.pop!(state.running, ref)
    state = %{state | running: running}

    case result do
      {:ok, _summary} ->
        %{state | failures: Map.delete(state.failures, task), not_before: Map.delete(state.not_before, task)}

      # Another node is at it.
      {:error, %Error{kind: :busy}} ->
        state

      {:error, error} ->
        failures = Map.get(state.failures, task, 0)
        pause = Backoff.delay(@pauses, failures)

        Logger.warning(
          "the scheduled task #{task} has stopped: #{Exception.message(error)}. It is gone on with in #{div(pause, 60_000) + 1} min"
        )

        not_before = Map.put(state.not_before, task, System.monotonic_time(:millisecond) + pause)
        %{state | failures: Map.put(state.failures, task, failures + 1), not_before: not_before}
    end
  end
end

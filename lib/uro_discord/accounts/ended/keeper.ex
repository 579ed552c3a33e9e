defmodule UroDiscord.Accounts.Ended.Keeper do
  @moduledoc false
  # Does what is left to be done of links that have ended: what failed, and what the end of a process or of a node has interrupted. Each node looks, and
  # what is done is done by one (`UroDiscord.Accounts.Ended.again/2`).

  use UroDiscord.Server
  require Logger

  alias UroDiscord.Accounts.{Ended, Running, TaskSupervisor, Work}
  alias UroDiscord.{Config, Store}

  @look_ms 60_000
  @least_ms 500
  @at_once 4
  # Shorter than whoever is at one has it to himself.
  @longest_ms 100_000

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: Ended.keeper())

  @impl true
  def init(_config), do: {:ok, wake(%{timer: nil, task: nil}, @least_ms)}

  # Something is to be done in so many ms.
  @impl true
  def handle_cast({:soon, ms}, state), do: {:noreply, wake(state, ms)}

  @impl true
  def handle_info(:look, %{task: nil} = state) do
    {:noreply, %{state | timer: nil, task: Work.start(&look/0)}}
  end

  # It is looked again when that has ended.
  def handle_info(:look, state), do: {:noreply, wake(%{state | timer: nil}, @least_ms)}

  def handle_info({ref, result}, %{task: ref} = state) do
    Process.demonitor(ref, [:flush])
    {:noreply, wake(%{state | task: nil}, result)}
  end

  # It crashed, as is reported.
  def handle_info({:DOWN, ref, :process, _pid, _reason}, %{task: ref} = state),
    do: {:noreply, wake(%{state | task: nil}, @look_ms)}

  # The earlier of two moments.
  defp wake(state, ms) do
    at = System.monotonic_time(:millisecond) + max(ms, @least_ms)

    case state.timer do
      {_timer, sooner} when sooner <= at ->
        state

      other ->
        with {timer, _later} <- other, do: Process.cancel_timer(timer)
        %{state | timer: {Process.send_after(self(), :look, max(ms, @least_ms)), at}}
    end
  end

  # In how many ms there is more to do.
  defp look do
    with {:ok, %{store: store} = runtime} <- Running.fetch(),
         {:ok, due} <- Ended.due(store),
         :ok <- each(runtime, due),
         {:ok, ms} <- Ended.next(store) do
      min(ms || @look_ms, @look_ms)
    else
      {:error, error} ->
        Store.failed(error, "what follows on the end of links is done later")
        @look_ms
    end
  end

  defp each(runtime, due) do
    TaskSupervisor
    |> Task.Supervisor.async_stream_nolink(due, &Ended.again(runtime, &1),
      max_concurrency: @at_once,
      ordered: false,
      timeout: @longest_ms,
      on_timeout: :kill_task
    )
    |> Enum.each(fn
      {:ok, {:error, error}} ->
        Store.failed(error, "what follows on the end of a link is done later")

      {:exit, :timeout} ->
        Logger.error("accounts: what follows on the end of a link takes too long, and is tried again")

      _done_or_reported ->
        :ok
    end)
  end
end

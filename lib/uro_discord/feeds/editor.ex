defmodule UroDiscord.Feeds.Editor do
  @moduledoc false
  # Edits the messages that do not show their latest step. What is to be shown is in the store, so nothing is lost with this
  # process; of several nodes the one that holds the gateway's lease does it. `UroDiscord.Feeds.Edits` is one round of it.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Backoff, Feeds, Runtime, Store}
  alias UroDiscord.Gateway.Leader
  alias UroDiscord.Feeds.Edits

  # What other nodes accepted, and what is to be tried again, is found by looking.
  @look_ms 2_000
  @prune_ms 60 * 60 * 1000
  # While the store fails.
  @pauses {2_000, 30_000}

  def start_link(_argument), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc "A card has a new step."
  @spec wake() :: :ok
  def wake, do: GenServer.cast(__MODULE__, :wake)

  @impl true
  def init(nil) do
    {:ok, runtime} = Runtime.fetch()
    Process.flag(:trap_exit, true)
    send(self(), :look)
    send(self(), :prune)

    {:ok,
     %{
       store: runtime.store,
       task: nil,
       again: false,
       edits: Edits.new(),
       backoff: Backoff.new(@pauses),
       # Until when nothing is tried, on the monotonic clock; nil while the store does well.
       paused_until: nil
     }}
  end

  @impl true
  def handle_cast(:wake, state), do: {:noreply, look(state)}

  @impl true
  def handle_info(:look, state) do
    Process.send_after(self(), :look, @look_ms)
    {:noreply, look(state)}
  end

  def handle_info(:prune, state) do
    Process.send_after(self(), :prune, @prune_ms)
    {:noreply, prune(state)}
  end

  def handle_info({ref, {outcome, edits}}, %{task: %Task{ref: ref}} = state) do
    Process.demonitor(ref, [:flush])
    state = stored(outcome, %{state | task: nil, edits: edits})
    {:noreply, if(state.again, do: look(%{state | again: false}), else: state)}
  end

  def handle_info({:EXIT, _pid, :normal}, state), do: {:noreply, state}
  def handle_info({:EXIT, _pid, reason}, state), do: {:stop, reason, state}

  # One task at a time looks, so that the same card is not edited twice at once.
  defp look(%{task: %Task{}} = state), do: %{state | again: true}

  defp look(%{store: store, edits: edits} = state) do
    if Leader.held?() and not paused?(state),
      do: %{state | task: Task.async(fn -> Edits.run(edits, store) end)},
      else: state
  end

  defp prune(%{store: store} = state) do
    # What fails all the time is told again.
    state = %{state | edits: Edits.forget_failures(state.edits)}

    with true <- Leader.held?() and not paused?(state),
         :ok <- Feeds.Store.keep_message_ids(store),
         :ok <- Feeds.Store.prune(store) do
      state
    else
      {:error, error} -> stored({:error, error}, state)
      false -> state
    end
  end

  ## How the store does

  defp paused?(%{paused_until: nil}), do: false
  defp paused?(%{paused_until: until}), do: System.monotonic_time(:millisecond) < until

  defp stored(:ok, %{paused_until: nil} = state), do: %{state | backoff: Backoff.well(state.backoff)}

  defp stored(:ok, state) do
    Logger.info("feeds: the store answers again")
    %{state | backoff: Backoff.well(state.backoff), paused_until: nil}
  end

  defp stored({:error, error}, state) do
    if state.paused_until == nil, do: Store.failed(error, "feeds: messages are edited later, since the store fails")

    {pause, backoff} = Backoff.failed(state.backoff)
    %{state | backoff: backoff, paused_until: System.monotonic_time(:millisecond) + pause}
  end
end

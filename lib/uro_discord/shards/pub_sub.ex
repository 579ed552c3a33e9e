defmodule UroDiscord.Shards.PubSub do
  @moduledoc false
  # Every event of `:shards` on the host's Phoenix.PubSub too, as the same message, for LiveViews and other nodes. It may start after
  # UroDiscord, and be started again: events wait here until it takes them, in their order.

  use UroDiscord.Server
  require Logger
  alias UroDiscord.Events

  @compile {:no_warn_undefined, [Phoenix.PubSub]}
  @topic "uro_discord:shards"
  @again_ms 100
  # Who subscribes in the host starts after its PubSub: what comes before waits so long for them.
  @subscribers_ms 1_000
  # It is told of after so long.
  @patience_ms 5_000
  # As many as there may be shards. Of more, the newest are of use.
  @most 10_000

  @spec start_link(atom()) :: GenServer.on_start()
  def start_link(pubsub), do: GenServer.start_link(__MODULE__, pubsub, name: __MODULE__)

  @impl true
  def init(pubsub) do
    :ok = Events.subscribe(:shards)
    # It may be there already, and its subscribers not yet.
    timer = Process.send_after(self(), :again, 0)
    {:ok, %{pubsub: pubsub, waiting: :queue.new(), count: 0, timer: timer, since: nil, told?: false}}
  end

  @impl true
  def handle_info({:uro_discord, :shards, _event} = message, state) do
    state = add(state, message)
    {:noreply, if(state.timer, do: state, else: flush(state))}
  end

  def handle_info(:again, state) do
    if Process.whereis(state.pubsub),
      do: {:noreply, %{state | timer: Process.send_after(self(), :flush, @subscribers_ms)}},
      else: {:noreply, wait(state, "it is not running")}
  end

  def handle_info(:flush, state), do: {:noreply, flush(%{state | timer: nil})}

  defp add(%{count: @most} = state, message),
    do: %{state | waiting: :queue.in(message, :queue.drop(state.waiting))}

  defp add(state, message), do: %{state | waiting: :queue.in(message, state.waiting), count: state.count + 1}

  defp flush(state) do
    case :queue.peek(state.waiting) do
      :empty -> well(state)
      {:value, message} -> sent(broadcast(state.pubsub, message), state)
    end
  end

  defp sent(:ok, state), do: flush(%{state | waiting: :queue.drop(state.waiting), count: state.count - 1})

  defp sent({:error, reason}, state), do: wait(state, reason)

  defp wait(state, reason) do
    state = %{state | timer: Process.send_after(self(), :again, @again_ms), since: state.since || now()}
    if state.told? or now() - state.since < @patience_ms, do: state, else: tell(state, reason)
  end

  defp well(state) do
    if state.told?, do: Logger.info("events of shards reach #{inspect(state.pubsub)} again")
    %{state | since: nil, told?: false}
  end

  defp tell(state, reason) do
    Logger.error(
      "events of shards wait for #{inspect(state.pubsub)}, which does not take them: #{reason}. Is it in the supervision tree? " <>
        "The newest #{@most} are kept"
    )

    %{state | told?: true}
  end

  defp broadcast(pubsub, message) do
    with {:error, reason} <- Phoenix.PubSub.broadcast(pubsub, @topic, message), do: {:error, inspect(reason)}
  rescue
    # It raises while it is not running.
    exception -> {:error, Exception.message(exception)}
  catch
    # Of an adapter that asks a process (Redis), which is away or slow.
    :exit, reason -> {:error, Exception.format_exit(reason)}
  end

  defp now, do: System.monotonic_time(:millisecond)
end

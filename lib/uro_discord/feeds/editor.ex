defmodule UroDiscord.Feeds.Editor do
  @moduledoc false
  # Edits the messages that do not show their latest step. What is to be shown is in the store, so nothing is lost with this
  # process; of several nodes the one that holds the gateway's lease does it.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Backoff, Delivery, Error, Gateway, Notify, Runtime, Store}
  alias UroDiscord.Feeds.Cards
  alias UroDiscord.Notify.Outbox

  # What other nodes accepted, and what is to be tried again, is found by looking.
  @look_ms 2_000
  @at_once 20
  @prune_ms 60 * 60 * 1000
  # Steps of the same message while its first one is on its way.
  @queued_ms 500
  @retry {1_000, 60_000}

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
    {:ok, %{store: runtime.store, task: nil, again: false, failures: %{}}}
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
    if Gateway.held?(), do: log(Cards.keep_message_ids(state.store))
    if Gateway.held?(), do: log(Cards.prune(state.store))
    {:noreply, state}
  end

  def handle_info({ref, {:looked, failures}}, %{task: %Task{ref: ref}} = state) do
    Process.demonitor(ref, [:flush])
    state = %{state | task: nil, failures: failures}
    {:noreply, if(state.again, do: look(%{state | again: false}), else: state)}
  end

  def handle_info({:EXIT, _pid, :normal}, state), do: {:noreply, state}
  def handle_info({:EXIT, _pid, reason}, state), do: {:stop, reason, state}
  def handle_info({:DOWN, _ref, :process, _pid, _reason}, state), do: {:noreply, state}

  # One task at a time looks, so that the same card is not edited twice at once.
  defp look(%{task: %Task{}} = state), do: %{state | again: true}

  defp look(state) do
    if Gateway.held?(),
      do: %{state | task: Task.async(fn -> {:looked, edit_pending(state.store, state.failures)} end)},
      else: state
  end

  defp edit_pending(store, failures) do
    case Cards.pending(store, @at_once) do
      {:ok, []} ->
        failures

      {:ok, cards} ->
        cards
        |> Task.async_stream(&{&1, edit(store, &1)}, max_concurrency: @at_once, timeout: :infinity)
        |> Enum.reduce(failures, fn {:ok, {card, outcome}}, failures -> note(store, card, outcome, failures) end)
        |> then(&if length(cards) == @at_once, do: edit_pending(store, &1), else: &1)

      {:error, error} ->
        log({:error, error})
        failures
    end
  end

  # {:shown | :queued | {:retry, error} | {:never, why}, message_id}
  defp edit(store, card) do
    case message_id(store, card) do
      {:ok, message_id} -> {change(card, message_id), message_id}
      not_yet -> {not_yet, nil}
    end
  end

  defp message_id(_store, %{message_id: id}) when is_binary(id), do: {:ok, id}

  defp message_id(store, card) do
    case Outbox.fetch(store, card.delivery_id) do
      {:ok, %{status: :delivered, message_id: id}} -> {:ok, id}
      {:ok, %{status: :queued}} -> :queued
      {:ok, %{status: :failed, error: error}} -> {:never, "it was not delivered: #{Exception.message(error)}"}
      :error -> {:never, "its message is not known any more"}
      {:error, error} -> {:retry, error}
    end
  end

  defp change(card, message_id) do
    delivery = %Delivery{
      id: card.delivery_id,
      channel_id: card.channel_id,
      status: :delivered,
      message_id: message_id
    }

    case Notify.edit(delivery, card.body) do
      {:ok, _} -> :shown
      {:error, %Error{kind: :api, status: status} = error} when status in 400..499 -> {:never, Exception.message(error)}
      {:error, error} -> {:retry, error}
    end
  end

  defp note(store, card, {outcome, message_id}, failures) do
    key = {card.feed, card.key, card.channel_id}

    case outcome do
      :shown ->
        log(Cards.shown(store, card, message_id))
        Map.delete(failures, key)

      :queued ->
        log(Cards.retry(store, card, nil, @queued_ms))
        failures

      {:never, why} ->
        # Deleted by somebody, or not ours to change any more. The next step is tried again.
        Logger.warning("a message of feed #{card.feed} cannot be edited: #{why}")
        log(Cards.shown(store, card, message_id))
        Map.delete(failures, key)

      {:retry, error} ->
        count = Map.get(failures, key, 0)
        if count == 0, do: Logger.warning("a message of feed #{card.feed} is edited later: #{Exception.message(error)}")
        log(Cards.retry(store, card, message_id, Backoff.delay(@retry, count)))
        Map.put(failures, key, count + 1)
    end
  end

  defp log(:ok), do: :ok
  defp log({:error, error}), do: Store.failed(error, "feeds: the store")
end

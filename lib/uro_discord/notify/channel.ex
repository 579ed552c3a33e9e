defmodule UroDiscord.Notify.Channel do
  @moduledoc false
  # The notifications of one channel, in order: one is under way at a time, and the next begins when its outcome is known.
  # The request does not block this process; the NIF answers by message.

  use GenServer, restart: :transient
  alias UroDiscord.{Delivery, Error, Rest}
  alias UroDiscord.Notify.Message

  # Discord takes five messages in five seconds for a channel, so this many wait for more than two hours.
  @queue_limit 10_000
  # Outcomes that are kept for `await/2`.
  @outcomes 1_000
  # How long Discord may be away before a notification fails.
  @deadline_ms 120_000

  @doc "Queues a message for its channel, whose process is started on the first one."
  @spec push(Delivery.t(), Message.t()) :: :ok | {:error, Error.t()}
  def push(%Delivery{} = delivery, message),
    do: GenServer.call(ensure(delivery.channel_id), {:push, delivery, message})

  @doc "Waits for the outcome."
  @spec await(Delivery.t(), timeout()) :: {:ok, Delivery.t()} | {:error, Error.t()}
  def await(%Delivery{} = delivery, timeout) do
    GenServer.call(ensure(delivery.channel_id), {:await, delivery}, timeout)
  catch
    :exit, {:timeout, _call} ->
      {:error,
       %Error{
         kind: :timeout,
         message: "the outcome is not known after #{timeout} ms; the notification is still on its way"
       }}
  end

  @spec start_link(String.t()) :: GenServer.on_start()
  def start_link(channel_id),
    do: GenServer.start_link(__MODULE__, channel_id, name: name(channel_id))

  defp ensure(channel_id) do
    case DynamicSupervisor.start_child(UroDiscord.Notify.Supervisor, {__MODULE__, channel_id}) do
      {:ok, pid} -> pid
      {:error, {:already_started, pid}} -> pid
    end
  end

  defp name(channel_id), do: {:via, Registry, {UroDiscord.Notify.Registry, channel_id}}

  @impl true
  def init(channel_id) do
    {:ok, %{rest: rest}} = UroDiscord.Runtime.fetch()

    {:ok,
     %{
       channel_id: channel_id,
       rest: rest,
       queue: :queue.new(),
       current: nil,
       outcomes: %{},
       finished: :queue.new(),
       waiting: %{}
     }}
  end

  @impl true
  def handle_call({:push, delivery, message}, _from, state) do
    if :queue.len(state.queue) < @queue_limit do
      {:reply, :ok, send_next(%{state | queue: :queue.in({delivery, message}, state.queue)})}
    else
      {:reply,
       {:error,
        %Error{
          kind: :queue_full,
          message: "#{@queue_limit} notifications wait for this channel already"
        }}, state}
    end
  end

  def handle_call({:await, %{id: id} = delivery}, from, state) do
    cond do
      outcome = state.outcomes[id] ->
        {:reply, {:ok, outcome}, state}

      under_way?(state, id) ->
        {:noreply, update_in(state.waiting[id], &[from | &1 || []])}

      true ->
        {:reply, {:error, %Error{kind: :unknown, message: "nothing is known of delivery #{delivery.id} any more"}},
         state}
    end
  end

  @impl true
  def handle_info(message, %{current: {ref, delivery}} = state) do
    case Rest.answer(message, ref) do
      :unrelated ->
        {:noreply, state}

      answer ->
        {:noreply, %{state | current: nil} |> finish(outcome(delivery, answer)) |> send_next()}
    end
  end

  # A caller of ours that gave up waiting.
  def handle_info(_message, state), do: {:noreply, state}

  defp send_next(%{current: nil} = state) do
    case :queue.out(state.queue) do
      {:empty, _queue} ->
        state

      {{:value, {delivery, message}}, queue} ->
        # Discord answers a repeat of a nonce with the message it has, so a request may be repeated.
        body = Map.merge(message.body, %{"nonce" => delivery.id, "enforce_nonce" => true})
        options = [json: body, files: message.files, retry: :safe, deadline_ms: @deadline_ms]
        state = %{state | queue: queue}

        case Rest.request(state.rest, :post, "channels/#{state.channel_id}/messages", options) do
          {:ok, ref} ->
            %{state | current: {ref, delivery}}

          {:error, error} ->
            state |> finish(%{delivery | status: :failed, error: error}) |> send_next()
        end
    end
  end

  defp send_next(state), do: state

  defp outcome(delivery, {:ok, %{body: %{"id" => message_id}}}),
    do: %{delivery | status: :delivered, message_id: message_id}

  defp outcome(delivery, {:error, error}), do: %{delivery | status: :failed, error: error}

  defp finish(state, delivery) do
    {waiting, state} = pop_in(state.waiting[delivery.id])
    for from <- waiting || [], do: GenServer.reply(from, {:ok, delivery})

    forget_oldest(%{
      state
      | outcomes: Map.put(state.outcomes, delivery.id, delivery),
        finished: :queue.in(delivery.id, state.finished)
    })
  end

  defp forget_oldest(state) when map_size(state.outcomes) <= @outcomes, do: state

  defp forget_oldest(state) do
    {{:value, id}, finished} = :queue.out(state.finished)
    %{state | outcomes: Map.delete(state.outcomes, id), finished: finished}
  end

  defp under_way?(%{current: {_ref, %{id: id}}}, id), do: true

  defp under_way?(state, id),
    do: :queue.any(fn {delivery, _message} -> delivery.id == id end, state.queue)
end

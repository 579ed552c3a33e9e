defmodule UroDiscord.Notify.Channel do
  @moduledoc false
  # Sends the notifications of one channel, in order: one is under way at a time, and the next begins when the outcome of the
  # one before is stored. Nothing here is needed to get a notification back: a process that died is started again by the
  # dispatcher and goes on from the store.
  #
  # A notification arrives once. Discord answers a repeat with the same nonce with the message it has, but forgets nonces after
  # some minutes. So where it is not known whether an attempt got through, and that may be long ago, the channel's recent
  # messages are looked through first (UroDiscord.Notify.Sent). That need not be the next notification: one that was accepted
  # at the same time, by another process or node, may have come before it since.

  use GenServer, restart: :temporary, shutdown: 15_000
  require Logger

  alias UroDiscord.{Backoff, Delivery, Error, Events, Rest, Runtime, Telemetry}
  alias UroDiscord.Notify.{Outbox, Sent}
  alias UroDiscord.Store.Owner

  # A request ends within this. With what a renewal leaves it is well within the lease, also by a stalled process's clock.
  @deadline_ms 15_000
  @tick_ms 5_000
  # A request is begun only under a lease that lasts longer than the request may.
  @margin_ms @deadline_ms + 5_000
  # Discord remembers a nonce for "a few minutes"; this is surely within it.
  @nonce_ms 60_000
  # Nodes' clocks may differ by this much.
  @skew_ms 5_000
  # How long a process waits for something to send.
  @idle_ms 300_000
  # For the request under way when everything stops.
  @drain_ms 10_000
  # The first and the longest pause before another try.
  @retry_ms {500, 30_000}
  # Discord does not take the token: only a new one helps, and the attempt costs nothing, since the client refuses it.
  @unauthorized_ms 30_000

  # The request was not what Discord wants, and never will be.
  @final [:api, :invalid, :invalid_request]

  @doc "There is something to send in this channel."
  @spec wake(String.t()) :: :ok
  def wake(channel_id) do
    with [] <- Registry.lookup(UroDiscord.Notify.Registry, channel_id),
         {:ok, _pid} <- DynamicSupervisor.start_child(UroDiscord.Notify.Supervisor, {__MODULE__, channel_id}) do
      :ok
    else
      [{pid, _value}] -> GenServer.cast(pid, :wake)
      {:error, {:already_started, pid}} -> GenServer.cast(pid, :wake)
    end
  end

  @spec start_link(String.t()) :: GenServer.on_start()
  def start_link(channel_id), do: GenServer.start_link(__MODULE__, channel_id, name: name(channel_id))

  defp name(channel_id), do: {:via, Registry, {UroDiscord.Notify.Registry, channel_id}}

  @impl true
  def init(channel_id) do
    # To finish what is under way when UroDiscord stops.
    Process.flag(:trap_exit, true)
    Process.send_after(self(), :tick, @tick_ms)
    {:ok, runtime} = Runtime.fetch()

    state = %{
      channel_id: channel_id,
      runtime: runtime,
      lease: nil,
      leased_until: 0,
      # The request under way: its reference, its notification, and what it is for (:send, :look, :publish).
      current: nil,
      # Notifications accepted up to here may have been sent already, for all we know.
      sent_until: 0,
      # What the channel has said, as far as we looked since that: pages of messages, the newest page last.
      history: [],
      failures: 0,
      pause: nil,
      idle_since: monotonic()
    }

    {:ok, state, {:continue, :work}}
  end

  @impl true
  def handle_continue(:work, state), do: work(state)

  def handle_continue({:begin, row}, state),
    do: if(lasts?(state), do: row |> begin(state) |> next(), else: work(state))

  @impl true
  def handle_cast(:wake, state), do: work(state)

  @impl true
  def handle_info(:work, state), do: work(%{state | pause: nil})

  def handle_info(:tick, state) do
    Process.send_after(self(), :tick, @tick_ms)

    cond do
      state.current != nil and state.lease != nil and not lasts?(state) -> {:noreply, renew(state)}
      idle?(state) and monotonic() - state.idle_since > @idle_ms -> {:stop, :normal, state}
      true -> {:noreply, state}
    end
  end

  def handle_info({:EXIT, _from, reason}, state), do: {:stop, reason, state}

  def handle_info(message, %{current: {ref, row, purpose}} = state) do
    case Rest.answer(message, ref) do
      :unrelated -> {:noreply, state}
      answer -> purpose |> answered(answer, row, %{state | current: nil}) |> next()
    end
  end

  def handle_info(_message, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, state) do
    state = drain(state)
    if state.lease, do: Outbox.release(state.runtime.store, state.lease)
  end

  # What is under way is finished or stays queued; nothing new is begun.
  defp drain(%{current: {ref, row, purpose}} = state) do
    receive do
      {:uro_discord_rest, ^ref, _} = message ->
        case answered(purpose, Rest.answer(message, ref), row, %{state | current: nil}) do
          {:again, state} -> state
          {:begin, _row, state} -> state
          {:pause, _delay, state} -> state
          state -> drain(state)
        end
    after
      @drain_ms -> state
    end
  end

  defp drain(state), do: state

  ## One notification after the other

  defp next({:again, state}), do: {:noreply, state, {:continue, :work}}
  defp next({:begin, row, state}), do: {:noreply, state, {:continue, {:begin, row}}}
  defp next({:pause, delay, state}), do: {:noreply, pause(state, delay)}
  defp next({:taken, state}), do: {:stop, :normal, state}
  defp next({:idle, state}), do: {:noreply, %{state | idle_since: monotonic()}}
  defp next(state), do: {:noreply, state}

  defp work(state) do
    if idle?(state), do: state |> work_idle() |> next(), else: {:noreply, state}
  end

  defp idle?(state), do: state.current == nil and state.pause == nil

  defp work_idle(state) do
    with {:ok, state} <- lease(state),
         {:ok, row} <- Outbox.next(state.runtime.store, state.channel_id) do
      begin(row, state)
    else
      :taken -> {:taken, %{state | lease: nil}}
      {:error, error} -> store_failed(error, state)
    end
  end

  defp begin(nil, state), do: {:idle, %{state | history: []}}

  defp begin(row, state) do
    now = System.os_time(:millisecond)
    expired? = row.expires_at != nil and row.expires_at <= now

    # Discord would not recognise it any more, or is not to be asked.
    if row.accepted_at <= state.sent_until and (expired? or now - row.accepted_at > @nonce_ms),
      do: look(row, expired?, state),
      else: send_new(row, expired?, %{state | history: []})
  end

  defp look(row, expired?, state) do
    with :enough <- Sent.query(state.history, row),
         {:ok, nil} <- Sent.find(state.history, row, state.runtime) do
      send_new(row, expired?, state)
    else
      {:more, query} ->
        request(:look, :get, "channels/#{state.channel_id}/messages?#{query}", [], row, state)

      {:ok, message_id} ->
        finish(row, {:ok, message_id}, state)

      {:error, error} ->
        store_failed(error, state)
    end
  end

  defp send_new(row, true = _expired?, state) do
    error = %Error{kind: :expired, message: "it could not be delivered in its time (expires_in)"}
    finish(row, {:error, error}, state)
  end

  defp send_new(row, false, state), do: post(row, state)

  defp post(row, state) do
    case Outbox.files(state.runtime.store, row) do
      {:ok, files} ->
        request(:send, :post, "channels/#{state.channel_id}/messages", [body: row.body, files: files], row, state)

      {:error, error} ->
        store_failed(error, state)
    end
  end

  defp request(purpose, method, path, options, row, state) do
    case Rest.request(state.runtime.rest, method, path, [retry: :safe, deadline_ms: deadline(row)] ++ options) do
      {:ok, ref} ->
        %{state | current: {ref, row, purpose}}

      {:error, error} ->
        finish(row, {:error, error}, state)
    end
  end

  # No longer than the notification is worth sending.
  defp deadline(%{expires_at: nil}), do: @deadline_ms
  defp deadline(row), do: (row.expires_at - System.os_time(:millisecond)) |> max(1_000) |> min(@deadline_ms)

  ## What became of a request

  defp answered(:send, {:ok, %{body: %{"id" => message_id}}}, %{crosspost: true} = row, state) do
    row = Map.put(row, :message_id, message_id)
    request(:publish, :post, "channels/#{state.channel_id}/messages/#{message_id}/crosspost", [], row, state)
  end

  defp answered(:send, {:ok, %{body: %{"id" => message_id}}}, row, state), do: finish(row, {:ok, message_id}, state)

  # It is there; whether it is published too does not hold up the channel. 40033: it is already.
  defp answered(:publish, {:error, %Error{code: code} = error}, row, state) when code != 40_033 do
    Logger.warning("message #{row.message_id} was delivered but not published: #{Exception.message(error)}")
    finish(row, {:ok, row.message_id, error}, state)
  end

  defp answered(:publish, _answer, row, state), do: finish(row, {:ok, row.message_id}, state)

  defp answered(:look, {:ok, %{body: messages}}, _row, state) when is_list(messages),
    do: {:again, %{state | history: [messages | state.history]}}

  # A bot that may write but not read the history cannot look, and sends.
  defp answered(:look, {:error, %Error{kind: :api}}, _row, state), do: {:again, %{state | history: [[]]}}

  # Not Discord's answer. A message may be there all the same.
  defp answered(purpose, {:ok, %{status: status}}, row, state) do
    error = %Error{kind: :response, status: status, message: "Discord answered #{status} without what was asked for"}
    answered(purpose, {:error, error}, row, state)
  end

  defp answered(_purpose, {:error, %Error{kind: :unauthorized}}, _row, state), do: {:pause, @unauthorized_ms, state}
  # Discord's own failures (5xx) come as other kinds, once the client has repeated them in vain.
  defp answered(_purpose, {:error, %Error{kind: kind} = error}, row, state) when kind in @final,
    do: finish(row, {:error, error}, state)

  defp answered(_purpose, {:error, error}, row, state) do
    delay = max(Backoff.delay(@retry_ms, state.failures), error.retry_after_ms || 0)
    Logger.info("notification #{row.id} is tried again in #{delay} ms: #{Exception.message(error)}")
    Telemetry.execute([:notify, :retry], %{delay_ms: delay}, metadata(row, state, %{kind: error.kind}))
    {:pause, delay, unsure(%{state | failures: state.failures + 1})}
  end

  # The lease went while the request was under way: whoever has it now stores the outcome.
  defp finish(_row, _outcome, %{lease: nil} = state), do: {:again, state}

  defp finish(row, outcome, state) do
    delivery = delivery(row, outcome, state)
    until = leased_until()

    case Outbox.finish(state.runtime.store, state.lease, delivery) do
      {:ok, following} ->
        report(delivery, row, state)
        {:begin, following, %{state | failures: 0, leased_until: until}}

      # Another node goes on from here.
      :lost ->
        {:again, %{state | lease: nil}}

      {:error, error} ->
        store_failed(error, unsure(state))
    end
  end

  defp unsure(state), do: %{state | sent_until: System.os_time(:millisecond) + @skew_ms, history: []}

  defp delivery(row, {:ok, message_id}, state), do: delivery(row, {:ok, message_id, nil}, state)

  defp delivery(row, {:ok, message_id, error}, state),
    do: %Delivery{id: row.id, channel_id: state.channel_id, status: :delivered, message_id: message_id, error: error}

  defp delivery(row, {:error, error}, state),
    do: %Delivery{id: row.id, channel_id: state.channel_id, status: :failed, error: error}

  defp report(delivery, row, state) do
    duration = %{duration_ms: System.os_time(:millisecond) - row.accepted_at}

    case delivery do
      %{status: :delivered, message_id: message_id} ->
        Telemetry.execute([:notify, :delivered], duration, metadata(row, state, %{message_id: message_id}))

      %{error: error} ->
        Logger.error("notification #{row.id} to channel #{state.channel_id} failed: #{Exception.message(error)}")
        Telemetry.execute([:notify, :failed], duration, metadata(row, state, %{kind: error.kind}))
    end

    Events.publish({:delivery, delivery.id}, delivery)
  end

  defp metadata(row, state, more), do: Map.merge(%{channel_id: state.channel_id, id: row.id}, more)

  ## The lease

  # One that lasts for a request yet, by a clock that nobody sets.
  defp lease(%{lease: lease} = state) do
    cond do
      lease == nil -> claim(state)
      lasts?(state) -> {:ok, state}
      true -> state |> renew() |> then(&if(&1.lease, do: {:ok, &1}, else: claim(&1)))
    end
  end

  defp lasts?(state), do: state.leased_until - monotonic() > @margin_ms

  defp claim(%{runtime: runtime} = state) do
    until = leased_until()

    # Under a new lease nothing is known of what was under way before.
    with {:ok, lease} <- Outbox.claim(runtime.store, state.channel_id, runtime.owner, &Owner.dead?/1),
         do: {:ok, unsure(%{state | lease: lease, leased_until: until})}
  end

  defp renew(state) do
    until = leased_until()

    case Outbox.renew(state.runtime.store, state.lease) do
      :ok -> %{state | leased_until: until}
      :lost -> %{state | lease: nil}
      # The lease itself tells how long it is good.
      {:error, _error} -> state
    end
  end

  # From before it is asked for: it ends no earlier in the store.
  defp leased_until, do: monotonic() + Outbox.lease_ms()
  defp monotonic, do: System.monotonic_time(:millisecond)

  ## Waiting

  defp store_failed(error, state) do
    Logger.error("the store of notifications failed: #{Exception.message(error)}")
    {:pause, Backoff.delay(@retry_ms, state.failures), %{state | failures: state.failures + 1}}
  end

  defp pause(state, delay), do: %{state | pause: Process.send_after(self(), :work, delay)}
end

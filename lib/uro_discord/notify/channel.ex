defmodule UroDiscord.Notify.Channel do
  @moduledoc false
  # Sends the notifications of one channel, in order: one is under way at a time, and the next begins when the outcome of the
  # one before is stored. Nothing here is needed to get a notification back: a process that died is started again by the
  # dispatcher and goes on from the store.
  #
  # A notification arrives once. Discord answers a repeat with the same nonce with the message it has, but forgets nonces after
  # some minutes. So where it is not known whether an attempt got through, and that may be long ago, the channel's recent
  # messages are looked through first (UroDiscord.Notify.Sent).

  use GenServer, restart: :temporary, shutdown: 15_000
  require Logger

  alias UroDiscord.{Delivery, Error, Events, Rest, Runtime, Telemetry}
  alias UroDiscord.Notify.{Outbox, Owner, Sent}

  # A request ends within this. With what a renewal leaves it is well within the lease, also by a stalled process's clock.
  @deadline_ms 15_000
  @tick_ms 5_000
  # A request is begun only under a lease that lasts longer than the request may.
  @margin_ms @deadline_ms + 5_000
  # Discord remembers a nonce for "a few minutes"; this is surely within it.
  @nonce_ms 60_000
  # How long a process waits for something to send.
  @idle_ms 300_000
  # For the request under way when everything stops.
  @drain_ms 10_000
  # The first and the longest pause before another try.
  @retry_ms {500, 30_000}
  # Discord does not take the token: only a new one helps, and the attempt costs nothing, since the client refuses it.
  @unauthorized_ms 30_000

  # The request was not what Discord wants, and never will be.
  @final [:api, :invalid, :invalid_request, :body_too_large, :response]

  @doc "There is something to send in this channel."
  @spec wake(String.t()) :: :ok
  def wake(channel_id) do
    case DynamicSupervisor.start_child(UroDiscord.Notify.Supervisor, {__MODULE__, channel_id}) do
      {:ok, _pid} -> :ok
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
      # Whether an attempt of the next notification may have got through.
      unsure: true,
      failures: 0,
      pause: nil,
      idle_since: monotonic()
    }

    {:ok, state, {:continue, :work}}
  end

  @impl true
  def handle_continue(:work, state), do: work(state)

  @impl true
  def handle_cast(:wake, state), do: work(state)

  @impl true
  def handle_info(:work, state), do: work(%{state | pause: nil})

  def handle_info(:tick, state) do
    Process.send_after(self(), :tick, @tick_ms)

    cond do
      state.current != nil and state.lease != nil -> {:noreply, renew(state)}
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

  defp begin(nil, state), do: {:idle, %{state | unsure: false}}

  defp begin(row, state) do
    now = System.os_time(:millisecond)
    expired? = row.expires_at != nil and row.expires_at <= now

    cond do
      state.unsure and (expired? or now - row.accepted_at > @nonce_ms) ->
        request(:look, :get, "channels/#{state.channel_id}/messages?limit=100", [], row, state)

      expired? ->
        finish(
          row,
          {:error, %Error{kind: :expired, message: "it could not be delivered in its time (expires_in)"}},
          state
        )

      true ->
        post(row, state)
    end
  end

  defp post(row, state) do
    case Outbox.files(state.runtime.store, row.id) do
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

  defp answered(:look, {:ok, %{body: messages}}, row, state) do
    case Outbox.message_ids(state.runtime.store, state.channel_id, row.accepted_at) do
      {:ok, others} ->
        case Sent.find(messages, row, state.runtime.bot_id, others) do
          nil -> {:again, %{state | unsure: false}}
          message_id -> finish(row, {:ok, message_id}, state)
        end

      {:error, error} ->
        store_failed(error, state)
    end
  end

  # A bot that may write but not read the history cannot look, and sends.
  defp answered(:look, {:error, %Error{kind: :api}}, _row, state), do: {:again, %{state | unsure: false}}

  defp answered(_purpose, {:error, %Error{kind: :unauthorized}}, _row, state), do: {:pause, @unauthorized_ms, state}
  # Discord's own failures (5xx) come as other kinds, once the client has repeated them in vain.
  defp answered(_purpose, {:error, %Error{kind: kind} = error}, row, state) when kind in @final,
    do: finish(row, {:error, error}, state)

  defp answered(_purpose, {:error, error}, row, state) do
    delay = max(backoff(state.failures), error.retry_after_ms || 0)
    Logger.info("notification #{row.id} is tried again in #{delay} ms: #{Exception.message(error)}")
    Telemetry.execute([:notify, :retry], %{delay_ms: delay}, metadata(row, state, %{kind: error.kind}))
    {:pause, delay, %{state | failures: state.failures + 1, unsure: true}}
  end

  defp finish(row, outcome, state) do
    delivery = delivery(row, outcome, state)

    case Outbox.finish(state.runtime.store, state.lease, delivery) do
      :ok ->
        report(delivery, row, state)
        {:again, %{state | failures: 0, unsure: false, leased_until: leased_until()}}

      # Another node goes on from here.
      :lost ->
        {:again, %{state | lease: nil, unsure: true}}

      {:error, error} ->
        store_failed(error, %{state | unsure: true})
    end
  end

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
  defp lease(%{lease: lease, leased_until: until} = state) do
    cond do
      lease == nil -> claim(state)
      until - monotonic() > @margin_ms -> {:ok, state}
      true -> state |> renew() |> then(&if(&1.lease, do: {:ok, &1}, else: claim(&1)))
    end
  end

  defp claim(%{runtime: runtime} = state) do
    until = leased_until()

    # Under a new lease nothing is known of what was under way before.
    with {:ok, lease} <- Outbox.claim(runtime.store, state.channel_id, runtime.owner, &Owner.dead?/1),
         do: {:ok, %{state | lease: lease, leased_until: until, unsure: true}}
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
    {:pause, backoff(state.failures), %{state | failures: state.failures + 1}}
  end

  defp pause(state, delay), do: %{state | pause: Process.send_after(self(), :work, delay)}

  # Doubles, and half of it is chance, so that channels do not come back in step.
  defp backoff(failures) do
    {shortest, longest} = @retry_ms
    full = min(longest, shortest * Integer.pow(2, min(failures, 10)))
    div(full, 2) + :rand.uniform(div(full, 2))
  end
end

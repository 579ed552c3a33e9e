defmodule UroDiscord.Notify.Channel do
  @moduledoc false
  # Sends the notifications of one channel: one is under way at a time, and the next begins when the outcome of the one before is stored.
  # Each producer's are sent in their order, and the producers take turns (UroDiscord.Notify.Outbox). Nothing here is needed to get a notification
  # back: a process that died is started again by the dispatcher and goes on from the store.
  #
  # A notification arrives once. Discord answers a repeat with the same nonce with the message it has, but forgets nonces after
  # some minutes. So where it is not known whether an attempt got through, and that may be long ago, the channel's recent
  # messages are looked through first (UroDiscord.Notify.DuplicateSearch). That need not be the next notification: another producer's may have
  # come before it since.
  #
  # The channel of a user (UroDiscord.Notify.Recipient) is asked for when something is to be sent there; it costs nothing to ask again.
  #
  # An outcome that the store does not take is kept here and not brought about again. Publishing a message to a channel's followers is done
  # once it is stored as delivered, and again later where Discord does not let it (ten an hour).

  use UroDiscord.Server, restart: :temporary, shutdown: 15_000
  require Logger

  alias UroDiscord.{Backoff, Clock, Delivery, Error, Events, Rest, Runtime, Store, Telemetry}
  alias UroDiscord.Notify.{DuplicateSearch, Outbox, Recipient}

  # A request ends within this. With what a renewal leaves it is well within the lease, also by a stalled process's clock.
  @deadline_ms 15_000
  @tick_ms 5_000
  # A request is begun only under a lease that lasts longer than the request may.
  @margin_ms @deadline_ms + 5_000
  # Discord remembers a nonce for "a few minutes"; this is surely within it.
  @nonce_ms 60_000
  # Discord's clock and ours, once they are compared.
  @skew_ms 5_000
  # How often one looks whether another node, which has the channel, is still there.
  @watch_ms 5_000
  # How long a process waits for something to send.
  @idle_ms 300_000
  # For the request under way when everything stops.
  @drain_ms 10_000
  # The first and the longest pause before another try.
  @retry_ms {500, 30_000}
  # The same for publishing.
  @publish_ms {5_000, 600_000}
  # Discord does not take the token: mostly only a new one helps, and the client lets one request a minute go to see.
  @unauthorized_ms 30_000

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
  rescue
    # They stop, or are started again. What is stored is found by the dispatcher then.
    ArgumentError -> :ok
  catch
    :exit, _reason -> :ok
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
      # What a user's address was found to mean.
      found: nil,
      lease: nil,
      leased_until: 0,
      # The lease of another node.
      watch: nil,
      # The producer whose turn was last.
      last: "",
      # The request under way: its reference, what it is about, and what it is for ({:open, user}, :send, :look, :publish).
      current: nil,
      # The outcome that the store has not taken yet.
      unstored: nil,
      # Whether these were sent before is not known: up to this position, and of these ids.
      doubtful: 0,
      tried: MapSet.new(),
      # What the channel has said, as far as we looked since that: pages of messages, the newest page last.
      history: [],
      # When to see what is to be published; nil when nothing is. And how often that has failed.
      publish_at: 0,
      unpublished: 0,
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
      state.current != nil and state.lease != nil and not lasts?(state) -> {:noreply, keep_lease(state)}
      idle?(state) and monotonic() - state.idle_since > @idle_ms -> {:stop, :normal, state}
      true -> {:noreply, state}
    end
  end

  def handle_info({:EXIT, _from, reason}, state), do: {:stop, reason, state}

  def handle_info({:uro_discord_rest, ref, _} = message, %{current: {ref, about, purpose}} = state),
    do: purpose |> answered(Rest.answer(message, ref), about, %{state | current: nil}) |> next()

  @impl true
  def terminate(_reason, state) do
    state = drain(state)
    with {row, delivery, publish_at} <- state.unstored, do: store(row, delivery, publish_at, state)
    if state.lease, do: Outbox.release(state.runtime.store, state.lease)
  end

  # What is under way is finished or stays queued; nothing new is begun.
  defp drain(%{current: {ref, about, purpose}} = state) do
    receive do
      {:uro_discord_rest, ^ref, _} = message ->
        case answered(purpose, Rest.answer(message, ref), about, %{state | current: nil}) do
          {:again, state} -> state
          {:begin, _row, state} -> state
          {:pause, _delay, state} -> state
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
  defp next({:nothing, state}), do: {:stop, :normal, state}
  defp next({:idle, state}), do: {:noreply, %{state | idle_since: monotonic()}}
  defp next(state), do: {:noreply, state}

  defp work(state) do
    if idle?(state), do: state |> work_idle() |> next(), else: {:noreply, state}
  end

  defp idle?(state), do: state.current == nil and state.pause == nil

  defp work_idle(%{unstored: {row, delivery, publish_at}} = state), do: store(row, delivery, publish_at, state)

  defp work_idle(state) do
    with {:ok, state} <- lease(state),
         {:ok, nil, state} <- to_publish(state),
         {:ok, row} <- Outbox.next(state.runtime.store, state.channel_id, state.last) do
      begin(row, state)
    else
      {:ok, message, state} -> publish(message, state)
      {:held, watch} -> held(%{state | lease: nil, watch: watch})
      {:error, error} -> store_failed(error, state)
    end
  end

  # Another node sends here. As long as something waits, somebody must see whether it still does.
  defp held(state) do
    case Outbox.next(state.runtime.store, state.channel_id, state.last) do
      {:ok, nil} -> {:nothing, state}
      {:ok, _row} -> {:pause, @watch_ms, state}
      {:error, error} -> store_failed(error, state)
    end
  end

  defp begin(nil, state), do: {:idle, %{state | history: []}}

  defp begin(row, state) do
    expired? = row.expires_at != nil and row.expires_at <= Clock.local()
    doubtful? = doubtful?(row, state)

    with true <- doubtful? or not expired?, {:ok, channel_id} <- channel(state) do
      # Discord would not recognise it any more, or is not to be asked.
      if doubtful? and (expired? or not recent?(row)),
        do: look(row, expired?, channel_id, state),
        else: send_new(row, expired?, channel_id, %{state | history: []})
    else
      false -> send_new(row, true, nil, state)
      {:open, user} -> open(user, row, state)
      {:error, %Error{kind: :not_linked} = error} -> finish(row, {:error, error}, state)
      {:error, error} -> store_failed(error, state)
    end
  end

  defp channel(state), do: Recipient.channel(state.runtime.store, state.channel_id, state.found)

  defp open(user, row, state) do
    {route, options} = Recipient.open(user)
    request({:open, user}, route, options, row, %{state | history: []})
  end

  defp doubtful?(row, state), do: row.position <= state.doubtful or row.id in state.tried

  # By both clocks, since it is not known whether the node that accepted it had heard of Discord's.
  defp recent?(row), do: Enum.all?([Clock.discord(), Clock.local()], &((&1 - row.accepted_at) in -@skew_ms..@nonce_ms))

  defp look(row, expired?, channel_id, state) do
    with :enough <- DuplicateSearch.query(state.history, since(row)),
         {:ok, nil} <- DuplicateSearch.find(state.history, row, since(row), state.runtime) do
      send_new(row, expired?, channel_id, state)
    else
      {:more, before, limit} ->
        request(:look, {:get_messages, channel_id, before, limit}, [], row, state)

      {:ok, message_id} ->
        finish(row, {:ok, message_id}, state)

      {:error, error} ->
        store_failed(error, state)
    end
  end

  # By the earlier of both clocks, as in `recent?/1`.
  defp since(row), do: row.accepted_at + min(Clock.ahead(), 0) - 2 * @skew_ms

  defp send_new(row, true = _expired?, _channel_id, state) do
    error = %Error{kind: :expired, message: "it could not be delivered in its time (expires_in)"}
    finish(row, {:error, error}, state)
  end

  defp send_new(row, false, channel_id, state) do
    case Outbox.files(state.runtime.store, row) do
      {:ok, files} ->
        request(:send, {:create_message, channel_id}, [body: row.body, files: files], row, state)

      {:error, error} ->
        store_failed(error, state)
    end
  end

  defp request(purpose, route, options, about, state) do
    case Rest.request(state.runtime.rest, route, [retry: :safe, deadline_ms: deadline(about)] ++ options) do
      {:ok, ref} -> %{state | current: {ref, about, purpose}}
      {:error, error} -> answered(purpose, {:error, error}, about, state)
    end
  end

  # No longer than the notification is worth sending.
  defp deadline(%{expires_at: at}) when is_integer(at), do: (at - Clock.local()) |> max(1_000) |> min(@deadline_ms)
  defp deadline(_about), do: @deadline_ms

  ## What became of a request

  defp answered(:send, {:ok, %{body: %{"id" => message_id}}}, row, state), do: finish(row, {:ok, message_id}, state)

  defp answered({:open, user}, {:ok, %{body: %{"id" => channel_id}}}, _row, state) when is_binary(channel_id),
    do: {:again, %{state | found: {user, channel_id}}}

  defp answered(:publish, {:ok, _}, message, state), do: published(message, nil, nil, %{state | unpublished: 0})

  # https://discord.com/developers/docs/topics/opcodes-and-status-codes#json: it is published already.
  defp answered(:publish, {:error, %Error{code: 40_033}}, message, state), do: published(message, nil, nil, state)

  defp answered(:look, {:ok, %{body: messages}}, _row, state) when is_list(messages),
    do: {:again, %{state | history: [messages | state.history]}}

  # Not Discord's answer. A message may be there all the same.
  defp answered(purpose, {:ok, %{status: status}}, row, state) do
    error = %Error{kind: :response, status: status, message: "Discord answered #{status} without what was asked for"}
    answered(purpose, {:error, error}, row, state)
  end

  # Where the client does not go to see, the attempt costs nothing.
  defp answered(_purpose, {:error, %Error{kind: :unauthorized}}, _about, state), do: {:pause, @unauthorized_ms, state}

  defp answered(:publish, {:error, error}, message, state) do
    if Error.final?(error) do
      Logger.warning("message #{message.message_id} is delivered, but cannot be published: #{Exception.message(error)}")
      published(message, nil, error, state)
    else
      delay = max(Backoff.delay(@publish_ms, state.unpublished), error.retry_after_ms || 0)
      Logger.info("message #{message.message_id} is published later, in #{delay} ms: #{Exception.message(error)}")
      published(message, Outbox.publish_after(delay), nil, %{state | unpublished: state.unpublished + 1})
    end
  end

  defp answered(purpose, {:error, error}, row, state) do
    cond do
      not Error.final?(error) -> later(row, error, state)
      # A bot that may write but not read the history cannot look, and sends.
      purpose == :look -> {:again, %{state | history: [[]]}}
      true -> finish(row, {:error, error}, state)
    end
  end

  defp later(row, error, state) do
    delay = max(Backoff.delay(@retry_ms, state.failures), error.retry_after_ms || 0)
    Logger.info("notification #{row.id} is tried again in #{delay} ms: #{Exception.message(error)}")
    Telemetry.execute([:notify, :retry], %{delay_ms: delay}, metadata(row, state, %{kind: error.kind}))
    {:pause, delay, %{state | failures: state.failures + 1, tried: MapSet.put(state.tried, row.id), history: []}}
  end

  # The lease went while the request was under way: whoever has it now stores the outcome.
  defp finish(_row, _outcome, %{lease: nil} = state), do: {:again, state}

  defp finish(row, {:ok, message_id}, state) do
    delivery = %Delivery{id: row.id, channel_id: there(state), status: :delivered, message_id: message_id}
    store(row, delivery, if(row.crosspost, do: max(state.publish_at || 0, Clock.local())), state)
  end

  defp finish(row, {:error, error}, state) do
    error = Recipient.explained(error)
    store(row, %Delivery{id: row.id, channel_id: state.channel_id, status: :failed, error: error}, nil, state)
  end

  defp there(%{found: {_user, channel_id}}), do: channel_id
  defp there(state), do: state.channel_id

  defp store(row, delivery, publish_at, state) do
    until = leased_until()

    case Outbox.finish(state.runtime.store, state.lease, row, delivery, publish_at) do
      {:ok, following} ->
        report(delivery, row, state)
        state = %{state | failures: 0, leased_until: until, last: row.producer, unstored: nil}
        state = %{state | tried: MapSet.delete(state.tried, row.id), publish_at: publish_at || state.publish_at}
        if publish_now?(state), do: {:again, state}, else: {:begin, following, state}

      # Another node goes on from here.
      :lost ->
        {:again, %{state | lease: nil, unstored: nil}}

      {:error, error} ->
        store_failed(error, %{state | unstored: {row, delivery, publish_at}})
    end
  end

  defp report(delivery, row, state) do
    duration = %{duration_ms: max(Clock.discord() - row.accepted_at, 0)}

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

  ## Publishing

  defp publish_now?(state), do: state.publish_at != nil and Outbox.publish_now?(state.publish_at)

  defp to_publish(state) do
    if publish_now?(state) do
      case Outbox.to_publish(state.runtime.store, state.channel_id) do
        {:ok, nil} -> {:ok, nil, %{state | publish_at: nil}}
        {:ok, message} -> due(message, %{state | publish_at: message.at})
        error -> error
      end
    else
      {:ok, nil, state}
    end
  end

  defp due(message, state), do: if(publish_now?(state), do: {:ok, message, state}, else: {:ok, nil, state})

  defp publish(message, state),
    do: request(:publish, {:crosspost_message, state.channel_id, message.message_id}, [], message, state)

  # The others of the channel are not tried earlier than the one that had to be put off.
  defp published(_message, _at, _error, %{lease: nil} = state), do: {:again, state}

  defp published(message, at, error, state) do
    case Outbox.published(state.runtime.store, state.lease, message.id, at, error) do
      :ok -> {:again, %{state | publish_at: at || state.publish_at}}
      :lost -> {:again, %{state | lease: nil}}
      {:error, error} -> store_failed(error, state)
    end
  end

  ## The lease

  # One that lasts for a request yet, by a clock that nobody sets. Without it nothing is begun.
  defp lease(state) do
    cond do
      state.lease == nil -> claim(state)
      lasts?(state) -> {:ok, state}
      true -> with :lost <- renew(state), do: claim(%{state | lease: nil})
    end
  end

  defp lasts?(state), do: state.leased_until - monotonic() > @margin_ms

  defp claim(%{runtime: runtime} = state) do
    until = leased_until()

    # Under a new lease nothing is known of what was under way before.
    with {:ok, lease, position} <- Outbox.claim(runtime.store, state.channel_id, runtime.owner, state.watch) do
      state = %{state | lease: lease, leased_until: until, watch: nil, publish_at: 0}
      {:ok, %{state | doubtful: position, tried: MapSet.new(), history: []}}
    end
  end

  defp renew(state) do
    until = leased_until()
    with :ok <- Outbox.renew(state.runtime.store, state.lease), do: {:ok, %{state | leased_until: until}}
  end

  # While a request is under way, which ends within the lease as it is.
  defp keep_lease(state) do
    case renew(state) do
      {:ok, state} -> state
      :lost -> %{state | lease: nil}
      {:error, _error} -> state
    end
  end

  # From before it is asked for: it ends no earlier in the store.
  defp leased_until, do: monotonic() + Outbox.lease_ms()
  defp monotonic, do: System.monotonic_time(:millisecond)

  ## Waiting

  defp store_failed(error, state) do
    Store.failed(error, "the store of notifications failed")
    {:pause, Backoff.delay(@retry_ms, state.failures), %{state | failures: state.failures + 1}}
  end

  defp pause(state, delay), do: %{state | pause: Process.send_after(self(), :work, delay)}
end

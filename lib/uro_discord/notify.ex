defmodule UroDiscord.Notify do
  @moduledoc false
  # What `UroDiscord.notify/2` and its kin do; `UroDiscord` documents them.

  use Supervisor

  alias UroDiscord.{
    Clock,
    Config,
    Delivery,
    Domain,
    Error,
    Events,
    JSON,
    Rest,
    RestartableRegistry,
    Runtime,
    Store,
    Telemetry
  }

  alias UroDiscord.Notify.{Backlog, Channel, Dispatcher, Message, Outbox, Producer, Recipient}

  # Another node may deliver, whose outcome only the store tells.
  @look_ms 1_000

  def start_link(_argument), do: Supervisor.start_link(__MODULE__, nil, name: __MODULE__)

  @impl true
  def init(nil) do
    Domain.group(
      [
        {RestartableRegistry, keys: :unique, name: UroDiscord.Notify.Registry},
        # The dispatcher starts a channel's process again.
        {DynamicSupervisor, name: UroDiscord.Notify.Supervisor},
        Dispatcher
      ],
      :rest_for_one
    )
  end

  @typedoc """
    * `producer`: whose it is (`UroDiscord.Notify.Producer`); the host's, if nothing is said;
    * `also`: statements that are stored with the notification, or fail with it;
    * `admit`: asked before anything is stored, with how many messages it is.
  """
  @type option ::
          {:producer, Producer.t()}
          | {:also, (Delivery.t() -> [Store.statement()])}
          | {:admit, (pos_integer() -> :ok | {:error, Error.t()})}

  @spec notify(term(), Message.input(), [option()]) :: {:ok, Delivery.t()} | {:error, Error.t()}
  def notify(channel, input, options \\ []) do
    admit = Keyword.get(options, :admit, fn _count -> :ok end)

    with {:ok, runtime} <- Runtime.fetch(),
         {:ok, address} <- Recipient.cast(runtime, channel),
         {:ok, messages} <- Message.new(input),
         :ok <- publishable(channel, messages),
         :ok <- admit.(length(messages)),
         {:ok, deliveries} <- accept(runtime, address, messages, options) do
      # Where content was split, the last part stands for all: the others are before it in their queue.
      {:ok, List.last(deliveries)}
    end
  end

  defp publishable({:user, _id}, [%{crosspost: true} | _parts]),
    do: {:error, Error.invalid("crosspost", "a direct message has no followers to be published to")}

  defp publishable(_channel, _messages), do: :ok

  defp accept(%{config: %Config{enabled: false}}, channel_id, messages, _options),
    do: {:ok, for(_ <- messages, do: Delivery.new(channel_id, :dropped))}

  defp accept(runtime, channel_id, messages, options) do
    producer = Keyword.get(options, :producer, :host)
    also = Keyword.get(options, :also, fn _delivery -> [] end)
    deliveries = for _ <- messages, do: Delivery.new(channel_id, :queued)

    with {:ok, rows} <- rows(deliveries, messages, runtime, []),
         :ok <- Backlog.reserve(runtime.store, producer, length(rows)),
         :ok <- Outbox.accept(runtime.store, Producer.name(producer), rows, also.(List.last(deliveries))) do
      Telemetry.execute([:notify, :accepted], %{count: length(rows)}, %{channel_id: channel_id})
      Channel.wake(channel_id)
      {:ok, deliveries}
    end
  end

  defp rows([], [], _runtime, rows), do: {:ok, Enum.reverse(rows)}

  defp rows([delivery | deliveries], [message | messages], runtime, rows) do
    # Discord answers a repeat of a nonce with the message it has.
    body = Map.merge(message.body, %{"nonce" => delivery.id, "enforce_nonce" => true})

    with {:ok, json} <- json(body) do
      row = %{
        id: delivery.id,
        channel_id: delivery.channel_id,
        position: Runtime.next_position(runtime),
        body: json,
        files: message.files,
        crosspost: message.crosspost,
        accepted_at: Clock.discord(),
        expires_at: message.expires_in && Clock.local() + message.expires_in
      }

      rows(deliveries, messages, runtime, [row | rows])
    end
  end

  defp json(body) do
    with {:error, reason} <- JSON.encode(body), do: {:error, Error.invalid(nil, reason)}
  end

  @spec await(Delivery.t(), timeout()) :: {:ok, Delivery.t()} | {:error, Error.t()}
  def await(%Delivery{status: :queued, id: id}, timeout) do
    with {:ok, runtime} <- Runtime.fetch_enabled() do
      {pid, ref} = follow(id)
      outcome = await(runtime.store, id, ref, deadline(timeout), timeout)
      # One may have come while we looked.
      Process.demonitor(ref, [:flush])
      Process.exit(pid, :kill)
      outcome
    end
  end

  def await(%Delivery{} = finished, _timeout), do: {:ok, finished}

  # A process that ends with the outcome. It is the one that subscribes: a subscriber ends with the subscriptions, and the caller is the host's.
  defp follow(id) do
    caller = self()

    {pid, ref} =
      spawn_monitor(fn ->
        Process.monitor(caller)
        Events.subscribe({:delivery, id})
        send(caller, {self(), :follows})

        receive do
          {:uro_discord, {:delivery, ^id}, delivery} -> exit({:outcome, delivery})
          {:DOWN, _ref, :process, ^caller, _reason} -> :ok
        end
      end)

    receive do
      {^pid, :follows} -> {pid, ref}
      # What has become of it is then in the store.
      {:DOWN, ^ref, :process, ^pid, _reason} -> {pid, ref}
    end
  end

  defp deadline(:infinity), do: :infinity
  defp deadline(timeout), do: System.monotonic_time(:millisecond) + timeout

  # A store that fails now may answer by then, and the outcome is also told here.
  defp await(store, id, ref, deadline, timeout) do
    case Outbox.fetch(store, id) do
      {:ok, %{status: :queued}} -> wait(store, id, ref, deadline, timeout, nil)
      {:ok, finished} -> {:ok, finished}
      :error -> {:error, unknown(id)}
      # No store has such an id.
      {:error, %Error{kind: :invalid}} -> {:error, unknown(id)}
      {:error, error} -> wait(store, id, ref, deadline, timeout, error)
    end
  end

  defp wait(store, id, ref, deadline, timeout, error) do
    left = if deadline == :infinity, do: @look_ms, else: deadline - System.monotonic_time(:millisecond)

    if left <= 0 do
      {:error, %Error{kind: :timeout, message: "the outcome is not known after #{timeout} ms; #{why(error)}"}}
    else
      receive do
        {:DOWN, ^ref, :process, _pid, {:outcome, delivery}} -> {:ok, delivery}
      after
        min(left, @look_ms) -> await(store, id, ref, deadline, timeout)
      end
    end
  end

  defp why(nil), do: "it is still on its way"
  defp why(error), do: "the store could not be asked (#{Exception.message(error)})"

  @spec edit(Delivery.t(), Message.input()) :: {:ok, Delivery.t()} | {:error, Error.t()}
  def edit(delivery, input) do
    with {:ok, messages} <- Message.new(input),
         {:ok, message} <- single(messages),
         {:ok, delivered, runtime} <- delivered(delivery) do
      change(delivered, runtime, :update_message, json: Message.replacing(message.body), files: message.files)
    end
  end

  @spec delete(Delivery.t()) :: {:ok, Delivery.t()} | {:error, Error.t()}
  def delete(delivery) do
    with {:ok, delivered, runtime} <- delivered(delivery) do
      case change(delivered, runtime, :delete_message, []) do
        # Somebody was quicker. https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
        {:error, %Error{code: 10_008}} -> {:ok, delivered}
        answer -> answer
      end
    end
  end

  defp single([message]), do: {:ok, message}
  defp single(_parts), do: {:error, Error.invalid("overflow", "an edit cannot be split into several messages")}

  defp change(delivery, runtime, how, options) do
    route = {how, delivery.channel_id, delivery.message_id}
    with {:ok, _} <- Rest.call(runtime.rest, route, [retry: :safe] ++ options), do: {:ok, delivery}
  end

  # Only what is in the channel can be changed there.
  defp delivered(delivery) do
    with {:ok, runtime} <- Runtime.fetch_enabled(),
         {:ok, delivery} <- await(delivery, 30_000) do
      case delivery do
        %{status: :delivered} -> {:ok, delivery, runtime}
        %{status: status} -> {:error, Error.invalid("delivery", "is #{status}: there is no message to change")}
      end
    end
  end

  @spec dead_letters(keyword()) :: {:ok, [Delivery.t()]} | {:error, Error.t()}
  def dead_letters(options) do
    with {:ok, store} <- store(), {:ok, limit} <- limit(options), do: Outbox.failed(store, limit)
  end

  @most_listed 1_000_000

  defp limit(options) do
    case Keyword.keyword?(options) && Keyword.validate(options, limit: 100) do
      {:ok, [limit: limit]} when is_integer(limit) and limit in 1..@most_listed ->
        {:ok, limit}

      {:ok, _} ->
        {:error, Error.invalid("limit", "is #{inspect(options[:limit])}; it may be 1 to #{@most_listed}")}

      {:error, [unknown | _]} ->
        {:error, Error.invalid("options", "#{inspect(unknown)} is not an option: there is :limit")}

      false ->
        {:error, Error.invalid("options", "is #{inspect(options, limit: 5)}; it may be [limit: 100]")}
    end
  end

  @spec retry(Delivery.t() | String.t()) :: {:ok, Delivery.t()} | {:error, Error.t()}
  def retry(%Delivery{id: id}), do: retry(id)

  def retry(id) when is_binary(id) do
    with {:ok, store} <- store(), {:ok, runtime} <- Runtime.fetch() do
      case Outbox.requeue(store, id, Runtime.next_position(runtime)) do
        {:ok, delivery} ->
          Channel.wake(delivery.channel_id)
          {:ok, delivery}

        :error ->
          {:error, unknown(id)}

        {:error, error} ->
          {:error, error}
      end
    end
  end

  @doc "How much waits, and how much has failed."
  @spec status(UroDiscord.Store.t()) :: map()
  def status(store) do
    case Outbox.counts(store) do
      {:ok, counts} -> %{queued: Map.get(counts, "queued", 0), failed: Map.get(counts, "failed", 0)}
      {:error, error} -> %{error: error}
    end
  end

  defp store do
    case Runtime.fetch() do
      {:ok, %{store: nil}} -> {:error, %Error{kind: :disabled, message: "uro_discord is disabled (enabled: false)"}}
      {:ok, %{store: store}} -> {:ok, store}
      error -> error
    end
  end

  defp unknown(id), do: %Error{kind: :unknown, message: "there is no such notification as #{inspect(id)} (any more)"}
end

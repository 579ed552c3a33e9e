defmodule UroDiscord.Accounts.SelfRoles.Keeper do
  @moduledoc false
  # Keeps one message by which people take roles: that it is there, once, and says what is configured. It is posted through the outbox. The gateway waits
  # for this process, which therefore has a task ask Discord, one at a time.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Backoff, Channels, Delivery, Error, Events, Notify, Rest, Runtime}
  alias UroDiscord.Accounts.{Guilds, Work}
  alias UroDiscord.Accounts.SelfRoles.{Content, Grants, Store}
  alias UroDiscord.Gateway.Leader
  alias UroDiscord.Notify.Outbox

  # How often it is looked whether the message is still there, where nothing tells that it is not.
  @look_ms 600_000
  # How often a delivery is looked for that another node may make.
  @wait_ms 1_000
  # An event about roles or messages is looked into after a moment, in which more of them come.
  @settle_ms 500
  # Pauses after a failure: one that may pass by itself, and one that somebody must mend.
  @retry_ms {1_000, 60_000}
  @slow_ms {60_000, 1_800_000}
  @final [:api, :invalid, :invalid_request, :unauthorized]
  @deadline_ms 15_000

  # https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
  @unknown_message 10_008

  @roles ["GUILD_ROLE_CREATE", "GUILD_ROLE_UPDATE", "GUILD_ROLE_DELETE"]
  @deleted ["MESSAGE_DELETE", "MESSAGE_DELETE_BULK"]

  @typep state :: %{atom() => term()}

  @spec start_link(UroDiscord.Config.Accounts.SelfRoles.t()) :: GenServer.on_start()
  def start_link(message), do: GenServer.start_link(__MODULE__, message)

  @impl true
  def init(message) do
    {:ok, runtime} = Runtime.fetch()
    :ok = Events.subscribe(:status)
    for type <- @roles, :guilds in runtime.config.intents, do: :ok = Events.subscribe({:gateway, type})
    for type <- @deleted, :guild_messages in runtime.config.intents, do: :ok = Events.subscribe({:gateway, type})

    state = %{
      message: message,
      runtime: runtime,
      # What Discord has, as the store knows it, once that was asked.
      kept: nil,
      # Whether the message was seen there by this process.
      seen: false,
      # Its delivery failed, and it is not known that the channel takes messages by now.
      refused: false,
      # The delivery by which it comes, whose end this process hears of.
      delivery: nil,
      # The task that is at it; and whether something has happened since it began, so that the message is to be looked at again.
      task: nil,
      again?: false,
      trouble: nil,
      failures: 0,
      timer: nil
    }

    {:ok, state, {:continue, :step}}
  end

  @impl true
  def handle_continue(:step, state), do: {:noreply, step(state)}

  @impl true
  def handle_info(:step, state), do: {:noreply, step(%{state | timer: nil})}

  # What another node has done in the meantime is in the store.
  def handle_info({:uro_discord, :status, {:lease, :held}}, state), do: {:noreply, step(%{state | seen: false})}
  def handle_info({:uro_discord, :status, {:lease, :lost}}, state), do: {:noreply, step(state)}
  def handle_info({:uro_discord, :status, _other}, state), do: {:noreply, state}

  def handle_info({:uro_discord, {:delivery, _id}, _delivery}, state), do: {:noreply, step(state)}

  def handle_info({:uro_discord, {:gateway, type}, %{data: %{"guild_id" => guild_id}}}, state) when type in @roles do
    Guilds.forget(guild_id)
    {:noreply, wake(state, @settle_ms)}
  end

  def handle_info({:uro_discord, {:gateway, type}, %{data: data}}, state) when type in @deleted do
    ids = if is_list(data["ids"]), do: data["ids"], else: [data["id"]]

    case state do
      # It may be the one that is being posted.
      %{kept: kept, task: task} when task != nil and (kept == nil or :erlang.map_get(:message_id, kept) == nil) ->
        {:noreply, %{state | again?: true}}

      %{kept: %{message_id: id}} ->
        gone? = id in ids
        {:noreply, if(gone?, do: wake(%{state | seen: false, again?: state.task != nil}, @settle_ms), else: state)}

      _none ->
        {:noreply, state}
    end
  end

  def handle_info({:uro_discord, {:gateway, _type}, _event}, state), do: {:noreply, state}

  def handle_info({ref, result}, %{task: ref} = state) do
    Process.demonitor(ref, [:flush])
    {:noreply, ended(%{state | task: nil}, result)}
  end

  # It crashed, as is reported.
  def handle_info({:DOWN, ref, :process, _pid, _reason}, %{task: ref} = state),
    do: {:noreply, ended(%{state | task: nil}, {:error, %Error{kind: :crash, message: "it crashed"}})}

  @spec step(state()) :: state()
  defp step(%{task: nil} = state) do
    if Leader.held?() do
      %{state | task: Work.start(fn -> work(state) end), again?: false}
    else
      tell(state, :left_to_another_node)
    end
  end

  defp step(state), do: %{state | again?: true}

  # In the task: what is there is brought to what is to be there.
  defp work(state) do
    with {:ok, guild_id} <- guild_id(state),
         {:ok, guild} <- Guilds.fetch(guild_id),
         {:ok, roles} <- Grants.resolve(state.message, guild, state.runtime.config.accounts.guilds),
         body = Content.body(state.message, roles),
         {:ok, kept} <- Store.fetch(state.runtime.store, state.message.name) do
      case keep(%{state | kept: kept}, body, Content.hash(body)) do
        {:error, error} -> {:error, error, %{state | kept: kept}}
        other -> other
      end
    end
  end

  defp ended(state, result) do
    state = done(result, state)
    if state.again?, do: step(state), else: state
  end

  # What the task has found, in the state of now: the message may have been deleted meanwhile.
  defp found(state, worked) do
    if worked.delivery != state.delivery do
      if state.delivery, do: Events.unsubscribe({:delivery, state.delivery})
      if worked.delivery, do: Events.subscribe({:delivery, worked.delivery})
    end

    seen? = worked.seen and not state.again?
    %{state | kept: worked.kept, seen: seen?, refused: worked.refused, delivery: worked.delivery}
  end

  defp guild_id(%{message: %{channel: channel_id}, runtime: runtime}) do
    case Channels.fetch(channel_id, runtime.rest) do
      {:ok, %{guild_id: guild_id}} when is_binary(guild_id) -> {:ok, guild_id}
      {:ok, nil} -> {:error, Error.invalid("channel", "the bot cannot see channel #{channel_id}: give it View Channel")}
      {:ok, _direct} -> {:error, Error.invalid("channel", "channel #{channel_id} is not in a server")}
      {:error, error} -> {:error, error}
    end
  end

  # What is there is one of: nothing, one elsewhere, one on its way, one that may be gone or says something else.
  defp keep(%{kept: nil} = state, body, hash), do: post(state, body, hash)

  defp keep(%{kept: %{channel_id: there}, message: %{channel: here}} = state, body, hash) when there != here do
    with :ok <- remove(state.kept, state.runtime), do: post(state, body, hash)
  end

  defp keep(%{kept: %{message_id: nil} = kept} = state, body, hash) do
    case Outbox.fetch(state.runtime.store, kept.delivery_id) do
      {:ok, %Delivery{status: :queued}} ->
        {:waiting, state}

      {:ok, %Delivery{status: :delivered, message_id: message_id}} ->
        written(%{state | refused: false, delivery: nil}, %{kept | message_id: message_id}, body, hash)

      {:ok, %Delivery{status: :failed, error: error}} ->
        refused(state, error, body, hash)

      :error ->
        post(state, body, hash)

      {:error, error} ->
        {:error, error}
    end
  end

  defp keep(%{kept: %{hash: hash}, seen: true} = state, _body, hash), do: {:shown, state}

  defp keep(%{kept: %{hash: hash} = kept} = state, body, hash),
    do: asked(state, {:get_message, kept.channel_id, kept.message_id}, [], body, hash)

  defp keep(%{kept: kept} = state, body, hash),
    do: asked(state, {:update_message, kept.channel_id, kept.message_id}, [json: body], body, hash)

  # By looking at it, or by writing it anew.
  defp asked(state, route, options, body, hash) do
    case call(state.runtime, route, options) do
      {:ok, _response} -> shown(state, hash)
      {:error, %Error{code: @unknown_message}} -> post(state, body, hash)
      {:error, error} -> {:error, error}
    end
  end

  defp shown(%{kept: %{hash: hash}} = state, hash), do: {:shown, %{state | seen: true}}

  defp shown(state, hash) do
    kept = %{state.kept | hash: hash}
    with :ok <- Store.written(state.runtime.store, kept), do: {:shown, %{state | kept: kept, seen: true}}
  end

  # It says what it said when it was posted, which may be something else by now.
  defp written(state, kept, body, hash) do
    with :ok <- Store.written(state.runtime.store, kept), do: keep(%{state | kept: kept, seen: true}, body, hash)
  end

  # Discord answers a typing indicator as it would a message: there need not be a dead letter for each time that we try.
  defp refused(%{refused: false} = state, error, _body, _hash), do: {:error, error, %{state | refused: true}}

  defp refused(state, _error, body, hash) do
    with {:ok, _} <- call(state.runtime, {:create_typing_trigger, state.message.channel}, []),
         do: post(%{state | refused: false}, body, hash)
  end

  defp post(state, body, hash) do
    new = %{name: state.message.name, channel_id: state.message.channel, hash: hash, message_id: nil}
    stored = &Store.replace(state.kept, Map.put(new, :delivery_id, &1.id))
    message = [content: body["content"], components: body["components"]]

    with {:ok, delivery} <- Notify.notify(state.message.channel, message, producer: :worlds, also: stored),
         do: {:waiting, %{state | seen: false, delivery: delivery.id}}
  end

  @doc "Takes a message away that is not to be there any more; one that is on its way is waited for."
  @spec remove(Store.t(), Runtime.t()) :: :ok | {:error, Error.t()}
  def remove(%{message_id: nil} = kept, runtime) do
    case Outbox.fetch(runtime.store, kept.delivery_id) do
      {:ok, %Delivery{status: :queued}} -> {:error, %Error{kind: :weather, message: "it is still on its way"}}
      {:ok, %Delivery{message_id: id}} when id != nil -> remove(%{kept | message_id: id}, runtime)
      {:error, error} -> {:error, error}
      _never_there -> :ok
    end
  end

  def remove(kept, runtime) do
    case call(runtime, {:delete_message, kept.channel_id, kept.message_id}, []) do
      {:ok, _} -> :ok
      # Neither it nor its channel is there, or the bot has no way to it.
      {:error, %Error{status: status}} when status in [403, 404] -> :ok
      {:error, error} -> {:error, error}
    end
  end

  defp call(runtime, route, options),
    do: Rest.call(runtime.rest, route, [retry: :safe, priority: :low, deadline_ms: @deadline_ms] ++ options)

  ## What came of it

  defp done({:shown, worked}, state), do: state |> found(worked) |> mended() |> tell(:shown) |> wake(@look_ms)
  defp done({:waiting, worked}, state), do: state |> found(worked) |> tell(:posting) |> wake(@wait_ms)
  # Another node was quicker: the store knows.
  defp done({:error, %Error{kind: :conflict}, worked}, state), do: state |> found(worked) |> wake(@wait_ms)
  defp done({:error, error, worked}, state), do: state |> found(worked) |> failed(error)
  defp done({:error, error}, state), do: failed(state, error)

  defp failed(state, error) do
    final? = error.kind in @final
    if reason(error) != reason(state.trouble), do: log(state.message, error, final?)
    pause = max(Backoff.delay(if(final?, do: @slow_ms, else: @retry_ms), state.failures), error.retry_after_ms || 0)
    %{state | trouble: error, failures: state.failures + 1} |> tell(:failing) |> wake(pause)
  end

  defp log(message, error, true) do
    Logger.error(
      "the message #{message.name} of self_roles cannot be shown: #{Exception.message(error)}. It is tried again from time to time, and when " <>
        "the server's roles change, which is not logged"
    )
  end

  defp log(message, error, false),
    do: Logger.warning("the message #{message.name} of self_roles is late: #{Exception.message(error)}")

  defp mended(%{trouble: nil} = state), do: state

  defp mended(state) do
    Logger.info("the message #{state.message.name} of self_roles is shown")
    %{state | trouble: nil, failures: 0}
  end

  defp reason(nil), do: nil
  defp reason(error), do: {error.kind, error.code, error.message}

  # For `UroDiscord.status/0`.
  defp tell(state, phase) do
    Runtime.put({:self_roles, state.message.name}, %{
      channel_id: state.message.channel,
      message_id: state.kept && state.kept.message_id,
      state: phase,
      error: state.trouble
    })

    state
  end

  defp wake(state, ms) do
    if state.timer, do: Process.cancel_timer(state.timer)
    %{state | timer: Process.send_after(self(), :step, ms)}
  end
end

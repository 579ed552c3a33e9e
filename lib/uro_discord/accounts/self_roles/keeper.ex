defmodule UroDiscord.Accounts.SelfRoles.Keeper do
  @moduledoc false
  # Keeps one message by which people take roles: that it is there, once, and says what is configured. The gateway waits for this process, which therefore has
  # a task ask Discord, one at a time.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Channels, Error, Events, Runtime}
  alias UroDiscord.Accounts.{Guilds, Work}
  alias UroDiscord.Accounts.SelfRoles.{Content, Grants}
  alias UroDiscord.Gateway.Leader
  alias UroDiscord.Notify.Kept

  # How often it is looked whether the message is still there, where nothing tells that it is not.
  @look_ms 600_000
  # How often a delivery is looked for that another node may make.
  @wait_ms 1_000
  # An event about roles or messages is looked into after a moment, in which more of them come.
  @settle_ms 500
  # Among the messages that are kept.
  @kind "self_roles"

  @roles ["GUILD_ROLE_CREATE", "GUILD_ROLE_UPDATE", "GUILD_ROLE_DELETE"]
  @deleted ["MESSAGE_DELETE", "MESSAGE_DELETE_BULK"]

  @typep state :: %{atom() => term()}

  @doc "What its message is among those that are kept."
  @spec kind() :: String.t()
  def kind, do: @kind

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
      # This process hears of the end of its delivery.
      kept: %Kept{kind: @kind, name: message.name},
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
  def handle_info({:uro_discord, :status, {:lease, :held}}, state), do: {:noreply, state |> unseen() |> step()}
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
      %{kept: %{row: row}, task: task} when task != nil and (row == nil or :erlang.map_get(:message_id, row) == nil) ->
        {:noreply, %{state | again?: true}}

      %{kept: %{row: %{message_id: id}}} ->
        gone? = id in ids
        {:noreply, if(gone?, do: wake(%{unseen(state) | again?: state.task != nil}, @settle_ms), else: state)}

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

  defp unseen(state), do: put_in(state.kept.seen?, false)

  # In the task: what is there is brought to what is to be there.
  defp work(%{message: message, runtime: runtime} = state) do
    with {:ok, guild_id} <- guild_id(state),
         {:ok, guild} <- Guilds.fetch(guild_id),
         {:ok, roles} <- Grants.resolve(message, guild, runtime.config.accounts.guilds) do
      body = Content.body(message, roles)
      Kept.keep(state.kept, %{channel_id: message.channel, body: body, hash: Kept.hash(body)}, runtime)
    end
  end

  defp ended(state, result) do
    state = done(result, state)
    if state.again?, do: step(state), else: state
  end

  # What the task has found, in the state of now: the message may have been deleted meanwhile.
  defp found(state, kept) do
    if kept.delivery != state.kept.delivery do
      if state.kept.delivery, do: Events.unsubscribe({:delivery, state.kept.delivery})
      if kept.delivery, do: Events.subscribe({:delivery, kept.delivery})
    end

    %{state | kept: %{kept | seen?: kept.seen? and not state.again?}}
  end

  defp guild_id(%{message: %{channel: channel_id}, runtime: runtime}) do
    case Channels.fetch(channel_id, runtime.rest) do
      {:ok, %{guild_id: guild_id}} when is_binary(guild_id) -> {:ok, guild_id}
      {:ok, nil} -> {:error, Error.invalid("channel", "the bot cannot see channel #{channel_id}: give it View Channel")}
      {:ok, _direct} -> {:error, Error.invalid("channel", "channel #{channel_id} is not in a server")}
      {:error, error} -> {:error, error}
    end
  end

  ## What came of it

  defp done({:shown, kept}, state), do: state |> found(kept) |> mended() |> tell(:shown) |> wake(@look_ms)
  defp done({:waiting, kept}, state), do: state |> found(kept) |> tell(:posting) |> wake(@wait_ms)
  # Another node was quicker: the store knows.
  defp done({:error, %Error{kind: :conflict}, kept}, state), do: state |> found(kept) |> wake(@wait_ms)
  defp done({:error, error, kept}, state), do: state |> found(kept) |> failed(error)
  defp done({:error, error}, state), do: failed(state, error)

  defp failed(state, error) do
    if reason(error) != reason(state.trouble), do: log(state.message, error, Kept.final?(error))
    pause = Kept.pause(error, state.failures)
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
      message_id: state.kept.row && state.kept.row.message_id,
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

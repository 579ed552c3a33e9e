defmodule UroDiscord.Voice.Calls do
  @moduledoc false
  # The voice channels that are wanted, and what the bridge says of them. It states the whole of them in `UroDiscord.Desired`. Each is
  # also a fact of `UroDiscord.Runtime`, since what the host has asked for must survive the end of this process.

  use UroDiscord.Server

  alias UroDiscord.{Config, Desired, Error, Events, Rest, Runtime, Snowflake, Voice}
  alias UroDiscord.Bridges.Placement
  alias UroDiscord.Config.Bridges
  alias UroDiscord.Gateway.Leader

  # For so long every bridge is told that a guild was left, since the one before may have ended before it told Discord. At Discord's pace a
  # thousand leaves take 13 minutes.
  @left_ms 20 * 60 * 1_000

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @doc "What the bridge says of a guild's voice session; docs/bridge-protocol.md has the facts."
  @spec fact(Snowflake.t(), atom(), map()) :: :ok
  def fact(guild_id, fact, info), do: GenServer.cast(__MODULE__, {:fact, guild_id, fact, info})

  @typedoc "A portal that wants its guild's voice session, with video or without. Another attempt is another wish, as when the host joins again."
  @type hold :: %{id: String.t(), channel_id: Snowflake.t(), attempt: term(), video?: boolean()}

  @doc "All the channels that portals hold, by guild. Each is a fact of `UroDiscord.Runtime`, so it holds also while this process is not there."
  @spec hold(%{Snowflake.t() => hold()}) :: :ok
  def hold(holds) do
    for {guild_id, _hold} <- holds(), not is_map_key(holds, guild_id), do: :ok = Runtime.delete({:voice_hold, guild_id})
    for {guild_id, hold} <- holds, do: :ok = Runtime.put({:voice_hold, guild_id}, hold)
    GenServer.cast(__MODULE__, :held)
  end

  @doc "How the call of a portal's guild is; `{:taken, channel_id}` while the host wants another channel there. Waits for nobody."
  @spec held(Snowflake.t()) :: {:ok, Voice.status()} | {:taken, Snowflake.t()} | :none
  def held(guild_id) do
    case {Runtime.lookup({:voice, guild_id}), Runtime.lookup({:voice_hold, guild_id})} do
      {nil, _hold} -> :none
      {%{host?: true} = call, nil} -> {:taken, call.channel_id}
      {_call, nil} -> :none
      {call, hold} -> if taken?(call, hold), do: {:taken, call.channel_id}, else: {:ok, call.status}
    end
  end

  # A call is `over` when it is not tried again unless it is wanted anew: false, true, or `:before`, of a bridge that is not there any
  # more, so that the next one need not know of it.
  @impl true
  def init(config) do
    {:ok, %{bot_id: bot_id}} = Runtime.fetch()
    for topic <- [:status, :placed], do: :ok = Events.subscribe(topic)
    {attempts, left} = Runtime.lookup(:voice) || {0, %{}}
    names = for bridge <- Bridges.having(config.bridges, :media), do: bridge.name
    tls? = config.gateway_url == nil or String.starts_with?(config.gateway_url, "wss:")

    bridges = %{
      names: names,
      apart?: Bridges.apart?(config.bridges),
      outlasting?: Bridges.outlasting?(config.bridges),
      tls?: tls?
    }

    state = %{bot_id: bot_id, bridges: bridges, calls: Runtime.all(:voice), attempts: attempts, left: left, told: %{}}
    {:ok, state |> resume() |> share() |> desire()}
  end

  # What the bridge said meanwhile went unheard. Another attempt has it tell all of it anew.
  defp resume(state) do
    Enum.reduce(state.calls, state, fn
      {_guild_id, %{over: over}}, state when over != false ->
        state

      {guild_id, call}, state ->
        attempt = state.attempts + 1
        call = %{call | attempt: attempt, status: blank(first_state(), call.channel_id), waiting: []}
        keep(%{state | attempts: attempt}, guild_id, call)
    end)
  end

  @impl true
  def handle_call({:join, guild_id, channel_id, shown, wait_ms}, from, state) do
    case elsewhere(guild_id, channel_id) do
      nil ->
        {call, state} = join(state, guild_id, channel_id)
        call = %{call | shown: shown, host?: true}

        if joined?(call) or wait_ms == 0 do
          {:reply, :ok, want(state, guild_id, call)}
        else
          Process.send_after(self(), {:waited, guild_id, from}, wait_ms)
          {:noreply, want(state, guild_id, %{call | waiting: [from | call.waiting]})}
        end

      error ->
        {:reply, {:error, error}, state}
    end
  end

  # A portal that holds the channel keeps the bot there; one that waited for another channel has its turn.
  def handle_call({:leave, guild_id}, _from, state) do
    left = {:error, %Error{kind: :voice, message: "the bot was told to leave before it was there"}}

    state =
      case state.calls do
        %{^guild_id => call} -> keep(state, guild_id, %{answer(call, left) | host?: false, play: nil})
        _ -> gone(state, guild_id)
      end

    {:reply, :ok, state |> share() |> desire()}
  end

  def handle_call({:play, guild_id, file}, _from, state) do
    case state.calls do
      %{^guild_id => %{held: held}} when held != nil ->
        message = "a portal is open there, and what is said in its world is heard: close it first"
        {:reply, {:error, conflict(message)}, state}

      %{^guild_id => call} ->
        state = %{state | attempts: state.attempts + 1}
        play = file && Map.put(file, "attempt", state.attempts)
        {:reply, :ok, state |> keep(guild_id, %{call | play: play}) |> desire()}

      _ ->
        {:reply, {:error, unknown(guild_id)}, state}
    end
  end

  def handle_call({:status, guild_id}, _from, state) do
    case state.calls do
      %{^guild_id => call} -> {:reply, {:ok, call.status}, state}
      _ -> {:reply, {:error, unknown(guild_id)}, state}
    end
  end

  @impl true
  def handle_cast(:held, state), do: {:noreply, state |> share() |> desire()}

  def handle_cast({:fact, guild_id, :left, _info}, state) do
    Events.publish(:voice, {guild_id, :left})
    {:noreply, state}
  end

  def handle_cast({:fact, guild_id, fact, info}, state) do
    case state.calls do
      %{^guild_id => call} -> {:noreply, keep(state, guild_id, current(fact, info, guild_id, call))}
      # It has just been left.
      _ -> {:noreply, state}
    end
  end

  ## Who wants what

  # The call as it is when this channel is wanted, from now on.
  defp join(state, guild_id, channel_id) do
    new = %{
      channel_id: channel_id,
      play: nil,
      status: nil,
      shown: %{self_mute: false, self_deaf: false},
      host?: false,
      held: nil,
      stale: false,
      waiting: []
    }

    call = Map.get(state.calls, guild_id, new)
    elsewhere = {:error, %Error{kind: :voice, message: "another channel was wanted before the bot was there"}}
    call = if call.channel_id == channel_id, do: call, else: answer(%{call | stale: true}, elsewhere)
    state = %{state | attempts: state.attempts + 1, left: Map.delete(state.left, guild_id)}
    # Whoever asks anew wants it heard, whatever was decided before.
    wish = %{channel_id: channel_id, asked: channel_id, attempt: state.attempts, spoke_up: false, over: false}
    {Map.merge(call, wish), state}
  end

  # Brings the calls to what the host and portals want. `held` is the attempt of the portal that has the call.
  defp share(state) do
    holds = holds()

    state =
      Enum.reduce(state.calls, state, fn
        {guild_id, _call}, state when is_map_key(holds, guild_id) -> state
        {guild_id, %{host?: false}}, state -> gone(state, guild_id)
        {_guild_id, %{held: nil}}, state -> state
        {guild_id, call}, state -> keep(state, guild_id, %{call | held: nil})
      end)

    Enum.reduce(holds, state, fn {guild_id, hold}, state ->
      case state.calls do
        %{^guild_id => %{held: held}} when held == hold.attempt ->
          state

        %{^guild_id => call} ->
          if taken?(call, hold), do: state, else: seize(state, guild_id, hold, silenced(call, guild_id))

        _ ->
          seize(state, guild_id, hold, nil)
      end
    end)
  end

  # The host's file ends, and the bot is where the portal wants it.
  defp seize(state, guild_id, hold, call) do
    state = if call, do: keep(state, guild_id, call), else: state
    {call, state} = join(state, guild_id, hold.channel_id)
    begin(state, guild_id, %{call | held: hold.attempt})
  end

  defp gone(state, guild_id) do
    :ok = Runtime.delete({:voice, guild_id})
    left = Map.put(state.left, guild_id, monotonic() + @left_ms)
    %{state | calls: Map.delete(state.calls, guild_id), left: left}
  end

  # There is one voice.
  defp silenced(%{play: nil} = call, _guild_id), do: call

  defp silenced(%{play: %{"path" => path}} = call, guild_id) do
    Events.publish(:voice, {guild_id, {:played, path, "a portal was opened, which speaks instead"}})
    %{call | play: nil}
  end

  # Whether the host had the guild first, with another channel: not one to which people have moved the bot since.
  defp taken?(%{host?: true, asked: asked}, hold), do: asked != hold.channel_id
  defp taken?(_call, _hold), do: false

  # All of them: of one guild that one is looked up, since each is asked for whenever anything of its portal is said.
  defp holds, do: Runtime.all(:voice_hold)

  defp elsewhere(guild_id, channel_id) do
    with %{} = hold <- Runtime.lookup({:voice_hold, guild_id}),
         true <- hold.channel_id != channel_id,
         do: conflict("portal #{hold.id} holds the bot in channel #{hold.channel_id} of this server: close it first"),
         else: (_ -> nil)
  end

  defp conflict(message), do: %Error{kind: :conflict, message: message}

  # Until the bridge has gone over to another channel, what it says is of the one before.
  defp current(fact, info, guild_id, %{stale: true} = call) do
    if fact in [:joining, :joined] and info["channel"] == call.channel_id,
      do: heard(fact, info, guild_id, %{call | stale: false}),
      else: call
  end

  defp current(fact, info, guild_id, call), do: heard(fact, info, guild_id, call)

  @impl true
  def handle_info({:uro_discord, :status, {:lease, _held}}, %{bridges: %{outlasting?: true}} = state),
    do: {:noreply, desire(state)}

  def handle_info({:uro_discord, :status, {:lease, _held}}, state), do: {:noreply, state |> down() |> desire()}
  # So that the next bridge goes where people have moved the bot, and plays nothing twice.
  def handle_info({:uro_discord, :status, {:bridge, _phase, %{name: name, roles: roles}}}, state),
    do: {:noreply, if(:media in roles, do: state |> down(&(Placement.of(&1) == name)) |> desire(), else: state)}

  # The bridge that has them now knows nothing of them.
  def handle_info({:uro_discord, :placed, guilds}, state),
    do: {:noreply, state |> down(&(&1 in guilds)) |> desire()}

  def handle_info({:uro_discord, :status, _event}, state), do: {:noreply, state}

  def handle_info({:waited, guild_id, from}, state) do
    case state.calls do
      %{^guild_id => %{waiting: waiting} = call} ->
        if from in waiting, do: GenServer.reply(from, {:error, late(call)})
        {:noreply, keep(state, guild_id, %{call | waiting: List.delete(waiting, from)})}

      _ ->
        {:noreply, state}
    end
  end

  defp late(call) do
    message = "the bot is not in channel #{call.channel_id} yet, but #{call.status.state}; it goes on trying"
    %Error{kind: :timeout, message: message}
  end

  # Those who wait for it to be in the channel.
  defp answer(call, answer) do
    Enum.each(call.waiting, &GenServer.reply(&1, answer))
    %{call | waiting: []}
  end

  defp want(state, guild_id, call), do: state |> begin(guild_id, call) |> desire()

  defp begin(state, guild_id, call) do
    call = if joined?(call), do: call, else: %{call | status: blank(first_state(), call.channel_id)}
    keep(state, guild_id, call)
  end

  defp unknown(guild_id),
    do: %Error{kind: :unknown, message: "the bot is in no voice channel of guild #{guild_id}: join one first"}

  defp first_state, do: if(Leader.held?(), do: :joining, else: :down)
  defp joined?(%{status: %{state: :joined, channel_id: id}, channel_id: id}), do: true
  defp joined?(_call), do: false

  # Whatever was known is of another life, but for what somebody in Discord has decided.
  defp down(state, which? \\ fn _guild_id -> true end) do
    Enum.reduce(state.calls, state, fn {guild_id, call}, state ->
      cond do
        not which?.(guild_id) -> state
        call.over != false -> keep(state, guild_id, %{call | over: :before})
        true -> keep(state, guild_id, %{call | status: blank(:down, call.channel_id)})
      end
    end)
  end

  defp blank(state, channel_id) do
    %{
      state: state,
      channel_id: channel_id,
      since: DateTime.utc_now(),
      reason: nil,
      suppressed: false,
      users: [],
      speaking: [],
      encryption: nil,
      stats: nil
    }
  end

  defp desire(state) do
    now = monotonic()
    state = %{state | left: Map.filter(state.left, fn {_guild_id, until} -> now < until end)}
    :ok = Runtime.put(:voice, {state.attempts, state.left})
    held? = Leader.held?()
    # What was stated stays while the lease is gone.
    if held? or not state.bridges.outlasting?, do: desire(state, held?), else: state
  end

  defp desire(state, held?) do
    guilds = for {guild_id, call} <- state.calls, held?, call.over != :before, do: guild_id
    placed = Placement.place(:voice, guilds)
    if state.bridges.apart?, do: Placement.left(Map.keys(state.left))

    told =
      for name <- state.bridges.names, into: %{} do
        of_its = Map.filter(state.calls, fn {guild_id, _call} -> placed[guild_id] == name end)
        # Where calls may be elsewhere, a bridge says of those that it has when it is told that none is wanted.
        wanted? = held? and (state.bridges.apart? or {of_its, state.left} != {%{}, %{}})
        {name, if(wanted?, do: wanted(state, of_its))}
      end

    for {name, wanted} <- told, Map.fetch(state.told, name) != {:ok, wanted}, do: Desired.put({"voice", name}, wanted)
    %{state | told: told}
  end

  # Of a thousand that speak only the one of which something was said is written.
  defp keep(state, guild_id, call) do
    :ok = Runtime.put({:voice, guild_id}, call)
    put_in(state.calls[guild_id], call)
  end

  defp wanted(state, calls) do
    channels =
      for {guild_id, call} <- calls do
        wish = %{
          "guild" => guild_id,
          "channel" => call.channel_id,
          "attempt" => call.attempt,
          "self_mute" => call.shown.self_mute,
          "self_deaf" => call.shown.self_deaf,
          "play" => call.play
        }

        if call.held != nil and match?(%{video?: true}, Runtime.lookup({:voice_hold, guild_id})),
          do: Map.put(wish, "video", true),
          else: wish
      end

    voice = %{"user" => state.bot_id, "channels" => channels, "left" => Map.keys(state.left)}
    if state.bridges.apart?, do: Map.merge(voice, %{"relay" => true, "tls" => state.bridges.tls?}), else: voice
  end

  ## What the bridge says

  defp heard(:joining, %{"channel" => channel_id}, guild_id, call) do
    Events.publish(:voice, {guild_id, {:joining, channel_id}})
    # Why it ended stays to be read while it is tried again.
    %{call | status: %{blank(:joining, channel_id) | reason: call.status.reason}, spoke_up: false, over: false}
  end

  # Perhaps another channel than the one that was joined: somebody moved the bot, and the next bridge goes there too.
  defp heard(:joined, %{"channel" => channel_id}, guild_id, call) do
    Events.publish(:voice, {guild_id, {:joined, channel_id}})
    reason = if call.spoke_up == :in_vain, do: call.status.reason
    %{call | channel_id: channel_id} |> answer(:ok) |> now(:joined, %{channel_id: channel_id, reason: reason})
  end

  defp heard(state, _info, guild_id, call) when state in [:resuming, :waiting] do
    Events.publish(:voice, {guild_id, state})
    now(call, state, %{})
  end

  defp heard(:ended, %{"reason" => reason} = info, guild_id, call) do
    retry_ms = info["retry_ms"]
    Events.publish(:voice, {guild_id, {:ended, reason, retry_ms}})
    call = answer(call, {:error, %Error{kind: :voice, message: reason}})
    %{call | over: retry_ms == nil, status: %{blank(:ended, call.channel_id) | reason: reason}}
  end

  # Once after each joining: who comes to a stage is in its audience. Later it is somebody's will.
  defp heard(:suppressed, %{"channel" => channel_id, "suppressed" => true}, guild_id, %{spoke_up: false} = call) do
    {:ok, _pid} = Task.Supervisor.start_child(Voice.Tasks, fn -> speak_up(guild_id, channel_id) end)
    put_in(%{call | spoke_up: true}.status.suppressed, true)
  end

  defp heard(:suppressed, %{"suppressed" => true}, guild_id, call) do
    reason =
      "somebody in Discord moved the bot to the audience, or took its permission to speak, so that nobody hears it"

    suppressed(call, guild_id, reason)
  end

  defp heard(:suppressed, %{"suppressed" => false}, guild_id, call) do
    # Nothing was said of a suppression that was over at once.
    if call.spoke_up == :in_vain, do: Events.publish(:voice, {guild_id, :unsuppressed})
    reason = if call.spoke_up != :in_vain, do: call.status.reason
    now(%{call | spoke_up: true}, call.status.state, %{suppressed: false, reason: reason})
  end

  defp heard(:stays_suppressed, %{"reason" => reason}, guild_id, call),
    do: if(call.status.suppressed, do: suppressed(call, guild_id, reason), else: call)

  defp heard(:user_joined, %{"user" => id}, guild_id, call), do: person(call, guild_id, :user_joined, id, :users, [id])
  defp heard(:user_left, %{"user" => id}, guild_id, call), do: person(call, guild_id, :user_left, id, :users, [])
  defp heard(:speaking, %{"user" => id}, guild_id, call), do: person(call, guild_id, :speaking, id, :speaking, [id])
  defp heard(:silent, %{"user" => id}, guild_id, call), do: person(call, guild_id, :silent, id, :speaking, [])

  defp heard(:encryption, info, guild_id, call) do
    encryption = %{
      version: info["version"],
      epoch: info["epoch"],
      privacy_code: info["privacy_code"],
      can_send: info["can_send"]
    }

    Events.publish(:voice, {guild_id, {:encryption, encryption}})
    put_in(call.status.encryption, encryption)
  end

  defp heard(:stats, info, _guild_id, call) do
    stats =
      for key <- [:round_trip_ms, :loss, :sent, :unsent, :received, :unread, :lost, :undecryptable],
          into: %{},
          do: {key, info[Atom.to_string(key)]}

    put_in(call.status.stats, stats)
  end

  defp heard(:played, %{"path" => path} = info, guild_id, call) do
    Events.publish(:voice, {guild_id, {:played, path, info["error"]}})
    # Not once more by the next bridge.
    if call.play && call.play["path"] == path, do: %{call | play: nil}, else: call
  end

  defp suppressed(call, guild_id, reason) do
    Events.publish(:voice, {guild_id, {:suppressed, reason}})
    now(%{call | spoke_up: :in_vain}, call.status.state, %{suppressed: true, reason: reason})
  end

  # https://discord.com/developers/docs/resources/voice#modify-current-user-voice-state
  defp speak_up(guild_id, channel_id) do
    body = %{channel_id: channel_id, suppress: false}

    with {:ok, %{rest: rest}} <- Runtime.fetch(),
         {:error, error} <- Rest.call(rest, {:update_current_user_voice_state, guild_id}, json: body, retry: :safe) do
      reason =
        "nobody hears the bot in channel #{channel_id}: on a stage it needs the permission Mute Members to make itself a speaker, or " <>
          "somebody has to make it one; in another voice channel it needs Speak (Discord said: #{Exception.message(error)})"

      fact(guild_id, :stays_suppressed, %{"reason" => reason})
    end
  end

  defp monotonic, do: System.monotonic_time(:millisecond)

  defp now(call, state, changes) do
    %{call | status: Map.merge(call.status, Map.merge(%{state: state, since: DateTime.utc_now()}, changes))}
  end

  # Who leaves speaks no more.
  defp person(call, guild_id, event, id, list, instead) do
    Events.publish(:voice, {guild_id, {event, id}})
    status = Map.update!(call.status, list, &((&1 -- [id]) ++ instead))
    status = if event == :user_left, do: %{status | speaking: status.speaking -- [id]}, else: status
    %{call | status: status}
  end
end

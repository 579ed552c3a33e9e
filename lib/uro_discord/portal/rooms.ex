defmodule UroDiscord.Portal.Rooms do
  @moduledoc false
  # The portals that are to be open, and what the bridge says of them. It states them in `UroDiscord.Desired`, and holds their voice channels. It waits for
  # nobody. What it knows is also a fact of `UroDiscord.Runtime`, since the bridge does not say again what it has said.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Config, Desired, Events, Runtime, Secret, Server, Telemetry}
  alias UroDiscord.Bridges.Placement
  alias UroDiscord.Config.Bridges
  alias UroDiscord.Gateway.Leader
  alias UroDiscord.Portal.{DiscordVideo, Members, Room, Store}
  alias UroDiscord.Voice.Calls

  # For so long somebody is shown who has ended to speak.
  @fade_ms 3_000

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @doc "These are all that the store has."
  @spec put(%{String.t() => Store.row()}) :: :ok | {:error, UroDiscord.Error.t()}
  def put(rows), do: Server.call(__MODULE__, {:put, rows})

  @doc "What the bridge of this name says."
  @spec fact(atom(), tuple()) :: :ok
  def fact(bridge, fact), do: GenServer.cast(__MODULE__, {:fact, bridge, fact})

  @spec bridge_ended(atom()) :: :ok
  def bridge_ended(bridge), do: GenServer.cast(__MODULE__, {:bridge_ended, bridge})

  @spec status(String.t()) :: {:ok, UroDiscord.Portal.status()} | {:error, UroDiscord.Error.t()}
  def status(id), do: Server.call(__MODULE__, {:status, id})

  @spec list() :: {:ok, [UroDiscord.Portal.status()]} | {:error, UroDiscord.Error.t()}
  def list, do: Server.call(__MODULE__, :list)

  @doc "The portals that are open for sure, and how; waits for nobody."
  @spec summaries() :: [map()]
  def summaries, do: for({_id, summary} <- Enum.sort(Runtime.all(:portal)), do: summary)

  # `fading`: when who has ended to speak is shown no longer, by a timer each. `told`: what of each was told, and to which bridge. `shares`: what each bridge was told. `found`: where each is found. `still`: how often the board shows their pictures, in ms; nil: it
  # shows none. `video?`: whether the picture on air goes to Discord's voice server. `clips`: of how many seconds clips may be made; false: of none.
  @impl true
  def init(config) do
    for topic <- [:status, :voice, :portal_members, :placed], do: :ok = Events.subscribe(topic)
    Desired.put("media", media(config.portal))

    # Who was about to fade has done so, and what was said since may not have been heard. What was told before us may be of another lease, so it is stated in any case.
    rooms = Map.new(Runtime.all(:portal_room), fn {id, room} -> {id, %{Room.faded(room) | missed?: true}} end)
    video? = config.portal.discord_video
    if video?, do: Logger.warning("portal: [discord_video: true] is on. #{DiscordVideo.note()}")
    bridges = Bridges.having(config.bridges, :media)
    known = Runtime.all(:media)
    media = Map.new(bridges, &{&1.name, known[&1.name] || endpoint(&1.name, :starting, %{})})

    {:ok,
     desire(%{
       rooms: rooms,
       fading: %{},
       told: nil,
       shares: %{},
       found: nil,
       urls: Map.new(bridges, &{&1.name, &1.url}),
       media: media,
       still: still(config.board),
       outlasting?: Bridges.outlasting?(config.bridges),
       video?: video?,
       clips: config.portal.clips
     })}
  end

  defp still(%{channels: []}), do: nil
  defp still(%{picture: ms}), do: ms

  # It has the keys in it.
  defp media(portal) do
    Secret.wrap(%{
      # The addresses are made of it for each bridge (`UroDiscord.Bridges.Share`).
      :udp => portal.udp,
      "public" => portal.public_addresses,
      "keys" => portal |> Config.Portal.keys_of() |> Enum.map(&Secret.reveal/1),
      "origins" => portal.origins,
      "limits" => Map.new(portal.limits, fn {key, most} -> {Atom.to_string(key), most} end)
    })
  end

  @impl true
  def handle_call({:put, rows}, _from, state) do
    open = Map.filter(rows, fn {_id, row} -> row.wanted? end)
    gone = Map.drop(state.rooms, Map.keys(open))
    rooms = Map.new(open, fn {id, row} -> {id, %{Map.get(state.rooms, id, %Room{row: row}) | row: row}} end)
    state = desire(%{state | rooms: rooms})
    Enum.each(gone, &closed/1)
    {:reply, :ok, state}
  end

  def handle_call({:status, id}, _from, state) do
    case state.rooms do
      %{^id => room} -> {:reply, {:ok, Room.status(room, call(room), state.video?)}, state}
      _ -> {:reply, {:error, Store.unknown(id)}, state}
    end
  end

  def handle_call(:list, _from, state) do
    all = for {_id, room} <- Enum.sort(state.rooms), do: Room.status(room, call(room), state.video?)
    {:reply, {:ok, all}, state}
  end

  @impl true
  def handle_cast({:fact, bridge, {:media, phase, info}}, state),
    do: {:noreply, judge_all(put_in(state.media[bridge], endpoint(bridge, phase, info)))}

  def handle_cast({:fact, bridge, {:portal, id, fact, info}}, state) do
    # It may just have been closed, or be on another bridge by now.
    if its?(state, id, bridge) do
      room = heard(state.rooms[id], id, fact, info)
      state = if fact == :silent, do: fade(state, {id, Room.speaker(info)}), else: state
      {:noreply, judge(state, id, room)}
    else
      {:noreply, state}
    end
  end

  # Pictures are large: whoever shows them finds the newest one, and nobody else has it.
  def handle_cast({:fact, bridge, {:still, id, picture}}, state) do
    if its?(state, id, bridge), do: shown(id, picture)
    {:noreply, state}
  end

  def handle_cast({:bridge_ended, bridge}, state) do
    state = put_in(state.media[bridge], endpoint(bridge, :starting, %{}))
    {:noreply, down(state, &(bridge_of(&1) == bridge), "the bridge has ended")}
  end

  @impl true
  def handle_info({:uro_discord, :status, {:lease, :held}}, state), do: {:noreply, desire(state)}

  # What was stated stays.
  def handle_info({:uro_discord, :status, {:lease, :lost}}, %{outlasting?: true} = state), do: {:noreply, state}

  def handle_info({:uro_discord, :status, {:lease, :lost}}, state),
    do: {:noreply, state |> down(fn _room -> true end, "the bridge has ended") |> desire()}

  def handle_info({:uro_discord, :placed, guilds}, state),
    do: {:noreply, state |> down(&(&1.row.guild_id in guilds), "the portal moves to another bridge") |> desire()}

  # Of the world's side too the bridge tells who speaks.
  def handle_info({:uro_discord, :voice, {_guild_id, {what, _user_id}}}, state) when what in [:speaking, :silent],
    do: {:noreply, state}

  # Names, and where the bot is. The gateway tells of every guild that it knows.
  def handle_info({:uro_discord, topic, event}, state) when topic in [:voice, :portal_members] do
    guild_id = if topic == :voice, do: elem(event, 0), else: event

    case Enum.find(state.rooms, fn {_id, room} -> room.row.guild_id == guild_id end) do
      {id, room} -> {:noreply, state |> restate(id) |> judge(id, room)}
      nil -> {:noreply, state}
    end
  end

  def handle_info({:uro_discord, _topic, _event}, state), do: {:noreply, state}

  def handle_info({:timeout, timer, {:fade, {portal_id, who} = of}}, state) do
    case state do
      %{fading: %{^of => ^timer}, rooms: %{^portal_id => room}} ->
        state = %{state | fading: Map.delete(state.fading, of)}
        {:noreply, judge(state, portal_id, Room.faded(room, who))}

      %{fading: %{^of => ^timer}} ->
        {:noreply, %{state | fading: Map.delete(state.fading, of)}}

      _he_has_spoken_again ->
        {:noreply, state}
    end
  end

  # Since he ended last.
  defp fade(state, of) do
    with %{^of => timer} <- state.fading, do: :erlang.cancel_timer(timer)
    put_in(state.fading[of], :erlang.start_timer(@fade_ms, self(), {:fade, of}))
  end

  # There is no bridge that has them. The endpoint of one that lost the gateway is as it was.
  defp down(state, which?, reason) do
    rooms =
      Map.new(state.rooms, fn {id, room} ->
        if which?.(room) do
          {events, down} = Room.down(room, :down, reason)
          tell_all(id, room, events)
          over(id, room)
          shown(id, "")
          {id, down}
        else
          {id, room}
        end
      end)

    judge_all(%{state | rooms: rooms})
  end

  defp bridge_of(room), do: Placement.of(room.row.guild_id)

  defp its?(state, id, bridge), do: is_map_key(state.rooms, id) and bridge_of(state.rooms[id]) == bridge

  defp closed({id, room}) do
    for key <- [:portal, :portal_room, :portal_still, :portal_bridge], do: :ok = Runtime.delete({key, id})
    {events, _down} = Room.down(room, :down, "the portal was closed")
    tell_all(id, room, events)
    over(id, room)
    tell(id, :closed)
    Events.publish(:portal_shown, id)
  end

  defp heard(room, id, fact, info) do
    {events, now} = Room.fact(room, fact, info)
    tell_all(id, room, events)
    # One that panicked is opened anew without having been closed.
    if fact in [:open, :closed] do
      over(id, room)
      shown(id, "")
    end

    if fact == :open, do: measure(id, :open, 0)
    if fact == :stats, do: measure_stats(id, now.stats)
    unsent(id, DiscordVideo.obstacle(room), DiscordVideo.obstacle(now))
    now
  end

  # Once for each camera of which it is so.
  defp unsent(_id, same, same), do: :ok
  defp unsent(_id, _before, nil), do: :ok
  defp unsent(id, _before, why), do: Logger.warning("portal #{id}: its picture is not sent to Discord: #{why}")

  defp shown(id, picture) do
    key = {:portal_still, id}

    if (Runtime.lookup(key) || "") != picture do
      :ok = if picture == "", do: Runtime.delete(key), else: Runtime.put(key, picture)
      Events.publish(:portal_shown, id)
    end
  end

  # What has happened in a room that was so.
  defp tell_all(id, room, events) do
    Enum.reduce(events, map_size(room.peers), fn event, peers ->
      tell(id, event)
      counted(id, elem(event, 0), peers)
    end)
  end

  defp counted(id, :peer_joined, peers), do: measure(id, :peer_joined, peers + 1)
  defp counted(id, :peer_left, peers), do: measure(id, :peer_left, peers - 1)
  defp counted(_id, _event, peers), do: peers

  defp over(id, %{phase: :open}), do: measure(id, :closed, 0)
  defp over(_id, _room), do: :ok

  defp measure(id, what, peers) do
    Telemetry.execute([:portal, what], %{count: 1, peers: peers}, %{portal: id})
    peers
  end

  defp measure_stats(id, stats) do
    counts = Map.take(stats, [:to_discord, :from_discord, :dropped])
    Telemetry.execute([:portal, :stats], Map.put(counts, :participants, length(stats.participants)), %{portal: id})
  end

  defp tell(id, event) do
    log(id, event)
    Events.publish(:portal, {id, event})
  end

  # What an admin looks for when nobody is heard. That a peer comes or goes is everyday, and may be often.
  defp log(id, {:state, :open, nil}), do: Logger.info("portal #{id} is open")
  defp log(id, {:state, :open, reason}), do: Logger.warning("portal #{id} is open, but #{reason}")

  defp log(id, {:state, :waiting, reason}),
    do: if(reason != Room.joining(), do: Logger.warning("portal #{id} waits: #{reason}"))

  defp log(id, :closed), do: Logger.info("portal #{id} is closed")

  defp log(id, {:peer_joined, peer}),
    do: Logger.debug("portal #{id}: peer #{peer.peer} joined by #{peer.kind}, of #{inspect(peer.who)}")

  defp log(id, {:peer_left, peer, reason}),
    do: Logger.debug("portal #{id}: peer #{peer.peer} of #{inspect(peer.who)} is gone (#{reason})")

  defp log(_id, _event), do: :ok

  ## What is wanted

  # Whichever node has the gateway, it holds the channels; that one tells the bridge of them.
  defp desire(state) do
    Calls.hold(
      Map.new(state.rooms, fn {id, %{row: row}} ->
        {row.guild_id, %{id: id, channel_id: row.channel_id, attempt: {id, row.attempt}, video?: state.video?}}
      end)
    )

    held? = Leader.held?()
    if held? or state.told == nil or not state.outlasting?, do: place(state, held?), else: judge_all(state)
  end

  defp place(state, held?) do
    rooms = if held?, do: state.rooms, else: %{}
    placed = Placement.place(:portals, for({_id, room} <- rooms, do: room.row.guild_id))

    told =
      for {id, room} <- rooms, name = placed[room.row.guild_id], into: %{} do
        :ok = Runtime.put({:portal_bridge, id}, name)
        {id, {name, wanted(room, state)}}
      end

    state |> state_all(told) |> judge_all()
  end

  # What has changed of one. The others' are left as they are: of ten thousand portals that is most of the work.
  defp restate(state, id) do
    with %{^id => {name, before}} <- state.told,
         wanted when wanted != before <- wanted(state.rooms[id], state),
         do: state_share(%{state | told: %{state.told | id => {name, wanted}}}, name),
         else: (_same_or_not_told -> state)
  end

  defp state_all(%{told: told} = state, told), do: state

  # Each bridge its own; and where they are, for whoever asks another bridge.
  defp state_all(state, told) do
    state = Enum.reduce(state.urls, %{state | told: told}, fn {name, _url}, state -> state_share(state, name) end)
    found = for {id, {name, _wanted}} <- told, url = state.urls[name], into: %{}, do: {id, {name, url}}
    if state.found != found, do: Desired.put("elsewhere", if(found != %{}, do: found))
    %{state | found: found}
  end

  defp state_share(state, name) do
    open = for({id, {^name, wanted}} <- state.told, do: {id, wanted}) |> Enum.sort() |> Enum.map(&elem(&1, 1))
    if state.shares[name] != open, do: Desired.put({"portals", name}, if(open != [], do: %{"open" => open}))
    put_in(state.shares[name], open)
  end

  defp wanted(%{row: row} = room, state) do
    call = call(room)
    users = with {:ok, %{users: users}} <- call, do: users, else: (_ -> [])
    desired = Room.desired(room, call, Members.fetch(row.guild_id, users))

    also =
      for {key, value} when value not in [nil, false] <- [{"still", state.still}, {"clips", state.clips}],
          do: {key, value}

    if also != [] and somebody?(desired, users), do: Map.merge(desired, Map.new(also)), else: desired
  end

  # For nobody no picture is shown anew, and nothing is kept. The gateway tells who is there; after a start at which it was told nothing anew, the voice server does.
  defp somebody?(%{"guild" => guild_id, "channel" => channel_id}, users) do
    {:ok, there} = with :unknown <- Members.in_channel(guild_id, channel_id), do: {:ok, users}
    Members.people?(guild_id, there)
  end

  defp call(%{row: row}), do: Calls.held(row.guild_id)

  # What has become of each, for those who look without asking us, and for those who subscribed.
  defp judge_all(state), do: Enum.reduce(state.rooms, state, fn {id, room}, state -> judge(state, id, room) end)

  defp judge(state, id, room) do
    call = call(room)
    bridge = bridge_of(room)
    judged = Room.judge(room, bridge(bridge), call, state.media[bridge][:reason])
    if {judged.state, judged.reason} != {room.state, room.reason}, do: tell(id, {:state, judged.state, judged.reason})
    summary = Room.summary(judged, call, Members.names(judged.row.guild_id, judged.users))
    :ok = Runtime.put({:portal_room, id}, judged)

    if Runtime.lookup({:portal, id}) != summary do
      :ok = Runtime.put({:portal, id}, summary)
      Events.publish(:portal_shown, id)
    end

    put_in(state.rooms[id], judged)
  end

  defp bridge(name) do
    cond do
      not Leader.held?() ->
        {:down, "another node holds Discord's gateway, and has it, or none does just now (UroDiscord.status/0 tells)"}

      name == nil ->
        {:down, Placement.nowhere()}

      true ->
        :ok
    end
  end

  defp endpoint(name, phase, info) do
    status = %{state: phase, since: DateTime.utc_now(), addresses: info["addresses"] || []}
    status = if reason = info["reason"], do: Map.put(status, :reason, reason), else: status
    if phase == :listening, do: Logger.info("portals' media is taken at UDP #{Enum.join(status.addresses, ", ")}")
    :ok = Runtime.put({:media, name}, status)
    Events.publish(:status, {:media, status})
    status
  end
end

defmodule UroDiscord.Portal.Room do
  @moduledoc false
  # One portal, as the store has it and as the bridge says it is. Pure: what has happened comes back as events, for whoever has subscribed.

  alias UroDiscord.Portal.{DiscordVideo, Store}

  @enforce_keys [:row]
  defstruct [
    :row,
    phase: :down,
    state: nil,
    reason: nil,
    peers: %{},
    speaking: %{},
    on_air: nil,
    stats: nil,
    users: [],
    missed?: false
  ]

  @type speaker :: {id :: String.t(), peer :: non_neg_integer() | nil}

  @typedoc """
    * `phase`: `:down` (no bridge has it), `:opening`, `:open`: whether peers can come;
    * `state` and `reason`: as `t:UroDiscord.Portal.status/0` has them, once they were told;
    * `speaking`: who speaks, by the id of the participant and the number of its peer, since two peers may have one token; one who has just ended does so for a
      moment more;
    * `on_air`: the number of the peer whose camera is;
    * `users`: who is in the voice channel;
    * `missed?`: it may not be known that a peer came or went, since who keeps it crashed, until the next stats.
  """
  @type t :: %__MODULE__{
          row: Store.row(),
          phase: :down | :opening | :open,
          state: UroDiscord.Portal.state() | nil,
          reason: String.t() | nil,
          peers: %{non_neg_integer() => UroDiscord.Portal.peer()},
          speaking: %{speaker() => map()},
          on_air: non_neg_integer() | nil,
          stats: map() | nil,
          users: [UroDiscord.Snowflake.t()],
          missed?: boolean()
        }

  @health [:level, :speaking, :packets, :lost, :concealed_ms, :delay_ms, :jitter_ms, :drift_ppm, :dropped]
  @camera [:id, :peer, :name, :codec, :layers, :bits, :packets, :keyframes, :asked, :dropped]
  @viewer [:id, :peer, :name, :camera, :bits, :packets, :again, :congested]
  @paths %{"passthrough" => :passthrough, "mixed" => :mixed, "each" => :each, "unheard" => :unheard}
  @roles %{"publish" => :publish, "watch" => :watch, "peer" => :peer}
  @kinds %{"whip" => :whip, "whep" => :whep, "peer" => :peer, "tv" => :tv}

  @doc "Nothing is known of it any more, but what the store has; and what to tell of that."
  @spec down(t(), :down | :opening | :open, String.t()) :: {[UroDiscord.Portal.event()], t()}
  def down(room, phase, reason) do
    gone = for {_number, peer} <- Enum.sort(room.peers), do: {:peer_left, peer, reason}
    {gone, %{room | phase: phase, peers: %{}, speaking: %{}, on_air: nil, stats: nil, missed?: false}}
  end

  @doc "What the bridge says of it (docs/bridge-protocol.md), and what to tell of that."
  @spec fact(t(), atom(), map()) :: {[UroDiscord.Portal.event()], t()}
  def fact(room, :open, _info), do: down(room, :open, "the portal was opened anew")
  def fact(room, :closed, _info), do: down(room, :opening, "the portal was closed")

  def fact(room, :peer_joined, %{"peer" => number} = info) do
    peer = %{
      peer: number,
      name: info["name"],
      who: info["subject"],
      role: @roles[info["role"]],
      kind: @kinds[info["kind"]],
      world?: info["world"] == true
    }

    {[{:peer_joined, peer}], put_in(room.peers[number], peer)}
  end

  def fact(room, :peer_left, %{"peer" => number} = info) do
    case Map.pop(room.peers, number) do
      {nil, _peers} ->
        {[], room}

      {peer, peers} ->
        room = %{room | peers: peers, speaking: without(room.speaking, number), stats: gone(room.stats, number)}
        {[{:peer_left, peer, info["reason"]}], room}
    end
  end

  def fact(room, :speaking, info) do
    who = person(info)
    {[{:speaking, Map.delete(who, :silent?)}], put_in(room.speaking[speaker(info)], who)}
  end

  # `faded/2` comes later.
  def fact(room, :silent, info) do
    {speaker, who} = {speaker(info), person(info)}

    speaking =
      if is_map_key(room.speaking, speaker),
        do: Map.put(room.speaking, speaker, %{who | silent?: true}),
        else: room.speaking

    {[{:silent, Map.delete(who, :silent?)}], %{room | speaking: speaking}}
  end

  # It is told before the peer is gone, and after it has come.
  def fact(room, :on_air, info), do: {[{:on_air, room.peers[info["peer"]]}], %{room | on_air: info["peer"]}}

  def fact(room, :stats, info) do
    {events, room} = there(room, info["peers"])
    {events, %{room | stats: stats(info)}}
  end

  # That one came or went is told once. A bridge of another version does not say who is there.
  defp there(%{missed?: true} = room, peers) when is_list(peers) do
    there = for %{"peer" => number} = peer <- peers, into: %{}, do: {number, peer}

    left =
      for number <- Map.keys(room.peers) -- Map.keys(there),
          do: {:peer_left, %{"peer" => number, "reason" => "it left"}}

    joined = for number <- Map.keys(there) -- Map.keys(room.peers), do: {:peer_joined, there[number]}

    Enum.flat_map_reduce(left ++ joined, %{room | missed?: false}, fn {what, info}, room -> fact(room, what, info) end)
  end

  defp there(room, _known_or_not_said), do: {[], room}

  @doc "Of whom the bridge says that he speaks, or does not any more."
  @spec speaker(info :: map()) :: speaker()
  def speaker(info), do: {info["id"], info["peer"]}

  @doc "The moment is over in which one who ended to speak is shown still."
  @spec faded(t(), speaker()) :: t()
  def faded(room, speaker) do
    if match?(%{silent?: true}, room.speaking[speaker]),
      do: %{room | speaking: Map.delete(room.speaking, speaker)},
      else: room
  end

  @doc "It is so for all of them."
  @spec faded(t()) :: t()
  def faded(room), do: %{room | speaking: Map.reject(room.speaking, fn {_speaker, who} -> who.silent? end)}

  # The next stats are up to five seconds away.
  defp gone(nil, _number), do: nil

  defp gone(stats, number) do
    Enum.reduce([:participants, :cameras, :viewers], stats, fn key, stats ->
      Map.update!(stats, key, &Enum.reject(&1, fn one -> one.peer == number end))
    end)
  end

  # Nor do those speak any more whom a peer forwarded.
  defp without(speaking, number), do: Map.reject(speaking, fn {{_id, peer}, _who} -> peer == number end)

  defp person(info), do: %{id: info["id"], side: side(info), peer: info["peer"], name: info["name"], silent?: false}

  defp side(%{"side" => "world"}), do: :world
  defp side(_info), do: :discord

  defp stats(info) do
    %{
      participants: for(given when is_map(given) <- List.wrap(info["participants"]), do: participant(given)),
      cameras: for(given when is_map(given) <- List.wrap(info["cameras"]), do: known(given, @camera)),
      viewers: for(given when is_map(given) <- List.wrap(info["viewers"]), do: known(given, @viewer)),
      to_discord: info["to_discord"] || 0,
      from_discord: info["from_discord"] || 0,
      dropped: info["dropped"] || 0,
      discord_video: DiscordVideo.known(info)
    }
  end

  defp known(info, keys), do: Map.new(keys, &{&1, info[Atom.to_string(&1)]})

  defp participant(info) do
    Map.merge(known(info, @health), %{
      id: info["id"],
      side: side(info),
      peer: info["peer"],
      name: info["name"],
      path: @paths[info["path"]]
    })
  end

  @doc "The state, with its reason, from what is known of the bridge and of the guild's voice session (`UroDiscord.Voice.Calls.held/1`)."
  @spec judge(t(), :ok | {:down, String.t()}, term(), String.t() | nil) :: t()
  def judge(room, bridge, call, media_reason) do
    {state, reason} = judged(room, bridge, call, media_reason)
    %{room | state: state, reason: reason, users: users(call)}
  end

  defp judged(_room, {:down, reason}, _call, _media), do: {:down, reason}

  defp judged(_room, :ok, {:taken, channel_id}, _media),
    do:
      {:waiting,
       "the host has the bot in channel #{channel_id} of this server (UroDiscord.Voice.join/3): UroDiscord.Voice.leave/1 gives it free"}

  # With a reason where Discord lets nobody hear the bot.
  defp judged(%{phase: :open}, :ok, {:ok, %{state: state, reason: reason}}, _media) when state in [:joined, :resuming],
    do: {:open, reason}

  defp judged(%{phase: :open}, :ok, {:ok, %{state: :ended, reason: reason}}, _media), do: {:waiting, reason}

  defp judged(%{phase: :open}, :ok, {:ok, %{reason: reason}}, _media),
    do: {:waiting, reason || joining()}

  defp judged(%{phase: :open}, :ok, :none, _media), do: {:waiting, joining()}
  defp judged(_room, :ok, _call, reason), do: {:opening, reason}

  @doc "The reason of one that waits for what is just being done."
  @spec joining() :: String.t()
  def joining, do: "the bot is joining the channel"

  defp users({:ok, %{users: users}}), do: users
  defp users(_call), do: []

  @doc "For `UroDiscord.status/0`, and for what shows portals in Discord."
  @spec summary(t(), term(), [{UroDiscord.Snowflake.t(), String.t()}]) :: map()
  def summary(room, call, members) do
    %{
      id: room.row.id,
      guild_id: room.row.guild_id,
      channel_id: channel_id(room, call),
      world: room.row.world,
      state: room.state,
      reason: room.reason,
      peers: Enum.uniq(for({_number, peer} <- Enum.sort(room.peers), do: peer.name) ++ forwarded(room.stats)),
      members: for({_id, name} <- members, do: name),
      speakers: speakers(room.speaking)
    }
  end

  # The players of a world whose voices one of its peers brings.
  defp forwarded(nil), do: []
  defp forwarded(%{participants: all}), do: for(%{side: :world, name: name} when is_binary(name) <- all, do: name)

  # Who has two peers is one.
  defp speakers(speaking) do
    world = for {{id, _peer}, %{side: :world, name: name}} <- Enum.sort(speaking), uniq: true, do: {id, name}
    for {_id, name} <- world, do: name
  end

  # People may have moved the bot.
  defp channel_id(_room, {:ok, %{state: state, channel_id: id}}) when state in [:joined, :resuming], do: id
  defp channel_id(room, _call), do: room.row.channel_id

  @doc "For `UroDiscord.Portal.status/1`; `video?`: whether the picture on air is sent to Discord's voice server, too."
  @spec status(t(), term(), boolean()) :: UroDiscord.Portal.status()
  def status(room, call, video?) do
    stats = room.stats || %{participants: [], cameras: [], viewers: [], to_discord: 0, from_discord: 0, dropped: 0}
    cameras = for camera <- stats.cameras, do: Map.put(camera, :on_air?, camera.peer == room.on_air)

    room.row
    |> Map.take([:id, :guild_id, :world, :bots, :opened_at, :origin, :camera])
    |> Map.merge(%{stats | cameras: cameras})
    |> Map.merge(%{
      channel_id: channel_id(room, call),
      state: room.state,
      reason: room.reason,
      discord_video: if(video?, do: DiscordVideo.status(room)),
      peers: for({_number, peer} <- Enum.sort(room.peers), do: peer),
      users: room.users,
      stopped: for({who, until} <- Enum.sort(room.row.stopped), do: %{who: "world:" <> who, until: until}),
      settings: for({who, setting} <- Enum.sort(room.row.settings), do: setting(who, setting))
    })
  end

  defp setting(who, %{gain: gain, muted: muted}), do: %{participant: who, gain: gain / 1_000, muted: muted}

  defp stopped(stopped) when stopped == %{}, do: nil
  defp stopped(stopped), do: Map.new(stopped, fn {who, until} -> {who, DateTime.to_unix(until)} end)

  defp also(portal, _key, nil), do: portal
  defp also(portal, key, value), do: Map.put(portal, key, value)

  @doc "What the bridge is to have of it."
  @spec desired(t(), term(), %{UroDiscord.Snowflake.t() => UroDiscord.Portal.Members.member()}) :: map()
  def desired(room, call, members) do
    portal = %{
      "id" => room.row.id,
      "guild" => room.row.guild_id,
      "channel" => channel_id(room, call),
      "bots" => room.row.bots,
      "names" => Map.new(members, fn {id, member} -> {id, member.name} end),
      "bot_users" => for({id, %{bot?: true}} <- Enum.sort(members), do: id),
      "settings" =>
        for {who, %{gain: gain, muted: muted}} <- Enum.sort(room.row.settings) do
          %{"participant" => who, "gain" => gain / 1_000, "muted" => muted}
        end
    }

    portal
    |> also("camera", with("world:" <> who <- room.row.camera, do: who))
    # A bridge of another version knows of neither.
    |> also("stopped", stopped(room.row.stopped))
  end
end

defmodule UroDiscord.Portal do
  @moduledoc """
  Voice both ways between a Discord voice channel and a world, and the world's picture for those who watch.

      # config :uro_discord, portal: [key: System.get_env("URO_DISCORD_PORTAL_KEY"), public_url: "https://uro.example"], web: [port: 4001]

      :ok = UroDiscord.subscribe(:portal)
      {:ok, "lobby"} = UroDiscord.Portal.open(:lobby, world: shard.id)
      {:ok, url} = UroDiscord.Portal.url("lobby", :peer)
      {:ok, token} = UroDiscord.Portal.token("lobby", role: :peer, who: user.id, name: user.username)
      # Godot's, a browser's or OBS's: it offers WebRTC to the url, with the token

  `open/2` says that a portal is wanted, and returns when that is stored. From then on it is open, whatever stops and starts again: the bot is kept in the voice
  channel, as `UroDiscord.Voice` does it, and the bridge takes peers of the world. `close/1` ends that. `UroDiscord.Config.Portal` has the options, and how
  portals open by themselves. docs/portal.md has the endpoints, ports and proxies, and the way of a packet.

  What somebody in Discord decides is left alone: a bot that was moved takes its portal along; when somebody throws the bot out, its portal waits until `open/2` is
  called again, and `status/1` says so. That is known until UroDiscord starts again, which opens the portal where it was opened first.
  A guild has one voice session, and so one portal. Of several nodes, the one that holds the gateway has the portals: peers must come to that
  one's address. The bot's intents must have `:guild_voice_states`.

  ## Events

  `UroDiscord.subscribe(:portal)` hears `{portal_id, event}`, where `event` is one of

    * `{:state, state, reason}`: see `t:status/0`; `:closed`: it is not wanted any more;
    * `{:peer_joined, peer}`, `{:peer_left, peer, reason}`: see `t:peer/0`;
    * `{:speaking, who}`, `{:silent, who}`, of both sides: see `t:who/0`;
    * `{:on_air, peer}`: whose camera viewers see from now on; nil: nobody's.
  """

  @behaviour UroDiscord.Bridge.Part

  alias UroDiscord.{Channels, Config, Error, Runtime, Snowflake}
  alias UroDiscord.Config.Bridges
  alias UroDiscord.Portal.{Address, Arguments, Clips, Rooms, Rows, Store, Token}
  alias UroDiscord.Voice.Calls

  @typedoc """
    * `:open`: peers can come, and the bot is in the voice channel; where Discord lets nobody hear it there, `reason` says so;
    * `:opening`: the bridge has yet to open it, or its UDP port cannot be had, as `reason` says;
    * `:waiting`: peers can come, and the bot is not in the channel, as `reason` says: it joins, somebody threw it out, or the host has it elsewhere;
    * `:down`: another node has the gateway, or none.
  """
  @type state :: :open | :opening | :waiting | :down

  @typedoc """
  A connection of the world's side: `who` and `name` are of its token, `kind` is the endpoint by which it came. One with `world?` speaks for a world, by its own
  word, as Godot does; others are people with a browser.
  """
  @type peer :: %{
          peer: non_neg_integer(),
          who: String.t(),
          name: String.t(),
          role: :publish | :watch | :peer,
          kind: :whip | :whep | :peer | :tv,
          world?: boolean()
        }

  @typedoc ~S"""
  Somebody who speaks: `id` is `"discord:"` and a user's id, or `"world:"` and whom the token was made for, with `"/"` and a number for a player whom a world's
  peer forwards.
  """
  @type who :: %{id: String.t(), side: :world | :discord, peer: non_neg_integer() | nil, name: String.t()}

  @typedoc """
  How somebody is heard: `level` in dBFS (nil: not known, as of what passes through); `packets` that came, those `lost`, how much was made up for them (`concealed_ms`); what the jitter buffer holds back
  (`delay_ms`), how irregularly packets come (`jitter_ms`), how much faster than ours his clock is (`drift_ppm`); the `path`: `:passthrough` untouched, `:mixed`
  with others, or written anew by himself after something was lost or late, `:each` by himself to those who want him so, or `:unheard`; packets that were too many or too late (`dropped`).
  """
  @type participant :: %{
          id: String.t(),
          side: :world | :discord,
          peer: non_neg_integer() | nil,
          name: String.t(),
          level: float() | nil,
          speaking: boolean(),
          packets: non_neg_integer(),
          lost: non_neg_integer(),
          concealed_ms: non_neg_integer(),
          delay_ms: non_neg_integer(),
          jitter_ms: non_neg_integer(),
          drift_ppm: integer(),
          path: :passthrough | :mixed | :each | :unheard | nil,
          dropped: non_neg_integer()
        }

  @typedoc """
  A peer that shows a picture: its `codec` (`"VP8"`, `"H264"`, `"JPEG"`; nil: nothing comes), how many `layers` of it come, in how many `bits` a second, the `packets` and `keyframes` that came, the
  keyframes that were `asked` for, and the packets that were too many, too late or too large (`dropped`).
  """
  @type camera :: %{
          id: String.t(),
          peer: non_neg_integer(),
          name: String.t(),
          on_air?: boolean(),
          codec: String.t() | nil,
          layers: non_neg_integer(),
          bits: non_neg_integer(),
          packets: non_neg_integer(),
          keyframes: non_neg_integer(),
          asked: non_neg_integer(),
          dropped: non_neg_integer()
        }

  @typedoc """
  A peer that sees a picture: the peer whose `camera` it is (nil: it waits for one), the `bits` a second and `packets` that it was sent, those of them that were sent `again`, and how often its
  link could not carry the picture (`congested`).
  """
  @type viewer :: %{
          id: String.t(),
          peer: non_neg_integer(),
          name: String.t(),
          camera: non_neg_integer() | nil,
          bits: non_neg_integer(),
          packets: non_neg_integer(),
          again: non_neg_integer(),
          congested: non_neg_integer()
        }

  @typedoc """
  The picture on air as it is sent over the bot's voice connection (`portal: [discord_video: true]`): the `codec` that Discord's voice server wants, the peer whose `camera` is sent (nil: none is,
  as `reason` says), the `frames` that were sent or `dropped`, the `keyframes` that were asked for. `note` says that Discord shows it to nobody today.
  """
  @type discord_video :: %{
          note: String.t(),
          reason: String.t() | nil,
          codec: String.t() | nil,
          camera: non_neg_integer() | nil,
          frames: non_neg_integer(),
          keyframes: non_neg_integer(),
          dropped: non_neg_integer()
        }

  @typedoc """
  `users` are the people in the voice channel. `camera` is whose picture viewers are to see, if somebody was chosen by `camera/2`. `participants`, `cameras`, `viewers` and the frames `to_discord`, `from_discord` and `dropped` are renewed every five seconds. `stopped` are those whose publishing `stop/3` has ended. `origin` is `:config`
  for one that the configuration has opened. `discord_video` is nil unless `portal: [discord_video: true]`.
  """
  @type status :: %{
          id: String.t(),
          guild_id: Snowflake.t(),
          channel_id: Snowflake.t(),
          world: String.t() | nil,
          bots: boolean(),
          origin: :host | :config,
          opened_at: DateTime.t(),
          state: state(),
          reason: String.t() | nil,
          peers: [peer()],
          users: [Snowflake.t()],
          participants: [participant()],
          camera: String.t() | nil,
          cameras: [camera()],
          viewers: [viewer()],
          discord_video: discord_video() | nil,
          to_discord: non_neg_integer(),
          from_discord: non_neg_integer(),
          dropped: non_neg_integer(),
          settings: [%{participant: String.t(), gain: float(), muted: boolean()}],
          stopped: [%{who: String.t(), until: DateTime.t()}]
        }

  @type event ::
          {:state, state(), String.t() | nil}
          | :closed
          | {:peer_joined, peer()}
          | {:peer_left, peer(), reason :: String.t()}
          | {:speaking, who()}
          | {:silent, who()}
          | {:on_air, peer() | nil}

  @most_gain 10

  # How a bridge's UDP port may be, the worst first.
  @worst [:waiting, :closed, :starting, :listening]

  # No token is good for longer.
  @stopped_s 86_400

  @doc """
  A portal to this voice channel or stage shall be open. The channel is a name of `channels:`, or an id. Options:

    * `:id`, its name in addresses and tokens, of a to z, 0 to 9, `_` and `-`: the name that the channel has in the configuration, else the channel's id;
    * `:world` (or `:shard`), the id of the shard that it belongs to, for what is shown of it in Discord: nil;
    * `:bots`, whether the voices of bots in the channel go to the world too: `false`.

  One that is open to this channel already is opened anew, as if it had just been: with these options, and also if somebody threw the bot out.

  Errors, by their `kind`:

    * `:invalid`: the channel, an option or the configuration is none; the message says which and what there is. Nothing was changed;
    * `:conflict`: another portal of this server is open, this id is open to another channel, or the host has the bot in another channel of
      this server; the message says what to close or leave first;
    * `:disabled`, `:not_started`; those of `UroDiscord.Store`, and of Discord's REST API, which is asked which server the channel is in.
  """
  @spec open(atom() | Snowflake.t() | integer(), keyword()) :: {:ok, String.t()} | {:error, Error.t()}
  def open(channel, options \\ []), do: open(channel, options, :host)

  @doc false
  # `origin` is :config for what the configuration opens.
  @spec open(term(), keyword(), :host | :config) :: {:ok, String.t()} | {:error, Error.t()}
  def open(channel, options, origin) do
    with {:ok, %{config: config, store: store, rest: rest}} <- runtime(),
         {:ok, channel_id} <- Channels.cast(config, channel),
         {:ok, options} <- Arguments.options(options, config, channel_id),
         {:ok, guild_id} <- Channels.voice_guild(channel_id, rest),
         portal = Map.merge(options, %{channel_id: channel_id, guild_id: guild_id, origin: origin}),
         :ok <- free(portal),
         :ok <- Store.open(store, portal) do
      Rows.reload()
      {:ok, portal.id}
    end
  end

  @doc "The portal shall not be open any more: its peers are sent away, and who is muted there is forgotten. Errors: `:unknown`, `:invalid`, `:disabled`, `:not_started`, those of `UroDiscord.Store`."
  @spec close(String.t()) :: :ok | {:error, Error.t()}
  def close(id) do
    with {:ok, %{store: store}} <- runtime(),
         {:ok, id} <- Arguments.id(id),
         :ok <- Store.close(store, id),
         do: Rows.reload()
  end

  @doc "The portals that are to be open, by their ids. Errors: `:unavailable` (what has them is just being started again), `:disabled`, `:not_started`."
  @spec list() :: {:ok, [status()]} | {:error, Error.t()}
  def list, do: with({:ok, _runtime} <- runtime(), do: Rooms.list())

  @doc "How a portal is. Errors: `:unknown` (no such portal is open), `:invalid`, and those of `list/0`."
  @spec status(String.t()) :: {:ok, status()} | {:error, Error.t()}
  def status(id) do
    with {:ok, _runtime} <- runtime(), {:ok, id} <- Arguments.id(id), do: Rooms.status(id)
  end

  @doc """
  A token for a peer of this portal, open or not: what `url/2` is asked with (`Authorization: Bearer …`). Whoever has it may use it until it is over, so hand it out
  over HTTPS, to the one it is for. Options:

    * `:role`, required: `:publish` may speak (WHIP), `:watch` may watch and listen (WHEP, World TV), `:peer` may do both, and forward the voices of a world;
    * `:who`, required: the id of the player or server that it is for, by which it is muted and counted: a text without a slash;
    * `:name`: what others see: `who`;
    * `:expires_in`, in seconds, a day at most: an hour. A new connection needs a token that is good. One that is there stays, except with the role
      `:watch`, which goes when the token is over.

  Errors: `:invalid` (an option is none, or there is no `portal: [key: …]`), `:disabled`, `:not_started`.
  """
  @spec token(String.t(), [Token.option()]) :: {:ok, String.t()} | {:error, Error.t()}
  def token(id, options) do
    with {:ok, %{config: config}} <- runtime(), {:ok, id} <- Arguments.id(id) do
      Token.mint(config.portal, id, options, System.os_time(:second))
    end
  end

  @doc """
  Where peers of a portal offer WebRTC: `:whip` to publish, `:whep` to listen, `:peer` both ways and for data channels, as Godot's are; `:still`, where the newest picture is to be had (docs/portal.md, "Pictures"); or `{:page, token}`, a link for a
  person, to a page with which a browser is a peer, or `{:tv, token}`, to one that shows the world, for which a token to watch is enough, or `{:share, token}`, to one by which a person shows
  camera or screen, with a token to publish (keep these as secret as the token). It begins with `public_url:` of the
  configuration; without one, with the listener's own address, good on this machine.

  Errors: `:invalid`; `:unavailable` (there is no `public_url:`, and the listener does not listen yet); `:disabled`, `:not_started`.
  """
  @spec url(String.t(), :whip | :whep | :peer | :still | {:page | :tv | :share, token :: String.t()}) ::
          {:ok, String.t()} | {:error, Error.t()}
  def url(id, kind) do
    with {:ok, %{config: config}} <- runtime(),
         {:ok, id} <- Arguments.id(id),
         do: Address.url(config, id, kind)
  end

  @doc ~S"""
  Whether nobody on the other side hears this participant: `"discord:"` and a user's id, or `"world:"` and whom a token was made for, as in `status/1`. It holds until it is
  taken back or the portal is closed, be he there or not. Errors: `:unknown` (no such portal is open or waits for people, as those of `portal: [open:]` do), `:invalid`, `:full`, `:disabled`, `:not_started`, those of `UroDiscord.Store`.
  """
  @spec mute(String.t(), String.t(), boolean()) :: :ok | {:error, Error.t()}
  def mute(id, participant, muted \\ true)
  def mute(id, participant, muted) when is_boolean(muted), do: set(id, participant, nil, muted)
  def mute(_id, _participant, muted), do: {:error, Error.invalid("muted", muted, "true or false")}

  @doc "By how much this participant's voice is multiplied on the other side, from 0 to #{@most_gain}; 1 leaves it as it is. As `mute/3`."
  @spec gain(String.t(), String.t(), number()) :: :ok | {:error, Error.t()}
  def gain(id, participant, gain) when is_number(gain) and gain >= 0 and gain <= @most_gain,
    do: set(id, participant, round(gain * 1_000), nil)

  def gain(_id, _participant, gain), do: {:error, Error.invalid("gain", gain, "a number from 0 to #{@most_gain}")}

  @doc ~S"""
  Chooses whose picture viewers see, of several: `"world:"` and whom a token was made for, as in `status/1`; nil: that of the first who came. While the one chosen shows none, viewers see
  that of the first. Until his keyframe comes they see the picture before. The choice holds until it is changed or the portal is closed, be he there or not. Errors: `:unknown` (no such portal is
  open or waits for people, as those of `portal: [open:]` do), `:invalid`, `:disabled`, `:not_started`, those of `UroDiscord.Store`.
  """
  @spec camera(String.t(), String.t() | nil) :: :ok | {:error, Error.t()}
  def camera(id, who) do
    with {:ok, %{store: store}} <- runtime(),
         {:ok, id} <- Arguments.id(id),
         {:ok, who} <- Arguments.camera(who),
         :ok <- Store.camera(store, id, who),
         do: Rows.reload()
  end

  @doc ~S"""
  Ends what somebody publishes: `"world:"` and whom a token was made for, as in `status/1`. Connections of his that show a picture or came by WHIP end at once, and for a day, which is as
  long as a token may be good, none of his tokens lets him publish here. He may watch, and speak by the data channels of a world, but shows no picture there either. `false` allows it again.

  Errors: `:unknown` (no such portal is open or waits for people, as those of `portal: [open:]` do), `:invalid`, `:full` (a thousand are stopped), `:disabled`, `:not_started`, those of `UroDiscord.Store`.
  """
  @spec stop(String.t(), String.t(), boolean()) :: :ok | {:error, Error.t()}
  def stop(id, who, stopped \\ true)

  def stop(id, who, stopped) when is_boolean(stopped) do
    until = if stopped, do: DateTime.add(DateTime.utc_now(), @stopped_s)

    with {:ok, %{store: store}} <- runtime(),
         {:ok, id} <- Arguments.id(id),
         {:ok, who} <- Arguments.publisher(who),
         :ok <- Store.stop(store, id, who, until),
         do: Rows.reload()
  end

  def stop(_id, _who, stopped), do: {:error, Error.invalid("stopped", stopped, "true or false")}

  defp set(id, participant, gain, muted) do
    with {:ok, %{store: store}} <- runtime(),
         {:ok, id} <- Arguments.id(id),
         {:ok, participant} <- Arguments.participant(participant),
         :ok <- Store.set(store, id, participant, gain, muted),
         do: Rows.reload()
  end

  @doc false
  # For `UroDiscord.status/0`, which waits for nobody.
  @spec overview() :: %{media: map(), open: [map()]} | nil
  def overview do
    known = Runtime.all(:media)

    with {:ok, %{config: config}} <- Runtime.fetch(),
         [_ | _] = media <-
           for(%{name: name} <- Bridges.having(config.bridges, :media), at = known[name], do: {name, at}),
         do: %{media: worst(media), open: Rooms.summaries()},
         else: (_none -> nil)
  end

  # One that listens says nothing of the others.
  defp worst([{_name, media}]), do: media

  defp worst(several) do
    {name, media} = Enum.min_by(several, fn {_name, %{state: state}} -> Enum.find_index(@worst, &(&1 == state)) end)
    Map.put(media, :bridge, name)
  end

  @doc false
  @impl UroDiscord.Bridge.Part
  def heard(_bridge, {:clip, _id, _info, _mp4} = clip) do
    Clips.made(clip)
    []
  end

  def heard(bridge, fact) do
    Rooms.fact(bridge, fact)
    []
  end

  @doc false
  @impl UroDiscord.Bridge.Part
  def ended(bridge) do
    Clips.bridge_ended(bridge)
    Rooms.bridge_ended(bridge)
  end

  ## What is asked

  defp runtime do
    with {:ok, %{config: config} = runtime} <- Runtime.fetch_enabled() do
      if Config.Portal.keys_of(config.portal) == [], do: {:error, Token.without_key()}, else: {:ok, runtime}
    end
  end

  # Two that ask at the same time may both be told that it is; then the portal waits, and says why.
  defp free(portal) do
    case Calls.held(portal.guild_id) do
      {:taken, channel_id} when channel_id != portal.channel_id ->
        {:error,
         Store.conflict(
           "the host has the bot in channel #{channel_id} of this server (UroDiscord.Voice.join/3): leave that first (UroDiscord.Voice.leave/1)"
         )}

      _free ->
        :ok
    end
  end
end

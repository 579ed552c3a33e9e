defmodule UroDiscord.Voice do
  @moduledoc """
  The bot in Discord's voice channels.

      :ok = UroDiscord.subscribe(:voice)
      :ok = UroDiscord.Voice.join("1100000000000000000", "1100000000000000003")
      # {:uro_discord, :voice, {"1100000000000000000", {:joined, "1100000000000000003"}}}
      {:ok, %{state: :joined, users: users}} = UroDiscord.Voice.status("1100000000000000000")
      :ok = UroDiscord.Voice.play("1100000000000000000", "/srv/uro/welcome.opus")

  `join/3` says what is wanted, and returns at once. From then on the bot is kept there: a session that breaks is resumed or joined
  anew, and a bridge that was killed is replaced by one that joins again. What somebody in Discord decides is left alone: a bot that
  was moved stays where it was put, and one that was thrown out comes again only when `join/3` is called again. A
  restart of Uro forgets what was wanted; a crash of a process of ours does not. Of several nodes, the one that holds the gateway is in voice; while none
  does, what is wanted is `:down` (docs/portal.md, "Without the gateway").

  A portal (`UroDiscord.Portal`) wants the bot in a channel too. While one is open, `join/3` takes no other channel of that guild, and `play/3` plays
  nothing there (`:conflict`); `leave/1` ends what the host wanted, and the bot stays for the portal. The other way round, a portal waits
  while the host has the bot in another channel of its guild.

  Audio is end-to-end encrypted (DAVE) wherever Discord wants it, and that is in every channel but stages; without a key nothing is
  sent. The bot's intents must have `:guild_voice_states`; it needs the permissions View Channel, Connect, and Speak. On a stage Discord puts who
  comes into the audience: the bot makes itself a speaker, which needs Mute Members. Where it may not, `status/1` says so, and it stays
  until somebody makes it one; who moves it back to the audience has his way.

  ## Events

  `UroDiscord.subscribe(:voice)` hears `{guild_id, event}` of every guild, where `event` is one of

    * `{:joining, channel_id}`, `{:joined, channel_id}` (again after a move, with another channel, and with all that there is when `join/3` is called
      for the channel that it is in);
    * `:resuming` (the connection broke; audio flows on), `:waiting` (Discord is about to name another voice server);
    * `{:ended, reason, retry_ms}`: it is over, and tried again after so many ms, or (nil, when somebody in Discord decided it, or only a newer program could do better) not before `join/3` is called again;
    * `{:suppressed, reason}`: nobody hears the bot any more, because Discord does not let it speak; `:unsuppressed`;
    * `:left`;
    * `{:user_joined, user_id}`, `{:user_left, user_id}`, `{:speaking, user_id}`, `{:silent, user_id}`;
    * `{:encryption, encryption}`: see `t:status/0`;
    * `{:played, path, error}`: a file was played to its end, or not, because of `error`.
  """

  @behaviour UroDiscord.Bridge.Part

  alias UroDiscord.{Channels, Error, Runtime, Server, Snowflake}
  alias UroDiscord.Bridges.Placement
  alias UroDiscord.Config.Bridges
  alias UroDiscord.Voice.Calls

  @typedoc """
    * `state`: `:down` (there is no bridge, or another node has the gateway), `:joining`, `:joined`, `:resuming`, `:waiting`, `:ended`;
    * `reason`: why it ended (also while it is tried again), or why the bot is not heard; a text for people, which says what to do;
    * `suppressed`: whether Discord lets nobody hear the bot;
    * `users`: who else is in the channel, and `speaking`: who of them speaks;
    * `encryption`: DAVE's `version` (0: none), MLS `epoch`, `privacy_code` (30 digits that everybody in the channel must see alike),
      and whether frames `can_send`;
    * `stats`: every five seconds `round_trip_ms` (UDP), `loss` (the share of our packets that the server missed, of 1), and frames `sent`,
      `unsent`, `received`, `lost`, `undecryptable`, since the session's beginning. While no portal is open there, others' packets
      are not decrypted, and counted as `unread`.
  """
  @type status :: %{
          state: :down | :joining | :joined | :resuming | :waiting | :ended,
          channel_id: Snowflake.t(),
          since: DateTime.t(),
          reason: String.t() | nil,
          suppressed: boolean(),
          users: [Snowflake.t()],
          speaking: [Snowflake.t()],
          encryption: map() | nil,
          stats: map() | nil
        }

  @doc """
  The bot shall be in this channel of this guild, and in no other of it. Options:

    * `:self_mute` and `:self_deaf`, how it shows itself: `false`;
    * `:wait`, at most so many ms until it is there: `0`, which does not wait. Discord says nothing of a channel that it does not let the bot into:
      the bot gives up after 15 s, so 20 s is enough to hear of it.

  Errors, by their `kind`:

    * `:invalid`: an id, the channel or an option is none, or the intent `:guild_voice_states` is missing; the message says which and what
      there is. Nothing was changed;
    * `:conflict`: a portal holds the bot in another channel of the guild; the message says which;
    * `:voice`, with `:wait`: the bot did not get in, and the message says why: the channel is full, or the bot may not see it or connect to it (make
      room, or give it View Channel and Connect), or somebody threw it out. `status/1` has the same `reason`, and the time of the next attempt is in
      the event `:ended`; it is tried again as long as it is wanted (`leave/1`), unless somebody decided it;
    * `:timeout`, with `:wait`: it was not there in that time; it may come later;
    * `:disabled`, `:not_started`: uro_discord is (`enabled: false`), or is not running.
  """
  @spec join(Snowflake.t() | integer(), atom() | Snowflake.t() | integer(), keyword()) :: :ok | {:error, Error.t()}
  def join(guild, channel, options \\ []) do
    with {:ok, config} <- config(),
         {:ok, guild_id} <- guild(guild),
         {:ok, channel_id} <- Channels.cast(config, channel),
         {:ok, wait_ms, shown} <- shown(options),
         :ok <- intent(config),
         do: Server.call(Calls, {:join, guild_id, channel_id, shown, wait_ms}, :infinity)
  end

  @doc """
  The bot shall be in no voice channel of this guild; where a portal is open, it stays for that until it closes. Errors: `:invalid` (it is
  no guild's id), `:disabled`, `:not_started`.
  """
  @spec leave(Snowflake.t() | integer()) :: :ok | {:error, Error.t()}
  def leave(guild) do
    with {:ok, _config} <- config(),
         {:ok, guild_id} <- guild(guild),
         do: Server.call(Calls, {:leave, guild_id})
  end

  @doc """
  Plays a file there, instead of what is being played; nil plays nothing. It is Ogg Opus in packets of 20 ms, sent as it is: `ffmpeg -i song.wav -c:a
  libopus -ar 48000 -frame_duration 20 song.opus`. Options: `:loop`. The path is the bridge's to read. It begins when frames can be sent: alone in
  an encrypted channel the bot has no key yet, and nobody to hear it.

  Errors: `:invalid` (there is no such file, or with a bridge on another machine the path is not absolute; an option is none, it is no guild's id); `:unknown` (the bot is wanted in no voice channel of that guild: join one
  first); `:conflict` (a portal is open there); `:disabled`, `:not_started`. What turns out later, such as a file that is not Ogg Opus, is in the event `{:played, path, error}`.
  """
  @spec play(Snowflake.t() | integer(), Path.t() | nil, keyword()) :: :ok | {:error, Error.t()}
  def play(guild, path, options \\ []) do
    with {:ok, config} <- config(),
         {:ok, guild_id} <- guild(guild),
         {:ok, file} <- file(path, options, config),
         do: Server.call(Calls, {:play, guild_id, file})
  end

  @doc """
  How it is in a guild where the bot shall be in voice. Errors: `:unknown` (it is wanted in no voice channel there), `:invalid`, `:disabled`,
  `:not_started`.
  """
  @spec status(Snowflake.t() | integer()) :: {:ok, status()} | {:error, Error.t()}
  def status(guild) do
    with {:ok, _config} <- config(),
         {:ok, guild_id} <- guild(guild),
         do: Server.call(Calls, {:status, guild_id})
  end

  @doc false
  defdelegate child_spec(config), to: Calls

  @doc false
  @impl UroDiscord.Bridge.Part
  def heard(bridge, {:voice, guild_id, fact, info}) do
    # What the bridge before says of a call that moved does not count; that a call has left, it still says.
    if Placement.of(guild_id) in [bridge, nil], do: Calls.fact(guild_id, fact, info)
    []
  end

  # `Calls` hears of that among all else that is said of a bridge.
  @doc false
  @impl UroDiscord.Bridge.Part
  def ended(_bridge), do: :ok

  ## What is asked

  defp config, do: with({:ok, %{config: config}} <- Runtime.fetch_enabled(), do: {:ok, config})

  defp guild(guild) do
    with :error <- Snowflake.cast(guild),
         do: {:error, Error.invalid("guild", guild, "a guild's id (17 to 20 digits)")}
  end

  defp shown(options) do
    case Keyword.split(options, [:self_mute, :self_deaf, :wait]) do
      {given, []} ->
        {wait_ms, given} = Keyword.pop(given, :wait, 0)
        shown = Enum.into(given, %{self_mute: false, self_deaf: false})

        cond do
          not (is_integer(wait_ms) and wait_ms in 0..600_000) ->
            {:error, Error.invalid("wait", wait_ms, "a number of ms, 600000 at most")}

          not Enum.all?(shown, fn {_key, value} -> is_boolean(value) end) ->
            {:error, Error.invalid("options", "self_mute and self_deaf are true or false")}

          true ->
            {:ok, wait_ms, shown}
        end

      {_given, [{unknown, _} | _]} ->
        {:error,
         Error.invalid("options", "#{inspect(unknown)} is not an option: there are self_mute, self_deaf and wait")}
    end
  end

  defp intent(config) do
    if :guild_voice_states in config.intents,
      do: :ok,
      else: {:error, Error.invalid("intents", "voice needs :guild_voice_states in `config :uro_discord, intents:`")}
  end

  defp file(nil, _options, _config), do: {:ok, nil}

  defp file(path, options, config) when is_binary(path) do
    case Keyword.split(options, [:loop]) do
      {loop, []} ->
        with {:ok, path} <- readable(path, Bridges.here?(config.bridges, :media)) do
          if Keyword.get(loop, :loop, false) in [true, false],
            do: {:ok, %{"path" => path, "loop" => Keyword.get(loop, :loop, false)}},
            else: {:error, Error.invalid("loop", loop[:loop], "true or false")}
        end

      {_loop, [{unknown, _} | _]} ->
        {:error, Error.invalid("options", "#{inspect(unknown)} is not an option: there is only loop")}
    end
  end

  defp file(path, _options, _config), do: {:error, Error.invalid("path", path, "the path of a file, or nil")}

  # By the bridge. What is on another machine, that one sees.
  defp readable(path, true = _here?) do
    if File.regular?(path),
      do: {:ok, Path.expand(path)},
      else: {:error, Error.invalid("path", "there is no file #{inspect(path)}")}
  end

  defp readable(path, false) do
    if Path.type(path) == :absolute,
      do: {:ok, path},
      else:
        {:error, Error.invalid("path", path, "an absolute path, on the machine of the bridge, which runs elsewhere")}
  end
end

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
  restart of Uro forgets what was wanted. Of several nodes, the one that holds the gateway is in voice.

  Audio is end-to-end encrypted (DAVE) wherever Discord wants it, and that is in every channel but stages; without a key nothing is
  sent. The bot's intents must have `:guild_voice_states`; it needs the permissions View Channel, Connect, and Speak.

  ## Events

  `UroDiscord.subscribe(:voice)` hears `{guild_id, event}` of every guild, where `event` is one of

    * `{:joining, channel_id}`, `{:joined, channel_id}` (again after a move, with another channel);
    * `:resuming` (the connection broke; audio flows on), `:waiting` (Discord is about to name another voice server);
    * `{:ended, reason, retry_ms}`: it is over, and tried again after so many ms, or (nil) not before `join/3` is called again;
    * `:left`;
    * `{:user_joined, user_id}`, `{:user_left, user_id}`, `{:speaking, user_id}`, `{:silent, user_id}`;
    * `{:encryption, encryption}`: see `t:status/0`;
    * `{:played, path, error}`: a file was played to its end, or not, because of `error`.
  """

  use GenServer

  alias UroDiscord.{Bridge, Config, Error, Events, Gateway, Runtime, Snowflake}

  @typedoc """
    * `state`: `:down` (there is no bridge, or another node has the gateway), `:joining`, `:joined`, `:resuming`, `:waiting`, `:ended`;
    * `reason`: why it ended;
    * `users`: who else is in the channel, and `speaking`: who of them speaks;
    * `encryption`: DAVE's `version` (0: none), MLS `epoch`, `privacy_code` (30 digits that everybody in the channel must see alike),
      and whether frames `can_send`;
    * `stats`: every five seconds `round_trip_ms` (UDP), `loss` (the share of our packets that the server missed, of 1), and frames `sent`,
      `unsent`, `received`, `lost`, `undecryptable`, since the session's beginning.
  """
  @type status :: %{
          state: :down | :joining | :joined | :resuming | :waiting | :ended,
          channel_id: Snowflake.t(),
          since: DateTime.t(),
          reason: String.t() | nil,
          users: [Snowflake.t()],
          speaking: [Snowflake.t()],
          encryption: map() | nil,
          stats: map() | nil
        }

  @doc false
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @doc """
  The bot shall be in this channel of this guild, and in no other of it. Options: `:self_mute` and `:self_deaf`, how it shows itself.
  """
  @spec join(Snowflake.t() | integer(), atom() | Snowflake.t() | integer(), keyword()) :: :ok | {:error, Error.t()}
  def join(guild, channel, options \\ []) do
    with {:ok, config} <- config(),
         {:ok, guild_id} <- guild(guild),
         {:ok, channel_id} <- channel(config, channel),
         {:ok, shown} <- shown(options),
         :ok <- intent(config),
         do: GenServer.call(__MODULE__, {:join, guild_id, channel_id, shown})
  end

  @doc "The bot shall be in no voice channel of this guild."
  @spec leave(Snowflake.t() | integer()) :: :ok | {:error, Error.t()}
  def leave(guild) do
    with {:ok, _config} <- config(),
         {:ok, guild_id} <- guild(guild),
         do: GenServer.call(__MODULE__, {:leave, guild_id})
  end

  @doc """
  Plays a file there, instead of what is being played; nil plays nothing. It is Ogg Opus in packets of 20 ms, sent as it is: `ffmpeg -i song.wav -c:a
  libopus -ar 48000 -frame_duration 20 song.opus`. Options: `:loop`. The path is the bridge's to read. It begins when frames can be sent: alone in
  an encrypted channel the bot has no key yet, and nobody to hear it.
  """
  @spec play(Snowflake.t() | integer(), Path.t() | nil, keyword()) :: :ok | {:error, Error.t()}
  def play(guild, path, options \\ []) do
    with {:ok, _config} <- config(),
         {:ok, guild_id} <- guild(guild),
         {:ok, file} <- file(path, options),
         do: GenServer.call(__MODULE__, {:play, guild_id, file})
  end

  @doc "How it is in a guild where the bot shall be in voice."
  @spec status(Snowflake.t() | integer()) :: {:ok, status()} | {:error, Error.t()}
  def status(guild) do
    with {:ok, _config} <- config(),
         {:ok, guild_id} <- guild(guild),
         do: GenServer.call(__MODULE__, {:status, guild_id})
  end

  @doc false
  # What the bridge says.
  @spec fact(Snowflake.t(), atom(), map()) :: :ok
  def fact(guild_id, state, info), do: GenServer.cast(__MODULE__, {:fact, guild_id, state, info})

  ## What is asked

  defp config do
    case Runtime.fetch() do
      {:ok, %{config: %Config{enabled: false}}} ->
        {:error, %Error{kind: :disabled, message: "uro_discord is disabled (enabled: false)"}}

      {:ok, %{config: config}} ->
        {:ok, config}

      error ->
        error
    end
  end

  defp guild(guild) do
    with :error <- Snowflake.cast(guild),
         do: {:error, Error.invalid("guild", "#{inspect(guild)} is not a guild's id (17 to 20 digits)")}
  end

  defp channel(config, channel) do
    with :error <- Config.channel_id(config, channel),
         do: {:error, Error.invalid("channel", "#{inspect(channel)} is neither in `channels:` nor a channel's id")}
  end

  defp shown(options) do
    case Keyword.split(options, [:self_mute, :self_deaf]) do
      {shown, []} ->
        shown = Enum.into(shown, %{self_mute: false, self_deaf: false})

        if Enum.all?(shown, fn {_key, value} -> is_boolean(value) end),
          do: {:ok, shown},
          else: {:error, Error.invalid("options", "self_mute and self_deaf are true or false")}

      {_shown, [{unknown, _} | _]} ->
        {:error, Error.invalid("options", "#{inspect(unknown)} is none of self_mute, self_deaf")}
    end
  end

  defp intent(config) do
    if :guild_voice_states in config.intents,
      do: :ok,
      else: {:error, Error.invalid("intents", "voice needs :guild_voice_states in `config :uro_discord, intents:`")}
  end

  defp file(nil, _options), do: {:ok, nil}

  defp file(path, options) when is_binary(path) do
    case Keyword.split(options, [:loop]) do
      {loop, []} ->
        cond do
          not File.regular?(path) -> {:error, Error.invalid("path", "there is no file #{inspect(path)}")}
          Keyword.get(loop, :loop, false) not in [true, false] -> {:error, Error.invalid("loop", "is true or false")}
          true -> {:ok, %{"path" => Path.expand(path), "loop" => Keyword.get(loop, :loop, false)}}
        end

      {_loop, [{unknown, _} | _]} ->
        {:error, Error.invalid("options", "#{inspect(unknown)} is not loop")}
    end
  end

  defp file(path, _options), do: {:error, Error.invalid("path", "#{inspect(path)} is not a path")}

  ## The process

  @impl true
  def init(_config) do
    {:ok, %{bot_id: bot_id}} = Runtime.fetch()
    Events.subscribe(:status)
    {:ok, %{bot_id: bot_id, calls: %{}, attempts: 0}}
  end

  @impl true
  def handle_call({:join, guild_id, channel_id, shown}, _from, state) do
    call = Map.get(state.calls, guild_id, %{play: nil, status: nil})
    state = %{state | attempts: state.attempts + 1}
    call = Map.merge(call, %{channel_id: channel_id, shown: shown, attempt: state.attempts})
    call = if joined?(call), do: call, else: %{call | status: blank(first_state(), channel_id)}
    {:reply, :ok, desire(put_in(state.calls[guild_id], call))}
  end

  def handle_call({:leave, guild_id}, _from, state) do
    {:reply, :ok, desire(%{state | calls: Map.delete(state.calls, guild_id)})}
  end

  def handle_call({:play, guild_id, file}, _from, state) do
    case state.calls do
      %{^guild_id => call} ->
        state = %{state | attempts: state.attempts + 1}
        play = file && Map.put(file, "attempt", state.attempts)
        {:reply, :ok, desire(put_in(state.calls[guild_id], %{call | play: play}))}

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
  def handle_cast({:fact, guild_id, :left, _info}, state) do
    Events.publish(:voice, {guild_id, :left})
    {:noreply, state}
  end

  def handle_cast({:fact, guild_id, fact, info}, state) do
    case state.calls do
      %{^guild_id => call} -> {:noreply, put_in(state.calls[guild_id], heard(fact, info, guild_id, call))}
      # It has just been left.
      _ -> {:noreply, state}
    end
  end

  @impl true
  def handle_info({:uro_discord, :status, {:lease, _held}}, state), do: {:noreply, state |> down() |> desire()}
  # To its owner too, who may be another one.
  def handle_info({:uro_discord, :status, {:bridge, :up, _info}}, state), do: {:noreply, state |> down() |> desire()}
  def handle_info({:uro_discord, :status, {:bridge, _phase, _info}}, state), do: {:noreply, down(state)}
  def handle_info({:uro_discord, :status, _event}, state), do: {:noreply, state}

  defp unknown(guild_id),
    do: %Error{kind: :unknown, message: "the bot is in no voice channel of guild #{guild_id}: join one first"}

  defp first_state, do: if(Gateway.held?(), do: :joining, else: :down)
  defp joined?(%{status: %{state: :joined, channel_id: id}, channel_id: id}), do: true
  defp joined?(_call), do: false

  # Whatever was known is of another life.
  defp down(state) do
    calls = Map.new(state.calls, fn {guild_id, call} -> {guild_id, %{call | status: blank(:down, call.channel_id)}} end)
    %{state | calls: calls}
  end

  defp blank(state, channel_id) do
    %{
      state: state,
      channel_id: channel_id,
      since: DateTime.utc_now(),
      reason: nil,
      users: [],
      speaking: [],
      encryption: nil,
      stats: nil
    }
  end

  defp desire(state) do
    Bridge.desire_voice(if(Gateway.held?() and state.calls != %{}, do: wanted(state)))
    state
  end

  defp wanted(state) do
    channels =
      for {guild_id, call} <- state.calls do
        %{
          "guild" => guild_id,
          "channel" => call.channel_id,
          "attempt" => call.attempt,
          "self_mute" => call.shown.self_mute,
          "self_deaf" => call.shown.self_deaf,
          "play" => call.play
        }
      end

    %{"user" => state.bot_id, "channels" => channels}
  end

  ## What the bridge says

  defp heard(:joining, %{"channel" => channel_id}, guild_id, call) do
    Events.publish(:voice, {guild_id, {:joining, channel_id}})
    %{call | status: blank(:joining, channel_id)}
  end

  # Perhaps another channel than the one that was joined: somebody moved the bot, and the next bridge goes there too.
  defp heard(:joined, %{"channel" => channel_id}, guild_id, call) do
    Events.publish(:voice, {guild_id, {:joined, channel_id}})
    now(%{call | channel_id: channel_id}, :joined, %{channel_id: channel_id})
  end

  defp heard(state, _info, guild_id, call) when state in [:resuming, :waiting] do
    Events.publish(:voice, {guild_id, state})
    now(call, state, %{})
  end

  defp heard(:ended, %{"reason" => reason, "retry_ms" => retry_ms}, guild_id, call) do
    Events.publish(:voice, {guild_id, {:ended, reason, retry_ms}})
    %{call | status: %{blank(:ended, call.channel_id) | reason: reason}}
  end

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
      for key <- [:round_trip_ms, :loss, :sent, :unsent, :received, :lost, :undecryptable],
          into: %{},
          do: {key, info[Atom.to_string(key)]}

    put_in(call.status.stats, stats)
  end

  defp heard(:played, %{"path" => path, "error" => error}, guild_id, call) do
    Events.publish(:voice, {guild_id, {:played, path, error}})
    # Not once more by the next bridge.
    if call.play && call.play["path"] == path, do: %{call | play: nil}, else: call
  end

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

defmodule UroDiscord.Shards.Board.VoiceStatus do
  @moduledoc false
  # A board as the status of a voice channel: the line under its name.
  # https://discord.com/developers/docs/resources/channel#set-voice-channel-status

  @behaviour UroDiscord.Shards.Board.Display

  alias UroDiscord.Shards.Board.{Content, Portals}

  # `said`: what we last put there. `worlds?`: whether the channel is in the configuration, and not only one with a portal.
  @enforce_keys [:channel_id, :worlds?]
  defstruct [:channel_id, :worlds?, :said]

  @impl true
  def new(channel_id, config),
    do: %__MODULE__{channel_id: channel_id, worlds?: channel_id in config.board.voice_channels}

  # Of a portal here it is said who speaks: that there is one, and where the voices come from, is to be seen in the channel.
  @impl true
  def content(surface, view, portals, _now) do
    lines = [Portals.speaking(portals, surface.channel_id), if(surface.worlds?, do: worlds(view))]

    case Enum.reject(lines, &is_nil/1) do
      [] -> nil
      lines -> Enum.join(lines, " · ")
    end
  end

  # A line that nobody can vouch for is none.
  defp worlds({:current, []}), do: "no world is open"
  defp worlds({:current, worlds}), do: Content.summary(worlds)
  defp worlds(_view), do: nil

  @impl true
  def ready(surface, _text, _runtime), do: {:ready, surface}

  @impl true
  def write(surface, text),
    do: {{:raw, :put, {:channel, surface.channel_id}, "voice-status"}, [json: %{"status" => text}]}

  @impl true
  def answered(surface, {:write, text}, {:ok, _response}), do: {:ok, %{surface | said: text}}
  def answered(surface, _purpose, {:error, error}), do: {:error, error, surface}

  @impl true
  def events(config), do: if(:guilds in config.intents, do: ["VOICE_CHANNEL_STATUS_UPDATE"], else: [])

  # Discord takes it away when the last one leaves the channel. What somebody else writes there stays until ours changes.
  @impl true
  def lost?(%{channel_id: channel_id, said: said}, "VOICE_CHANNEL_STATUS_UPDATE", %{"id" => channel_id} = data),
    do: said != nil and data["status"] in [nil, ""]

  def lost?(_surface, _type, _data), do: false

  @impl true
  def lose(surface), do: %{surface | said: nil}

  @impl true
  def farewell(%{said: nil}, _runtime, _now), do: nil
  def farewell(surface, _runtime, _now), do: write(surface, nil)

  @impl true
  def describe(surface) do
    {"the status of voice channel #{surface.channel_id}",
     "The bot needs View Channel, Set Voice Channel Status and, as it is not in the channel, Manage Channels there; the id is " <>
       "that of a voice channel, in `board: [voice_channels: …]`. Where a portal is open it does without Manage Channels."}
  end

  @impl true
  def status(_surface), do: %{kind: :voice_status}
end

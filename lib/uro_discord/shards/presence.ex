defmodule UroDiscord.Shards.Presence do
  @moduledoc false
  # Shards to the bot's presence. Every change restates the presence that is wanted; the bridge keeps to Discord's rate.

  use GenServer
  alias UroDiscord.{Bridge, Config, Events, Shards}

  # https://discord.com/developers/docs/events/gateway-events#activity-object-activity-types: a custom status shows `state` alone.
  @custom_status 4
  @text_length 128

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(%Config{} = config),
    do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(config) do
    Events.subscribe(:shards)
    {:ok, state_presence(%{config: config, text: :unknown})}
  end

  @impl true
  def handle_info({:uro_discord, :shards, _event}, state) do
    # One look at the shards serves all the changes that are waiting.
    drain()
    {:noreply, state_presence(state)}
  end

  defp drain do
    receive do
      {:uro_discord, :shards, _event} -> drain()
    after
      0 -> :ok
    end
  end

  defp state_presence(state) do
    case text(state.config, Shards.visible()) do
      text when text == state.text ->
        state

      text ->
        Bridge.desire_presence(text && presence(text))
        %{state | text: text}
    end
  end

  @doc """
  What the status says.

      iex> config = UroDiscord.Config.new!(enabled: false, presence: "{players:player|players} in {shards} worlds")
      iex> UroDiscord.Shards.Presence.text(config, [%{players: 2}, %{players: nil}])
      "2 players in 2 worlds"
      iex> UroDiscord.Shards.Presence.text(config, [])
      "no world is open"
  """
  @spec text(Config.t(), [Shards.shard()]) :: String.t() | nil
  def text(config, []), do: config.presence_idle
  def text(%Config{presence: nil}, _shards), do: nil

  def text(config, shards) do
    counts = %{
      "players" => shards |> Enum.map(&(&1.players || 0)) |> Enum.sum(),
      "shards" => length(shards)
    }

    ~r/\{(players|shards)(?::([^|}]*)\|([^}]*))?\}/
    |> Regex.replace(config.presence, fn
      _whole, what, "", "" -> "#{counts[what]}"
      _whole, what, one, many -> "#{counts[what]} #{if counts[what] == 1, do: one, else: many}"
    end)
    |> String.slice(0, @text_length)
  end

  defp presence(text) do
    %{
      "since" => nil,
      "afk" => false,
      "status" => "online",
      # Discord wants a name here and does not show it.
      "activities" => [%{"name" => "Custom Status", "type" => @custom_status, "state" => text}]
    }
  end
end

defmodule UroDiscord.Interactions.Guilds do
  @moduledoc false
  # Which servers are ours: those of the channels that the configuration names. Discord is asked once for each channel.

  alias UroDiscord.{Channels, Config, Error, Runtime}

  @spec ours?(String.t() | nil) :: {:ok, boolean()} | {:error, Error.t()}
  def ours?(nil), do: {:ok, false}

  def ours?(guild_id) do
    with {:ok, runtime} <- Runtime.fetch_enabled() do
      runtime.config
      |> channels()
      |> Enum.reduce_while({:ok, false}, fn channel_id, found ->
        case guild(channel_id, runtime.rest) do
          {:ok, ^guild_id} -> {:halt, {:ok, true}}
          {:ok, _other} -> {:cont, found}
          # Another channel may be there all the same.
          {:error, error} -> {:cont, {:error, error}}
        end
      end)
    end
  end

  defp channels(%Config{channels: channels, board: board, announcements: announcements} = config) do
    rules = for {_name, feed} <- config.feeds, rule <- feed.rules, do: rule.channel
    portals = Enum.map(config.portal.open, & &1.channel)
    ids = Map.values(channels) ++ board.channels ++ board.voice_channels ++ portals ++ [announcements.channel | rules]
    ids |> Enum.reject(&is_nil/1) |> Enum.uniq()
  end

  defp guild(channel_id, rest) do
    with {:ok, channel} <- Channels.fetch(channel_id, rest), do: {:ok, channel && channel.guild_id}
  end
end

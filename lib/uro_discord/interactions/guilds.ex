defmodule UroDiscord.Interactions.Guilds do
  @moduledoc false
  # Which servers are ours: those that accounts have, and those of the channels that the configuration names. Discord is asked once for each channel.

  alias UroDiscord.{Channels, Config, Error, Runtime}

  @spec ours?(String.t() | nil) :: {:ok, boolean()} | {:error, Error.t()}
  def ours?(nil), do: {:ok, false}

  def ours?(guild_id) do
    with {:ok, %{config: config} = runtime} <- Runtime.fetch_enabled() do
      if Enum.any?(config.accounts.guilds, &(&1.id == guild_id)), do: {:ok, true}, else: named?(guild_id, runtime)
    end
  end

  defp named?(guild_id, runtime) do
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

  defp channels(%Config{channels: channels, board: board, announcements: announcements} = config) do
    rules = for {_name, feed} <- config.feeds, rule <- feed.rules, do: rule.channel
    portals = Enum.map(config.portal.open, & &1.channel)
    self_roles = Enum.map(config.accounts.self_roles, & &1.channel)
    named = board.channels ++ board.voice_channels ++ portals ++ self_roles ++ [announcements.channel | rules]
    ids = Map.values(channels) ++ named
    ids |> Enum.reject(&is_nil/1) |> Enum.uniq()
  end

  defp guild(channel_id, rest) do
    with {:ok, channel} <- Channels.fetch(channel_id, rest), do: {:ok, channel && channel.guild_id}
  end
end

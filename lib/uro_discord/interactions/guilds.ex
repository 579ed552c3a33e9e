defmodule UroDiscord.Interactions.Guilds do
  @moduledoc false
  # Which servers are ours: those of the channels that the configuration names. Discord is asked once for each channel.

  alias UroDiscord.{Config, Error, Rest, Runtime}

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

  defp channels(%Config{channels: channels, board: board, announcements: announcements, feeds: feeds}) do
    rules = for {_name, feed} <- feeds, rule <- feed.rules, do: rule.channel
    ids = Map.values(channels) ++ board.channels ++ board.voice_channels ++ [announcements.channel | rules]
    ids |> Enum.reject(&is_nil/1) |> Enum.uniq()
  end

  defp guild(channel_id, rest) do
    key = {:guild, channel_id}

    with nil <- Runtime.lookup(key),
         {:ok, %{body: body}} <- Rest.call(rest, {:get_channel, channel_id}, retry: :safe, deadline_ms: 15_000) do
      answer = {:ok, is_map(body) && body["guild_id"]}
      Runtime.put(key, answer)
      answer
    else
      # Not a channel that the bot can see.
      {:error, %Error{status: status}} when status in [403, 404] -> {:ok, nil}
      known -> known
    end
  end
end

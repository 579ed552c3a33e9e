defmodule UroDiscord.Config.Board do
  @moduledoc false
  # The options under `board:` and `announcements:`; see UroDiscord.Shards.Board and UroDiscord.Shards.Announcements.

  import UroDiscord.Config.Checks, only: [integer: 2, is_not: 2]
  import UroDiscord.Config.Option, only: [option: 3]
  alias UroDiscord.Config.Option
  alias UroDiscord.{Length, Snowflake}

  @day_ms 86_400_000
  @picture "an integer from 5000 to #{@day_ms}, or nil"
  @channel "a name of `channels:`, or a channel's id (17 to 20 digits)"

  @spec options() :: [Option.t()]
  def options do
    [
      option(:channels, &channels/1,
        default: [],
        doc: "the text channels in which one message lists what is open",
        allowed: "a list; each is #{@channel}",
        example: "board: [channels: [:status]]"
      ),
      option(:voice_channels, &channels/1,
        default: [],
        doc: "the voice channels whose status says how many play",
        allowed: "a list; each is #{@channel}",
        example: "board: [voice_channels: [:lounge]]"
      ),
      option(:title, &title/1,
        default: "Worlds",
        doc: "the heading of that message",
        allowed: "a text of 1 to 100 characters",
        example: ~s|board: [title: "Worlds"]|
      ),
      option(:interval, &integer(&1, 1_000..@day_ms),
        default: 10_000,
        doc:
          "how far apart changes are written, in ms. Discord takes 5 edits in 5 s in a channel, and fewer, without saying how many, " <>
            "of a message that is older than an hour",
        allowed: "an integer from 1000 to #{@day_ms}",
        example: "board: [interval: 10_000]"
      ),
      option(:refresh, &integer(&1, 1_000..@day_ms),
        default: 180_000,
        doc: "how often \"updated\" is renewed though nothing has changed, in ms",
        allowed: "an integer from 1000 to #{@day_ms}",
        example: "board: [refresh: 180_000]"
      ),
      option(:picture, &picture/1,
        doc:
          "how often the message shows the picture that a portal has on air (JPEG, of a Godot world) anew, in ms, while somebody is in the portal's " <>
            "voice channel; nil: never. Whoever can read the message sees it",
        allowed: @picture,
        example: "board: [picture: 60_000]"
      )
    ]
  end

  @spec announcements() :: [Option.t()]
  def announcements do
    [
      option(:channel, &channel/1,
        doc: "the channel in which it is announced that a world has opened; nil for none",
        allowed: "#{@channel}; or nil",
        example: "announcements: [channel: :announcements]"
      ),
      option(:cooldown, &integer(&1, 0..(30 * @day_ms)),
        default: 3_600_000,
        doc: "how long a world must have been closed, in ms, to be announced again",
        allowed: "an integer from 0 to #{30 * @day_ms}",
        example: "announcements: [cooldown: 3_600_000]"
      ),
      option(:per_hour, &integer(&1, 1..1_000),
        default: 10,
        doc: "how many worlds are announced in an hour at most",
        allowed: "an integer from 1 to 1000",
        example: "announcements: [per_hour: 10]"
      )
    ]
  end

  defp picture(nil), do: {:ok, nil}
  defp picture(value) when value in 5_000..@day_ms, do: {:ok, value}
  defp picture(value), do: is_not(value, @picture)

  defp channels(value) when is_list(value) do
    Enum.reduce_while(value, {:ok, []}, fn name, {:ok, names} ->
      case channel(name) do
        {:ok, nil} -> {:halt, is_not(nil, "a channel")}
        {:ok, name} -> {:cont, {:ok, names ++ [name]}}
        error -> {:halt, error}
      end
    end)
  end

  defp channels(value), do: is_not(value, "a list")

  defp channel(name) when is_atom(name), do: {:ok, name}

  defp channel(id) do
    with :error <- Snowflake.cast(id), do: is_not(id, "a channel")
  end

  defp title(value) when is_binary(value) do
    cond do
      not String.valid?(value) -> {:error, "is not valid UTF-8"}
      String.trim(value) == "" -> {:error, "is blank"}
      Length.of(value) > 100 -> {:error, "has #{Length.of(value)} characters"}
      true -> {:ok, value}
    end
  end

  defp title(value), do: is_not(value, "a string")
end

defmodule UroDiscord.Channels do
  @moduledoc false
  # What Discord says of channels that the configuration or the host names. It is asked once for each.

  alias UroDiscord.{Error, Rest, Runtime, Snowflake}

  # https://discord.com/developers/docs/resources/channel#channel-object-channel-types
  @voice 2
  @stage 13

  @typedoc "`kind`: a `:stage` is for voice too, and has no status."
  @type channel :: %{guild_id: Snowflake.t() | nil, kind: :voice | :stage | :other}

  @doc "nil of a channel that the bot cannot see."
  @spec fetch(Snowflake.t(), Rest.client()) :: {:ok, channel() | nil} | {:error, Error.t()}
  def fetch(channel_id, rest) do
    key = {:channel, channel_id}

    with nil <- Runtime.lookup(key),
         {:ok, %{body: body}} <- Rest.call(rest, {:get_channel, channel_id}, retry: :safe, deadline_ms: 15_000) do
      body = if is_map(body), do: body, else: %{}
      answer = {:ok, %{guild_id: body["guild_id"], kind: kind(body["type"])}}
      Runtime.put(key, answer)
      answer
    else
      {:error, %Error{status: status}} when status in [403, 404] -> {:ok, nil}
      known -> known
    end
  end

  defp kind(@voice), do: :voice
  defp kind(@stage), do: :stage
  defp kind(_other), do: :other
end

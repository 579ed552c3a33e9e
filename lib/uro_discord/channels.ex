defmodule UroDiscord.Channels do
  @moduledoc false
  # What Discord says of channels that the configuration or the host names. It is asked once for each.

  alias UroDiscord.{Config, Error, Rest, Runtime, Snowflake}

  # https://discord.com/developers/docs/resources/channel#channel-object-channel-types
  @voice 2
  @stage 13

  @typedoc "`kind`: a `:stage` is for voice too, and has no status."
  @type channel :: %{guild_id: Snowflake.t() | nil, kind: :voice | :stage | :other}

  @doc "The id of a channel as the host names it: by an alias of the configuration, or by its id."
  @spec cast(Config.t(), term()) :: {:ok, Snowflake.t()} | {:error, Error.t()}
  def cast(config, channel) do
    with :error <- Config.channel_id(config, channel) do
      allowed = "a name of `channels:` (there: #{Config.channel_names(config)}), or a channel's id (17 to 20 digits)"
      {:error, Error.invalid("channel", channel, allowed)}
    end
  end

  @doc "The guild of a voice channel or stage; or what the channel is instead."
  @spec voice_guild(Snowflake.t(), Rest.client()) :: {:ok, Snowflake.t()} | {:error, Error.t()}
  def voice_guild(channel_id, rest) do
    case fetch(channel_id, rest) do
      {:ok, %{kind: kind, guild_id: guild_id}} when kind != :other and is_binary(guild_id) ->
        {:ok, guild_id}

      {:ok, nil} ->
        {:error, Error.invalid("channel", "the bot cannot see channel #{channel_id}: give it View Channel and Connect")}

      {:ok, _other} ->
        {:error, Error.invalid("channel", "channel #{channel_id} is neither a voice channel nor a stage of a server")}

      {:error, error} ->
        {:error, error}
    end
  end

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

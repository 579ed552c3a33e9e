defmodule UroDiscord.Notify.Sent do
  @moduledoc false
  # Finds a notification among a channel's messages. Discord does not keep the nonce, so it is known by its author, its time and
  # what it says.

  alias UroDiscord.Native

  # 2015-01-01, where Discord's ids begin: https://discord.com/developers/docs/reference#snowflakes
  @epoch_ms 1_420_070_400_000
  # Discord's clock and ours.
  @skew_ms 10_000

  @doc "The id of the message that this notification became; `others` are those that are known to be another's."
  @spec find([map()], %{body: String.t(), accepted_at: integer()}, String.t(), MapSet.t(String.t())) :: String.t() | nil
  def find(messages, row, bot_id, others) do
    {:ok, body} = Native.json_decode(row.body)
    wanted = features(body)

    Enum.find_value(Enum.reverse(messages), fn message ->
      if message["author"]["id"] == bot_id and message["id"] not in others and
           created_ms(message["id"]) >= row.accepted_at - @skew_ms and features(message) == wanted,
         do: message["id"]
    end)
  end

  # What Discord gives back as it was sent. It trims texts, and adds to embeds what it finds out about them.
  defp features(message) do
    {
      text(message["content"]),
      for(
        embed <- message["embeds"] || [],
        embed["type"] in [nil, "rich"],
        do: {text(embed["title"]), text(embed["description"])}
      ),
      length(message["attachments"] || []),
      length(message["components"] || [])
    }
  end

  defp text(text), do: String.trim(text || "")

  defp created_ms(id), do: Bitwise.bsr(String.to_integer(id), 22) + @epoch_ms
end

defmodule UroDiscord.Notify.DuplicateSearch do
  @moduledoc false
  # Finds a notification among a channel's messages. Discord does not keep the nonce, so it is known by its author, its time and
  # what it says.
  #
  # https://discord.com/developers/docs/resources/message#get-channel-messages gives the newest first, 100 at most. Pages are
  # a list, the newest page last.

  alias UroDiscord.{Error, JSON, Runtime}
  alias UroDiscord.Notify.Outbox

  # 2015-01-01, where Discord's ids begin: https://discord.com/developers/docs/reference#snowflakes
  @epoch_ms 1_420_070_400_000
  @page 100
  # Where people write more than this between two attempts, a notification may come twice.
  @most_pages 10

  @doc "What to ask the channel for next; `:enough` when its messages since then (Unix ms, by Discord's clock) are there."
  @spec query([[map()]], integer()) :: {:more, before :: String.t() | nil, limit :: pos_integer()} | :enough
  def query([], _since), do: {:more, nil, @page}
  def query([page | _], _since) when length(page) < @page, do: :enough
  def query(pages, _since) when length(pages) >= @most_pages, do: :enough

  def query([page | _], since) do
    oldest = List.last(page)["id"]
    if since?(oldest, since), do: {:more, oldest, @page}, else: :enough
  end

  @doc "The id of the message that this notification became since then, or nil."
  @spec find([[map()]], %{:body => String.t(), optional(atom()) => term()}, integer(), Runtime.t()) ::
          {:ok, String.t() | nil} | {:error, Error.t()}
  def find(pages, row, since, runtime) do
    {:ok, body} = JSON.decode(row.body)
    wanted = features(body)

    for(
      page <- pages,
      message <- Enum.reverse(page),
      message["author"]["id"] == runtime.bot_id and since?(message["id"], since) and features(message) == wanted,
      do: message
    )
    |> first_unknown(runtime.store)
  end

  # One that says the same may be what another notification became.
  defp first_unknown([], _store), do: {:ok, nil}

  defp first_unknown([%{"id" => id, "channel_id" => channel_id} | messages], store) do
    case Outbox.outcome?(store, channel_id, id) do
      {:ok, true} -> first_unknown(messages, store)
      {:ok, false} -> {:ok, id}
      error -> error
    end
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

  defp since?(id, since), do: Bitwise.bsr(String.to_integer(id), 22) + @epoch_ms >= since
end

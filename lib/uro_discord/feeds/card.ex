defmodule UroDiscord.Feeds.Card do
  @moduledoc false
  # An event as a message. What people outside wrote (titles, commit messages, names) is shown, but means nothing to Discord.

  alias UroDiscord.Feeds.{Event, Excerpt}
  alias UroDiscord.Shards.Text

  @looks %{
    queued: {"🕓", "queued", 0x9E9E9E},
    waiting: {"⏸️", "waits for somebody", 0x9E9E9E},
    running: {"🔄", "running", 0xF9A825},
    passed: {"✅", "passed", 0x2E7D32},
    failed: {"❌", "failed", 0xC62828},
    cancelled: {"🚫", "cancelled", 0x757575},
    skipped: {"⏭️", "skipped", 0x757575},
    inactive: {"💤", "no longer active", 0x757575},
    published: {"📦", "published", 0x1565C0},
    prereleased: {"📦", "published as a pre-release", 0x1565C0},
    deleted: {"🗑️", "deleted", 0x757575},
    pushed: {"⬆️", "pushed", 0x455A64},
    forced: {"⚠️", "pushed by force", 0xEF6C00},
    created: {"🌱", "created", 0x455A64},
    draft: {"📝", "draft", 0x757575},
    opened: {"🟢", "open", 0x2E7D32},
    closed: {"🔴", "closed", 0xC62828},
    merged: {"🟣", "merged", 0x6A1B9A},
    posted: {"🔔", nil, 0x455A64}
  }

  @doc "What `UroDiscord.notify/2` takes."
  @spec message(Event.t()) :: map()
  def message(%Event{} = event) do
    {emoji, word, color} = Map.fetch!(@looks, event.state)

    embed =
      %{
        title: Text.markdown("#{emoji} " <> Enum.join([event.title | List.wrap(word)], " · "), 250),
        url: http(event.url),
        description: description(event),
        color: color,
        footer: %{text: Text.plain(footer(event), 500)}
      }
      |> Map.reject(fn {_key, value} -> value in [nil, ""] end)

    %{embeds: [embed]}
  end

  # A release is written by those who may release, for people to read: its Markdown stays. Embeds ping nobody.
  defp description(%Event{kind: :release, text: text}) when is_binary(text), do: text |> legible() |> Excerpt.cut(1_000)

  defp description(%Event{text: nil}), do: nil

  defp description(%Event{text: text}) do
    text |> String.split("\n") |> Enum.take(6) |> Enum.map_join("\n", &Text.markdown(&1, 200))
  end

  defp legible(text), do: String.replace(text, ~r/[^\P{C}\n\t]/u, "")

  defp footer(event) do
    where = Enum.join([event.project | List.wrap(event.branch)], " @ ")
    Enum.join([where | List.wrap(event.actor)], " · ")
  end

  @longest_url 2_048

  # Discord takes no other. What a URL may not have is escaped: GitHub compares with `…/compare/6113728f27ae^...05570a3080ad`.
  defp http(url) when is_binary(url) and byte_size(url) <= @longest_url do
    with [_, start, path] <- Regex.run(~r"\A(https?://[^/?\#\s]+)((?:[/?\#].*)?)\z"s, url),
         url = start <> escape(path),
         true <- byte_size(url) <= @longest_url,
         {:ok, %URI{host: host}} when host not in [nil, ""] <- URI.new(url) do
      url
    else
      _ -> nil
    end
  end

  defp http(_url), do: nil

  # What is escaped already stays.
  defp escape(path) do
    path
    |> String.replace(~r/%(?![0-9A-Fa-f]{2})/, "%25")
    |> URI.encode(&((URI.char_unescaped?(&1) and &1 not in [?[, ?]]) or &1 == ?%))
  end
end

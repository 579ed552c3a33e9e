defmodule UroDiscord.Feeds.Generic do
  @moduledoc false
  # Any JSON, by a template from the configuration: `"{monitor.name} is {status}"`. A name is a path into the JSON, with
  # numbers for the places in lists.

  alias UroDiscord.Feeds.{Event, Payload}

  # It has no time that we know of, and a clock of ours may have been set back: of two steps with the same place the one that is told
  # last counts. Former versions kept the time there, which is less.
  @latest 9_000_000_000_000_000_000

  @name ~r/\{([A-Za-z0-9_\-.]+)\}/

  @doc """
  A template filled in. What is not there is empty, and what is no text, number or boolean is too.

      iex> UroDiscord.Feeds.Generic.fill("{monitor.name} is {status}, {tags.1}", %{"monitor" => %{"name" => "web"}, "status" => 1, "tags" => ["a", "b"]})
      "web is 1, b"
  """
  @spec fill(String.t(), term()) :: String.t()
  def fill(template, payload) do
    Regex.replace(@name, template, fn _whole, path -> payload |> at(String.split(path, ".")) |> write() end)
  end

  defp at(term, []), do: term
  defp at(%{} = map, [key | rest]), do: map |> Map.get(key) |> at(rest)

  defp at(list, [key | rest]) when is_list(list) do
    case Integer.parse(key) do
      {index, ""} -> list |> Enum.at(index) |> at(rest)
      _ -> nil
    end
  end

  defp at(_other, _path), do: nil

  defp write(text) when is_binary(text), do: text
  defp write(value) when is_number(value) or is_boolean(value), do: to_string(value)
  defp write(_other), do: ""

  @doc "The event that a feed's template makes of a payload."
  @spec event(map(), term(), String.t()) :: {:ok, Event.t()} | {:error, String.t()}
  def event(feed, payload, delivery) do
    title = fill(feed.template, payload)

    if title == fill(feed.template, nil) and feed.template =~ @name do
      {:error, "has nothing of what the template #{inspect(feed.template)} names"}
    else
      {:ok,
       %Event{
         key: key(feed, payload, delivery),
         # What comes later about the same thing edits its message.
         position: @latest,
         kind: :message,
         state: :posted,
         project: to_string(feed.name),
         title: title,
         url: feed.url && feed.url |> fill(payload) |> Payload.line()
       }}
    end
  end

  defp key(%{key: nil}, _payload, delivery), do: "generic/#{delivery}"

  defp key(feed, payload, delivery) do
    case fill(feed.key, payload) do
      "" -> "generic/#{delivery}"
      key -> "generic/key/" <> String.slice(key, 0, 200)
    end
  end
end

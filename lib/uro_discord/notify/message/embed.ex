defmodule UroDiscord.Notify.Message.Embed do
  @moduledoc false
  # The embeds of a message: https://discord.com/developers/docs/resources/message#embed-object. The fields that only
  # Discord sets (type, provider, video, sizes and proxies of pictures) are no fields here.

  alias UroDiscord.Length
  alias UroDiscord.Notify.Message.Shape

  @embeds 10
  @total_characters 6_000

  @url_length 2_048
  @link {:url, ["http", "https"], @url_length}
  @picture {:url, ["http", "https", "attachment"], @url_length}
  @image {:object, "an image", [{"url", {:required, @picture}}]}

  @shape {:object, "an embed",
          [
            {"title", {:text, 0, 256}},
            {"description", {:text, 0, 4_096}},
            {"url", @link},
            {"timestamp", :timestamp},
            {"color", {:integer, 0, 0xFFFFFF}},
            {"footer", {:object, "a footer", [{"text", {:required, {:text, 1, 2_048}}}, {"icon_url", @picture}]}},
            {"image", @image},
            {"thumbnail", @image},
            {"author",
             {:object, "an author", [{"name", {:required, {:text, 1, 256}}}, {"url", @link}, {"icon_url", @picture}]}},
            {"fields",
             {:list, 0, 25,
              {:object, "an embed's field",
               [
                 {"name", {:required, {:text, 1, 256}}},
                 {"value", {:required, {:text, 1, 1_024}}},
                 {"inline", :boolean}
               ]}}}
          ]}

  @doc "The embeds of a message, checked."
  @spec cast_all(term(), Shape.path()) :: {:ok, [map()]} | {:error, UroDiscord.Error.t()}
  def cast_all(value, path) do
    with {:ok, embeds} <- Shape.cast(value, {:list, 0, @embeds, &embed/2}, path) do
      case embeds |> Enum.map(&characters/1) |> Enum.sum() do
        total when total <= @total_characters ->
          {:ok, embeds}

        total ->
          Shape.invalid(
            path,
            "have #{total} characters together; #{@total_characters} is the limit"
          )
      end
    end
  end

  defp embed(value, path) do
    with {:ok, embed} <- Shape.cast(value, @shape, path) do
      if shows_something?(embed),
        do: {:ok, embed},
        else:
          Shape.invalid(
            path,
            "shows nothing: it needs a title, a description, fields, a picture, an author or a footer"
          )
    end
  end

  defp shows_something?(embed) do
    Enum.any?(["title", "description"], &(not Shape.blank?(Map.get(embed, &1, "")))) or
      Enum.any?(["image", "thumbnail", "author", "footer"], &Map.has_key?(embed, &1)) or
      Map.get(embed, "fields", []) != []
  end

  defp characters(embed) do
    fields = Enum.flat_map(Map.get(embed, "fields", []), &[&1["name"], &1["value"]])

    [embed["title"], embed["description"], embed["footer"]["text"], embed["author"]["name"]]
    |> Enum.concat(fields)
    |> Enum.reject(&is_nil/1)
    |> Enum.map(&Length.of/1)
    |> Enum.sum()
  end
end

defmodule UroDiscord.Notify.Message.EmbedTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Error
  alias UroDiscord.Notify.Message

  defp embeds(embeds), do: Message.new(embeds: embeds)
  defp embed(fields), do: embeds([Map.merge(%{title: "t"}, Map.new(fields))])

  defp refused(result) do
    assert {:error, %Error{kind: :invalid} = error} = result
    {error.field, error.message}
  end

  test "keys may be atoms or strings; nil is as good as absent" do
    assert {:ok, [%{body: %{"embeds" => [embed]}}]} =
             embeds([%{"title" => "t", description: nil, footer: %{"text" => "f", icon_url: nil}}])

    assert embed == %{"title" => "t", "footer" => %{"text" => "f"}}
  end

  # How many, and what is that long.
  for {field, limit, at} <- [
        {:title, 256, "embeds.0.title"},
        {:description, 4_096, "embeds.0.description"},
        {:author_name, 256, "embeds.0.author.name"},
        {:footer_text, 2_048, "embeds.0.footer.text"},
        {:field_name, 256, "embeds.0.fields.1.name"},
        {:field_value, 1_024, "embeds.0.fields.1.value"},
        {:url, 2_048, "embeds.0.url"}
      ] do
    test "#{field}: #{limit} characters, and not one more" do
      assert {:ok, _} = embeds([with_text(unquote(field), unquote(limit))])
      over = unquote(limit + 1)

      assert refused(embeds([with_text(unquote(field), over)])) ==
               {unquote(at), "has #{over} characters; #{unquote(limit)} is the limit"}
    end
  end

  defp with_text(field, length) do
    # Two UTF-16 units each, and four bytes.
    text = String.duplicate("🎮", length)

    case field do
      :author_name -> %{author: %{name: text}}
      :footer_text -> %{footer: %{text: text}}
      :field_name -> %{fields: [%{name: "n", value: "v"}, %{name: text, value: "v"}]}
      :field_value -> %{fields: [%{name: "n", value: "v"}, %{name: "n", value: text}]}
      :url -> %{title: "t", url: String.pad_trailing("https://example.com/", length, "u")}
      field -> %{field => text}
    end
  end

  test "25 fields, and not one more" do
    field = %{name: "n", value: "v"}
    assert {:ok, _} = embed(fields: List.duplicate(field, 25))

    assert refused(embed(fields: List.duplicate(field, 26))) ==
             {"embeds.0.fields", "has 26 entries; 25 is the limit"}
  end

  test "10 embeds, and not one more" do
    assert {:ok, _} = embeds(List.duplicate(%{title: "t"}, 10))

    assert refused(embeds(List.duplicate(%{title: "t"}, 11))) ==
             {"embeds", "has 11 entries; 10 is the limit"}
  end

  test "6000 characters over all texts of all embeds, and not one more" do
    # 1000 in each of six, in every text that counts.
    embed = %{
      title: String.duplicate("a", 100),
      description: String.duplicate("a", 500),
      footer: %{text: String.duplicate("a", 100)},
      author: %{name: String.duplicate("a", 100), url: "https://example.com/not-counted"},
      fields: [%{name: String.duplicate("a", 100), value: String.duplicate("a", 100)}]
    }

    assert {:ok, _} = embeds(List.duplicate(embed, 6))

    assert refused(embeds(List.duplicate(embed, 6) ++ [%{title: "a"}])) ==
             {"embeds", "have 6001 characters together; 6000 is the limit"}
  end

  test "color: 0 to 0xFFFFFF" do
    for color <- [0, 0xFFFFFF], do: assert({:ok, _} = embed(color: color))

    for color <- [-1, 0x1000000, "red", 1.0, true] do
      assert refused(embed(color: color)) ==
               {"embeds.0.color", "is #{inspect(color)}; it may be an integer from 0 to 16777215"}
    end
  end

  test "timestamp: a DateTime, or ISO 8601; sent as UTC" do
    for {given, sent} <- [
          {~U[2024-05-06 07:08:09Z], "2024-05-06T07:08:09Z"},
          {~N[2024-05-06 07:08:09], "2024-05-06T07:08:09Z"},
          {"2024-05-06T07:08:09Z", "2024-05-06T07:08:09Z"},
          {"2024-05-06T07:08:09.5+02:00", "2024-05-06T05:08:09.5Z"},
          {"2024-05-06T07:08:09", "2024-05-06T07:08:09Z"}
        ] do
      assert {:ok, [%{body: %{"embeds" => [%{"timestamp" => ^sent}]}}]} = embed(timestamp: given)
    end

    for wrong <- [
          "yesterday",
          "2024-13-01T00:00:00Z",
          "2024-05-06",
          1_700_000_000,
          ~D[2024-05-06]
        ] do
      assert refused(embed(timestamp: wrong)) ==
               {"embeds.0.timestamp", "is #{inspect(wrong)}; it may be a DateTime or a time as ISO 8601 has it"}
    end
  end

  test "a link is http or https, a picture also one of the files" do
    for url <- [
          "https://example.com",
          "http://localhost:4000/a?b#c",
          "https://müller.example/ä"
        ],
        do: assert({:ok, _} = embed(url: url, image: %{url: url}, author: %{name: "a", url: url}))

    for url <- ["ftp://example.com", "example.com", "https://", "https:///path", "https://a b"] do
      assert refused(embed(url: url)) ==
               {"embeds.0.url", "is #{inspect(url)}; it may be a URL that begins with http:// or https://"}
    end

    picture = "attachment://map of the world.png"
    assert {"embeds.0.author.url", _} = refused(embed(author: %{name: "a", url: picture}))

    files = [{"map of the world.png", "PNG"}]

    for {fields, at} <- [
          {[image: %{url: picture}], "image.url"},
          {[thumbnail: %{url: picture}], "thumbnail.url"},
          {[footer: %{text: "f", icon_url: picture}], "footer.icon_url"},
          {[author: %{name: "a", icon_url: picture}], "author.icon_url"}
        ] do
      embeds = [%{title: "t"}, Map.new(fields)]
      assert {:ok, [message]} = Message.new(embeds: embeds, files: files)
      keys = String.split(at, ".")
      assert message.body["embeds"] |> List.last() |> get_in(keys) == "attachment://map_of_the_world.png"

      assert refused(Message.new(embeds: embeds, files: [{"other.png", "PNG"}])) ==
               {"embeds.1.#{at}", "names \"map of the world.png\", which is not among the files"}
    end
  end

  for {name, embed, field, message} <- [
        {"nothing to show", %{color: 1}, "embeds.0", ~r/\Ashows nothing/},
        {"blank texts only", %{title: " ", description: ""}, "embeds.0", ~r/\Ashows nothing/},
        {"no fields", %{fields: []}, "embeds.0", ~r/\Ashows nothing/},
        {"a field without a value", %{fields: [%{name: "n"}]}, "embeds.0.fields.0.value", "is missing"},
        {"a field with a blank name", %{fields: [%{name: "\n ", value: "v"}]}, "embeds.0.fields.0.name", "is blank"},
        {"a footer without text", %{footer: %{}}, "embeds.0.footer.text", "is missing"},
        {"an author without a name", %{author: %{url: "https://a.example"}}, "embeds.0.author.name", "is missing"},
        {"an image that is a string", %{image: "https://a.example"}, "embeds.0.image",
         ~r/it may be a map or keyword list \(an image\)\z/},
        {"British spelling", %{title: "t", colour: 1}, "embeds.0.colour",
         "is not a field of an embed; did you mean color?"},
        {"what only Discord sets", %{title: "t", provider: %{}}, "embeds.0.provider", ~r/\Ais not a field of an embed/},
        {"a deep misspelling", %{fields: [%{name: "n", valeu: "v"}]}, "embeds.0.fields.0.valeu",
         "is not a field of an embed's field; did you mean value?"},
        {"an atom for a string", %{title: :hello}, "embeds.0.title", "is :hello; it may be a string"},
        {"invalid UTF-8", %{title: <<0xC0>>}, "embeds.0.title", "is not valid UTF-8 (1 bytes)"},
        {"a struct", ~D[2024-01-01], "embeds.0",
         ~r/\Ais ~D\[2024-01-01\]; it may be a map or keyword list \(an embed\)\z/}
      ] do
    test "refused: #{name}" do
      {field, message} = refused(embeds([unquote(Macro.escape(embed))]))
      assert field == unquote(field)
      assert message =~ unquote(Macro.escape(message))
    end
  end

  test "refused: embeds that are no list" do
    assert refused(embeds(%{title: "t"})) == {"embeds", "is %{title: \"t\"}; it may be a list"}
  end
end

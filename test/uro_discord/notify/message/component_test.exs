defmodule UroDiscord.Notify.Message.ComponentTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Error
  alias UroDiscord.Notify.Message

  @id "1100000000000000001"

  defp new(components, more \\ []), do: Message.new([components: components] ++ more)

  defp refused(result) do
    assert {:error, %Error{kind: :invalid} = error} = result
    {error.field, error.message}
  end

  defp text(length \\ 1), do: %{type: 10, content: String.duplicate("ä", length)}
  defp row(components), do: %{type: 1, components: components}
  defp media, do: %{media: %{url: "https://example.com/a.png"}}
  defp link(more \\ []), do: with_more(%{type: 2, style: 5, label: "l", url: "https://a.b"}, more)

  defp button(id, more \\ []),
    do: with_more(%{type: 2, style: 1, label: "l", custom_id: "#{id}"}, more)

  defp select(more),
    do: with_more(%{type: 3, custom_id: "s", options: options(3)}, more)

  defp options(count), do: for(n <- 1..count, do: %{label: "#{n}", value: "#{n}"})
  defp with_more(component, more), do: Map.merge(component, Map.new(more))

  test "one of each kind, with either kind of keys" do
    components = [
      row([button(1), link(disabled: true, emoji: %{name: "🔥"})]),
      row([%{type: 2, style: 6, sku_id: @id}]),
      row([select(placeholder: "p", min_values: 0, max_values: 3)]),
      row([%{type: 5, custom_id: "u", default_values: [%{id: @id, type: "user"}]}]),
      row([%{type: 6, custom_id: "r"}]),
      row([%{type: 7, custom_id: "m", default_values: [%{id: @id, type: :role}]}]),
      row([%{type: 8, custom_id: "c", channel_types: [0, 5], id: 7}]),
      %{"type" => 9, "components" => [text()], "accessory" => button(2)},
      %{type: 9, components: [text()], accessory: %{type: 11, media: %{url: "http://a.b/c"}}},
      %{type: 12, items: [Map.merge(media(), %{description: "d", spoiler: true})]},
      %{type: 13, file: %{url: "attachment://a b.zip"}},
      %{type: 14, divider: false, spacing: 2},
      %{type: 17, accent_color: 0xFFFFFF, components: [text(), %{type: 14}, row([button(3)])]}
    ]

    assert {:ok, [message]} = new(components, files: [{"a b.zip", "PK"}])
    assert message.body["flags"] == 0x8000
    assert length(message.body["components"]) == length(components)

    assert %{"components" => [%{"default_values" => [%{"type" => "role"}]}]} = Enum.at(message.body["components"], 5)
  end

  test "texts may be as short as one character, or empty where they are optional" do
    option = %{label: "l", value: "v", description: "", emoji: %{name: "e"}}

    assert {:ok, _} =
             new([
               row([button("i", label: "", emoji: %{name: "e"})]),
               row([select(placeholder: "", options: [option])]),
               %{type: 12, items: [Map.put(media(), :description, "")]}
             ])
  end

  test "action rows alone are no Components V2, and go with content and embeds" do
    assert {:ok, [message]} = new([row([button(1)])], content: "hi", embeds: [%{title: "t"}])
    refute Map.has_key?(message.body, "flags")
  end

  describe "over a whole message" do
    test "5 action rows, and not one more" do
      rows = for n <- 1..6, do: row([button(n)])
      assert {:ok, _} = new(Enum.take(rows, 5))
      assert refused(new(rows)) == {"components", "have 6 action rows; 5 is the limit"}
      # But with Components V2.
      assert {:ok, _} = new(rows ++ [text()])
    end

    test "40 components with those inside others, and not one more" do
      section = %{type: 9, components: [text(), text()], accessory: link()}
      # 9 sections of 4, a container, and two texts in it: 39.
      components = [%{type: 17, components: [text(), text()]} | List.duplicate(section, 9)]
      assert {:ok, _} = new(components ++ [text()])

      assert refused(new(components ++ [text(), text()])) ==
               {"components", "have 41 components, those inside others included; 40 is the limit"}
    end

    test "4000 characters of text, and not one more" do
      container = %{type: 17, components: [text(2_000)]}
      assert {:ok, _} = new([container, text(2_000)])

      assert refused(new([container, text(2_001)])) ==
               {"components", "have 4001 characters of text; 4000 is the limit"}
    end

    test "10,170 bytes of text, and not one more" do
      # Each of the two costs 12 bytes more.
      wide = %{type: 10, content: String.duplicate("字", 2_000)}
      rest = &%{type: 10, content: String.duplicate("字", 1_381) <> String.duplicate("a", &1)}
      assert {:ok, _} = new([wide, rest.(3)])

      assert refused(new([wide, rest.(4)])) ==
               {"components", "have 10171 bytes of text (12 more for each text display); 10170 is the limit"}
    end

    test "64 pictures, and not one more" do
      gallery = %{type: 12, items: List.duplicate(media(), 10)}
      section = %{type: 9, components: [text()], accessory: Map.put(media(), :type, 11)}
      components = List.duplicate(gallery, 6) ++ List.duplicate(section, 4)
      assert {:ok, _} = new(components)

      assert refused(new([section | components])) ==
               {"components", "have 65 pictures and other media; 64 is the limit"}
    end

    test "no custom_id and no id twice" do
      assert refused(
               new([
                 row([button("a"), button("b")]),
                 %{type: 9, components: [text()], accessory: button("b")}
               ])
             ) ==
               {"components.1.accessory.custom_id", "is \"b\", which another component has already"}

      assert refused(new([row([button(1, id: 3)]), Map.put(text(), :id, 3)])) ==
               {"components.1.id", "is 3, which another component has already"}

      assert {:ok, _} = new([row([button(1, id: 0)]), Map.put(text(), :id, 0)])
    end
  end

  # Each with one that is at the limit, and one that is over it.
  for {name, at, over, field, message} <- [
        {"buttons of a row", {:buttons, 5}, {:buttons, 6}, "components.0.components", "has 6 entries; 5 is the limit"},
        {"a label", {:label, 80}, {:label, 81}, "components.0.components.0.label",
         "has 81 characters; 80 is the limit"},
        {"a custom_id", {:custom_id, 100}, {:custom_id, 101}, "components.0.components.0.custom_id",
         "has 101 characters; 100 is the limit"},
        {"a select's custom_id", {:select_id, 100}, {:select_id, 101}, "components.0.components.0.custom_id",
         "has 101 characters; 100 is the limit"},
        {"a button's url", {:button_url, 512}, {:button_url, 513}, "components.0.components.0.url",
         "has 513 characters; 512 is the limit"},
        {"options of a select", {:options, 25}, {:options, 26}, "components.0.components.0.options",
         "has 26 entries; 25 is the limit"},
        {"no options", {:options, 1}, {:options, 0}, "components.0.components.0.options",
         "has 0 entries; 1 is the least"},
        {"a placeholder", {:placeholder, 150}, {:placeholder, 151}, "components.0.components.0.placeholder",
         "has 151 characters; 150 is the limit"},
        {"an option's label", {:option_label, 100}, {:option_label, 101}, "components.0.components.0.options.1.label",
         "has 101 characters; 100 is the limit"},
        {"an option's value", {:option_value, 100}, {:option_value, 101}, "components.0.components.0.options.1.value",
         "has 101 characters; 100 is the limit"},
        {"an option's description", {:option_description, 100}, {:option_description, 101},
         "components.0.components.0.options.1.description", "has 101 characters; 100 is the limit"},
        {"texts of a section", {:texts, 3}, {:texts, 4}, "components.0.components", "has 4 entries; 3 is the limit"},
        {"a section without text", {:texts, 1}, {:texts, 0}, "components.0.components",
         "has 0 entries; 1 is the least"},
        {"pictures of a gallery", {:items, 10}, {:items, 11}, "components.0.items", "has 11 entries; 10 is the limit"},
        {"an empty gallery", {:items, 1}, {:items, 0}, "components.0.items", "has 0 entries; 1 is the least"},
        {"the text of one display", {:text, 4_000}, {:text, 4_001}, "components.0.content",
         "has 4001 characters; 4000 is the limit"},
        {"alternative text", {:alt, 1_024}, {:alt, 1_025}, "components.0.items.0.description",
         "has 1025 characters; 1024 is the limit"},
        {"spacing", {:spacing, 2}, {:spacing, 3}, "components.0.spacing", "is 3; it may be an integer from 1 to 2"},
        {"accent_color", {:accent, 0xFFFFFF}, {:accent, 0x1000000}, "components.0.accent_color",
         "is 16777216; it may be an integer from 0 to 16777215"},
        {"no channel type", {:channel_type, 16}, {:channel_type, 17}, "components.0.components.0.channel_types.0",
         "is 17; it may be one of 0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 16"},
        {"values that a select begins with", {:default_values, 25}, {:default_values, 26},
         "components.0.components.0.default_values", "has 26 entries; 25 is the limit"},
        {"channels that a select begins with", {:default_channels, 25}, {:default_channels, 26},
         "components.0.components.0.default_values", "has 26 entries; 25 is the limit"},
        {"min_values", {:min_values, 25}, {:min_values, 26}, "components.0.components.0.min_values",
         "is 26; it may be an integer from 0 to 25"},
        {"an emoji's name", {:emoji, 32}, {:emoji, 33}, "components.0.components.0.emoji.name",
         "has 33 characters; 32 is the limit"},
        {"the url of media", {:media_url, 2_048}, {:media_url, 2_049}, "components.0.items.0.media.url",
         "has 2049 characters; 2048 is the limit"},
        {"an id", {:id, 0x7FFF_FFFF}, {:id, 0x8000_0000}, "components.0.id",
         "is 2147483648; it may be an integer from 0 to 2147483647"}
      ] do
    test "limit: #{name}" do
      assert {:ok, _} = new([limited(unquote(at))])

      assert refused(new([limited(unquote(over))])) ==
               {unquote(field), unquote(message)}
    end
  end

  defp defaults(type, kind, count) do
    values = List.duplicate(%{id: @id, type: kind}, count)
    %{type: type, custom_id: "c", max_values: 25, default_values: values}
  end

  defp limited({what, n}) do
    string = String.duplicate("ä", min(n, 10_000))
    option = %{label: "l", value: "v"}

    case what do
      :buttons ->
        row(for i <- 1..n, do: button(i))

      :label ->
        row([button(1, label: string)])

      :custom_id ->
        row([button(string)])

      :select_id ->
        row([select(custom_id: string)])

      :button_url ->
        row([link(url: String.pad_trailing("https://a.b/", n, "u"))])

      :options ->
        row([select(options: Enum.take(options(26), n))])

      :placeholder ->
        row([select(placeholder: string)])

      :option_label ->
        row([select(options: [option, %{label: string, value: "w"}])])

      :option_value ->
        row([select(options: [option, %{label: "l", value: string}])])

      :option_description ->
        row([select(options: [option, %{label: "l", value: "w", description: string}])])

      :texts ->
        %{type: 9, components: Enum.take(List.duplicate(text(), 4), n), accessory: link()}

      :items ->
        %{type: 12, items: Enum.take(List.duplicate(media(), 11), n)}

      :text ->
        %{type: 10, content: string |> String.replace("ä", "a")}

      :alt ->
        %{type: 12, items: [Map.put(media(), :description, string)]}

      :spacing ->
        %{type: 14, spacing: n}

      :accent ->
        %{type: 17, accent_color: n, components: [text()]}

      :id ->
        %{type: 10, content: "a", id: n}

      :channel_type ->
        row([%{type: 8, custom_id: "c", channel_types: [n]}])

      :default_values ->
        row([defaults(5, "user", n)])

      :default_channels ->
        row([defaults(8, "channel", n)])

      :min_values ->
        row([select(min_values: n, max_values: 25, options: options(25))])

      :emoji ->
        row([link(emoji: %{name: string})])

      :media_url ->
        %{type: 12, items: [%{media: %{url: String.pad_trailing("https://a.b/", n, "u")}}]}
    end
  end

  describe "buttons" do
    test "have what their style needs, and nothing of another" do
      for {button, field, message} <- [
            {%{type: 2, label: "l"}, "style", "is missing"},
            {button(1, style: 7), "style", "is 7; it may be an integer from 1 to 6"},
            {%{type: 2, style: 1, label: "l"}, "custom_id", "is missing; a button that is no link needs it"},
            {button(1, url: "https://a.b"), "url", "is nothing that a button that is no link may have"},
            {button(1, sku_id: @id), "sku_id", "is nothing that a button that is no link may have"},
            {%{type: 2, style: 5, label: "l"}, "url", "is missing; a link button needs it"},
            {link(custom_id: "a"), "custom_id", "is nothing that a link button may have"},
            {link(url: "mailto:a@b"), "url",
             "is \"mailto:a@b\"; it may be a URL that begins with http:// or https:// or discord://"},
            {%{type: 2, style: 6}, "sku_id", "is missing; a premium button needs it"},
            {%{type: 2, style: 6, sku_id: @id, label: "l"}, "label", "is nothing that a premium button may have"},
            {button(1, label: " "), "label", "is blank, and there is no emoji"},
            {button(1, emoji: %{animated: true}), "emoji", "has neither a name nor an id"}
          ] do
        assert refused(new([row([button])])) == {"components.0.components.0.#{field}", message}
      end
    end

    test "are shown by a label or an emoji" do
      assert {:ok, _} = new([row([button(1, label: nil, emoji: %{id: @id})])])
    end
  end

  describe "selects" do
    test "of every kind are checked, and may leave out what is optional" do
      for type <- [3, 5, 6, 7, 8] do
        select = fn more -> if(type == 3, do: select(more), else: with_more(%{type: type, custom_id: "c"}, more)) end
        none = if(type == 3, do: [], else: [default_values: []])
        assert {:ok, _} = new([row([select.([placeholder: "", min_values: 0] ++ none)])])
        at = "components.0.components.0.min_values"
        assert refused(new([row([select.(min_values: 2)])])) == {at, "is 2, and max_values is 1"}
      end

      assert {:ok, _} = new([row([%{type: 8, custom_id: "c", channel_types: []}])])
    end

    test "fill their row" do
      assert refused(new([row([select([]), button(1)])])) ==
               {"components.0.components", "has a select and 1 more; a select fills its row"}
    end

    test "ask for as many as there are" do
      for {select, field, message} <- [
            {select(min_values: 2), "min_values", "is 2, and max_values is 1"},
            {select(max_values: 4), "max_values", "is 4, and there are 3 options"},
            {select(max_values: 26), "max_values", "is 26; it may be an integer from 1 to 25"},
            {select(options: [%{label: "a", value: "x"}, %{label: "b", value: "x"}]), "options",
             "has the value \"x\" twice"},
            {select(options: Enum.map(options(2), &Map.put(&1, :default, true))), "options",
             "has 2 that are default, and max_values is 1"},
            {%{
               type: 5,
               custom_id: "u",
               default_values: List.duplicate(%{id: @id, type: :user}, 2)
             }, "default_values", "has 2 entries; min_values and max_values allow 1 to 1"},
            {%{type: 6, custom_id: "r", default_values: [%{id: @id, type: :user}]}, "default_values.0.type",
             "is :user; it may be one of role"},
            {%{type: 5}, "custom_id", "is missing"},
            {%{type: 5, custom_id: "u", options: []}, "options",
             "is not a field of a component of type 5 (user select); there are type, id, default_values, custom_id, " <>
               "placeholder, min_values, max_values, disabled, required"}
          ] do
        assert refused(new([row([select])])) == {"components.0.components.0.#{field}", message}
      end
    end
  end

  describe "places" do
    test "at the top, in a row, in a section, in a container" do
      assert {"components.0.type", "is 2 (button); here it may be 1 (action row), " <> _} = refused(new([button(1)]))

      assert {"components.0.components.0.type", "is 10 (text display); here it may be 2 " <> _} =
               refused(new([row([text()])]))

      assert {"components.0.accessory.type", "is 12 (media gallery); here it may be 2 (button), 11 (thumbnail)"} =
               refused(
                 new([
                   %{type: 9, components: [text()], accessory: %{type: 12, items: [media()]}}
                 ])
               )

      assert {"components.0.components.0.type", "is 17 (container); here it may be " <> _} =
               refused(new([%{type: 17, components: [%{type: 17, components: [text()]}]}]))

      # Text inputs are for modals.
      assert {"components.0.components.0.type", "is 4; here it may be " <> _} =
               refused(new([row([%{type: 4, custom_id: "a"}])]))
    end

    test "what is no component" do
      assert refused(new([%{content: "a"}])) == {"components.0.type", "is missing"}

      assert refused(new(["a"])) ==
               {"components.0", "is \"a\"; it may be a map or keyword list (a component)"}

      assert refused(new([%{type: "10", content: "a"}])) |> elem(1) =~ ~s(is "10"; here it may be)
      assert refused(new(%{type: 10})) == {"components", "is %{type: 10}; it may be a list"}

      assert refused(new([%{type: 9, components: [text()]}])) ==
               {"components.0.accessory", "is missing"}
    end
  end

  test "media are http, https, or among the files; a file is always among them" do
    assert {"components.0.items.0.media.url", "is \"ftp://a.b/c\"; it may be a URL that begins with " <> _} =
             refused(new([%{type: 12, items: [%{media: %{url: "ftp://a.b/c"}}]}]))

    assert refused(new([%{type: 12, items: [%{media: %{url: "attachment://a.png"}}]}])) ==
             {"components.0.items.0.media.url", "names \"a.png\", which is not among the files"}

    assert refused(new([%{type: 13, file: %{url: "https://a.b/c.zip"}}])) ==
             {"components.0.file.url", "is \"https://a.b/c.zip\"; it may be a URL that begins with attachment://"}
  end
end

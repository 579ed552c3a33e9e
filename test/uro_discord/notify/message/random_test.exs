defmodule UroDiscord.Notify.Message.RandomTest do
  @moduledoc false
  # Random messages, most of them near a limit: whatever is accepted keeps to every limit, counted again here, and becomes JSON.

  use ExUnit.Case, async: true
  alias UroDiscord.{Error, Native}
  alias UroDiscord.Notify.Message

  setup do
    # The same again with `mix test --seed`.
    :rand.seed(:exsss, ExUnit.configuration()[:seed])
    :ok
  end

  test "what is accepted keeps to the limits and becomes JSON" do
    outcomes =
      for _ <- 1..2_000 do
        input = message()

        case Message.new(input) do
          {:ok, messages} ->
            Enum.each(messages, &check/1)
            :accepted

          {:error, error} ->
            check(error)
            :refused
        end
      end

    # Both do happen.
    assert %{accepted: accepted, refused: refused} = Enum.frequencies(outcomes)
    assert accepted > 200 and refused > 200
  end

  test "with anything at all in any place, a clear refusal or a message that becomes JSON" do
    outcomes =
      for _ <- 1..5_000 do
        case message() |> disturb() |> Message.new() do
          {:ok, messages} ->
            Enum.each(messages, &check/1)
            :accepted

          {:error, error} ->
            check(error)
            :refused
        end
      end

    assert %{accepted: _, refused: _} = Enum.frequencies(outcomes)
  end

  # Generators

  defp message do
    some(%{
      content: fn -> text([0, 1, 1_999, 2_000, 2_001]) end,
      embeds: fn -> list([0, 1, 2, 10, 11], &embed/0) end,
      components: fn -> list([0, 1, 2, 5, 6], &component/0) end,
      files: fn -> list([0, 1, 10, 11], fn -> {one_of(["a.png", "b c.txt"]), "data"} end) end,
      reply_to: &id/0,
      allowed_mentions: fn ->
        one_of([
          [],
          [:users],
          %{"parse" => ["roles"], "users" => [id()], "replied_user" => true},
          [parse: [:users], users: [id()]]
        ])
      end,
      silent: &boolean/0,
      expires_in: fn -> one_of([0, 1, 5_000]) end,
      overflow: fn -> one_of([:error, :split, :truncate]) end
    })
  end

  defp embed do
    some(%{
      title: fn -> text([1, 255, 256, 257]) end,
      description: fn -> text([0, 100, 4_096, 4_097]) end,
      url: &url/0,
      timestamp: fn -> one_of([DateTime.utc_now(), "2024-01-01T00:00:00+01:00", "never"]) end,
      color: fn -> one_of([0, 0xFFFFFF, 0x1000000]) end,
      footer: fn -> %{text: text([1, 2_048, 2_049]), icon_url: url()} end,
      image: fn -> %{"url" => url()} end,
      author: fn -> %{name: text([1, 256, 257])} end,
      fields: fn ->
        list([0, 1, 5, 25, 26], fn ->
          %{name: text([1, 256]), value: text([1, 20, 1_024]), inline: boolean()}
        end)
      end
    })
  end

  defp component do
    one_of([
      fn -> %{type: 1, components: list([1, 1, 5, 6], &button/0)} end,
      fn -> %{type: 1, components: [select()]} end,
      fn ->
        %{"type" => 9, "components" => list([1, 3, 4], &display/0), "accessory" => button()}
      end,
      &display/0,
      fn -> %{type: 12, items: list([1, 10, 11], fn -> %{media: %{url: url()}} end)} end,
      fn -> %{type: 13, file: %{url: url()}} end,
      fn -> %{type: 14, spacing: one_of([1, 2, 3])} end,
      fn -> %{type: 17, components: list([1, 5, 12], &display/0)} end
    ]).()
  end

  defp display, do: %{type: 10, content: text([1, 50, 1_500, 4_000, 4_001])}

  defp button do
    one_of([
      fn -> %{type: 2, style: one_of([1, 4]), label: text([1, 80, 81]), custom_id: id()} end,
      fn -> %{type: 2, style: 5, label: "l", url: url()} end,
      fn -> %{type: 2, style: 1, emoji: %{name: "🔥"}, custom_id: text([1, 100, 101])} end
    ]).()
  end

  defp select do
    options = one_of([1, 25, 26])

    %{
      type: 3,
      custom_id: id(),
      max_values: one_of([1, 25]),
      options: for(n <- 1..options, do: %{label: text([1, 100]), value: "#{n}"})
    }
  end

  defp text(lengths),
    do: String.duplicate(one_of(["a", "ä", "字", "😀", "\0", "\"", "e\u0301 "]), one_of(lengths))

  defp url,
    do: one_of(["https://example.com/ä", "attachment://a.png", "attachment://b c.txt", "ftp://a"])

  defp id, do: Integer.to_string(:rand.uniform(1_000_000_000) + 1_100_000_000_000_000_000)
  defp boolean, do: one_of([true, false])
  defp one_of(list), do: Enum.random(list)
  defp list(lengths, make), do: Enum.map(Enum.take(1..100, one_of(lengths)), fn _ -> make.() end)

  # Some of the fields, under atoms or strings.
  defp some(fields) do
    for {key, make} <- fields, :rand.uniform(4) == 1, into: %{} do
      {one_of([key, Atom.to_string(key)]), make.()}
    end
  end

  # Puts something odd in place of something inside.
  defp disturb(value) do
    cond do
      :rand.uniform(6) == 1 ->
        odd()

      is_struct(value) ->
        value

      is_map(value) and map_size(value) > 0 ->
        disturb_entry(value)

      is_list(value) and value != [] ->
        List.update_at(value, :rand.uniform(length(value)) - 1, &disturb/1)

      true ->
        odd()
    end
  end

  defp disturb_entry(map) do
    {key, value} = one_of(Map.to_list(map))
    if :rand.uniform(8) == 1, do: Map.put(map, odd(), value), else: %{map | key => disturb(value)}
  end

  defp odd do
    one_of([
      nil,
      true,
      :atom,
      -1,
      1.5,
      Integer.pow(10, 400),
      "",
      <<0xFF>>,
      <<1::3>>,
      String.duplicate("long", 50_000),
      [],
      [1 | 2],
      ~c"charlist",
      [title: "keyword"],
      {:a, :tuple},
      %{},
      %{1 => 2},
      %{{} => %{}},
      self(),
      make_ref(),
      &odd/0,
      ~D[2024-01-01],
      ~r/regex/,
      1..3,
      Enum.reduce(1..1_000, [], fn _, inner -> [inner] end)
    ])
  end

  # Checks

  defp check(%Error{kind: :invalid, field: field, message: message} = error) do
    assert field == nil or (String.valid?(field) and String.length(field) < 120)
    assert String.valid?(message) and String.length(message) < 300
    assert is_binary(Exception.message(error))
  end

  defp check(%Message{body: body} = message) do
    assert depth(body) < 10
    assert {:ok, json} = Native.json_encode(body)
    assert Native.json_decode(json) == {:ok, body}

    assert code_points(Map.get(body, "content", "")) <= 2_000
    embeds(Map.get(body, "embeds", []))
    components(Map.get(body, "components", []), body)
    assert length(message.files) <= 10
    assert length(Map.get(body, "attachments", [])) == length(message.files)
    assert body["content"] || body["embeds"] || body["components"] || message.files != []
  end

  defp embeds(embeds) do
    texts =
      for embed <- embeds, {at, limit, text} <- texts(embed) do
        assert code_points(text) <= limit, at
        code_points(text)
      end

    assert Enum.sum(texts) <= 6_000
    assert length(embeds) <= 10
    assert Enum.all?(embeds, &(length(Map.get(&1, "fields", [])) <= 25))
    assert Enum.all?(embeds, &(Map.get(&1, "color", 0) in 0..0xFFFFFF))
  end

  defp texts(embed) do
    fields =
      for field <- Map.get(embed, "fields", []),
          {key, limit} <- [{"name", 256}, {"value", 1_024}],
          do: {key, limit, field[key]}

    fields ++
      for {path, limit} <- [
            {["title"], 256},
            {["description"], 4_096},
            {["footer", "text"], 2_048},
            {["author", "name"], 256}
          ],
          text = get_in(embed, path),
          do: {path, limit, text}
  end

  defp components(components, body) do
    all = every(components)
    v2? = Enum.any?(components, &(&1["type"] != 1))
    assert Bitwise.band(Map.get(body, "flags", 0), 0x8000) == if(v2?, do: 0x8000, else: 0)
    if v2?, do: refute(body["content"] || body["embeds"]), else: assert(length(components) <= 5)
    assert length(all) <= 40
    assert Enum.sum(for %{"content" => text} <- all, do: code_points(text)) <= 4_000
    ids = for %{"custom_id" => id} <- all, do: id
    assert ids == Enum.uniq(ids) and Enum.all?(ids, &(code_points(&1) in 1..100))

    for component <- all do
      assert length(Map.get(component, "options", [])) <= 25
      assert length(Map.get(component, "items", [])) <= 10
      assert code_points(Map.get(component, "label", "")) <= 80
    end
  end

  defp every(components) do
    Enum.flat_map(components, fn component ->
      inner = Map.get(component, "components", []) ++ List.wrap(component["accessory"])
      [component | every(inner)]
    end)
  end

  defp depth(list) when is_list(list), do: 1 + Enum.max(Enum.map(list, &depth/1), fn -> 0 end)
  defp depth(%{} = map), do: map |> Map.values() |> depth()
  defp depth(_leaf), do: 0

  defp code_points(text), do: text |> String.codepoints() |> length()
end

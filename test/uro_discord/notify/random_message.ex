defmodule UroDiscord.Notify.RandomMessage do
  @moduledoc """
  Random messages, most of them near a limit. `:rand.seed/2` decides which.
  """

  @doc "The input of a message that may be accepted or refused."
  @spec message() :: map()
  def message do
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
      expires_in: fn -> one_of([0, 600_000, 31_536_000_000]) end,
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

  @doc "Puts something odd in place of something inside."
  @spec disturb(term()) :: term()
  def disturb(value) do
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
end

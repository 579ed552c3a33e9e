defmodule UroDiscord.Shards.Board.ContentTest do
  use ExUnit.Case, async: true

  alias UroDiscord.Length
  alias UroDiscord.Notify.Message
  alias UroDiscord.Shards.Board.Content

  doctest UroDiscord.Shards.Board.Content
  doctest UroDiscord.Shards.Board.Portals
  doctest UroDiscord.Shards.JoinLink

  @now 1_700_000_000
  @link "https://v-sekai.org/join?shard={id}&name={name}"

  defp world(fields \\ []) do
    %{id: "1", name: "Plaza", map: nil, players: nil, max_players: nil, host: nil, address: nil, port: nil}
    |> Map.merge(Map.new(fields))
  end

  defp embed(worlds, title \\ "Worlds", link \\ @link), do: Content.embed({:current, worlds}, title, link, @now)
  defp names(embed), do: for(field <- embed["fields"], do: field["name"])

  # As Discord counts, for all of an embed.
  defp characters(embed) do
    fields = Enum.flat_map(embed["fields"] || [], &[&1["name"], &1["value"]])
    [embed["title"], embed["description"] | fields] |> Enum.map(&Length.of/1) |> Enum.sum()
  end

  test "the fullest is first; then it goes by name and id, and what is not known is last" do
    worlds = [
      world(id: "1", name: "Unknown"),
      world(id: "2", name: "B", players: 0),
      world(id: "3", name: "C", players: 2),
      world(id: "5", name: "A", players: 2, map: "five"),
      world(id: "4", name: "A", players: 2, map: "four"),
      world(id: "6", name: "Full", players: 9)
    ]

    embed = embed(worlds)
    assert names(embed) == ["Full", "A", "A", "C", "B", "Unknown"]

    assert [_, %{"value" => "**2** players\nmap four" <> _}, %{"value" => "**2** players\nmap five" <> _} | _] =
             embed["fields"]

    for _ <- 1..20, do: assert(embed(Enum.shuffle(worlds)) == embed)
  end

  test "a world with all there is to know, and one with nothing" do
    full =
      world(id: "7/8", players: 3, max_players: 16, map: "plaza_2", host: "Alice", address: "203.0.113.7", port: 7777)

    assert [
             %{
               "name" => "Plaza",
               "value" => value,
               "inline" => true
             },
             %{"name" => "Plaza", "value" => "players not known\n[Join](https://v-sekai.org/join?shard=1&name=Plaza)"}
           ] = embed([full, world()])["fields"]

    assert String.split(value, "\n") == [
             "**3/16** players",
             "map plaza\\_2",
             "host Alice",
             "`203.0.113.7:7777`",
             "[Join](https://v-sekai.org/join?shard=7%2F8&name=Plaza)"
           ]

    assert [%{"value" => "players not known\n`[::1]:7777`"}] =
             embed([world(address: "::1", port: 7777)], "Worlds", nil)["fields"]

    assert [%{"value" => "players not known"}] = embed([world(address: "a`b", port: 7777)], "Worlds", nil)["fields"]
    assert [%{"value" => "**?/16** players"}] = embed([world(max_players: 16)], "Worlds", nil)["fields"]
    assert [%{"value" => "**1** player"}] = embed([world(players: 1)], "Worlds", nil)["fields"]
  end

  test "each state says what it is" do
    worlds = [world(players: 4), world(id: "2")]
    say = fn view -> Content.embed(view, "Worlds", nil, @now) end

    assert %{"description" => "**at least 4 players in 2 worlds**\nupdated <t:1700000000:R>", "fields" => [_, _]} =
             say.({:current, worlds})

    assert say.({:current, []})["description"] == "No world is open.\nupdated <t:1700000000:R>"

    assert %{
             "description" =>
               "Uro has not answered since <t:1699999000:R>. Then there were **at least 4 players in 2 worlds**." <> _
           } = say.({:unreachable, worlds, 1_699_999_000})

    assert say.({:unreachable, [], 1_699_999_000})["description"] =~ "No world was open then."
    assert say.(:unreachable)["description"] =~ "it is not known which worlds are open"
    assert say.(:offline)["description"] =~ "went offline <t:1700000000:R>"
    for view <- [{:current, []}, :unreachable, :offline], do: refute(Map.has_key?(say.(view), "fields"))
  end

  test "25 worlds are listed; of 26, and of 1,000, 24, and the sum of the others" do
    worlds = for n <- 1..1_000, do: world(id: "#{n}", name: "World #{n}", players: n)
    list = fn count -> worlds |> Enum.take(count) |> embed("Worlds", nil) end
    assert list.(25) |> names() |> length() == 25
    refute List.last(names(list.(25))) =~ "more"
    assert length(names(list.(26))) == 25
    assert %{"name" => "and 2 more worlds", "value" => "3 players"} = List.last(list.(26)["fields"])

    assert %{"name" => "and 976 more worlds", "value" => sum} = List.last(list.(1_000)["fields"])
    assert sum == "#{Enum.sum(1..976)} players"
    assert List.first(names(list.(1_000))) == "World 1000"
    assert list.(1_000)["description"] =~ "**500500 players in 1000 worlds**"

    unknown = for n <- 1..30, do: world(id: "#{n}")
    assert %{"name" => "and 6 more worlds", "value" => "\u200B"} = List.last(embed(unknown)["fields"])
    some = [world(id: "0", players: 0) | unknown] |> Enum.map(&%{&1 | name: "A"})
    assert %{"name" => "and 7 more worlds", "value" => "\u200B"} = List.last(embed(some)["fields"])
  end

  test "whatever the texts are, Discord would take it, and nothing in it does anything" do
    evil = [
      "@everyone @here <@1300000000000000003> <@&1300000000000000102> <#1300000000000000200>",
      "**bold** [free nitro](https://evil.example) discord.gg/abc https://evil.example/x",
      "`code` ||spoiler|| > quote\n# heading\n- list",
      String.duplicate("W", 5_000),
      String.duplicate("\u{1F468}\u200D\u{1F469}\u200D\u{1F467}", 500),
      String.duplicate("e" <> String.duplicate("\u0301", 20), 300),
      "\u202Eevil\u202C\u200B\u0000",
      "   ",
      "</join:1300000000000000001> <t:0:R> <:x:1300000000000000001>",
      String.duplicate("*", 3_000)
    ]

    for count <- [1, 10, 24, 25, 26, 1_000], title <- ["W", String.duplicate("\u{1F600}", 100)] do
      worlds =
        for n <- 1..count do
          text = Enum.at(evil, rem(n, length(evil)))

          world(
            id: "#{n} #{String.slice(text, 0, 100)}",
            name: text,
            map: text,
            host: text,
            address: text,
            port: 65_535,
            players: n,
            max_players: 9_007_199_254_740_993
          )
        end

      embed = embed(worlds, title)
      assert {:ok, [message]} = Message.new(embeds: [embed])
      assert message.body["allowed_mentions"] == %{"parse" => []}
      assert characters(embed) <= 6_000
      shown = names(embed) |> Enum.reject(&(&1 =~ ~r/^and \d+ more world/)) |> length()
      assert count == shown or List.last(names(embed)) =~ ~r/^and #{count - shown} more worlds?$/

      # What is left over is room for less than one more.
      if shown < count and shown < 24, do: assert(characters(embed) > 4_500)

      for field <- embed["fields"], text <- [field["name"], field["value"]] do
        # Our own links have their URLs from the configuration.
        text = String.replace(text, ~r/\[Join\]\(https:\/\/v-sekai\.org\/join\?[A-Za-z0-9._~%=&-]*\)/, "")
        refute text =~ ~r/@(everyone|here)|<[@#:\/t]|https?:\/\/|discord\.gg\//
        refute text =~ ~r/(?<!\\)[\[\]`|~]/
        refute text =~ ~r/[\x{202A}-\x{202E}\x{0000}]/u
      end
    end
  end

  test "a link that is too long is left out" do
    assert [%{"value" => "players not known"}] = embed([world(id: String.duplicate("é", 100))])["fields"]
  end
end

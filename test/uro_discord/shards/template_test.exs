defmodule UroDiscord.Shards.TemplateTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Shards.Template

  doctest UroDiscord.Shards.Template

  defp fill(template, shards, limit \\ 128) do
    Template.fill(
      template,
      for(shard <- shards, do: Map.merge(%{name: "Plaza", map: nil, players: nil}, Map.new(shard))),
      limit
    )
  end

  test "counts, with a word or without" do
    assert fill("{players}/{shards}", [[players: 1], [players: 2]]) == "3/2"
    assert fill(Template.default(), []) == "0 players in 0 worlds"
    assert fill(Template.default(), [[players: 1]]) == "1 player in 1 world"
    assert fill(Template.default(), [[players: 2], [players: nil]]) == "2 players in 2 worlds"
    assert fill("{shards:Welt|Welten}: {shards:|s}", [[], []]) == "2 Welten: 2 s"
  end

  test "names and maps, the busiest first and each once" do
    shards = [[name: "A", map: "m", players: 1], [name: "B", map: "n", players: 5], [name: "C", map: "m"], [name: "D"]]
    assert fill("{names}", shards) == "B, A, C, D"
    assert fill("{maps}", shards) == "n, m"
    assert fill("{names}", []) == ""
  end

  test "names are inert, and are no templates" do
    assert fill("at {names}", [[name: "@everyone"], [name: "{players} discord.gg/x"]]) ==
             "at @\u200Beveryone, {players} discord.\u200Bgg/x"

    assert fill("at {names}", [[name: "\u202E\nx"]]) == "at x"
  end

  test "it is cut to its limit" do
    text = fill("{names}", for(n <- 1..1_000, do: [name: "World #{n} 👋"]))
    assert String.starts_with?(text, "World 1 👋, World 2 👋") and String.ends_with?(text, "…")
    assert length(String.codepoints(text)) in 120..128
    assert fill("{players}", [[players: 10]], 1) == "…"
  end

  test "what a template cannot have" do
    for good <- ["", "no braces", Template.default(), "{names} on {maps}", "} {"],
        do: assert(Template.problem(good) == nil)

    for bad <- ["{}", "{player}", "{players:one}", "{names:a|b}", "{players:a|b|c}"],
        do: assert(Template.problem(bad) =~ bad)
  end
end

defmodule UroDiscord.Feeds.CardTest do
  use ExUnit.Case, async: true

  alias UroDiscord.Feeds.{Card, Event}
  alias UroDiscord.{Length, Notify}

  defp embed(change) do
    event =
      struct!(
        %Event{key: "1", position: 1, kind: :release, state: :published, project: "V-Sekai/uro", title: "v1"},
        change
      )

    assert {:ok, [%{body: %{"embeds" => [embed]}}]} = event |> Card.message() |> Notify.Message.new()
    embed
  end

  test "a release text of any letters is one that Discord takes" do
    marks = String.duplicate("\u0301", 6)
    family = "👩‍👩‍👧‍👦"

    for text <- [
          String.duplicate("a" <> marks, 900),
          String.duplicate(family, 5_000),
          String.duplicate("\u1100", 100_000)
        ] do
      description = embed(text: text)["description"]
      assert Length.of(description) in 900..1_000
      assert String.ends_with?(description, "…")
    end
  end

  test "a block of code that is cut is closed" do
    for length <- 950..1_010, fence <- ["```", "```elixir"] do
      text = "Install:\n#{fence}\n" <> String.duplicate("x", length) <> "\n```\n" <> String.duplicate("and so on ", 20)
      description = embed(text: text)["description"]
      assert Length.of(description) <= 1_000
      fences = length(String.split(description, "```")) - 1
      assert rem(fences, 2) == 0, description
    end
  end

  test "the URLs of comparisons keep their link, escaped; what is none is left out" do
    for {url, shown} <- [
          {"https://github.com/o/r/compare/d70c5c6fa638^...000000000000",
           "https://github.com/o/r/compare/d70c5c6fa638%5E...000000000000"},
          {"https://github.com/o/r/compare/a|b...c", "https://github.com/o/r/compare/a%7Cb...c"},
          {"https://x.example/a[b]?q={c}&d=\"e\"", "https://x.example/a%5Bb%5D?q=%7Bc%7D&d=%22e%22"},
          {"https://x.example/ä/100%/%C3%A4#f", "https://x.example/%C3%A4/100%25/%C3%A4#f"},
          {"http://[::1]:8080/a^b", "http://[::1]:8080/a%5Eb"},
          {"https://x.example", "https://x.example"},
          {"javascript:alert(1)", nil},
          {"https:///path", nil},
          {"https://x y/", nil},
          {"https://x.example/" <> String.duplicate("ä", 1_000), nil},
          {"ftp://x.example/", nil},
          {nil, nil}
        ] do
      assert embed(url: url)["url"] == shown
    end
  end

  test "every state looks like something" do
    for state <- Event.states(), do: assert(is_binary(embed(state: state)["title"]))
  end
end

defmodule UroDiscord.Notify.SplitTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Notify.Split

  doctest Split

  @words String.duplicate("word ", 19) <> "word"

  test "text that fits is left as it is, whatever is in it" do
    for text <- ["", " a ", String.duplicate("é", 2_000), "```\n open"] do
      assert Split.split(text) == [text]
      assert Split.truncate(text) == text
    end
  end

  describe "split/2 prefers" do
    # Each has 99 characters before the place where the test wants the cut.
    for {name, text, first, rest} <- [
          {"a paragraph to a line", "#{@words}\n\nOne.\nTwo. #{@words}", @words, "One.\nTwo. "},
          {"a blank line with spaces in it, too", "#{@words}\n \t\nOne.\nTwo. #{@words}", @words, "One.\nTwo. "},
          {"a line to a sentence", "#{@words}\nOne. Two. #{@words}", @words, "One. Two. "},
          {"a sentence to a word", "#{@words}. One two #{@words}", "#{@words}.", "One two "},
          {"a sentence of another script", String.duplicate("字", 90) <> "。" <> String.duplicate("字", 50),
           String.duplicate("字", 90) <> "。", String.duplicate("字", 50)},
          {"a word to a letter", "#{@words} #{String.duplicate("x", 40)} #{@words}", @words, String.duplicate("x", 40)}
        ] do
      test name do
        assert [first | _] = parts = Split.split(unquote(text), 120)
        assert first == unquote(first)
        assert parts |> Enum.drop(1) |> Enum.join(" ") |> String.starts_with?(unquote(rest))
      end
    end

    test "a word to a paragraph that would leave the part half empty" do
      assert ["Short.\n\nword" <> _ | _] = Split.split("Short.\n\n" <> @words <> " " <> @words, 120)
    end
  end

  describe "split/2 does not cut through" do
    for {name, whole} <- [
          {"a mention", "<@1100000000000000001>"},
          {"a role", "<@&1100000000000000001>"},
          {"a custom emoji", "<a:uro_portal:1100000000000000001>"},
          {"a time", "<t:1700000000:R>"},
          {"a slash command", "</world open:1100000000000000001>"},
          {"a link", "https://example.com/a.b/c?d=e,f"},
          {"a named link", "[the new world](https://example.com/a/b)"},
          {"inline code", "`some code here`"}
        ] do
      test name do
        # Whatever stands around it, wherever the limit falls.
        for before <- 60..120,
            filler <- [String.duplicate("x", before), String.duplicate("字。", div(before, 2))] do
          parts = Split.split(filler <> unquote(whole) <> String.duplicate("x", 100), 121)
          assert Enum.count(parts, &String.contains?(&1, unquote(whole))) == 1
        end
      end
    end

    test "a grapheme" do
      family = "👨‍👩‍👧‍👦"
      parts = Split.split(String.duplicate(family, 100), 100)

      assert Enum.all?(
               parts,
               &(&1 == String.duplicate(family, 14) or &1 == String.duplicate(family, 2))
             )

      assert Enum.join(parts) == String.duplicate(family, 100)
    end
  end

  test "what is longer than a part is cut all the same" do
    link = "https://example.com/" <> String.duplicate("a", 300)
    assert Split.split(link, 100) |> Enum.join() == link

    # One letter with 500 accents.
    letter = "e" <> String.duplicate("\u0301", 500)
    parts = Split.split(letter, 100)
    assert Enum.join(parts) == letter
    assert Enum.all?(parts, &(code_points(&1) <= 100))
  end

  test "white space between parts is dropped, and no part is blank" do
    text = @words <> String.duplicate(" \n", 500) <> @words
    assert Split.split(text, 100) == [@words, @words]
    assert Split.split("\n\n" <> @words <> "\n" <> @words <> "\n\n", 100) == [@words, @words]
  end

  describe "a code block" do
    @line "IO.puts(:hello)"

    test "is closed and opened again, with its language, and keeps its indentation" do
      lines = for n <- 1..20, do: String.duplicate(" ", rem(n, 5)) <> @line
      text = "Look:\n```elixir\n" <> Enum.join(lines, "\n") <> "\n```\nThat was it."
      parts = Split.split(text, 120)
      assert Enum.all?(parts, &(code_points(&1) <= 120))
      assert Enum.all?(parts, &(&1 |> String.split("```") |> length() |> rem(2) == 1))
      assert ["Look:\n```elixir\n" <> _ | rest] = parts
      assert Enum.all?(rest, &String.starts_with?(&1, "```elixir\n"))

      assert parts
             |> Enum.map_join("\n", &String.replace(&1, ~r/```(elixir\n)?/, ""))
             |> String.split("\n")
             |> Enum.reject(&(&1 == "")) == ["Look:"] ++ lines ++ ["That was it."]
    end

    test "begins with the next part where text before it can be a part of its own" do
      code = "```\nsome code\nand some more\n```"
      assert Split.split(@words <> "\n" <> code, 120) == [@words, code]
    end

    test "is not left empty at a cut" do
      code = "```rust\n" <> String.duplicate("x", 300) <> "\n```"

      for before <- 1..120 do
        for part <- Split.split(String.duplicate("y", before) <> " " <> code <> " end", 120) do
          refute part =~ ~r/```(rust)?\s*```/
        end
      end
    end

    test "that nobody closes is text" do
      text = "```\n" <> @words <> " " <> @words
      assert [_, _] = parts = Split.split(text, 120)
      assert Enum.join(parts, " ") == text
    end

    test "without a language, or with something else in its first line" do
      assert [_, "```\nb" <> _ | _] =
               Split.split(
                 "```\n" <>
                   String.duplicate("a", 100) <> "\n" <> String.duplicate("b", 100) <> "```",
                 120
               )

      assert [_, "```\nb" <> _ | _] =
               Split.split(
                 "```not a language\n" <>
                   String.duplicate("a", 90) <> "\n" <> String.duplicate("b", 100) <> "```",
                 120
               )
    end
  end

  describe "truncate/2" do
    test "cuts at a grapheme and fills the limit" do
      assert Split.truncate(String.duplicate("字", 101), 100) == String.duplicate("字", 99) <> "…"

      family = "👨‍👩‍👧‍👦"

      assert Split.truncate(String.duplicate(family, 20), 100) ==
               String.duplicate(family, 14) <> "…"
    end

    test "cuts before a mention and closes a code block" do
      text = String.duplicate("x", 90) <> "<@1100000000000000001>"
      assert Split.truncate(text, 100) == String.duplicate("x", 90) <> "…"

      text = "a\n```elixir\n" <> String.duplicate("x", 200) <> "\n```"

      assert Split.truncate(text, 100) ==
               "a\n```elixir\n" <> String.duplicate("x", 83) <> "…\n```"
    end

    test "drops white space first" do
      assert Split.truncate(String.duplicate(" ", 200) <> "a", 100) == "a"

      assert Split.truncate(String.duplicate("a ", 60), 100) ==
               String.trim(String.duplicate("a ", 50)) <> "…"
    end
  end

  describe "with random text" do
    @pieces [
              "word",
              "a",
              "Sentence.",
              "\n",
              "\n\n",
              "  ",
              "字字字",
              "。",
              "👨‍👩‍👧‍👦",
              "e\u0301",
              "<@1100000000000000001>"
            ] ++
              [
                "https://example.com/a",
                "[b](https://b.c)",
                "`code`",
                # Never with a word right behind it: that would be a language.
                "``` ",
                "```elixir\n",
                "\n```\n",
                "\r\n",
                "|",
                "…"
              ]

    defp random_text(pieces) do
      1..:rand.uniform(400)
      |> Enum.map_join(fn _ ->
        separator = Enum.random(["", " ", " ", "\n"])
        separator <> String.duplicate(Enum.random(pieces), Enum.random([1, 1, 1, 1, 1, 2, 9]))
      end)
    end

    setup do
      # Again with `mix test --seed`.
      :rand.seed(:exsss, ExUnit.configuration()[:seed])
      :ok
    end

    test "every part fits, none is blank, and nothing but white space is lost" do
      for _ <- 1..300 do
        limit = Enum.random([100, 137, 500])
        text = random_text(@pieces)
        parts = Split.split(text, limit)
        assert Enum.all?(parts, &(code_points(&1) <= limit)), inspect({text, limit})
        if String.trim(text) != "", do: refute(Enum.any?(parts, &(String.trim(&1) == "")))
        assert visible(Enum.join(parts, "\n")) == visible(text), inspect({text, limit})
        if closed?(text), do: assert(Enum.all?(parts, &closed?/1), inspect({text, limit}))
      end
    end

    test "every word is whole, in its order" do
      # No word is longer than a part, and none hides in a fence.
      pieces = for piece <- @pieces, not String.contains?(piece, "```"), do: piece <> " "

      for _ <- 1..300 do
        text = random_text(["```elixir\nx = 1\n\ny = 2\n``` " | pieces])
        parts = Split.split(text, 300)
        assert words(Enum.join(parts, "\n")) == words(text), text
      end
    end

    test "what is shortened fits, is a beginning, and leaves no code block open" do
      for _ <- 1..300 do
        limit = Enum.random([100, 137, 500])
        text = random_text(@pieces)
        short = Split.truncate(text, limit)
        assert code_points(short) <= limit, inspect({text, limit})
        if closed?(text), do: assert(closed?(short), inspect({text, limit}))

        if short != text and short != String.trim(text) do
          kept = short |> String.replace(~r/…(\n```)?\z/, "")
          assert String.starts_with?(String.trim(text), kept), inspect({text, limit})
        end
      end
    end
  end

  defp code_points(text), do: text |> String.codepoints() |> length()

  defp closed?(text), do: text |> :binary.matches("```") |> length() |> rem(2) == 0

  # Without the characters that a cut through a code block may add.
  defp visible(text), do: String.replace(text, ~r/[`elixr\s]/u, "")
  defp words(text), do: text |> String.replace(~r/```(elixir\n)?/, " ") |> String.split()
end

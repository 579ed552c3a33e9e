defmodule UroDiscord.DocsTest do
  # What the documents show as Elixir is Elixir, and each block that begins ends.
  use ExUnit.Case, async: true

  @files ["README.md" | Path.wildcard("docs/*.md")]

  for file <- @files do
    @external_resource file

    test "the blocks of #{file}" do
      blocks = unquote(file) |> File.read!() |> blocks()

      for {number, "elixir", text} <- blocks,
          do: assert(parsed?(text), "the block at #{unquote(file)}:#{number} is no Elixir:\n#{text}")
    end
  end

  test "a block that does not end, and what is no Elixir, are found" do
    assert blocks("a\n```elixir\nx = 1\n```\nb\n  ```\n  y\n  ```\n") == [{2, "elixir", "x = 1\n"}, {6, "", "  y\n"}]
    assert_raise ExUnit.AssertionError, ~r/line 1 does not end/, fn -> blocks("```elixir\nx = 1\n") end
    assert_raise ExUnit.AssertionError, ~r/line 3/, fn -> blocks("```elixir\nx = 1\n```text\ny\n```\n") end
    for text <- ["config :a, b: [\n  …\n]", "b: [c: 1]", "{…, \"…\"}"], do: assert(parsed?(text), text)
    for text <- ["b: [", "[name: 1,, 2]", "end"], do: refute(parsed?(text), text)
  end

  # Each with the line that it begins at, and its language.
  defp blocks(text) do
    {blocks, open} =
      text
      |> String.split("\n")
      |> Enum.with_index(1)
      |> Enum.reduce({[], nil}, fn {line, number}, {blocks, open} ->
        case {String.trim(line), open} do
          {"```" <> language, nil} ->
            {blocks, {number, language, ""}}

          {"```", block} ->
            {[block | blocks], nil}

          {"```" <> language, {begun, _, _}} ->
            flunk("line #{number} begins a block (#{language}) within that of line #{begun}")

          {_line, nil} ->
            {blocks, nil}

          {_line, {begun, language, before}} ->
            {blocks, {begun, language, before <> line <> "\n"}}
        end
      end)

    if open, do: flunk("the block of line #{elem(open, 0)} does not end")
    Enum.reverse(blocks)
  end

  # What is left out is a "…"; some blocks are the inside of a list.
  defp parsed?(text) do
    text = text |> String.replace(~r/(?<![\w"])…(?![\w"])/u, "left_out")
    Enum.any?([text, "[#{text}\n]"], &match?({:ok, _quoted}, Code.string_to_quoted(&1)))
  end
end

defmodule UroDiscord.Notify.Split do
  @moduledoc """
  Long text as several messages, or shortened to one.

  A cut goes, where it can, between paragraphs, lines, sentences or words, in this order, and else between graphemes. It does
  not go through a mention, a custom emoji, a link or inline code, unless one is longer than a message. A code block that is
  cut ends with its part and begins again, in its language, with the next.
  """

  alias UroDiscord.Notify.Message.Shape

  @limit 2_000
  # What ends a code block: a line break and the fence.
  @closing "\n```"
  # A limit must have room for a fence, a language and some text.
  @least 100

  @typep span :: {non_neg_integer(), pos_integer()}
  @typep marks :: %{fences: [map()], fence_spans: [span()], spans: [span()]}

  @doc """
  The text as parts of at most `limit` characters (Unicode code points). White space where it was cut is dropped, as Discord would
  drop it.

      iex> text = String.duplicate("Some words. ", 10) <> "\\n\\nAnother paragraph."
      iex> UroDiscord.Notify.Split.split(text, 130)
      [String.trim(String.duplicate("Some words. ", 10)), "Another paragraph."]

      iex> code = "```elixir\\n" <> String.duplicate("IO.puts(:hello)\\n", 8) <> "```"
      iex> [first, second] = UroDiscord.Notify.Split.split(code, 120)
      iex> {String.ends_with?(first, "IO.puts(:hello)\\n```"), second}
      {true, "```elixir\\nIO.puts(:hello)\\nIO.puts(:hello)\\n```"}
  """
  @spec split(String.t(), pos_integer()) :: [String.t()]
  def split(text, limit \\ @limit) when limit >= @least do
    if fits?(text, limit) do
      [text]
    else
      text = String.trim(text)
      parts(text, 0, marks(text), limit)
    end
  end

  @doc """
  The beginning of the text, with an ellipsis, when it has more than `limit` characters.

      iex> UroDiscord.Notify.Split.truncate("Hello!", 100)
      "Hello!"

      iex> "```\\n" <> code = UroDiscord.Notify.Split.truncate("```\\n" <> String.duplicate("x", 200) <> "```", 100)
      iex> code
      String.duplicate("x", 91) <> "…\\n```"
  """
  @spec truncate(String.t(), pos_integer()) :: String.t()
  def truncate(text, limit \\ @limit) when limit >= @least do
    trimmed = String.trim(text)

    cond do
      fits?(text, limit) ->
        text

      fits?(trimmed, limit) ->
        trimmed

      true ->
        marks = marks(trimmed)
        cut = hard_cut(trimmed, 0, offset(trimmed, limit - 1 - reserve(marks)), marks)
        slice(trimmed, 0, cut) <> "…" <> closing(marks, cut)
    end
  end

  # All places in the text are byte offsets into it.

  defp parts(text, from, marks, limit) do
    opening = opening(marks, from)
    room = limit - Shape.code_points(opening)
    rest = binary_part(text, from, byte_size(text) - from)

    if fits?(rest, room) do
      [opening <> rest]
    else
      cut = cut(text, from, from + offset(rest, room - reserve(marks)), marks)
      part = opening <> slice(text, from, cut) <> closing(marks, cut)
      [part | parts(text, next(text, cut, marks), marks, limit)]
    end
  end

  defp slice(text, from, to), do: text |> binary_part(from, to - from) |> String.trim_trailing()

  # Where the part that begins at `from` ends, at `most` or before.
  defp cut(text, from, most, marks) do
    # Two more bytes or characters, to see the white space that begins at `most`.
    rest = binary_part(text, most, byte_size(text) - most)
    window = binary_part(text, from, most - from + offset(rest, 2))
    half = from + div(most - from, 2)
    marks = near(marks, from, most)

    free = fn regex, from ->
      for [{at, _length}] <- Regex.scan(regex, window, return: :index),
          at = at + from,
          at > from and at <= most and free?(marks, at),
          do: at
    end

    paragraphs = free.(~r/(?=\n[ \t\r]*\n)/, from)
    lines = free.(~r/(?=\r?\n)/, from)
    outside = &(fence(marks, &1) == nil)

    late(Enum.filter(paragraphs, outside), half) || late(Enum.filter(lines, outside), half) ||
      late(paragraphs, half) || late(lines, half) ||
      late(free.(~r/(?<=[.!?…])(?=\s)|(?<=[。！？])/u, from), half) ||
      late(free.(~r/(?<=\S)(?=\s)/u, from), from) ||
      hard_cut(text, from, most, marks)
  end

  defp late(places, least), do: places |> Enum.filter(&(&1 >= least)) |> List.last()

  defp hard_cut(text, from, most, marks) do
    # With one character more, which tells whether a grapheme ends at `most`.
    after_most = offset(binary_part(text, most, byte_size(text) - most), 1)
    window = binary_part(text, from, most - from + after_most)

    case graphemes(most - from, window, 0) do
      # One grapheme that is longer than a part.
      0 -> most
      # Rather through a link than through a fence, where not even that can be had.
      size -> before(marks.spans, from, from + size) || before(marks.fence_spans, from, from + size) || from + size
    end
  end

  # The size of as many graphemes as go into `most` bytes.
  defp graphemes(most, rest, size) do
    case String.next_grapheme(rest) do
      {grapheme, rest} when size + byte_size(grapheme) <= most ->
        graphemes(most, rest, size + byte_size(grapheme))

      _ ->
        size
    end
  end

  # The last place up to `at` that is in no span, if there is one.
  defp before(spans, from, at) do
    case Enum.find(spans, fn {first, last} -> first < at and at < last end) do
      nil -> at
      {first, _last} when first > from -> before(spans, from, first)
      _first -> nil
    end
  end

  # Where the next part begins. In code only the one line break or space goes: what follows is indentation.
  defp next(text, cut, marks) do
    rest = binary_part(text, cut, byte_size(text) - cut)
    white = if fence(marks, cut), do: ~r/\A(\r?\n|[ \t])?/, else: ~r/\A\s*/u
    [{0, size} | _] = Regex.run(white, rest, return: :index)
    cut + size
  end

  defp fits?(text, limit), do: offset(text, limit) == byte_size(text)

  # The offset of the character after the first `count`, or of the end.
  defp offset(text, count), do: offset(text, count, 0)
  defp offset(_text, 0, offset), do: offset
  defp offset(<<>>, _count, offset), do: offset

  defp offset(<<character::utf8, rest::binary>>, count, offset),
    do: offset(rest, count - 1, offset + byte_size(<<character::utf8>>))

  @spec marks(String.t()) :: marks()
  defp marks(text) do
    fences = fences(text)

    # A cut just inside a fence would leave an empty code block.
    around = Enum.flat_map(fences, &[{&1.open, &1.body + 1}, {&1.last, &1.close}])

    %{fences: fences, fence_spans: around, spans: around ++ unbroken(text)}
  end

  # Code blocks: a fence and the next one are a pair, and one that is left over is only text.
  defp fences(text) do
    text
    |> :binary.matches("```")
    |> Enum.map(&elem(&1, 0))
    |> Enum.chunk_every(2, 2, :discard)
    |> Enum.map(fn [open, close] ->
      inner = binary_part(text, open + 3, close - open - 3)

      {language, skipped} =
        case Regex.run(~r/\A([A-Za-z0-9_+\-.#]{0,40})\r?\n/, inner) do
          [line, language] -> {language, byte_size(line)}
          nil -> {"", 0}
        end

      body = open + 3 + skipped
      code = text |> binary_part(body, close - body) |> String.trim_trailing()
      body_end = body + byte_size(code)
      last = body_end - byte_size(String.last(code) || "")

      %{
        open: open,
        language: language,
        body: body,
        last: last,
        body_end: body_end,
        close: close + 3
      }
    end)
  end

  # What is in angle brackets: https://discord.com/developers/docs/reference#message-formatting. The lengths bound the search.
  defp unbroken(text) do
    ~r"""
    </[^<>\n]{1,120}> | <[^<>\s]{1,120}>
    | https?://[^\s<>]{1,1900}
    | \[[^\[\]\n]{1,200}\]\([^()\s]{1,1000}\)
    | (?<!`)`(?!`) [^`\n]{1,200} `(?!`)
    """ux
    |> Regex.scan(text, return: :index)
    |> Enum.map(fn [{at, size}] -> {at, at + size} end)
  end

  # Those that a cut between two places could meet; a long text has many.
  defp near(marks, from, to) do
    meets? = fn {first, last} -> first < to and from < last end

    %{
      fences: Enum.filter(marks.fences, &meets?.({&1.open, &1.close})),
      fence_spans: Enum.filter(marks.fence_spans, meets?),
      spans: Enum.filter(marks.spans, meets?)
    }
  end

  defp free?(marks, at),
    do: not Enum.any?(marks.spans, fn {first, last} -> first < at and at < last end)

  defp fence(marks, at), do: Enum.find(marks.fences, &(&1.body < at and at < &1.body_end))

  defp reserve(%{fences: []}), do: 0
  defp reserve(_marks), do: Shape.code_points(@closing)

  defp closing(marks, at), do: if(fence(marks, at), do: @closing, else: "")

  defp opening(marks, at) do
    case fence(marks, at) do
      nil -> ""
      fence -> "```#{fence.language}\n"
    end
  end
end

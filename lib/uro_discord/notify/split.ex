defmodule UroDiscord.Notify.Split do
  @moduledoc """
  Long text as several messages, or shortened to one.

  A cut goes, where it can, between paragraphs, lines, sentences or words, in this order, and else between graphemes. It
  does not go through a mention, a custom emoji, a link or inline code, unless one is longer than a message. A code block
  that is cut ends with its part and begins again, in its language, with the next.
  """

  alias UroDiscord.Length
  alias UroDiscord.Notify.Split.Marks

  @limit 2_000
  # A limit must have room for two fences, a language and some text.
  @least 100

  @doc """
  The text as parts of at most `limit` characters (Unicode code points). White space where it was cut is dropped, as
  Discord would drop it.

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
    if Length.fits?(text, limit) do
      [text]
    else
      text = String.trim(text)
      parts(text, 0, Marks.new(text), limit)
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
      Length.fits?(text, limit) ->
        text

      Length.fits?(trimmed, limit) ->
        trimmed

      true ->
        marks = Marks.new(trimmed)
        cut = hard_cut(trimmed, 0, Length.offset(trimmed, limit - 1 - Marks.reserve(marks)), marks)
        slice(trimmed, 0, cut) <> "…" <> Marks.closing(marks, cut)
    end
  end

  # All places in the text are byte offsets into it.

  defp parts(text, from, marks, limit) do
    opening = Marks.opening(marks, from)
    room = limit - Length.of(opening)
    rest = rest(text, from)

    if Length.fits?(rest, room) do
      [opening <> rest]
    else
      cut = cut(text, from, from + Length.offset(rest, room - Marks.reserve(marks)), marks)
      part = opening <> slice(text, from, cut) <> Marks.closing(marks, cut)
      [part | parts(text, next(text, cut, marks), marks, limit)]
    end
  end

  # Where the part that begins at `from` ends, at `most` or before.
  defp cut(text, from, most, marks) do
    marks = Marks.near(marks, from, most)
    # With two characters more, to see the white space that begins at `most`.
    window = binary_part(text, from, most - from + Length.offset(rest(text, most), 2))
    half = from + div(most - from, 2)
    paragraphs = places(~r/(?=\n[ \t\r]*\n)/, window, from, most, marks)
    lines = places(~r/(?=\r?\n)/, window, from, most, marks)
    not_code = &Enum.reject(&1, fn at -> Marks.code?(marks, at) end)

    last(not_code.(paragraphs), half) || last(not_code.(lines), half) ||
      last(paragraphs, half) || last(lines, half) ||
      ~r/(?<=[.!?…])(?=\s)|(?<=[。！？])/u |> places(window, from, most, marks) |> last(half) ||
      ~r/(?<=\S)(?=\s)/u |> places(window, from, most, marks) |> last(from) ||
      hard_cut(text, from, most, marks)
  end

  # The places that a pattern allows.
  defp places(pattern, window, from, most, marks) do
    for [{at, _none}] <- Regex.scan(pattern, window, return: :index),
        at = from + at,
        at > from and at <= most and Marks.free?(marks, at),
        do: at
  end

  defp last(places, least), do: places |> Enum.filter(&(&1 >= least)) |> List.last()

  # Between graphemes.
  defp hard_cut(text, from, most, marks) do
    # With one character more, which tells whether a grapheme ends at `most`.
    window = binary_part(text, from, most - from + Length.offset(rest(text, most), 1))

    case graphemes(window, most - from, 0) do
      # One grapheme that is longer than a part.
      0 -> most
      size -> Marks.last_free(marks, from, from + size)
    end
  end

  # The size of as many graphemes as go into `most` bytes.
  defp graphemes(text, most, size) do
    case String.next_grapheme(text) do
      {grapheme, rest} when size + byte_size(grapheme) <= most ->
        graphemes(rest, most, size + byte_size(grapheme))

      _ ->
        size
    end
  end

  # Where the next part begins. In code only the one line break or space goes: what follows is indentation.
  defp next(text, cut, marks) do
    white = if Marks.code?(marks, cut), do: ~r/\A(\r?\n|[ \t])?/, else: ~r/\A\s*/u
    [{0, size} | _] = Regex.run(white, rest(text, cut), return: :index)
    cut + size
  end

  defp slice(text, from, to), do: text |> binary_part(from, to - from) |> String.trim_trailing()
  defp rest(text, from), do: binary_part(text, from, byte_size(text) - from)
end

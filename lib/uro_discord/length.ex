defmodule UroDiscord.Length do
  @moduledoc false
  # How long a text is for Discord: every limit of theirs is one of Unicode code points ("our API calculates length based on the number of
  # codepoints", says an engineer of theirs in https://github.com/discord/discord-api-docs/issues/1315). Not graphemes, as
  # `String.length/1` has them: the emoji of a family is one of these, and up to seven code points; a letter with a thousand marks is one, too.
  # Nor the UTF-16 units of JavaScript, nor bytes. Everything that compares a text with a limit of Discord's does it here.

  @ellipsis "…"
  # No honest grapheme is longer; a row of a thousand Hangul initials is one.
  @longest_grapheme 64

  @doc """
  The length of valid UTF-8.

      iex> for text <- ["Plaza", "é", "👋", "👩‍🚀", "e\\u0301"], do: UroDiscord.Length.of(text)
      [5, 1, 1, 3, 2]
  """
  @spec of(String.t()) :: non_neg_integer()
  def of(text), do: of(text, 0)

  defp of(<<_::utf8, rest::binary>>, count), do: of(rest, count + 1)
  defp of(<<>>, count), do: count

  @doc "Whether a text has at most `limit` characters; looks at no more of it than that."
  @spec fits?(String.t(), non_neg_integer()) :: boolean()
  def fits?(text, limit), do: offset(text, limit) == byte_size(text)

  @doc """
  How many bytes the first `count` characters have, or all of them if there are fewer.

      iex> UroDiscord.Length.offset("aé👋!", 3)
      7
  """
  @spec offset(String.t(), non_neg_integer()) :: non_neg_integer()
  def offset(text, count), do: offset(text, count, 0)

  defp offset(<<character::utf8, rest::binary>>, count, offset) when count > 0,
    do: offset(rest, count - 1, offset + byte_size(<<character::utf8>>))

  defp offset(_text, _count, offset), do: offset

  @doc """
  As much of a text as goes into `limit` characters, cut between graphemes, with an ellipsis if that is not all. With `form`
  each grapheme goes in as that makes it.

      iex> UroDiscord.Length.cut("Plaza", 5)
      "Plaza"
      iex> UroDiscord.Length.cut("The Plaza", 5)
      "The…"
      iex> UroDiscord.Length.cut("a_b", 3, &String.replace(&1, "_", "\\\\_"))
      "a…"
  """
  @spec cut(String.t(), pos_integer(), (String.t() -> String.t())) :: String.t()
  def cut(text, limit, form \\ & &1) do
    # What comes after so many characters can only be what is cut off.
    text |> binary_part(0, offset(text, limit + 1)) |> graphemes() |> take(limit, form, 0, [], [])
  end

  # `taken` is what goes in, the last first, and `short` so much of it as leaves room for the ellipsis.
  defp take([grapheme | rest], limit, form, length, taken, short) do
    piece = form.(grapheme)
    length = length + of(piece)
    taken = [piece | taken]

    cond do
      length > limit -> (short |> join() |> String.trim_trailing()) <> @ellipsis
      length < limit -> take(rest, limit, form, length, taken, taken)
      true -> take(rest, limit, form, length, taken, short)
    end
  end

  defp take([], _limit, _form, _length, taken, _short), do: join(taken)

  defp join(pieces), do: pieces |> Enum.reverse() |> IO.iodata_to_binary()

  # What is longer than any honest grapheme is taken apart, at once and whole: looking for the next one inside of it, again and again, would
  # be quadratic.
  defp graphemes(text) do
    case String.next_grapheme(text) do
      nil -> []
      {long, rest} when byte_size(long) > @longest_grapheme -> String.codepoints(long) ++ graphemes(rest)
      {grapheme, rest} -> [grapheme | graphemes(rest)]
    end
  end
end

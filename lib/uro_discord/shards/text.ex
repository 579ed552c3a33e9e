defmodule UroDiscord.Shards.Text do
  @moduledoc """
  Text of strangers, made fit to be shown in Discord. Whoever can reach Uro chooses a shard's name, map and host.

    * `markdown/2`: for what Discord renders: content, and the titles, fields and descriptions of embeds;
    * `plain/2`: for what it shows as it is: presence, and an embed's footer and author;
    * `clean/2`: for ourselves: legible, but not yet inert in Discord. The shards of `UroDiscord.Shards` are that.

  All of them are one line of valid UTF-8 without control, zero-width, bidi and private-use characters, with at most three marks
  on a character, and of at most `limit` UTF-16 code units (so that it fits whether a limit counts those or code points), cut
  between graphemes. In the first two no mention, link, invite, custom emoji or time is left whole; a zero-width space of ours
  stands in each. They may come out empty.
  """

  @zero_width_space "\u200B"
  @ellipsis "…"

  # What Discord's markdown gives a meaning, anywhere or at the start of a line. An escape may be put before any punctuation.
  @special ["\\", "*", "_", "~", "`", "|", "<", ">", "[", "]", "(", ")", "#", "-", "+", ":", "@", "/", "."]

  # A zero-width space goes behind each of these: mentions and emails; `<@`, `<#`, `<:emoji:`, `</command`, `<t:`, `<a:`, `<id:`;
  # any scheme; masked links; discord.gg/… and what else looks like a host with a path.
  @breaks ~S"@(?=\S) | <(?=[@\#:/tai]) | :(?=//) | \](?=\() | \.(?=[^\s/]{1,253}/)"

  # These have no width or no ink, though Unicode does not count them among formats and spaces: fillers, variation selectors
  # (but for the one that makes an emoji of a character), the Braille blank; noncharacters, and the replacement character.
  @removed "\\p{Cf}\\p{Co}\\x{034F}\\x{115F}\\x{1160}\\x{17B4}\\x{17B5}\\x{180B}-\\x{180F}\\x{3164}\\x{FE00}-\\x{FE0E}\\x{FFA0}" <>
             "\\x{FDD0}-\\x{FDEF}\\x{FFF0}-\\x{FFFF}\\x{E0000}-\\x{E0FFF}\\x{13430}-\\x{1345F}"

  @doc """
  Inert text that reads as it was written, where Discord renders markdown.

      iex> UroDiscord.Shards.Text.markdown("**Plaza**", 100)
      ~S(\\*\\*Plaza\\*\\*)
      iex> UroDiscord.Shards.Text.markdown("@everyone", 100)
      "\\\\@\\u200Beveryone"
      iex> UroDiscord.Shards.Text.markdown("a_b_c_d", 6)
      ~S(a\\_b…)
  """
  @spec markdown(String.t(), pos_integer()) :: String.t()
  def markdown(text, limit), do: text |> scrub(limit) |> break() |> cut(limit, &escape/1)

  @doc """
  Inert text for where Discord renders no markdown.

      iex> UroDiscord.Shards.Text.plain("V-Sekai *Plaza*", 100)
      "V-Sekai *Plaza*"
      iex> UroDiscord.Shards.Text.plain("discord.gg/abc", 100)
      "discord.\\u200Bgg/abc"
  """
  @spec plain(String.t(), pos_integer()) :: String.t()
  def plain(text, limit), do: text |> scrub(limit) |> break() |> cut(limit, & &1)

  @doc """
  Legible text.

      iex> UroDiscord.Shards.Text.clean("  Plaza\\n\\u202Eby\\u200B night ", 100)
      "Plaza by night"
  """
  @spec clean(String.t(), pos_integer()) :: String.t()
  def clean(text, limit), do: text |> scrub(limit) |> cut(limit, & &1)

  # Looks at so much of a text as its result could need, were each character a long one, and not at all of a huge one.
  defp scrub(text, limit) do
    text = binary_part(text, 0, min(byte_size(text), 32 * limit))
    # Most texts are ASCII, and most of those are clean.
    if text =~ ~r/\A(?:[!-~]+(?: [!-~]+)*)?\z/, do: text, else: scrub(text)
  end

  defp scrub(text) do
    text
    |> valid()
    |> String.replace(~r/[\p{Cc}\p{Z}\s\x{2800}]+/u, " ")
    |> String.replace(~r/[#{@removed}]/u, "")
    # Marks that stand on nothing, and those that are piled up.
    |> String.replace(~r/(?:^|(?<= ))\p{M}+/u, "")
    |> String.replace(~r/(\p{M}{3})\p{M}+/u, "\\1")
    |> String.replace(~r/ +/, " ")
    |> String.trim()
  end

  # Without the bytes that are none of a character.
  defp valid(text) do
    if String.valid?(text),
      do: text,
      else: text |> String.chunk(:valid) |> Enum.filter(&String.valid?/1) |> Enum.join()
  end

  defp break(text), do: String.replace(text, ~r/#{@breaks}/xu, "\\0" <> @zero_width_space)

  defp escape(grapheme), do: String.replace(grapheme, @special, &("\\" <> &1))

  @doc false
  # Only cuts: for what we have made ourselves.
  @spec cut(String.t(), pos_integer()) :: String.t()
  def cut(text, limit), do: cut(text, limit, & &1)

  # As many graphemes, each in its shown form, as go into the limit; with an ellipsis if that is not all.
  defp cut(text, limit, form), do: cut(text, limit, form, 0, "", "")

  # `whole` is what was taken, `short` so much of it as leaves room for the ellipsis.
  defp cut(text, limit, form, size, whole, short) do
    case next(text) do
      nil ->
        whole

      {piece, rest} ->
        piece = form.(piece)
        size = size + units(piece)
        whole = whole <> piece

        cond do
          size > limit -> String.trim_trailing(short) <> @ellipsis
          size < limit -> cut(rest, limit, form, size, whole, whole)
          true -> cut(rest, limit, form, size, whole, short)
        end
    end
  end

  # A grapheme has no longest length: a row of a thousand Hangul initials is one. What is longer than any honest one is taken
  # apart.
  @longest_grapheme 64

  defp next(text) do
    case String.next_grapheme(text) do
      {grapheme, _rest} when byte_size(grapheme) > @longest_grapheme -> String.next_codepoint(text)
      next -> next
    end
  end

  defp units(text), do: units(text, 0)
  defp units(<<character::utf8, rest::binary>>, count) when character > 0xFFFF, do: units(rest, count + 2)
  defp units(<<_::utf8, rest::binary>>, count), do: units(rest, count + 1)
  defp units(<<>>, count), do: count
end

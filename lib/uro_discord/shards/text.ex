defmodule UroDiscord.Shards.Text do
  @moduledoc """
  Text of strangers, made fit to be shown in Discord. Whoever can reach Uro chooses a shard's name, map and host.

    * `markdown/2`: for what Discord renders: content, and the titles, fields and descriptions of embeds;
    * `plain/2`: for what it shows as it is: presence, and an embed's footer and author;
    * `clean/2`: for ourselves: legible, but not yet inert in Discord. The shards of `UroDiscord.Shards` are that.

  All of them are one line of valid UTF-8 without control, zero-width, bidi and private-use characters, with at most three marks
  on a character, and of at most `limit` characters as Discord counts them (`UroDiscord.Length`), cut between graphemes. Whatever is
  in a text, the work is in proportion to the limit. In the first two no mention, link, invite, custom emoji or time is left whole; a
  zero-width space of ours stands in each. They may come out empty.
  """

  alias UroDiscord.Length

  @zero_width_space "\u200B"

  # What Discord's markdown gives a meaning, anywhere or at the start of a line. An escape may be put before any punctuation.
  @special ~c"\\*_~`|<>[]()#-+:@/."

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
  def markdown(text, limit), do: text |> scrub(limit) |> break() |> Length.cut(limit, &escape/1)

  @doc """
  Inert text for where Discord renders no markdown.

      iex> UroDiscord.Shards.Text.plain("V-Sekai *Plaza*", 100)
      "V-Sekai *Plaza*"
      iex> UroDiscord.Shards.Text.plain("discord.gg/abc", 100)
      "discord.\\u200Bgg/abc"
  """
  @spec plain(String.t(), pos_integer()) :: String.t()
  def plain(text, limit), do: text |> scrub(limit) |> break() |> Length.cut(limit)

  @doc """
  Legible text.

      iex> UroDiscord.Shards.Text.clean("  Plaza\\n\\u202Eby\\u200B night ", 100)
      "Plaza by night"
  """
  @spec clean(String.t(), pos_integer()) :: String.t()
  def clean(text, limit), do: text |> scrub(limit) |> Length.cut(limit)

  # Looks at twice as many bytes as its result could have, and not at all of a huge text.
  defp scrub(text, limit) do
    text = binary_part(text, 0, min(byte_size(text), 8 * limit))
    # Most texts are ASCII, and most of those are clean.
    if text =~ ~r/\A(?:[!-~]+(?: [!-~]+)*)?\z/, do: text, else: scrub(text)
  end

  defp scrub(text) do
    text
    |> valid()
    |> String.replace(~r/[\p{Cc}\p{Z}\s\x{2800}]+/u, " ")
    |> String.replace(unseen(), "")
    # Marks that stand on nothing, and those that are piled up.
    |> String.replace(~r/(?:^|(?<= ))\p{M}+/u, "")
    |> String.replace(~r/(\p{M}{3})\p{M}+/u, "\\1")
    |> String.replace(~r/ +/, " ")
    |> String.trim()
  end

  # These have no width or no ink, though Unicode does not count them among formats and spaces: fillers, variation selectors
  # (but for the one that makes an emoji of a character), the Braille blank; noncharacters, and the replacement character.
  defp unseen do
    ~r/[\p{Cf}\p{Co}\x{034F}\x{115F}\x{1160}\x{17B4}\x{17B5}\x{180B}-\x{180F}\x{3164}\x{FE00}-\x{FE0E}\x{FFA0}\x{FDD0}-\x{FDEF}\x{FFF0}-\x{FFFF}\x{E0000}-\x{E0FFF}\x{13430}-\x{1345F}]/u
  end

  # Without the bytes that are none of a character.
  defp valid(text) do
    if String.valid?(text),
      do: text,
      else: text |> String.chunk(:valid) |> Enum.filter(&String.valid?/1) |> Enum.join()
  end

  # A zero-width space goes behind each of these: the dots of discord.gg/… and of what else looks like a host with a path (each word is
  # looked at once); mentions and emails; `<@`, `<#`, `<:emoji:`, `</command`, `<t:`, `<a:`, `<id:`; any scheme; masked links.
  defp break(text) do
    text =
      Regex.replace(
        ~r/(?<![^\s\/])[^\s\/]++(?=\/)/u,
        text,
        &String.replace(&1, ~r/\.(?=.)/su, "." <> @zero_width_space)
      )

    String.replace(text, ~r/@(?=\S)|<(?=[@#:\/tai])|:(?=\/\/)|\](?=\()/u, "\\0" <> @zero_width_space)
  end

  defp escape(<<character>>) when character in @special, do: <<?\\, character>>
  defp escape(<<_>> = grapheme), do: grapheme

  defp escape(grapheme) do
    for <<character::utf8 <- grapheme>>, into: "" do
      if character in @special, do: <<?\\, character>>, else: <<character::utf8>>
    end
  end
end

defmodule UroDiscord.Feeds.Excerpt do
  @moduledoc false
  # The beginning of a Markdown text.

  alias UroDiscord.Length

  @ellipsis "…"
  @fence "```"
  @end_of_block "\n" <> @fence

  @doc """
  At most so many characters of a text, as `UroDiscord.Length.cut/2`. A block of code that was cut is closed, so that what comes behind it is none of
  it.

      iex> UroDiscord.Feeds.Excerpt.cut("All of it", 20)
      "All of it"
      iex> UroDiscord.Feeds.Excerpt.cut("So:\\n```sh\\nmix uro_discord.keys.new ci\\n```\\nDone.", 24)
      "So:\\n```sh\\nmix uro_d…\\n```"
  """
  @spec cut(String.t(), pos_integer()) :: String.t()
  def cut(text, limit) do
    if Length.fits?(text, limit), do: text, else: shorten(text, limit - Length.of(@end_of_block))
  end

  defp shorten(text, limit) do
    # Half a fence is none.
    start =
      text
      |> Length.cut(limit)
      |> String.trim_trailing(@ellipsis)
      |> String.trim_trailing("`")
      |> String.trim_trailing()

    if open_block?(start), do: start <> @ellipsis <> @end_of_block, else: start <> @ellipsis
  end

  defp open_block?(text), do: text |> String.split(@fence) |> length() |> rem(2) == 0
end

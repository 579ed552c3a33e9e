defmodule UroDiscord.Shards.HostileText do
  @moduledoc """
  Random texts of somebody who wants to be noticed in Discord: syntax whole, in pieces, and with characters strewn into it that
  nobody sees. `:rand.seed/2` decides which.
  """

  @syntax [
    ~w(@everyone @here <@123456789012345678> <@!123456789012345678> <@&123456789012345678> <#123456789012345678>),
    ~w(</join:123456789012345678> <t:1700000000:R> <:kappa:123456789012345678> <a:kappa:123456789012345678> <id:customize>),
    ~w(https://evil.example/x http://evil.example <https://evil.example> steam://run/1 discord://-/channels/1),
    ~w(discord.gg/abc https://discord.gg/abc discord.com/invite/abc discordapp.com/invite/abc Discord.GG/abc dsc.gg/abc),
    ["[click](https://evil.example)", "[click](<https://evil.example> \"title\")", "![x](y)"],
    ~w(** * __ _ ~~ || ` `` ``` ```elixir > >>> # ## ### -# - + 1. \\ \\\\),
    ["\n> quote", "\n# big", "\n- item", "\r\n", "\t", "\v", "\u2028", "\u2029", "\u0085", " ", "   "],
    ~w(a b Plaza World 世界 é ï 👋 👩‍🚀 👨‍👩‍👧‍👦 🇩🇪 👍🏽 ❤️ ñ مرحبا שלום สวัสดี नमस्ते)
  ]

  @unseen [
    0x200B..0x200F,
    0x202A..0x202E,
    0x2060..0x206F,
    0x0000..0x001F,
    0x007F..0x009F,
    0xE0000..0xE01EF,
    0xE000..0xE00F,
    0xFFF0..0xFFFF,
    [0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x180E, 0x2800, 0x3000, 0x3164, 0xFEFF, 0xFFA0, 0xFE00, 0x1BCA0]
  ]

  @doc "One such text, short or long."
  @spec text() :: String.t()
  def text do
    pieces = for _ <- 1..one_of([1, 2, 3, 5, 10, 30]), do: piece()
    pieces |> Enum.join() |> strew(one_of([0, 0, 0.05, 0.3]))
  end

  defp piece do
    case :rand.uniform(12) do
      1 -> String.duplicate(<<one_of(Enum.concat(@unseen))::utf8>>, :rand.uniform(5))
      # Piles of marks, and graphemes without end.
      2 -> "Z" <> String.duplicate(<<one_of(Enum.to_list(0x0300..0x036F))::utf8>>, one_of([1, 2, 3, 4, 50, 500]))
      3 -> String.duplicate(one_of(["\u1100", "\u{1F3FD}", "\u0600", "\u{1F1E9}", "\u20E0"]), one_of([1, 2, 100]))
      4 -> <<one_of([0x41, 0xE9, 0x4E16, 0x1F600, 0xFDFD, 0x1242B])::utf8>>
      5 -> for _ <- 1..5, into: "", do: <<Enum.random(?!..?~)>>
      _ -> @syntax |> one_of() |> one_of()
    end
  end

  defp strew(text, 0), do: text

  defp strew(text, share) do
    for character <- String.codepoints(text), into: "" do
      if :rand.uniform() < share, do: character <> <<one_of(Enum.concat(@unseen))::utf8>>, else: character
    end
  end

  defp one_of(list), do: Enum.random(list)
end

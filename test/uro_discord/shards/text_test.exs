Code.require_file("hostile_text.ex", __DIR__)

defmodule UroDiscord.Shards.TextTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Shards.{HostileText, Text}

  doctest UroDiscord.Shards.Text

  setup do
    # The same again with `mix test --seed`.
    :rand.seed(:exsss, ExUnit.configuration()[:seed])
    :ok
  end

  # What Discord makes something of: mentions, emoji and times (https://discord.com/developers/docs/reference#message-formatting),
  # links, invites with and without a scheme, masked links.
  @active [
    ~r/@(?:everyone|here)/i,
    ~r/<(?:@[!&]?|#)\d+>/,
    ~r/<\/[^>]+:\d+>/,
    ~r/<t:-?\d+/,
    ~r/<a?:\w+:\d+>/,
    ~r/<id:\w+>/,
    ~r/\w:\/\//u,
    ~r/discord(?:app)?\.(?:gg|com\/invite)\//i,
    ~r/\w\.\w+\//,
    ~r/\]\(/
  ]

  @special ~r/[\\*_~`|<>\[\]()#+:@\/.-]/

  describe "of random hostile texts" do
    test "nothing is left that Discord would make something of" do
      for _ <- 1..1_000, limit = Enum.random([1, 5, 32, 100, 1_024]), text = HostileText.text() do
        markdown = Text.markdown(text, limit)
        plain = Text.plain(text, limit)
        # Whoever takes out the escapes before looking finds no more than who leaves them in.
        unescaped = Regex.replace(~r/\\(.)/u, markdown, "\\1")

        for shown <- [markdown, plain, unescaped], active <- @active do
          assert {text, active, Regex.run(active, shown)} == {text, active, nil}
        end

        # Every character that markdown knows has a backslash before it, and no backslash stands alone.
        refute Regex.replace(~r/\\[[:punct:]]/, markdown, "") =~ @special
      end
    end

    test "what is shown is a line of legible characters, within its limit" do
      for _ <- 1..1_000, limit = Enum.random([1, 5, 32, 100, 1_024]), text = HostileText.text() do
        for form <- [:markdown, :plain, :clean], shown = apply(Text, form, [text, limit]) do
          assert String.valid?(shown)
          assert {text, length(String.codepoints(shown)) <= limit} == {text, true}
          assert {text, shown} == {text, String.trim(shown)}
          ours = if form == :clean, do: shown, else: String.replace(shown, "\u200B", "")
          assert {text, Regex.run(~r/[\p{C}\p{Zl}\p{Zp}\x{3164}\x{2800}]/u, assigned(ours))} == {text, nil}
          assert {text, Regex.run(~r/\p{M}{4}/u, ours)} == {text, nil}
          refute ours =~ "  "
        end
      end
    end

    test "cleaning twice is cleaning once, and showing what is clean is the same as showing what was not" do
      for _ <- 1..300, text = HostileText.text() do
        clean = Text.clean(text, 100_000)
        assert Text.clean(clean, 100_000) == clean
        assert {text, Text.markdown(clean, 100_000)} == {text, Text.markdown(text, 100_000)}
      end
    end
  end

  test "honest names stay as they are" do
    for name <- [
          "Plaza",
          "V-Sekai: the 2nd floor!",
          "世界の広場",
          "Žluťoučký kůň",
          "नमस्ते दुनिया",
          "สวัสดี",
          "שָׁלוֹם",
          "❤️ 👍🏽 🇩🇪",
          "v2.0 (beta)"
        ] do
      assert Text.clean(name, 100) == name
      assert Text.plain(name, 100) == name
      assert name |> Text.markdown(100) |> String.replace("\\", "") == name
    end
  end

  test "bytes that are no characters are left out" do
    assert Text.clean(<<"Pla", 0xFF, "za", 0xF0, 0x9F>>, 100) == "Plaza"
  end

  test "a cut leaves no half of an emoji or of an escape, and counts as Discord does" do
    assert Text.plain("🇩🇪🇩🇪", 3) == "🇩🇪…"
    assert Text.plain("🇩🇪🇩🇪", 4) == "🇩🇪🇩🇪"
    assert Text.plain("👍🏽👍🏽", 3) == "👍🏽…"
    assert Text.markdown("a**", 4) == ~S(a\*…)
    assert Text.markdown("a**", 5) == ~S(a\*\*)
    assert Text.plain("Plaza", 5) == "Plaza"
    assert Text.plain("Plaza ", 5) == "Plaza"
    assert Text.plain("Plaza 2", 6) == "Plaza…"
  end

  # What each of these was slow for: graphemes without end, piles of marks, what is taken out, what is looked ahead for, what is escaped.
  @slow [
    "\u1100",
    "\u0301",
    "\u202E",
    "\u200D👩‍🚀",
    "\u{1F1E9}",
    "क्",
    "\u0600",
    ".",
    ".a",
    "a/",
    "*",
    "@",
    "\u2800a",
    "\uFDFA",
    <<0xFF>>,
    "é "
  ]

  test "the work is in proportion to the length, whatever is in a text" do
    for piece <- @slow, form <- [:clean, :markdown, :plain] do
      work = fn length -> work(form, piece, length) end
      # The least of several, as the work is done beside that of others.
      ratio = Enum.min(for _ <- 1..3, do: work.(2_000) / work.(500))
      assert {piece, form, ratio < 8} == {piece, form, true}
    end
  end

  # In reductions, which the load of the machine does not change. What the regular expressions do counts too.
  defp work(form, piece, length) do
    text = String.duplicate(piece, length)

    Task.await(
      Task.async(fn ->
        {:reductions, before} = Process.info(self(), :reductions)
        apply(Text, form, [text, length * 8])
        {:reductions, reductions} = Process.info(self(), :reductions)
        reductions - before
      end)
    )
  end

  test "a text of many megabytes costs no more than its beginning" do
    long = String.duplicate("@everyone ", 1_000_000)
    {microseconds, shown} = :timer.tc(fn -> Text.markdown(long, 100) end)
    assert length(String.codepoints(shown)) <= 100
    assert microseconds < 1_000_000
  end

  # `\p{C}` has what PCRE's Unicode version does not know yet, too.
  defp assigned(text), do: String.replace(text, ~r/\p{Cn}/u, "")
end

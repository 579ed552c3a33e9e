defmodule UroDiscord.LengthTest do
  use ExUnit.Case, async: true
  alias UroDiscord.{Config, Length}
  alias UroDiscord.Interactions.Answer

  doctest Length

  test "a cut is within its limit, whatever a character is made of" do
    for piece <- ["\u1100", "e" <> String.duplicate("\u0301", 6), "🇩🇪", "👍🏽", "a", "\u0600"],
        limit <- [1, 2, 3, 10, 200] do
      text = String.duplicate(piece, 300)
      cut = Length.cut(text, limit)
      assert Length.of(cut) in 1..limit
      assert String.ends_with?(cut, "…")
      assert Length.fits?(cut, limit)
      refute Length.fits?(text, limit)
      assert Length.cut(text, Length.of(text)) == text
    end
  end

  # 18 graphemes each, and 126 code points.
  @families String.duplicate("👨‍👩‍👧‍👦", 18)

  test "what the configuration says of Discord's limits is in their unit" do
    assert {:ok, _} = Config.new(enabled: false, presence_idle: @families)

    for option <- [:presence_idle, :presence, :presence_uncounted] do
      assert {:error, error} = Config.new([{:enabled, false}, {option, @families <> "👨‍👩‍👧‍👦"}])
      assert Exception.message(error) =~ "133 characters"
    end

    assert {:error, _} = Config.new(enabled: false, board: [title: @families])
  end

  test "so are the choices of a command" do
    interaction = struct(UroDiscord.Interaction, kind: :autocomplete)

    assert {:ok, %{"data" => %{"choices" => [%{"name" => name}]}}, _rest} =
             Answer.response(interaction, :any, {:choices, [{@families, 1}]})

    assert Length.of(name) <= 100
  end
end

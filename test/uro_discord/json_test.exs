defmodule UroDiscord.JSONTest do
  use ExUnit.Case, async: true
  alias UroDiscord.{JSON, Native}

  doctest UroDiscord.JSON

  test "there and back" do
    term = %{
      "text" => "ünïcödé \u0000 \" \\ \u{1F600}",
      "numbers" => [
        0,
        -1,
        9_007_199_254_740_993,
        18_446_744_073_709_551_615,
        -9_223_372_036_854_775_808,
        1.5
      ],
      "none" => nil,
      "flags" => [true, false],
      "empty" => [%{}, []]
    }

    assert {:ok, json} = JSON.encode(term)
    assert JSON.decode(json) == {:ok, term}
  end

  test "half a surrogate pair does not spoil the rest, in short texts and long ones" do
    for filler <- ["", String.duplicate("é", 10_000)] do
      json = ~s({"message": "#{filler}\\ud83d", "pair": "\\ud83d\\ude00", "key\\udc00": 1, "message": "last\\ud800"})
      term = %{"message" => "last\uFFFD", "pair" => "😀", "key\uFFFD" => 1}
      assert JSON.decode(json) == {:ok, term}
      assert {:error, reason} = JSON.decode(json <> "x")
      assert reason =~ "line 1"
    end
  end

  test "atoms as keys and values are strings" do
    assert JSON.encode(%{type: :rich}) == {:ok, ~s({"type":"rich"})}
  end

  test "what JSON cannot say is refused, with the place" do
    for {term, place} <- [
          {%{embeds: [%{title: {:a, 1}}]}, "embeds.0.title"},
          {%{content: self()}, "content"},
          {%{"a" => [1, <<0xFF>>]}, "a.1"},
          {%{"a" => %{1 => 2}}, "a"}
        ] do
      assert {:error, reason} = JSON.encode(term)
      assert reason =~ place
    end
  end

  test "long JSON, which is not written and read inline, is the same JSON" do
    for count <- [1, 100, 1_000, 100_000] do
      term = for n <- 1..count, do: %{"id" => n, "text" => "é\n"}
      assert {:ok, json} = JSON.encode(term)
      assert JSON.decode(json) == {:ok, term}
      assert {:error, reason} = JSON.encode(term ++ [self()])
      assert reason =~ "#{count}: cannot be JSON"
      assert {:error, reason} = JSON.encode(%{"improper" => term ++ 1})
      assert reason =~ "improper: cannot be JSON"
    end

    # On either side of the limit.
    for size <- [8_192, 8_193], text = :binary.copy(<<0xFF>>, size) do
      assert {:error, reason} = JSON.encode(%{"a" => text})
      assert reason == "a: not valid UTF-8, from byte 0 on"
      assert {:error, reason} = JSON.encode(%{text => 1})
      assert reason == "a key is not valid UTF-8, from byte 0 on"
    end

    assert Native.json_encode_inline(:binary.copy("x", 8_191)) == :too_long
    assert {:ok, _} = Native.json_encode_inline(:binary.copy("x", 8_190))
    assert JSON.encode(:binary.copy("x", 33_554_433)) == {:error, "more than 33554432 bytes of JSON"}
  end

  test "the place is where it is, whatever was written before it" do
    for {term, place} <- [
          {[[[1], []], %{"a" => []}, [2, {3}]], "2.1: cannot be JSON: a tuple"},
          {%{"a" => [[], %{}, [[1], %{"b" => [2 | 3]}]]}, "a.2.1.b: cannot be JSON: an improper list"},
          {[[], %{"a" => %{}, {1} => 2}], "1: a key must be a string or an atom, not a tuple"}
        ],
        do: assert(JSON.encode(term) == {:error, place})
  end

  # A dirty scheduler has 320 KB of stack, and the VM ends where that ends.
  test "the deepest JSON, inline and on a dirty scheduler" do
    for wrap <- [&[&1], &%{"k" => &1}], long <- ["", String.duplicate("x", 10_000)] do
      assert {:ok, json} = JSON.encode(Enum.reduce(1..127, long, fn _, term -> wrap.(term) end))
      assert {:ok, term} = JSON.decode(json)
      assert JSON.encode(term) == {:ok, json}
      assert {:ok, _} = JSON.encode(wrap.(term))
      assert {:error, _} = JSON.encode(wrap.(wrap.(term)))
    end
  end

  test "depth is limited both ways, however deep" do
    for depth <- [200, 10_000, 1_000_000] do
      assert {:error, reason} = JSON.encode(Enum.reduce(1..depth, nil, fn _, term -> [term] end))

      assert reason =~ "deep"

      assert {:error, _} = JSON.decode(:binary.copy("[", depth) <> :binary.copy("]", depth))
    end
  end

  test "what is not JSON is refused" do
    for json <- ["", "{", "nul", "[1,]", ~s({"a":1}x), <<?", 0xFF, ?">>],
        do: assert({:error, _} = JSON.decode(json))
  end

  # Elixir's own, of 1.18 and later: why it is not what we take.
  if Code.ensure_loaded?(Elixir.JSON) do
    describe "beside Elixir's JSON" do
      test "what both take is the same" do
        for text <- [
              ~S({"id": "1100000000000000001", "content": "\u00fc \ud83d\ude00 \" \\ \/ \n", "embeds": [{"color": 5814783}], "nonce": null}),
              "[0, -1, 9007199254740993, 18446744073709551615, -9223372036854775808, 1.5, 1E2, 1e-7, true, false, [], {}]",
              " 1 "
            ] do
          assert {:ok, term} = JSON.decode(text)
          assert Elixir.JSON.decode(text) == {:ok, term}
          # Each reads what the other writes, which need not be the same text: 1.0e20 and 1e+20.
          assert {:ok, json} = JSON.encode(term)
          assert Elixir.JSON.decode(json) == {:ok, term}
          assert term |> Elixir.JSON.encode!() |> JSON.decode() == {:ok, term}
        end

        for text <- ["", "{", "[1,]", "nul", "NaN", "1e400", <<?", 0xFF, ?">>] do
          assert {:error, _} = JSON.decode(text)
          assert {:error, _} = Elixir.JSON.decode(text)
        end
      end

      test "what one takes otherwise" do
        assert {:error, _} = Elixir.JSON.decode(~S("cut \ud83d"))
        assert JSON.decode(~S("cut \ud83d")) == {:ok, "cut \uFFFD"}
        assert Elixir.JSON.decode(~s({"a": 1, "a": 2})) == {:ok, %{"a" => 1}}
        assert JSON.decode(~s({"a": 1, "a": 2})) == {:ok, %{"a" => 2}}
        assert {:error, _} = Elixir.JSON.decode("\uFEFF1")
        assert JSON.decode("\uFEFF1") == {:ok, 1}
        assert Elixir.JSON.decode("18446744073709551616") == {:ok, 18_446_744_073_709_551_616}
        assert JSON.decode("18446744073709551616") == {:ok, 18_446_744_073_709_551_616.0}
        deep = String.duplicate("[", 1_000) <> String.duplicate("]", 1_000)
        assert {:ok, _} = Elixir.JSON.decode(deep)
        assert {:error, _} = JSON.decode(deep)
        assert Elixir.JSON.encode!(~D[2020-01-01]) == ~s("2020-01-01")
        assert {:error, _} = JSON.encode(~D[2020-01-01])
        assert_raise Protocol.UndefinedError, fn -> Elixir.JSON.encode!(%{a: [{1}]}) end
        assert JSON.encode(%{a: [{1}]}) == {:error, "a.0: cannot be JSON: a tuple"}
      end
    end
  end
end

defmodule UroDiscord.NativeTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Native

  doctest UroDiscord.Native

  describe "verify_ed25519/3" do
    setup do
      {public, private} = :crypto.generate_key(:eddsa, :ed25519)
      %{public: public, sign: &:crypto.sign(:eddsa, :none, &1, [private, :ed25519])}
    end

    test "a signature by OTP's crypto holds, for short messages and for those that go to a dirty scheduler",
         context do
      for size <- [0, 1, 1_024, 65_536, 65_537, 1_000_000] do
        message = :crypto.strong_rand_bytes(size)
        signature = context.sign.(message)
        assert Native.verify_ed25519(context.public, message, signature)
        refute Native.verify_ed25519(context.public, message <> "!", signature)
      end
    end

    test "one bit makes it another signature, message or key", %{public: public} = context do
      signature = context.sign.("message")

      for bit <- 0..511,
          do: refute(Native.verify_ed25519(public, "message", flip(signature, bit)))

      for bit <- 0..55, do: refute(Native.verify_ed25519(public, flip("message", bit), signature))

      for bit <- 0..255,
          do: refute(Native.verify_ed25519(flip(public, bit), "message", signature))
    end

    test "a signature of another length does not hold, and a key of another length is a mistake of ours",
         context do
      for size <- [0, 63, 65, 128],
          do: refute(Native.verify_ed25519(context.public, "message", :binary.copy(<<1>>, size)))

      for key <- ["", :binary.copy(<<1>>, 31)],
          do: assert_raise(ArgumentError, fn -> Native.verify_ed25519(key, "message", "") end)
    end

    defp flip(bytes, bit) do
      <<before::bitstring-size(bit), b::1, rest::bitstring>> = bytes
      <<before::bitstring, 1 - b::1, rest::bitstring>>
    end
  end

  describe "JSON" do
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

      assert {:ok, json} = Native.json_encode(term)
      assert Native.json_decode(json) == {:ok, term}
    end

    test "half a surrogate pair does not spoil the rest, in short texts and long ones" do
      for filler <- ["", String.duplicate("é", 10_000)] do
        json = ~s({"message": "#{filler}\\ud83d", "pair": "\\ud83d\\ude00", "key\\udc00": 1, "message": "last\\ud800"})
        term = %{"message" => "last\uFFFD", "pair" => "😀", "key\uFFFD" => 1}
        assert Native.json_decode(json) == {:ok, term}
        assert {:error, reason} = Native.json_decode(json <> "x")
        assert reason =~ "line 1"
      end
    end

    test "atoms as keys and values are strings" do
      assert Native.json_encode(%{type: :rich}) == {:ok, ~s({"type":"rich"})}
    end

    test "what JSON cannot say is refused, with the place" do
      for {term, place} <- [
            {%{embeds: [%{title: {:a, 1}}]}, "embeds.0.title"},
            {%{content: self()}, "content"},
            {%{"a" => [1, <<0xFF>>]}, "a.1"},
            {%{"a" => %{1 => 2}}, "a"}
          ] do
        assert {:error, reason} = Native.json_encode(term)
        assert reason =~ place
      end
    end

    test "long JSON, which is not written and read inline, is the same JSON" do
      for count <- [1, 100, 1_000, 100_000] do
        term = for n <- 1..count, do: %{"id" => n, "text" => "é\n"}
        assert {:ok, json} = Native.json_encode(term)
        assert Native.json_decode(json) == {:ok, term}
        assert {:error, reason} = Native.json_encode(term ++ [self()])
        assert reason =~ "#{count}: cannot be JSON"
        assert {:error, reason} = Native.json_encode(%{"improper" => term ++ 1})
        assert reason =~ "improper: cannot be JSON"
      end

      # On either side of the limit.
      for size <- [8_192, 8_193], text = :binary.copy(<<0xFF>>, size) do
        assert {:error, reason} = Native.json_encode(%{"a" => text})
        assert reason == "a: not valid UTF-8, from byte 0 on"
        assert {:error, reason} = Native.json_encode(%{text => 1})
        assert reason == "a key is not valid UTF-8, from byte 0 on"
      end

      assert Native.json_encode_inline(:binary.copy("x", 8_191)) == :too_long
      assert {:ok, _} = Native.json_encode_inline(:binary.copy("x", 8_190))
      assert Native.json_encode(:binary.copy("x", 33_554_433)) == {:error, "more than 33554432 bytes of JSON"}
    end

    test "the place is where it is, whatever was written before it" do
      for {term, place} <- [
            {[[[1], []], %{"a" => []}, [2, {3}]], "2.1: cannot be JSON: a tuple"},
            {%{"a" => [[], %{}, [[1], %{"b" => [2 | 3]}]]}, "a.2.1.b: cannot be JSON: an improper list"},
            {[[], %{"a" => %{}, {1} => 2}], "1: a key must be a string or an atom, not a tuple"}
          ],
          do: assert(Native.json_encode(term) == {:error, place})
    end

    # A dirty scheduler has 320 KB of stack, and the VM ends where that ends.
    test "the deepest JSON, inline and on a dirty scheduler" do
      for wrap <- [&[&1], &%{"k" => &1}], long <- ["", String.duplicate("x", 10_000)] do
        assert {:ok, json} = Native.json_encode(Enum.reduce(1..127, long, fn _, term -> wrap.(term) end))
        assert {:ok, term} = Native.json_decode(json)
        assert Native.json_encode(term) == {:ok, json}
        assert {:ok, _} = Native.json_encode(wrap.(term))
        assert {:error, _} = Native.json_encode(wrap.(wrap.(term)))
      end
    end

    test "depth is limited both ways, however deep" do
      for depth <- [200, 10_000, 1_000_000] do
        assert {:error, reason} = Native.json_encode(Enum.reduce(1..depth, nil, fn _, term -> [term] end))

        assert reason =~ "deep"

        assert {:error, _} = Native.json_decode(:binary.copy("[", depth) <> :binary.copy("]", depth))
      end
    end

    test "what is not JSON is refused" do
      for json <- ["", "{", "nul", "[1,]", ~s({"a":1}x), <<?", 0xFF, ?">>],
          do: assert({:error, _} = Native.json_decode(json))
    end
  end

  test "a panic in Rust is an Elixir error, and the VM goes on" do
    assert_raise ErlangError, ~r/nif_panicked/, fn -> Native.panic_for_test() end
    assert {:ok, "1"} = Native.json_encode(1)
  end

  test "kill/1 ends one process of another program, and nothing else" do
    port = Port.open({:spawn_executable, "/bin/cat"}, [:binary, :exit_status])
    {:os_pid, os_pid} = Port.info(port, :os_pid)
    assert Native.kill(os_pid) == :ok
    assert_receive {^port, {:exit_status, 137}}, 5_000
    # The VM has reaped it.
    assert {:error, reason} = Native.kill(os_pid)
    assert is_binary(reason)

    own = String.to_integer(System.pid())
    for number <- [0, 1, -1, -os_pid, own], do: assert_raise(ArgumentError, fn -> Native.kill(number) end)
  end
end

defmodule UroDiscord.Bridge.ProtocolTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Bridge.Protocol

  doctest UroDiscord.Backoff
  doctest UroDiscord.Bridge.Fact
  doctest UroDiscord.Bridge.Log
  doctest UroDiscord.Bridge.Pings
  doctest UroDiscord.Bridge.Words

  # The same files are read by the tests of crates/wire.
  @fixtures Path.expand("../../fixtures/wire", __DIR__)

  defp fixtures(direction) do
    files = Path.wildcard(Path.join([@fixtures, direction, "*.etf"]))
    assert files != []

    for file <- files do
      {term, _} = file |> Path.rootname() |> Kernel.<>(".exs") |> Code.eval_file()
      {Path.basename(file), term, File.read!(file)}
    end
  end

  defp frame(bytes), do: <<byte_size(bytes)::32, bytes::binary>>

  defp decode(buffer \\ Protocol.empty(), bytes) do
    with {:ok, buffer, messages} <- Protocol.decode(buffer, bytes, [], &[&1 | &2]),
         do: {:ok, Enum.reverse(messages), buffer}
  end

  test "golden files: what the bridge says is understood" do
    for {name, term, bytes} <- fixtures("from_bridge") do
      assert {name, decode(frame(bytes))} == {name, {:ok, [term], Protocol.empty()}}
    end
  end

  test "golden files: what we say is what Rust reads" do
    for {name, term, bytes} <- fixtures("to_bridge") do
      assert {:ok, encoded} = Protocol.encode(term)
      <<size::32, encoded::binary>> = IO.iodata_to_binary(encoded)
      assert byte_size(encoded) == size

      # Not the bytes: OTP releases differ in the order of a map's keys and in how they write atoms.
      assert {name, :erlang.binary_to_term(encoded)} == {name, :erlang.binary_to_term(bytes)}
    end
  end

  test "frames that come in pieces, and several at once" do
    pongs = for n <- 1..3, do: {:pong, n}
    bytes = pongs |> Enum.map_join(&frame(:erlang.term_to_binary(&1)))

    for cut <- 0..byte_size(bytes) do
      <<first::binary-size(cut), second::binary>> = bytes
      assert {:ok, early, buffer} = decode(first)
      assert {:ok, late, buffer} = decode(buffer, second)
      assert {early ++ late, Protocol.size(buffer)} == {pongs, 0}
    end

    {messages, buffer} =
      for <<byte::binary-1 <- bytes>>, reduce: {[], Protocol.empty()} do
        {messages, buffer} ->
          assert {:ok, more, buffer} = decode(buffer, byte)
          {messages ++ more, buffer}
      end

    assert {messages, Protocol.size(buffer)} == {pongs, 0}
  end

  test "a line of text is told apart from a long frame before the frame is waited for" do
    assert {:error, reason, []} = decode("thread 'main' panicked")
    assert reason =~ ~s("thread 'main' pa")

    sound = frame(:erlang.term_to_binary({:pong, 1}))
    assert {:ok, [], buffer} = decode(binary_part(sound, 0, 6))
    assert Protocol.size(buffer) == 6
    assert {:error, _reason, [{:pong, 1}]} = decode(buffer, binary_part(sound, 6, byte_size(sound) - 6) <> "thread")
  end

  test "a frame that is not a term, or not a message, or has an atom nobody knows" do
    assert {:error, "the bridge sent 3 bytes that are not a term" <> _, []} = decode(frame("abc"))

    # SMALL_ATOM_UTF8_EXT, written by hand: the atom must not exist in this VM.
    assert {:error, reason, []} = decode(frame(<<131, 119, 20, "an_atom_nobody_knows">>))
    assert reason =~ "unknown atom"
    assert_raise ArgumentError, fn -> String.to_existing_atom("an_atom_" <> "nobody_knows") end

    assert {:error, reason, []} = decode(frame(:erlang.term_to_binary({:gateway, 0, :error, %{}})))

    assert reason =~ "not in the protocol: {:gateway, 0, :error"
  end

  test "what one of the next version says is a message, or unknown" do
    hello = {:hello, Protocol.version() + 1, %{}}
    bytes = for term <- [hello, {:voice, 1}, [], {:pong, 1}], into: "", do: frame(:erlang.term_to_binary(term))
    bytes = bytes <> frame(<<131, 119, 20, "an_atom_nobody_knows">>)
    said = [hello, {:unknown, :voice}, {:unknown, nil}, {:pong, 1}, {:unknown, nil}]
    assert {:ok, ^said, buffer} = decode(bytes)
    # Also in pieces.
    assert {:ok, [{:unknown, :voice}], _buffer} = decode(buffer, frame(:erlang.term_to_binary({:voice, 1})))
    assert {:error, "the bridge announced" <> _, []} = decode(buffer, <<0xFFFF_FFFF::32>>)

    for version <- [Protocol.version() - 1, Protocol.version()] do
      hello = frame(:erlang.term_to_binary({:hello, version, %{}}))
      assert {:error, _reason, [_hello]} = decode(hello <> frame(:erlang.term_to_binary({:voice, 1})))
      assert Protocol.understood?(version)
    end

    refute Protocol.understood?(Protocol.version() - 2) or Protocol.understood?(Protocol.version() + 2)
  end

  test "random bytes and damaged messages: an answer" do
    sound = for {_name, _term, bytes} <- fixtures("from_bridge"), do: frame(bytes)

    for _ <- 1..2_000 do
      bytes = Enum.random([:crypto.strong_rand_bytes(:rand.uniform(64)), damage(Enum.random(sound))])

      assert elem(decode(bytes), 0) in [:ok, :error]
    end
  end

  test "a message too large for a frame is refused before it is sent" do
    assert {:error, reason} = Protocol.encode({:ping, :binary.copy("a", Protocol.max_frame())})
    assert reason =~ "is over the 16777216 that fit into a frame"
  end

  defp damage(bytes) do
    at = :rand.uniform(byte_size(bytes)) - 1
    <<before::binary-size(at), _::8, rest::binary>> = bytes
    <<before::binary, :rand.uniform(256) - 1::8, rest::binary>>
  end
end

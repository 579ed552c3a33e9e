defmodule UroDiscord.Bridge.ProtocolTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Bridge.Protocol

  doctest UroDiscord.Backoff
  doctest UroDiscord.Bridge.Fact
  doctest UroDiscord.Bridge.Pings

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

  test "golden files: what the bridge says is understood" do
    for {name, term, bytes} <- fixtures("from_bridge") do
      assert {name, Protocol.decode(frame(bytes))} == {name, {:ok, [term], ""}}
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
      assert {:ok, early, rest} = Protocol.decode(first)
      assert {:ok, late, ""} = Protocol.decode(rest <> second)
      assert early ++ late == pongs
    end
  end

  test "a line of text is told apart from a long frame before the frame is waited for" do
    assert {:error, reason} = Protocol.decode("thread 'main' panicked")
    assert reason =~ ~s("thread 'main' pa")
  end

  test "a frame that is not a term, or not a message, or has an atom nobody knows" do
    assert {:error, "the bridge sent 3 bytes that are not a term" <> _} = Protocol.decode(frame("abc"))

    # SMALL_ATOM_UTF8_EXT, written by hand: the atom must not exist in this VM.
    assert {:error, reason} = Protocol.decode(frame(<<131, 119, 20, "an_atom_nobody_knows">>))
    assert reason =~ "unknown atom"
    assert_raise ArgumentError, fn -> String.to_existing_atom("an_atom_" <> "nobody_knows") end

    assert {:error, reason} = Protocol.decode(frame(:erlang.term_to_binary({:gateway, 0, :error, %{}})))

    assert reason =~ "not in the protocol: {:gateway, 0, :error"
  end

  test "random bytes and damaged messages: an answer" do
    sound = for {_name, _term, bytes} <- fixtures("from_bridge"), do: frame(bytes)

    for _ <- 1..2_000 do
      bytes = Enum.random([:crypto.strong_rand_bytes(:rand.uniform(64)), damage(Enum.random(sound))])

      assert elem(Protocol.decode(bytes), 0) in [:ok, :error]
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

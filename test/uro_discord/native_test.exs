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

  test "a panic in Rust is an Elixir error, and the VM goes on" do
    assert_raise ErlangError, ~r/nif_panicked/, fn -> Native.panic_for_test() end
    assert {:ok, "1"} = Native.json_encode_inline(1)
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

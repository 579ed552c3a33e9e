defmodule UroDiscord.Accounts.VaultTest do
  use ExUnit.Case, async: true

  alias UroDiscord.Accounts.Vault
  alias UroDiscord.Secret

  @ada "1100000000000000901"
  @bob "1100000000000000902"

  setup do
    %{key: Secret.wrap(:crypto.strong_rand_bytes(32))}
  end

  test "what is sealed is opened with the same key, for the same account", %{key: key} do
    sealed = Vault.seal(key, Secret.wrap("a token"), @ada)
    refute sealed =~ "token"
    assert {:ok, opened} = Vault.open(key, sealed, @ada)
    assert Secret.reveal(opened) == "a token"
    refute inspect(opened) =~ "a token"
    refute Vault.seal(key, Secret.wrap("a token"), @ada) == sealed
  end

  test "with another key, for another account, or changed, it is not", %{key: key} do
    sealed = Vault.seal(key, Secret.wrap("a token"), @ada)
    assert Vault.open(Secret.wrap(:crypto.strong_rand_bytes(32)), sealed, @ada) == :error
    assert Vault.open(key, sealed, @bob) == :error

    "v1." <> text = sealed
    bytes = Base.decode64!(text)

    for at <- 0..(byte_size(bytes) - 1) do
      <<before::binary-size(at), byte, rest::binary>> = bytes
      changed = <<before::binary, Bitwise.bxor(byte, 1), rest::binary>>
      assert Vault.open(key, "v1." <> Base.encode64(changed), @ada) == :error
    end

    for other <- ["", "v1.", "v1.AAAA", "v2." <> text, "v1.!", text],
        do: assert(Vault.open(key, other, @ada) == :error)
  end
end

defmodule UroDiscord.Accounts.Vault do
  @moduledoc false
  # Users' tokens at rest: AES-256-GCM with `accounts: [token_key:]`, with the Discord account as associated data, so that one user's row is of no use in
  # another's. What it makes is `v1.` and Base64 of nonce, tag and text.

  alias UroDiscord.Secret

  @prefix "v1."

  @spec seal(Secret.t(), Secret.t(), String.t()) :: String.t()
  def seal(key, secret, discord_id) do
    nonce = :crypto.strong_rand_bytes(12)
    text = Secret.reveal(secret)

    {sealed, tag} =
      :crypto.crypto_one_time_aead(:aes_256_gcm, Secret.reveal(key), nonce, text, @prefix <> discord_id, 16, true)

    @prefix <> Base.encode64(nonce <> tag <> sealed)
  end

  @doc "What was sealed; `:error` where it was with another key, or for another account."
  @spec open(Secret.t(), String.t(), String.t()) :: {:ok, Secret.t()} | :error
  def open(key, @prefix <> text, discord_id) do
    with {:ok, <<nonce::binary-size(12), tag::binary-size(16), sealed::binary>>} <- Base.decode64(text),
         opened when is_binary(opened) <-
           :crypto.crypto_one_time_aead(
             :aes_256_gcm,
             Secret.reveal(key),
             nonce,
             sealed,
             @prefix <> discord_id,
             tag,
             false
           ) do
      {:ok, Secret.wrap(opened)}
    else
      _other -> :error
    end
  end

  def open(_key, _other, _discord_id), do: :error
end

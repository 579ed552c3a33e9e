defmodule UroDiscord.Accounts.Tokens do
  @moduledoc false
  # The OAuth2 tokens of links: kept only for Linked Roles, encrypted, refreshed when they are about to end, and revoked with the link.

  require Logger

  alias UroDiscord.Accounts.{Link, Links, OAuth, Vault}
  alias UroDiscord.{Config, Error, Runtime, Secret, Snowflake}

  # Linked Roles are looked at once a day, and a day may be missed: what ends before then is refreshed.
  @early_s 2 * 86_400

  @doc "Tokens as they are stored; nil where they are not to be kept."
  @spec seal(Config.t(), OAuth.tokens(), Snowflake.t()) :: Links.tokens() | nil
  def seal(%{accounts: %{linked_roles: []}}, _tokens, _discord_id), do: nil

  def seal(%{accounts: %{token_key: key}}, tokens, discord_id) do
    %{
      access: Vault.seal(key, tokens.access, discord_id),
      refresh: tokens.refresh && Vault.seal(key, tokens.refresh, discord_id),
      expires_at: tokens.expires_at,
      scopes: Enum.join(tokens.scopes, " ")
    }
  end

  @doc "A good access token of this link; `:none` where there is none (any more), and he would have to link again."
  @spec access(Runtime.t(), Link.t()) :: {:ok, Secret.t()} | :none | {:error, Error.t()}
  def access(%{store: store} = runtime, link) do
    case Links.tokens(store, link.discord_id) do
      {:ok, nil, _connection} -> :none
      {:ok, kept, _connection} -> good(runtime, link, kept)
      {:error, error} -> {:error, error}
    end
  end

  @doc "Whether it is time for new ones."
  @spec ending?(Links.tokens()) :: boolean()
  def ending?(kept), do: DateTime.diff(kept.expires_at, DateTime.utc_now()) <= @early_s

  defp good(runtime, link, kept) do
    cond do
      tokens = unstored(link, kept) -> store(runtime, link, kept, tokens)
      ending?(kept) -> refresh(runtime, link, kept)
      true -> open(runtime, link, kept.access)
    end
  end

  defp refresh(runtime, link, %{refresh: nil} = kept), do: forget(runtime, link, kept)

  defp refresh(runtime, link, kept) do
    with {:ok, refresh} <- open(runtime, link, kept.refresh) do
      case OAuth.refresh(runtime, refresh) do
        {:ok, tokens} ->
          store(runtime, link, kept, tokens)

        {:error, error} ->
          if OAuth.grant_over?(error), do: forget(runtime, link, kept), else: {:error, error}
      end
    end
  end

  # A refresh token is good once: what came for it stays here until the store has it, or he would have to link again.
  defp store(%{config: config, store: store} = runtime, link, kept, tokens) do
    key = {:accounts_tokens, link.discord_id}
    Runtime.put(key, {kept.access, tokens})

    with {:ok, there?} <-
           Links.replace_tokens(store, link.discord_id, kept.access, seal(config, tokens, link.discord_id)) do
      Runtime.delete(key)

      if there? do
        {:ok, tokens.access}
      else
        # He was unlinked meanwhile, or has linked again with others.
        discard(runtime, link.discord_id, tokens)
        access(runtime, link)
      end
    end
  end

  defp unstored(link, %{access: access}) do
    key = {:accounts_tokens, link.discord_id}

    case Runtime.lookup(key) do
      {^access, tokens} ->
        tokens

      nil ->
        nil

      _of_tokens_before_these ->
        Runtime.delete(key)
        nil
    end
  end

  @doc "Discord takes this link's tokens no longer."
  @spec forget(Runtime.t(), Link.t(), Links.tokens()) :: :none | {:error, Error.t()}
  def forget(%{store: store}, link, kept) do
    with {:ok, _} <- Links.replace_tokens(store, link.discord_id, kept.access, nil), do: :none
  end

  @doc "Ends what the owner of these tokens has agreed to. The link is deleted by then."
  @spec revoke(Runtime.t(), Link.t(), %{:access => String.t(), :refresh => String.t() | nil, optional(atom()) => term()}) ::
          :ok | {:error, Error.t()}
  def revoke(runtime, link, kept) do
    with {:ok, token} <- open(runtime, link, kept.refresh || kept.access) do
      OAuth.revoke(runtime, token)
    else
      :none ->
        Logger.warning(
          "accounts: Discord was not told that #{link.discord_id} is unlinked: token_key: is another one by now"
        )
    end
  end

  @doc """
  The same for tokens of which nothing has come. Where the account is linked they run out by themselves: with one of them Discord ends all that it gave for
  the account, also the link's.
  """
  @spec discard(Runtime.t(), Snowflake.t(), OAuth.tokens()) :: :ok
  def discard(%{store: store} = runtime, discord_id, tokens) do
    with :error <- Links.by_discord(store, discord_id),
         do: end_all(runtime, discord_id, tokens.refresh || tokens.access)

    :ok
  end

  defp end_all(runtime, discord_id, token) do
    with {:error, error} <- OAuth.revoke(runtime, token) do
      Logger.warning(
        "accounts: Discord was not told that the tokens of #{discord_id} are not needed: #{Exception.message(error)}"
      )
    end
  end

  # With the key of the configuration, or with one that was it before.
  defp open(%{config: %{accounts: %{token_key: key, token_keys: older}}}, link, sealed) do
    opened = fn key -> with :error <- Vault.open(key, sealed, link.discord_id), do: nil end
    [key | older] |> Enum.reject(&is_nil/1) |> Enum.find_value(opened) || other_key(link)
  end

  defp other_key(link) do
    unless Runtime.lookup(:accounts_other_key) do
      Runtime.put(:accounts_other_key, true)

      Logger.warning(
        "accounts: the tokens of #{link.discord_id}, and perhaps those of others, were encrypted with another token_key, so that they are of no use. Put that one " <>
          "into token_keys: of accounts, or everybody links again for Linked Roles. This is told once"
      )
    end

    :none
  end
end

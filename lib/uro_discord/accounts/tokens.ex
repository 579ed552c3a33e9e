defmodule UroDiscord.Accounts.Tokens do
  @moduledoc false
  # The OAuth2 tokens of links: kept only for Linked Roles, encrypted, refreshed when they are about to end, and revoked with the link.

  require Logger

  alias UroDiscord.Accounts.{Link, Links, OAuth, Vault}
  alias UroDiscord.{Config, Error, Runtime, Secret, Snowflake}

  # A token that ends so soon may be over when it arrives.
  @early_s 3_600

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

  defp good(runtime, link, kept) do
    if DateTime.diff(kept.expires_at, DateTime.utc_now()) > @early_s,
      do: open(runtime, link, kept.access),
      else: refresh(runtime, link, kept)
  end

  defp refresh(runtime, link, %{refresh: nil} = kept), do: forget(runtime, link, kept)

  defp refresh(runtime, link, kept) do
    with {:ok, refresh} <- open(runtime, link, kept.refresh) do
      case OAuth.refresh(runtime, refresh) do
        {:ok, tokens} ->
          store(runtime, link, kept, tokens)

        {:error, error} ->
          if OAuth.over?(error), do: forget(runtime, link, kept), else: {:error, error}
      end
    end
  end

  # A refresh token is good once: what came for it must not be lost, or he has to link again.
  defp store(%{config: config, store: store}, link, kept, tokens) do
    case Links.replace_tokens(store, link.discord_id, kept.access, seal(config, tokens, link.discord_id)) do
      {:ok, _whether_it_was_still_there} -> {:ok, tokens.access}
      {:error, error} -> {:error, error}
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

  # The key in the configuration is another one by now.
  defp open(%{config: %{accounts: %{token_key: nil}}}, _link, _sealed), do: :none

  defp open(%{config: %{accounts: %{token_key: key}}}, link, sealed) do
    with :error <- Vault.open(key, sealed, link.discord_id), do: :none
  end
end

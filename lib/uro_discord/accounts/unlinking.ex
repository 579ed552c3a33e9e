defmodule UroDiscord.Accounts.Unlinking do
  @moduledoc false
  # Ends a link: it is forgotten, then what was given is taken back, and the host is told. Whoever asks, this is the one way.

  require Logger

  alias UroDiscord.Accounts.{Directory, Ended, Link, Links, Running, Sync, Tokens}
  alias UroDiscord.{Error, Events, Snowflake}

  @typedoc """
  Why: `:user` asked for it at Uro, or `:discord` in Discord; `:deauthorized`, he has ended the application's authorization in Discord; `:left` and
  `:banned`; `:admin`; `:not_found`, Uro has the user no more, or Discord the account.
  """
  @type reason :: :user | :discord | :deauthorized | :left | :banned | :admin | :not_found

  @typedoc "The link that has ended; `:error` where there was none (any more), so that of several who end one at once only one has it."
  @type result :: {:ok, Link.t()} | :error | {:error, Error.t()}

  @spec unlink(String.t(), reason()) :: result()
  def unlink(user_id, reason) do
    with {:ok, runtime} <- Running.fetch(),
         {:ok, link} <- Links.get(runtime.store, user_id),
         do: finish(runtime, link, reason)
  end

  @spec unlink_account(Snowflake.t(), reason()) :: result()
  def unlink_account(discord_id, reason) do
    with {:ok, runtime} <- Running.fetch(),
         {:ok, link} <- Links.by_discord(runtime.store, discord_id),
         do: finish(runtime, link, reason)
  end

  defp finish(%{store: store} = runtime, link, reason) do
    with {:ok, kept, _connection} <- Links.tokens(store, link.discord_id),
         {:ok, identity?} <- Links.identity?(store, link.discord_id),
         {:ok, true} <- Links.delete(store, link) do
      Events.publish(:accounts, {:unlinked, %{link: link, reason: reason}})
      if identity?, do: remove_identity(runtime, link)
      released(Sync.release(link), link)
      # What he has ended himself is ended.
      if reason != :deauthorized, do: Tokens.revoke(runtime, link, kept)
      Ended.told(link, reason)
      {:ok, link}
    else
      {:ok, false} -> :error
      {:error, error} -> {:error, error}
    end
  end

  # Uro keeps it where he could not log in any more without it.
  defp remove_identity(%{config: config}, link) do
    with {:error, error} <- Directory.remove_identity(config, link.user_id, link.discord_id),
         do: Logger.warning("accounts: Uro keeps the login by Discord of #{link.user_id}: #{Exception.message(error)}")
  end

  defp released(:ok, _link), do: :ok

  defp released({:error, error}, link),
    do:
      Logger.warning(
        "accounts: roles and nickname of #{link.discord_id} are taken back later: #{Exception.message(error)}"
      )
end

defmodule UroDiscord.Accounts.Unlinking do
  @moduledoc false
  # Ends a link: it is forgotten, then what was given is taken back, and the host is told. Whoever asks, this is the one way.

  require Logger

  alias UroDiscord.Accounts.{Directory, Link, Links, Running, Sync, Tokens}
  alias UroDiscord.{Error, Events, Snowflake}

  @typedoc """
  Why: `:user` asked for it at Uro, or `:discord` in Discord; `:deauthorized`, he has ended the application's authorization in Discord; `:left` and
  `:banned`; `:admin`; `:not_found`, Uro has the user no more, or Discord the account.
  """
  @type reason :: :user | :discord | :deauthorized | :left | :banned | :admin | :not_found

  @spec unlink(String.t(), reason()) :: :ok | {:error, Error.t()}
  def unlink(user_id, reason) do
    with {:ok, runtime} <- Running.fetch(), do: found(runtime, Links.get(runtime.store, user_id), reason)
  end

  @spec unlink_account(Snowflake.t(), reason()) :: :ok | {:error, Error.t()}
  def unlink_account(discord_id, reason) do
    with {:ok, runtime} <- Running.fetch(), do: found(runtime, Links.by_discord(runtime.store, discord_id), reason)
  end

  defp found(_runtime, :error, _reason), do: {:error, not_linked()}
  defp found(_runtime, {:error, error}, _reason), do: {:error, error}

  defp found(%{store: store} = runtime, {:ok, link}, reason) do
    with {:ok, kept, _connection} <- Links.tokens(store, link.discord_id),
         {:ok, identity?} <- Links.identity?(store, link.discord_id),
         {:ok, true} <- Links.delete(store, link) do
      Events.publish(:accounts, {:unlinked, %{link: link, reason: reason}})
      if identity?, do: remove_identity(runtime, link)
      released(Sync.release(link), link)
      if reason != :deauthorized, do: Tokens.revoke(runtime, link, kept)
      tell_host(runtime, link, reason)
    else
      {:ok, false} -> {:error, not_linked()}
      {:error, error} -> {:error, error}
    end
  end

  defp not_linked, do: %Error{kind: :unknown, message: "there is no such link"}

  # Uro keeps it where he could not log in any more without it.
  defp remove_identity(%{config: config}, link) do
    with {:error, error} <- Directory.remove_identity(config, link.user_id, link.discord_id),
         do: Logger.warning("accounts: Uro keeps the login by Discord of #{link.user_id}: #{Exception.message(error)}")
  end

  defp released(:ok, _link), do: :ok

  defp released({:error, error}, link),
    do: Logger.warning("accounts: roles and nickname of #{link.discord_id} are not taken back yet: #{Exception.message(error)}")

  @spec tell_host(UroDiscord.Runtime.t(), Link.t(), reason()) :: :ok
  defp tell_host(%{config: %{accounts: %{on_unlinked: nil}}}, _link, _reason), do: :ok

  defp tell_host(%{config: %{accounts: %{on_unlinked: {module, function}}}}, link, reason) do
    apply(module, function, [link, reason])
    :ok
  rescue
    exception ->
      Logger.error("accounts: on_unlinked raised #{inspect(exception.__struct__)}\n#{Exception.format_stacktrace(__STACKTRACE__)}")
      :ok
  end
end

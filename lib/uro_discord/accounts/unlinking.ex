defmodule UroDiscord.Accounts.Unlinking do
  @moduledoc false
  # Ends a link: it is forgotten, then what was given is taken back, and the host is told. Whoever asks, this is the one way.

  require Logger

  alias UroDiscord.Accounts.{Ended, Link, Links, Running, Sync, TaskSupervisor}
  alias UroDiscord.{Error, Events, Snowflake}

  @typedoc """
  Why: `:user` asked for it at Uro, or `:discord` in Discord; `:deauthorized`, he has ended the application's authorization in Discord; `:left` and
  `:banned`; `:admin`; `:not_found`, Uro has the user no more, or Discord the account.
  """
  @type reason :: :user | :discord | :deauthorized | :left | :banned | :admin | :not_found

  @typedoc "The link that has ended; `:error` where there was none (any more), so that of several who end one at once only one has it."
  @type result :: {:ok, Link.t()} | :error | {:error, Error.t()}

  @spec unlink(String.t(), reason(), Ended.condition()) :: result()
  def unlink(user_id, reason, condition \\ nil) do
    with {:ok, runtime} <- Running.fetch(),
         {:ok, link} <- Links.get(runtime.store, user_id),
         do: finish(runtime, link, reason, condition)
  end

  @spec unlink_account(Snowflake.t(), reason(), Ended.condition()) :: result()
  def unlink_account(discord_id, reason, condition \\ nil) do
    with {:ok, runtime} <- Running.fetch(),
         {:ok, link} <- Links.by_discord(runtime.store, discord_id),
         do: finish(runtime, link, reason, condition)
  end

  @doc "The same, but what follows is not waited for: it is stored when this returns."
  @spec unlink_account_soon(Snowflake.t(), reason(), Ended.condition()) :: result()
  def unlink_account_soon(discord_id, reason, condition) do
    with {:ok, runtime} <- Running.fetch(),
         {:ok, link} <- Links.by_discord(runtime.store, discord_id),
         {:ok, ended} <- Ended.put(runtime, link, reason, condition) do
      Task.Supervisor.start_child(TaskSupervisor, fn -> follow(runtime, link, ended) end)
      {:ok, link}
    end
  end

  defp finish(runtime, link, reason, condition) do
    with {:ok, ended} <- Ended.put(runtime, link, reason, condition) do
      follow(runtime, link, ended)
      {:ok, link}
    end
  end

  defp follow(runtime, link, ended) do
    Events.publish(:accounts, {:unlinked, %{link: link, reason: ended.reason}})
    released(Sync.release(link), link)
    Ended.go_on(runtime, ended)
  end

  defp released(:ok, _link), do: :ok

  defp released({:error, error}, link),
    do:
      Logger.warning(
        "accounts: roles and nickname of #{link.discord_id} are taken back later: #{Exception.message(error)}"
      )
end

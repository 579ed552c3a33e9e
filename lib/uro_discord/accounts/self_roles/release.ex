defmodule UroDiscord.Accounts.SelfRoles.Release do
  @moduledoc false
  # Takes back what somebody took as a linked user, when he is none any more, or is locked.

  alias UroDiscord.{Channels, Error, Rest, Runtime}
  alias UroDiscord.Accounts.{Guild, Guilds, Link, Links, Members, Running, Turns}
  alias UroDiscord.Accounts.SelfRoles.Grants

  @deadline_ms 15_000
  @reason "the Uro account is no longer linked, or is locked"

  # https://discord.com/developers/docs/topics/opcodes-and-status-codes#json: there is nothing to take.
  @unknown_role 10_011

  @doc "Of a user of Uro's who has changed: nothing where he is linked and not locked."
  @spec changed(String.t(), :high | :normal) :: :ok | {:error, Error.t()}
  def changed(user_id, priority) do
    with {:ok, runtime} <- Running.fetch(),
         [_ | _] <- messages(runtime),
         {:ok, link} <- Links.get(runtime.store, user_id),
         not_any_more when not_any_more in [:locked, :not_linked] <- Grants.linked(runtime, link.discord_id) do
      run(link, priority)
    else
      {:error, error} -> {:error, error}
      _nothing_to_take -> :ok
    end
  end

  @doc "Of a link that has ended, unless there is another one."
  @spec run(Link.t(), :high | :normal) :: :ok | {:error, Error.t()}
  def run(link, priority \\ :normal) do
    with {:ok, runtime} <- Runtime.fetch_enabled(), do: each(messages(runtime), &release(&1, link, runtime, priority))
  end

  defp messages(%{config: config}), do: for(%{only: :linked} = message <- config.accounts.self_roles, do: message)

  # When it is his turn: a click that is under way comes to its end before, and one after it finds him as he is.
  defp release(message, link, runtime, priority) do
    with {:ok, %{guild_id: guild_id}} when is_binary(guild_id) <- Channels.fetch(message.channel, runtime.rest),
         {:ok, guild} <- Guilds.fetch(guild_id) do
      Turns.run("#{guild_id}/#{link.discord_id}", fn -> take_back(message, guild, link, runtime, priority) end)
    else
      {:error, error} -> {:error, error}
      # A channel that the bot cannot see any more.
      {:ok, _none} -> :ok
    end
  end

  defp take_back(message, guild, %{discord_id: discord_id}, runtime, priority) do
    with not_any_more when not_any_more in [:locked, :not_linked] <- Grants.linked(runtime, discord_id),
         {:ok, member} <- Members.fetch(guild.id, discord_id, priority: priority, deadline_ms: @deadline_ms) do
      ids = for {_label, wanted} <- message.roles, {:ok, id} <- [id(wanted, guild)], id in member.roles, do: id
      each(ids, &remove(runtime, {:remove_member_role, guild.id, discord_id, &1}, priority))
    else
      {:error, error} -> {:error, error}
      # There is nobody to take it from, or he may have it.
      _left_or_ok -> :ok
    end
  end

  defp id({:named, name}, guild), do: Guild.named(guild, name)
  defp id(id, _guild), do: {:ok, id}

  defp remove(runtime, route, priority) do
    options = [reason: @reason, priority: priority, retry: :safe, deadline_ms: @deadline_ms]

    case Rest.call(runtime.rest, route, options) do
      {:ok, _} -> :ok
      {:error, error} -> if Members.left?(error) or error.code == @unknown_role, do: :ok, else: {:error, error}
    end
  end

  # One that fails does not keep the others from being done.
  defp each(what, function), do: Enum.reduce(what, :ok, fn one, before -> with(:ok <- function.(one), do: before) end)
end

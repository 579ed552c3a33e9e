defmodule UroDiscord.Accounts.SelfRoles.Release do
  @moduledoc false
  # Takes back what somebody took as a linked user, when he is none any more.

  alias UroDiscord.{Channels, Error, Rest, Runtime}
  alias UroDiscord.Accounts.{Guild, Guilds, Link}

  @deadline_ms 15_000
  @reason "the Uro account is no longer linked"

  # https://discord.com/developers/docs/topics/opcodes-and-status-codes#json: there is nothing to take, or nobody to take it from.
  @unknown_member 10_007
  @unknown_role 10_011

  @spec run(Link.t()) :: :ok | {:error, Error.t()}
  def run(link) do
    with {:ok, runtime} <- Runtime.fetch_enabled() do
      each(
        for(%{only: :linked} = message <- runtime.config.accounts.self_roles, do: message),
        &release(&1, link, runtime)
      )
    end
  end

  defp release(message, link, runtime) do
    with {:ok, %{guild_id: guild_id}} when is_binary(guild_id) <- Channels.fetch(message.channel, runtime.rest),
         {:ok, guild} <- Guilds.fetch(guild_id),
         {:ok, %{body: %{"roles" => has}}} <- call(runtime, {:get_member, guild_id, link.discord_id}, []) do
      ids = for {_label, wanted} <- message.roles, {:ok, id} <- [id(wanted, guild)], id in has, do: id
      each(ids, &remove(runtime, {:remove_member_role, guild_id, link.discord_id, &1}))
    else
      {:error, %Error{code: @unknown_member}} -> :ok
      {:error, error} -> {:error, error}
      # A channel that the bot cannot see any more.
      {:ok, _none} -> :ok
    end
  end

  defp id({:named, name}, guild), do: Guild.named(guild, name)
  defp id(id, _guild), do: {:ok, id}

  defp remove(runtime, route) do
    case call(runtime, route, reason: @reason) do
      {:ok, _} -> :ok
      {:error, %Error{code: code}} when code in [@unknown_member, @unknown_role] -> :ok
      {:error, error} -> {:error, error}
    end
  end

  # One that fails does not keep the others from being done.
  defp each(what, function), do: Enum.reduce(what, :ok, fn one, before -> with(:ok <- function.(one), do: before) end)

  defp call(runtime, route, options),
    do: Rest.call(runtime.rest, route, [retry: :safe, priority: :low, deadline_ms: @deadline_ms] ++ options)
end

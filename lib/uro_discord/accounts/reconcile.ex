defmodule UroDiscord.Accounts.Reconcile do
  @moduledoc false
  # All linked members of a guild, brought to what they are to be: page by page of Discord's list, which costs one request for 1,000 members.

  alias UroDiscord.Accounts.{Applied, Directory, Links, Member, Members, Running, Sync}
  alias UroDiscord.{Config, Error, Events, Snowflake, Store}

  @type summary :: %{
          members: non_neg_integer(),
          linked: non_neg_integer(),
          changed: non_neg_integer(),
          failed: non_neg_integer()
        }

  @nobody %{members: 0, linked: 0, changed: 0, failed: 0}

  @spec run(Snowflake.t(), String.t()) :: {:ok, summary()} | {:error, Error.t()}
  def run(guild_id, reason) do
    with {:ok, %{store: store} = runtime} <- Running.fetch(), {:ok, links} <- Links.count(store) do
      # Where nobody is linked nobody is to be found.
      if links == 0, do: {:ok, @nobody}, else: run(runtime, guild_id, reason)
    end
  end

  defp run(%{store: store, config: config}, guild_id, reason) do
    with {:ok, known} <- Applied.ids(store, guild_id) do
      guild_id
      |> Members.stream()
      |> Enum.reduce_while({:ok, @nobody, MapSet.new(known)}, fn page, {:ok, summary, missing} ->
        with {:ok, members} <- page, {:ok, entries} <- entries(config, store, members) do
          summary = entries |> Sync.sync_members(guild_id, reason: reason) |> Enum.reduce(summary, &count/2)
          summary = %{summary | members: summary.members + length(members), linked: summary.linked + length(entries)}
          {:cont, {:ok, summary, Enum.reduce(members, missing, &MapSet.delete(&2, &1.id))}}
        else
          {:error, error} -> {:halt, {:error, error}}
        end
      end)
      |> ended(store, guild_id)
    end
  end

  @doc "Of these members those who are linked, with their users."
  @spec entries(Config.t(), Store.t(), [Member.t()]) :: {:ok, [Sync.entry()]} | {:error, Error.t()}
  def entries(config, store, members) do
    with {:ok, links} <- Links.of_accounts(store, Enum.map(members, & &1.id)),
         {:ok, users} <- Directory.users(config, for({_id, link} <- links, do: link.user_id)) do
      {:ok, for(member <- members, link = links[member.id], do: {users[link.user_id], link, member})}
    end
  end

  defp count({_entry, {:changed, _plan}}, summary), do: %{summary | changed: summary.changed + 1}
  defp count({_entry, {:error, _error}}, summary), do: %{summary | failed: summary.failed + 1}
  defp count({_entry, _unchanged_or_left}, summary), do: summary

  # Of whom we set something, and who is not in the list, has left while nobody heard of it.
  defp ended({:ok, summary, missing}, store, guild_id) do
    missing
    |> Enum.chunk_every(1_000)
    |> Enum.reduce_while({:ok, summary}, fn ids, result ->
      with {:ok, links} <- Links.of_accounts(store, ids) do
        for id <- ids do
          :ok = Applied.delete(store, guild_id, id)

          with %{^id => link} <- links,
               do: Events.publish(:accounts, {:left, %{discord_id: id, user_id: link.user_id, guild_id: guild_id}})
        end

        {:cont, result}
      else
        {:error, error} -> {:halt, {:error, error}}
      end
    end)
  end

  defp ended({:error, error}, _store, _guild_id), do: {:error, error}
end

defmodule UroDiscord.Accounts.Reconcile do
  @moduledoc false
  # All linked members of a guild, brought to what they are to be: page by page of Discord's list, which costs one request for 1,000 members.

  alias UroDiscord.Accounts.{Applied, Directory, Guilds, Link, Links, Member, Members, Running, Sync, Turns}
  alias UroDiscord.{Config, Error, Events, Snowflake, Store}

  @type summary :: %{
          members: non_neg_integer(),
          linked: non_neg_integer(),
          changed: non_neg_integer(),
          failed: non_neg_integer()
        }

  @nobody %{members: 0, linked: 0, changed: 0, failed: 0}

  @doc """
  Members whose changes are refused are `failed`; status/0 shows them. Where a change failed for a passing reason, the whole is an error: all members are to be
  looked at again.
  """
  @spec run(Snowflake.t(), String.t()) :: {:ok, summary()} | {:error, Error.t()}
  def run(guild_id, reason) do
    with {:ok, %{store: store} = runtime} <- Running.fetch(), {:ok, links} <- Links.count(store) do
      # Where nobody is linked nobody is to be found.
      if links == 0, do: {:ok, @nobody}, else: run(runtime, guild_id, reason)
    end
  end

  defp run(%{store: store, config: config, bot_id: bot_id}, guild_id, reason) do
    with {:ok, known} <- Applied.ids(store, guild_id) do
      guild_id
      |> Members.stream()
      |> Enum.reduce_while({:ok, @nobody, [], MapSet.new([bot_id | known])}, fn page, {:ok, summary, late, missing} ->
        with {:ok, members} <- page, {:ok, entries, unread} <- entries(config, store, members) do
          {summary, late} =
            entries
            |> Sync.sync_members(guild_id, reason: reason)
            |> Stream.concat(for({link, error} <- unread, do: {link, {:error, error}}))
            |> Enum.reduce({summary, late}, &count/2)

          linked = summary.linked + length(entries) + length(unread)
          summary = %{summary | members: summary.members + length(members), linked: linked}
          {:cont, {:ok, summary, late, Enum.reduce(members, missing, &MapSet.delete(&2, &1.id))}}
        else
          {:error, error} -> {:halt, {:error, error}}
        end
      end)
      |> whole(bot_id)
      |> ended(store, guild_id)
    end
  end

  # The bot is a member, too. By a list without it nobody has left.
  defp whole({:ok, _summary, _late, missing} = read, bot_id) do
    if bot_id in missing,
      do:
        {:error,
         %Error{kind: :response, message: "Discord's list of members is not whole: the bot itself is not in it"}},
      else: read
  end

  defp whole({:error, error}, _bot_id), do: {:error, error}

  @doc "Of these members those who are linked, with their users; and those whose user cannot be read."
  @spec entries(Config.t(), Store.t(), [Member.t()]) ::
          {:ok, [Sync.entry()], [{Link.t(), Error.t()}]} | {:error, Error.t()}
  def entries(config, store, members) do
    with {:ok, links} <- Links.of_accounts(store, Enum.map(members, & &1.id)),
         {:ok, users} <- Directory.each(config, for({_id, link} <- links, do: link.user_id)) do
      linked = for member <- members, link = links[member.id], do: {users[link.user_id], link, member}

      {:ok, for({{:ok, user}, link, member} <- linked, do: {user, link, member}),
       for({{:error, error}, link, _member} <- linked, do: {link, error})}
    end
  end

  # One error stands for all that may pass.
  defp count({_entry, {:changed, _plan}}, {summary, late}), do: {%{summary | changed: summary.changed + 1}, late}

  defp count({_entry, {:error, error}}, {summary, late}),
    do: {%{summary | failed: summary.failed + 1}, if(late == [] and Guilds.passing?(error), do: [error], else: late)}

  defp count({_entry, _unchanged_or_left}, counted), do: counted

  # A member of whom we have set something, and who is not in the list, has left while nobody heard of it.
  defp ended({:ok, summary, late, missing}, store, guild_id) do
    missing
    |> Enum.chunk_every(1_000)
    |> Enum.reduce_while(done(summary, late), fn ids, result ->
      with {:ok, links} <- Links.of_accounts(store, ids), :ok <- left(store, guild_id, ids, links) do
        {:cont, result}
      else
        {:error, error} -> {:halt, {:error, error}}
      end
    end)
  end

  defp ended({:error, error}, _store, _guild_id), do: {:error, error}

  defp done(summary, []), do: {:ok, summary}

  defp done(summary, [error]),
    do: {:error, %{error | message: "#{summary.failed} of #{summary.linked} could not be changed: #{error.message}"}}

  defp left(store, guild_id, ids, links) do
    Enum.reduce_while(ids, :ok, fn id, :ok ->
      Guilds.forget_member(guild_id, id)

      case Turns.run("#{guild_id}/#{id}", &Applied.delete(store, guild_id, id, &1)) do
        :ok ->
          with %{^id => link} <- links,
               do: Events.publish(:accounts, {:left, %{discord_id: id, user_id: link.user_id, guild_id: guild_id}})

          {:cont, :ok}

        {:error, error} ->
          {:halt, {:error, error}}
      end
    end)
  end
end

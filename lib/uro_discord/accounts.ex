defmodule UroDiscord.Accounts do
  @moduledoc """
  Which Uro user and which Discord account belong together. `docs/accounts.md` tells how this is set up, and what follows from it.

      {:ok, %UroDiscord.Accounts.Link{discord_id: id}} = UroDiscord.Accounts.link(user.id)

  One Discord account belongs to one user, and one user has one account.

  Each of these functions returns `{:error, %UroDiscord.Error{}}` where UroDiscord does not run (`kind: :not_started`), where it or `accounts:` is off
  (`:disabled`), and where the store, or a process of UroDiscord's, does not answer.

  `UroDiscord.subscribe(:accounts)` sends `{:uro_discord, :accounts, event}` on the node where it happens:

    * `{:linked, %{link: link}}`;
    * `{:unlinked, %{link: link, reason: reason}}`, with the reasons of `unlink/2`;
    * `{:changed, %{user_id: id}}`: a linked user has changed in Uro;
    * `{:synced, %{user_id: id, discord_id: id, guild_id: id, plan: plan}}`: roles or the nickname of a member were changed, or taken back. Of `plan`, `add` and
      `remove` are the ids of roles that he got and lost, and `nick` is `:keep`, `:reset` or `{:set, name}`. `user_id` is `""` where something is taken back
      later than when the link ended;
    * `{:left, %{user_id: id, discord_id: id, guild_id: id}}`: a linked user who was to be synced is not in that server.
  """

  alias UroDiscord.Accounts.{Link, Links, Queue, Running, States, Unlinking}
  alias UroDiscord.{Error, Snowflake, Store}

  ## Links

  @doc "The link of a Uro user, by the id that the directory knows him by; `:error` where he has none."
  @spec link(String.t()) :: {:ok, Link.t()} | :error | {:error, Error.t()}
  def link(user_id) when is_binary(user_id), do: with({:ok, store} <- store(), do: Links.get(store, user_id))

  @doc "The link of a Discord account, whose id is a string; `:error` where it has none."
  @spec by_discord(Snowflake.t()) :: {:ok, Link.t()} | :error | {:error, Error.t()}
  def by_discord(discord_id) when is_binary(discord_id),
    do: with({:ok, store} <- store(), do: Links.by_discord(store, discord_id))

  @doc """
  A page of all links, ordered by their Discord accounts. Options: `:after`, the `discord_id` that the page before ended with, and `:limit` (1,000).

      {:ok, page} = UroDiscord.Accounts.links(after: List.last(page_before).discord_id)
  """
  @spec links(keyword()) :: {:ok, [Link.t()]} | {:error, Error.t()}
  def links(options \\ []) do
    limit = Keyword.get(options, :limit, 1_000)

    if limit in 1..1_000,
      do: with({:ok, store} <- store(), do: Links.page(store, options[:after], limit)),
      else: {:error, Error.invalid("limit", limit, "an integer from 1 to 1000")}
  end

  @doc """
  Ends the link of a Uro user, and returns it; `:error` where he has none. His roles and nickname are taken back, and the host is told (`on_unlinked:`) with the
  reason.

  The link has ended when this returns. It waits until roles and nickname are taken back, for up to 8 s in each server; what Discord does not take in that time
  follows later. So do the roles that he took himself, and telling the host.

  Reasons: `:user` (he asked for it), `:admin`, `:not_found` (there is no such user any more); UroDiscord's own are `:discord` (`/unlink`), `:deauthorized`,
  `:left` and `:banned`.
  """
  @spec unlink(String.t(), Unlinking.reason()) :: {:ok, Link.t()} | :error | {:error, Error.t()}
  def unlink(user_id, reason \\ :user) when is_binary(user_id) and is_atom(reason),
    do: Unlinking.unlink(user_id, reason)

  @doc """
  A link for one Discord account, to be shown to its owner only, as `/link` does: whoever is logged in at Uro opens it, and the login at Discord must then be
  by that account. It is good once, for half an hour.
  """
  @spec link_url(Snowflake.t()) :: {:ok, String.t()} | {:error, Error.t()}
  def link_url(discord_id) do
    with {:ok, %{store: store, config: config}} <- Running.fetch(),
         {:ok, id} <- account(discord_id),
         {:ok, token} <- States.personal(store, id),
         do: {:ok, "#{config.accounts.public_url}/link?for=#{token}"}
  end

  @doc """
  Asks for a user's roles and nicknames to be looked at, as after a change that nothing else tells of. It returns at once; the look comes soon, and is tried again
  until it is done. `{:error, %{kind: :full}}` where 100,000 users wait already.
  """
  @spec sync(String.t()) :: :ok | {:error, Error.t()}
  def sync(user_id) when is_binary(user_id),
    do: with({:ok, _runtime} <- Running.fetch(), do: Queue.put(user_id, "asked for"))

  defp account(id) do
    with :error <- Snowflake.cast(id), do: {:error, Error.invalid("discord_id", id, "the id of a Discord account")}
  end

  @spec store() :: {:ok, Store.t()} | {:error, Error.t()}
  defp store, do: with({:ok, %{store: store}} <- Running.fetch(), do: {:ok, store})
end

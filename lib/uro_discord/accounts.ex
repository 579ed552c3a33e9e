defmodule UroDiscord.Accounts do
  @moduledoc """
  A Uro user and his Discord account: which belong together. `docs/accounts.md` tells how it is set up, and what becomes of it.

      {:ok, %UroDiscord.Accounts.Link{discord_id: id}} = UroDiscord.Accounts.link(user.id)

  One Discord account belongs to one user, and one user has one account.
  """

  alias UroDiscord.Accounts.{Link, Links, Running}
  alias UroDiscord.{Error, Snowflake, Store}

  ## Links

  @doc "The link of a Uro user; `:error` where he has none."
  @spec link(String.t()) :: {:ok, Link.t()} | :error | {:error, Error.t()}
  def link(user_id) when is_binary(user_id), do: with({:ok, store} <- store(), do: Links.get(store, user_id))

  @doc "The link of a Discord account; `:error` where it has none."
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

  @doc false
  # For what `UroDiscord.Accounts` itself depends on, it is `Running.fetch/0`.
  defdelegate runtime, to: Running, as: :fetch

  @spec store() :: {:ok, Store.t()} | {:error, Error.t()}
  defp store, do: with({:ok, %{store: store}} <- Running.fetch(), do: {:ok, store})
end

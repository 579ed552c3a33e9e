defmodule UroDiscord.Accounts.Applied do
  @moduledoc false
  # What we have set of members, in the store: `uro_discord_members`. That Discord makes another name of a nickname is known to this VM alone: another one
  # asks once more.

  alias UroDiscord.Accounts.Plan
  alias UroDiscord.{Error, JSON, Runtime, Snowflake, Store}

  # Parameters of one statement.
  @most 500

  @doc "What was set of these members of a guild; of whom nothing is known is not in it."
  @spec of(Store.t(), Snowflake.t(), [Snowflake.t()]) :: {:ok, %{Snowflake.t() => Plan.applied()}} | {:error, Error.t()}
  def of(store, guild_id, ids) do
    ids
    |> Enum.chunk_every(@most)
    |> Enum.reduce_while({:ok, %{}}, fn ids, {:ok, found} ->
      places = Enum.map_join(2..(length(ids) + 1), ", ", &"$#{&1}")

      sql =
        "SELECT discord_id, nick_set, nick_before, roles_set FROM uro_discord_members WHERE guild_id = $1 AND discord_id IN (#{places})"

      case Store.run(store, [{sql, [guild_id | ids]}], :read) do
        {:ok, [%{rows: rows}]} -> {:cont, {:ok, Enum.into(rows, found, &read(guild_id, &1))}}
        {:error, error} -> {:halt, {:error, error}}
      end
    end)
  end

  @doc "What was set of one member."
  @spec get(Store.t(), Snowflake.t(), Snowflake.t()) :: {:ok, Plan.applied() | nil} | {:error, Error.t()}
  def get(store, guild_id, id), do: with({:ok, found} <- of(store, guild_id, [id]), do: {:ok, found[id]})

  @doc "Everybody of whom something was set in a guild."
  @spec ids(Store.t(), Snowflake.t()) :: {:ok, [Snowflake.t()]} | {:error, Error.t()}
  def ids(store, guild_id) do
    with {:ok, [%{rows: rows}]} <-
           Store.run(store, [{"SELECT discord_id FROM uro_discord_members WHERE guild_id = $1", [guild_id]}], :read),
         do: {:ok, List.flatten(rows)}
  end

  @doc "Whether anybody has a role by us."
  @spec roles?(Store.t()) :: {:ok, boolean()} | {:error, Error.t()}
  def roles?(store) do
    sql = "SELECT 1 FROM uro_discord_members WHERE roles_set <> '[]' LIMIT 1"
    with {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, []}], :read), do: {:ok, rows != []}
  end

  @doc "Of whom something was set although nobody is linked to him: 1,000 at most, as `{guild_id, discord_id}`."
  @spec orphans(Store.t()) :: {:ok, [{Snowflake.t(), Snowflake.t()}]} | {:error, Error.t()}
  def orphans(store) do
    sql = """
    SELECT m.guild_id, m.discord_id FROM uro_discord_members m LEFT JOIN uro_discord_links l ON l.discord_id = m.discord_id
    WHERE l.discord_id IS NULL LIMIT 1000
    """

    with {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, []}], :read), do: {:ok, Enum.map(rows, &List.to_tuple/1)}
  end

  @spec put(Store.t(), Snowflake.t(), Snowflake.t(), Plan.applied()) :: :ok | {:error, Error.t()}
  def put(store, guild_id, id, applied) do
    if applied.altered,
      do: Runtime.put({:accounts_altered, {guild_id, id}}, applied.altered),
      else: Runtime.delete({:accounts_altered, {guild_id, id}})

    {:ok, roles} = JSON.encode(applied.roles_set)

    sql = """
    INSERT INTO uro_discord_members (guild_id, discord_id, nick_set, nick_before, roles_set) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (guild_id, discord_id) DO UPDATE SET nick_set = excluded.nick_set, nick_before = excluded.nick_before, roles_set = excluded.roles_set
    """

    with {:ok, _} <- Store.run(store, [{sql, [guild_id, id, applied.nick_set, applied.nick_before, roles]}], :write),
         do: :ok
  end

  @doc "There is something, were it nothing: until it is deleted, `orphans/1` finds who is not linked."
  @spec ensure(Store.t(), Snowflake.t(), Snowflake.t()) :: :ok | {:error, Error.t()}
  def ensure(store, guild_id, id) do
    sql =
      "INSERT INTO uro_discord_members (guild_id, discord_id) VALUES ($1, $2) ON CONFLICT (guild_id, discord_id) DO NOTHING"

    with {:ok, _} <- Store.run(store, [{sql, [guild_id, id]}], :write), do: :ok
  end

  @spec delete(Store.t(), Snowflake.t(), Snowflake.t()) :: :ok | {:error, Error.t()}
  def delete(store, guild_id, id) do
    Runtime.delete({:accounts_altered, {guild_id, id}})
    sql = "DELETE FROM uro_discord_members WHERE guild_id = $1 AND discord_id = $2"
    with {:ok, _} <- Store.run(store, [{sql, [guild_id, id]}], :write), do: :ok
  end

  defp read(guild_id, [id, nick_set, nick_before, roles]) do
    roles =
      with text when is_binary(text) <- roles,
           {:ok, list} when is_list(list) <- JSON.decode(text),
           do: list,
           else: (_ -> [])

    altered = Runtime.lookup({:accounts_altered, {guild_id, id}})
    {id, %{nick_set: nick_set, nick_before: nick_before, roles_set: roles, altered: altered}}
  end
end

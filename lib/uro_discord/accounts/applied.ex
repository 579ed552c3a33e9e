defmodule UroDiscord.Accounts.Applied do
  @moduledoc false
  # What we have set of members, in the store: `uro_discord_members`. That Discord turns a nickname into another one is not stored: each VM remembers it, and a
  # new one asks for the nickname once more.

  alias UroDiscord.Accounts.{Plan, Turns}
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

  @doc "Whether we have given anybody a role."
  @spec roles?(Store.t()) :: {:ok, boolean()} | {:error, Error.t()}
  def roles?(store) do
    sql = "SELECT 1 FROM uro_discord_members WHERE roles_set <> '[]' LIMIT 1"
    with {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, []}], :read), do: {:ok, rows != []}
  end

  @doc "Of whom something was set although nobody is linked to him: the next 1,000 at most, as `{guild_id, discord_id}`, after one of them."
  @spec orphans(Store.t(), {Snowflake.t(), Snowflake.t()}) ::
          {:ok, [{Snowflake.t(), Snowflake.t()}]} | {:error, Error.t()}
  def orphans(store, {guild_id, discord_id} \\ {"", ""}) do
    sql = """
    SELECT m.guild_id, m.discord_id FROM uro_discord_members m LEFT JOIN uro_discord_links l ON l.discord_id = m.discord_id
    WHERE l.discord_id IS NULL AND (m.guild_id, m.discord_id) > (CAST($1 AS TEXT), CAST($2 AS TEXT)) ORDER BY m.guild_id, m.discord_id LIMIT 1000
    """

    with {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, [guild_id, discord_id]}], :read),
         do: {:ok, Enum.map(rows, &List.to_tuple/1)}
  end

  # What follows is written in a member's turn, behind its fence; without a turn, by whoever knows that nobody else is at it.

  @spec put(Store.t(), Snowflake.t(), Snowflake.t(), Plan.applied(), Turns.t() | nil) :: :ok | {:error, Error.t()}
  def put(store, guild_id, id, applied, turn \\ nil) do
    {:ok, roles} = JSON.encode(applied.roles_set)

    sql = fn held ->
      """
      INSERT INTO uro_discord_members (guild_id, discord_id, nick_set, nick_before, roles_set)
      SELECT #{places(4..8)} WHERE #{held}
      ON CONFLICT (guild_id, discord_id) DO UPDATE SET nick_set = excluded.nick_set, nick_before = excluded.nick_before, roles_set = excluded.roles_set
      """
    end

    with :ok <- write(store, turn, sql, [guild_id, id, applied.nick_set, applied.nick_before, roles]) do
      if applied.altered,
        do: Runtime.put({:accounts_altered, {guild_id, id}}, applied.altered),
        else: Runtime.delete({:accounts_altered, {guild_id, id}})
    end
  end

  @doc "Sees to it that the member has a row, if only an empty one: until that is deleted, `orphans/2` finds him when he is not linked."
  @spec ensure(Store.t(), Snowflake.t(), Snowflake.t()) :: :ok | {:error, Error.t()}
  def ensure(store, guild_id, id) do
    sql =
      "INSERT INTO uro_discord_members (guild_id, discord_id) VALUES ($1, $2) ON CONFLICT (guild_id, discord_id) DO NOTHING"

    with {:ok, _} <- Store.run(store, [{sql, [guild_id, id]}], :write), do: :ok
  end

  @spec delete(Store.t(), Snowflake.t(), Snowflake.t(), Turns.t() | nil) :: :ok | {:error, Error.t()}
  def delete(store, guild_id, id, turn \\ nil) do
    sql =
      &"DELETE FROM uro_discord_members WHERE guild_id = CAST($4 AS TEXT) AND discord_id = CAST($5 AS TEXT) AND #{&1}"

    with :ok <- write(store, turn, sql, [guild_id, id]), do: Runtime.delete({:accounts_altered, {guild_id, id}})
  end

  # All of them are texts.
  defp places(numbers), do: Enum.map_join(numbers, ", ", &"CAST($#{&1} AS TEXT)")

  defp write(store, nil, sql, parameters) do
    always = Enum.map_join(1..3, " AND ", &"CAST($#{&1} AS TEXT) IS NULL")
    with {:ok, _} <- Store.run(store, [{sql.(always), [nil, nil, nil | parameters]}], :write), do: :ok
  end

  defp write(store, turn, sql, parameters) do
    {held, three} = Turns.held(turn)
    Turns.write(store, turn, [{sql.(held), three ++ parameters}])
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

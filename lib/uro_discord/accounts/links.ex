defmodule UroDiscord.Accounts.Links do
  @moduledoc false
  # The rows that say which Uro user and which Discord account belong together. Several nodes write: what must hold is in the statements.

  alias UroDiscord.Accounts.Link
  alias UroDiscord.{Clock, Error, Snowflake, Store}

  @columns "user_id, discord_id, username, linked_at, agreed_at, left_at, missing_at, joined"
  # Parameters of one statement; SQLite takes 32,766, and PostgreSQL twice that.
  @most 1_000

  @typedoc "OAuth2 tokens as `UroDiscord.Accounts.Vault` has encrypted them."
  @type tokens :: %{
          access: String.t(),
          refresh: String.t() | nil,
          expires_at: DateTime.t(),
          scopes: String.t()
        }

  @doc "The link of a Uro user."
  @spec get(Store.t(), String.t()) :: {:ok, Link.t()} | :error | {:error, Error.t()}
  def get(store, user_id), do: one(store, "user_id", user_id)

  @doc "The link of a Discord account."
  @spec by_discord(Store.t(), Snowflake.t()) :: {:ok, Link.t()} | :error | {:error, Error.t()}
  def by_discord(store, discord_id), do: one(store, "discord_id", discord_id)

  defp one(store, column, value) do
    with {:ok, [%{rows: rows}]} <- read(store, "WHERE #{column} = $1", [value]) do
      case rows do
        [row] -> {:ok, link(row)}
        [] -> :error
      end
    end
  end

  @doc "The links of these Uro users, by their id; 1,000 at most."
  @spec of_users(Store.t(), [String.t()]) :: {:ok, %{String.t() => Link.t()}} | {:error, Error.t()}
  def of_users(store, ids), do: many(store, "user_id", ids, & &1.user_id)

  @doc "The links of these Discord accounts, by their id; 1,000 at most."
  @spec of_accounts(Store.t(), [Snowflake.t()]) :: {:ok, %{Snowflake.t() => Link.t()}} | {:error, Error.t()}
  def of_accounts(store, ids), do: many(store, "discord_id", ids, & &1.discord_id)

  defp many(_store, _column, [], _key), do: {:ok, %{}}

  defp many(store, column, ids, key) when length(ids) <= @most do
    places = Enum.map_join(1..length(ids), ", ", &"$#{&1}")

    with {:ok, [%{rows: rows}]} <- read(store, "WHERE #{column} IN (#{places})", ids),
         do: {:ok, rows |> Enum.map(&link/1) |> Map.new(&{key.(&1), &1})}
  end

  @doc "A page of all links, as Discord orders the ids of accounts, after one of these (nil: from the beginning)."
  @spec page(Store.t(), Snowflake.t() | nil, 1..1_000) :: {:ok, [Link.t()]} | {:error, Error.t()}
  def page(store, after_discord_id, limit \\ @most) when limit in 1..@most do
    where = """
    WHERE (LENGTH(discord_id), discord_id) > (LENGTH(CAST($1 AS TEXT)), CAST($1 AS TEXT))
    ORDER BY LENGTH(discord_id), discord_id LIMIT #{limit}
    """

    with {:ok, [%{rows: rows}]} <- read(store, where, [after_discord_id || ""]), do: {:ok, Enum.map(rows, &link/1)}
  end

  @doc "How many there are."
  @spec count(Store.t()) :: {:ok, non_neg_integer()} | {:error, Error.t()}
  def count(store) do
    with {:ok, [%{rows: [[count]]}]} <- Store.run(store, [{"SELECT COUNT(*) FROM uro_discord_links", []}], :read),
         do: {:ok, count}
  end

  @doc """
  A page of those whose users have left since before this moment, or at any time with nil, the earliest first, after one of these (nil: from the
  beginning); 1,000 at most.
  """
  @spec left(Store.t(), DateTime.t() | nil, Link.t() | nil) :: {:ok, [Link.t()]} | {:error, Error.t()}
  def left(store, before, last \\ nil) do
    limit = if before, do: DateTime.to_unix(before, :millisecond), else: 0x7FFF_FFFF_FFFF_FFFF
    {left_at, discord_id} = if last, do: {DateTime.to_unix(last.left_at, :millisecond), last.discord_id}, else: {-1, ""}

    where = """
    WHERE left_at <= $1 AND (left_at, discord_id) > (CAST($2 AS BIGINT), CAST($3 AS TEXT)) ORDER BY left_at, discord_id LIMIT #{@most}
    """

    with {:ok, [%{rows: rows}]} <- read(store, where, [limit, left_at, discord_id]), do: {:ok, Enum.map(rows, &link/1)}
  end

  @doc "When the first of those left who did so after this moment; nil where nobody did."
  @spec next_left(Store.t(), DateTime.t()) :: {:ok, DateTime.t() | nil} | {:error, Error.t()}
  def next_left(store, at) do
    sql = "SELECT MIN(left_at) FROM uro_discord_links WHERE left_at > $1"

    with {:ok, [%{rows: [[left_at]]}]} <- Store.run(store, [{sql, [DateTime.to_unix(at, :millisecond)]}], :read),
         do: {:ok, time(left_at)}
  end

  @doc """
  Stores that these two belong together; `:again` where they did before. Nothing is overwritten: `{:clash, :user, link}` where the user has another
  account, `{:clash, :account, link}` where the account is another user's. Without tokens those that are there stay; with new ones Discord may
  have forgotten what it was told. With `identity: true` the host's login is about to be told of the account by us.
  """
  @spec put(Store.t(), String.t(), Snowflake.t(), String.t(), tokens() | nil, identity: boolean()) ::
          {:ok, :new | :again, Link.t()} | {:clash, :user | :account, Link.t()} | {:error, Error.t()}
  def put(store, user_id, discord_id, username, tokens \\ nil, options \\ []) do
    # What Discord dates is compared with this.
    now = Clock.discord()
    [access, refresh, expires_at, scopes] = token_values(tokens)
    identity = if options[:identity], do: 1, else: 0

    statements = [
      {"""
       INSERT INTO uro_discord_links
         (user_id, discord_id, username, linked_at, agreed_at, joined, identity, access_token, refresh_token, token_expires_at, scopes)
       VALUES ($1, $2, $3, $4, $4, 1, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING
       """, [user_id, discord_id, username, now, identity, access, refresh, expires_at, scopes]},
      {"""
       UPDATE uro_discord_links SET username = $1, left_at = NULL, missing_at = NULL, agreed_at = $8,
         identity = CASE WHEN CAST($9 AS BIGINT) = 1 THEN 1 ELSE identity END,
         access_token = COALESCE($2, access_token), refresh_token = CASE WHEN CAST($2 AS TEXT) IS NULL THEN refresh_token ELSE $3 END,
         token_expires_at = COALESCE($4, token_expires_at), scopes = COALESCE($5, scopes),
         connection = CASE WHEN CAST($2 AS TEXT) IS NULL THEN connection END
       WHERE user_id = $6 AND discord_id = $7
       """, [username, access, refresh, expires_at, scopes, user_id, discord_id, now, identity]},
      {"SELECT #{@columns} FROM uro_discord_links WHERE user_id = $1 OR discord_id = $2", [user_id, discord_id]}
    ]

    with {:ok, [%{num_rows: made}, _, %{rows: rows}]} <- Store.run(store, statements, :write) do
      links = Enum.map(rows, &link/1)

      case {made, Enum.find(links, &(&1.user_id == user_id)), links} do
        {1, link, _} -> {:ok, :new, link}
        {0, %{discord_id: ^discord_id} = link, _} -> {:ok, :again, link}
        {0, %Link{} = link, _} -> {:clash, :user, link}
        {0, nil, [link | _]} -> {:clash, :account, link}
        # What was in the way has ended between two of these statements.
        {0, nil, []} -> put(store, user_id, discord_id, username, tokens, options)
      end
    end
  end

  @doc "Forgets a link and nothing else, if it is still with this account, and returns whether it was there. One that ends does so by `UroDiscord.Accounts.Ended`."
  @spec delete(Store.t(), Link.t()) :: {:ok, boolean()} | {:error, Error.t()}
  def delete(store, link) do
    sql = "DELETE FROM uro_discord_links WHERE user_id = $1 AND discord_id = $2"

    with {:ok, [%{num_rows: count}]} <- Store.run(store, [{sql, [link.user_id, link.discord_id]}], :write),
         do: {:ok, count == 1}
  end

  @doc "The user has left every server at this moment; one that is stored already stays."
  @spec put_left(Store.t(), Snowflake.t(), DateTime.t()) :: :ok | {:error, Error.t()}
  def put_left(store, discord_id, at),
    do: update(store, discord_id, "left_at = COALESCE(left_at, $2)", [DateTime.to_unix(at, :millisecond)])

  @doc "The user is in a server, and was: whatever was noted of his having left, or never having come, is over."
  @spec put_joined(Store.t(), Snowflake.t()) :: :ok | {:error, Error.t()}
  def put_joined(store, discord_id), do: update(store, discord_id, "left_at = NULL, joined = 1", [])

  @doc "The user could be brought into none of the servers."
  @spec put_kept_out(Store.t(), Snowflake.t()) :: :ok | {:error, Error.t()}
  def put_kept_out(store, discord_id), do: update(store, discord_id, "joined = 0", [])

  @doc "The directory does not know the user at this moment, or with nil knows him; a moment that is stored already stays."
  @spec put_missing(Store.t(), Snowflake.t(), DateTime.t() | nil) :: :ok | {:error, Error.t()}
  def put_missing(store, discord_id, nil), do: update(store, discord_id, "missing_at = NULL", [])

  def put_missing(store, discord_id, at),
    do: update(store, discord_id, "missing_at = COALESCE(missing_at, $2)", [DateTime.to_unix(at, :millisecond)])

  @doc "What Discord calls these accounts now."
  @spec put_usernames(Store.t(), [{Snowflake.t(), String.t()}]) :: :ok | {:error, Error.t()}
  def put_usernames(_store, []), do: :ok

  def put_usernames(store, usernames) do
    sql = "UPDATE uro_discord_links SET username = $2 WHERE discord_id = $1"

    with {:ok, _} <- Store.run(store, for({id, username} <- usernames, do: {sql, [id, username]}), :write), do: :ok
  end

  @doc "Whether the host's login knows the account by us."
  @spec put_identity(Store.t(), Snowflake.t(), boolean()) :: :ok | {:error, Error.t()}
  def put_identity(store, discord_id, made?),
    do: update(store, discord_id, "identity = $2", [if(made?, do: 1, else: 0)])

  @spec identity?(Store.t(), Snowflake.t()) :: {:ok, boolean()} | {:error, Error.t()}
  def identity?(store, discord_id) do
    with {:ok, rows} <- select(store, "identity", discord_id), do: {:ok, rows == [[1]]}
  end

  @doc "The tokens of a link, nil where none are kept; and what Discord was told of the user last."
  @spec tokens(Store.t(), Snowflake.t()) :: {:ok, tokens() | nil, connection :: String.t() | nil} | {:error, Error.t()}
  def tokens(store, discord_id) do
    with {:ok, rows} <- select(store, "access_token, refresh_token, token_expires_at, scopes, connection", discord_id) do
      case rows do
        [[access, refresh, expires_at, scopes, connection]] when access != nil ->
          expires_at = DateTime.from_unix!(expires_at, :millisecond)
          {:ok, %{access: access, refresh: refresh, expires_at: expires_at, scopes: scopes}, connection}

        _none ->
          {:ok, nil, nil}
      end
    end
  end

  @doc """
  Puts tokens (nil: none) in the place of those with this encrypted access token, and says whether these were still there: two nodes that refresh at once
  do not undo each other's work.
  """
  @spec replace_tokens(Store.t(), Snowflake.t(), String.t(), tokens() | nil) :: {:ok, boolean()} | {:error, Error.t()}
  def replace_tokens(store, discord_id, before, tokens) do
    sql = """
    UPDATE uro_discord_links SET access_token = $1, refresh_token = $2, token_expires_at = $3, scopes = $4
    WHERE discord_id = $5 AND access_token = $6
    """

    with {:ok, [%{num_rows: count}]} <-
           Store.run(store, [{sql, token_values(tokens) ++ [discord_id, before]}], :write),
         do: {:ok, count == 1}
  end

  @doc "What Discord was told of the user, as a hash."
  @spec put_connection(Store.t(), Snowflake.t(), String.t() | nil) :: :ok | {:error, Error.t()}
  def put_connection(store, discord_id, hash), do: update(store, discord_id, "connection = $2", [hash])

  @doc "From now on no values of anybody count as told."
  @spec forget_connections(Store.t()) :: :ok | {:error, Error.t()}
  def forget_connections(store) do
    statement = {"UPDATE uro_discord_links SET connection = NULL WHERE connection IS NOT NULL", []}
    with {:ok, _} <- Store.run(store, [statement], :write), do: :ok
  end

  defp select(store, columns, discord_id) do
    statement = {"SELECT #{columns} FROM uro_discord_links WHERE discord_id = $1", [discord_id]}
    with {:ok, [%{rows: rows}]} <- Store.run(store, [statement], :read), do: {:ok, rows}
  end

  defp update(store, discord_id, set, values) do
    statement = {"UPDATE uro_discord_links SET #{set} WHERE discord_id = $1", [discord_id | values]}
    with {:ok, _} <- Store.run(store, [statement], :write), do: :ok
  end

  defp read(store, where, values),
    do: Store.run(store, [{"SELECT #{@columns} FROM uro_discord_links #{where}", values}], :read)

  defp token_values(nil), do: [nil, nil, nil, nil]

  defp token_values(tokens),
    do: [tokens.access, tokens.refresh, DateTime.to_unix(tokens.expires_at, :millisecond), tokens.scopes]

  defp link([user_id, discord_id, username, linked_at, agreed_at, left_at, missing_at, joined]) do
    %Link{
      user_id: user_id,
      discord_id: discord_id,
      username: username,
      linked_at: time(linked_at),
      agreed_at: time(agreed_at),
      left_at: time(left_at),
      missing_at: time(missing_at),
      joined?: joined == 1
    }
  end

  defp time(nil), do: nil
  defp time(ms), do: DateTime.from_unix!(ms, :millisecond)
end

defmodule UroDiscord.Accounts.States do
  @moduledoc false
  # Logins at Discord that are under way, and the personal links of /link. What goes through a browser is random and kept as its hash; each is good
  # once, for a while, on any node: the statement that takes it deletes it.

  alias UroDiscord.{Error, Snowflake, Store}

  @login_ms 10 * 60_000
  @personal_ms 30 * 60_000

  @typedoc """
  A login: of which browser (`session`, a hash) and Uro user it is, what PKCE needs, which Discord account it must be (nil: any), and the path to go back to.
  """
  @type login :: %{
          session: String.t(),
          user_id: String.t(),
          discord_id: Snowflake.t() | nil,
          verifier: String.t(),
          return_to: String.t() | nil
        }

  @doc "How long a login may take, in seconds."
  @spec login_seconds() :: pos_integer()
  def login_seconds, do: div(@login_ms, 1_000)

  @doc "How long a personal link is good, in minutes."
  @spec personal_minutes() :: pos_integer()
  def personal_minutes, do: div(@personal_ms, 60_000)

  @doc "43 characters that nobody guesses."
  @spec random() :: String.t()
  def random, do: Base.url_encode64(:crypto.strong_rand_bytes(32), padding: false)

  @doc "Whether something has the form of `random/0`: what has not is not looked for."
  @spec random?(term()) :: boolean()
  def random?(text), do: is_binary(text) and text =~ ~r/\A[A-Za-z0-9_-]{43}\z/

  @spec hash(String.t()) :: String.t()
  def hash(secret), do: :crypto.hash(:sha256, secret) |> Base.encode16(case: :lower)

  @doc "The state for a login that begins."
  @spec begin(Store.t(), login()) :: {:ok, String.t()} | {:error, Error.t()}
  def begin(store, login),
    do: put(store, [login.session, login.user_id, login.discord_id, login.verifier, login.return_to], @login_ms)

  @doc "The login of a state, in this browser and by this user only; it is over then. Others leave it as it is."
  @spec take(Store.t(), String.t(), String.t(), String.t()) :: {:ok, login()} | :error | {:error, Error.t()}
  def take(store, state, session, user_id) do
    sql = """
    DELETE FROM uro_discord_link_states WHERE hash = $1 AND session = $2 AND user_id = $3 AND expires_at > $4
    RETURNING discord_id, verifier, return_to
    """

    case Store.run(store, [{sql, [hash(state), session, user_id, now()]}], :write) do
      {:ok, [%{rows: [[discord_id, verifier, return_to]]}]} ->
        {:ok, %{session: session, user_id: user_id, discord_id: discord_id, verifier: verifier, return_to: return_to}}

      {:ok, [%{rows: []}]} ->
        :error

      {:error, error} ->
        {:error, error}
    end
  end

  @doc "What a personal link for a Discord account has in it; of those before one stays good, which he may have open."
  @spec personal(Store.t(), Snowflake.t()) :: {:ok, String.t()} | {:error, Error.t()}
  def personal(store, discord_id) do
    his = "FROM uro_discord_link_states WHERE session IS NULL AND discord_id = $1"
    newest = "SELECT hash #{his} ORDER BY expires_at DESC LIMIT 1"

    put(store, [nil, nil, discord_id, nil, nil], @personal_ms, [
      {"DELETE #{his} AND hash NOT IN (#{newest})", [discord_id]}
    ])
  end

  @doc "Whose personal link it is; it is used up then."
  @spec take_personal(Store.t(), String.t()) :: {:ok, Snowflake.t()} | :error | {:error, Error.t()}
  def take_personal(store, token) do
    sql = """
    DELETE FROM uro_discord_link_states WHERE hash = $1 AND session IS NULL AND expires_at > $2 RETURNING discord_id
    """

    case Store.run(store, [{sql, [hash(token), now()]}], :write) do
      {:ok, [%{rows: [[discord_id]]}]} -> {:ok, discord_id}
      {:ok, [%{rows: []}]} -> :error
      {:error, error} -> {:error, error}
    end
  end

  # What is over goes with what comes.
  defp put(store, values, good_for_ms, before \\ []) do
    secret = random()
    now = now()

    statements = [
      {"DELETE FROM uro_discord_link_states WHERE expires_at <= $1", [now]},
      {"""
       INSERT INTO uro_discord_link_states (hash, session, user_id, discord_id, verifier, return_to, expires_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7)
       """, [hash(secret)] ++ values ++ [now + good_for_ms]}
    ]

    with {:ok, _} <- Store.run(store, before ++ statements, :write), do: {:ok, secret}
  end

  defp now, do: System.os_time(:millisecond)
end

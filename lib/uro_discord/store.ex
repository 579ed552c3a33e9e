defmodule UroDiscord.Store do
  @moduledoc """
  What must survive a restart, in SQLite or in the host's Repo.

  A store takes batches of SQL statements; a batch is done whole and is durable when `run/3` returns, or not at all. There
  are no interactive transactions: what depends on what was read goes into the statement (`UPDATE … WHERE … RETURNING`,
  `INSERT … ON CONFLICT`).

  PostgreSQL's transactions are READ COMMITTED: each statement of a batch sees what others have committed until it begins, and not what they do
  since. So what one statement finds may have changed for the next. Where that matters, the first statement is an UPDATE of the row that all
  writers touch first: it waits for the others, and the statements behind it see what they did.

  The same SQL runs on SQLite, PostgreSQL and CockroachDB, so it keeps to what these share:

    * parameters are `$1`, `$2` …, each used at least once; one whose type does not show from where it stands is cast, as in
      `CAST($1 AS BIGINT)`;
    * columns are TEXT, BIGINT and what `UroDiscord.Store.Schema` makes of a blob; sums are cast to BIGINT (PostgreSQL's
      SUM of BIGINT is a NUMERIC);
    * no arrays, jsonb, advisory locks, LISTEN.

  Text is UTF-8 without NUL characters, which PostgreSQL cannot store; other bytes are `{:blob, binary}`.

  Errors have one of these kinds; all but `:unavailable` mean that nothing was done:

    * `:conflict`: a row with this key is already there;
    * `:constraint`: another constraint forbids it;
    * `:invalid`: a parameter cannot be stored, such as a text with a NUL character;
    * `:busy`: other writers were in the way for too long, or too much waits already; later it may work;
    * `:unavailable`: the disk or the database failed, or could not be reached. It may have been done all the same;
    * `:corrupt`: what is stored is damaged;
    * `:schema`: the tables are missing, too old or too new; the message says what to run;
    * `:statement`: the SQL is wrong, or does not fit its parameters.
  """

  require Logger
  alias UroDiscord.Error

  @typedoc "An open store: its adapter, and what that works with. Any process may use it."
  @type t :: {module(), term()}

  @type parameter :: nil | integer() | float() | String.t() | {:blob, binary()}
  @type statement :: {sql :: String.t(), [parameter()]}

  @typedoc "The rows that a statement returned, and how many these are; for one that returns none, how many it changed."
  @type answer :: %{
          rows: [[nil | integer() | float() | binary()]],
          num_rows: non_neg_integer()
        }

  @doc "Opens the configured store: `{:sqlite, path}`, or `{:repo, module}` once that Repo is running."
  @spec open({:sqlite, Path.t()} | {:repo, module()}) :: {:ok, t()} | {:error, Error.t()}
  def open({:sqlite, path}), do: open(UroDiscord.Store.SQLite, path)
  def open({:repo, repo}), do: open(UroDiscord.Store.Repo, repo)

  defp open(adapter, argument) do
    with {:ok, handle} <- adapter.open(argument), do: {:ok, {adapter, handle}}
  end

  @doc "Logs that something could not be read or stored. That the store is away is told by its keeper, once for everybody."
  @spec failed(Error.t(), String.t()) :: :ok
  def failed(%Error{kind: :unavailable}, _what), do: :ok
  def failed(error, what), do: Logger.error("#{what}: #{Exception.message(error)}")

  @doc """
  Does all statements, in this order, or none; one answer for each. With `:read` they may only read, and need not wait for
  those that write.
  """
  @spec run(t(), [statement()], :read | :write) :: {:ok, [answer()]} | {:error, Error.t()}
  def run({adapter, handle}, statements, mode) when mode in [:read, :write],
    do: adapter.run(handle, statements, mode)
end

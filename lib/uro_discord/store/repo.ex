defmodule UroDiscord.Store.Repo do
  @moduledoc false
  # The host's Repo: PostgreSQL, or CockroachDB, through what `Ecto.Adapters.SQL` gives every Repo. Ecto is the host's; it is
  # not known here but by name.
  #
  # Called inside a transaction of the Repo's own, a batch becomes part of that: it is durable, and seen by others, when
  # that commits. It cannot be tried again there, as what was done before is not known; and if it fails, so does the
  # transaction around it.

  @behaviour UroDiscord.Store.Adapter

  alias UroDiscord.Error
  alias UroDiscord.Store.Schema

  # The first of n waits lasts up to 10 ms, the others up to twice as long as the one before: 2.5 s together at most.
  @attempts 9
  @first_wait_ms 10

  # Debug logs would show every message's content, and every look for work.
  @options [log: false]

  @other_databases [Ecto.Adapters.MyXQL, Ecto.Adapters.Tds, Ecto.Adapters.SQLite3]

  @impl true
  def open(repo) do
    with :ok <- check(repo), {:ok, version} <- version(repo) do
      case Schema.compare(version) do
        :current -> {:ok, repo}
        :older -> schema_error(repo, Schema.older(version))
        :newer -> schema_error(repo, Schema.newer(version))
      end
    end
  end

  @impl true
  def run(repo, statements, _mode), do: run(repo, statements, 1, @first_wait_ms)

  defp run(repo, statements, attempt, wait_ms) do
    case once(repo, statements) do
      {:again, error} ->
        if attempt == @attempts or inside_transaction?(repo) do
          {:error, error}
        else
          Process.sleep(:rand.uniform(wait_ms))
          run(repo, statements, attempt + 1, 2 * wait_ms)
        end

      result ->
        result
    end
  end

  # Ecto returns what a statement raises in the database, and raises what a COMMIT does, or when there is no connection.
  defp once(repo, statements) do
    together(repo, statements)
  rescue
    exception -> failure(exception)
  catch
    :exit, reason ->
      {:error, %Error{kind: :unavailable, message: exited(reason)}}
  end

  # With what a process was called has the values in it, which may be secrets.
  defp exited({_reason, {module, function, arguments}}) when is_atom(module) and is_list(arguments),
    do: "the database's process ended, or was not there (#{inspect(module)}.#{function}/#{length(arguments)})"

  defp exited(reason) when is_atom(reason), do: "the database's process ended: #{inspect(reason)}"
  defp exited(_reason), do: "the database's process ended"

  # One statement is a transaction by itself, and costs one round trip rather than three.
  defp together(repo, [statement]) do
    with {:ok, answer} <- query(repo, statement), do: {:ok, [answer]}
  end

  defp together(repo, statements) do
    all = fn ->
      for statement <- statements do
        case query(repo, statement) do
          {:ok, answer} -> answer
          failed -> repo.rollback(failed)
        end
      end
    end

    case repo.transaction(all, @options) do
      {:ok, answers} ->
        {:ok, answers}

      {:error, {_, %Error{}} = failed} ->
        failed

      {:error, :rollback} ->
        {:error, %Error{kind: :unavailable, message: "the transaction around it has failed"}}
    end
  end

  defp query(repo, {sql, parameters}) do
    parameters =
      Enum.map(parameters, fn
        {:blob, binary} -> binary
        parameter -> parameter
      end)

    case repo.query(sql, parameters, @options) do
      {:ok, %{rows: rows, num_rows: num_rows}} -> {:ok, %{rows: rows || [], num_rows: num_rows}}
      {:error, exception} -> failure(exception)
    end
  rescue
    # Their messages have the values in them, which may be secrets.
    exception ->
      if exception.__struct__ in [DBConnection.EncodeError, ArgumentError],
        do: {:error, %Error{kind: :statement, message: "the parameters do not fit the statement: #{sql}"}},
        else: reraise(exception, __STACKTRACE__)
  end

  # {:again, error} where the database has undone the transaction and asks for it to be tried again.
  defp failure(%{postgres: %{pg_code: code, message: message}}) do
    case kind(code) do
      :again -> {:again, %Error{kind: :busy, message: message}}
      kind -> {:error, %Error{kind: kind, message: message}}
    end
  end

  defp failure(%{__struct__: DBConnection.ConnectionError, reason: :queue_timeout} = exception),
    do: {:error, %Error{kind: :busy, message: Exception.message(exception)}}

  defp failure(exception),
    do: {:error, %Error{kind: :unavailable, message: Exception.message(exception)}}

  # https://www.postgresql.org/docs/current/errcodes-appendix.html; CockroachDB uses the same.
  defp kind("40001"), do: :again
  defp kind("40P01"), do: :again
  defp kind("23505"), do: :conflict
  defp kind("23" <> _), do: :constraint
  defp kind("22" <> _), do: :invalid
  defp kind("42P01"), do: :schema
  defp kind("55P03"), do: :busy
  defp kind("57014"), do: :busy
  defp kind("XX001"), do: :corrupt
  defp kind("XX002"), do: :corrupt
  defp kind("42" <> _), do: :statement
  # Connections, resources, shutdown, 40003 (it is not known whether it was done), a failed or read-only transaction.
  defp kind(_), do: :unavailable

  defp inside_transaction?(repo),
    do: function_exported?(repo, :in_transaction?, 0) and repo.in_transaction?()

  defp check(repo) do
    cond do
      not Code.ensure_loaded?(repo) ->
        {:error, Error.invalid("repo", "there is no module #{inspect(repo)}")}

      Enum.any?([query: 3, transaction: 2, rollback: 1], fn {name, arity} ->
        not function_exported?(repo, name, arity)
      end) ->
        {:error, Error.invalid("repo", "#{inspect(repo)} is not an Ecto repo on an SQL database")}

      function_exported?(repo, :__adapter__, 0) and repo.__adapter__() in @other_databases ->
        {:error, Error.invalid("repo", "#{inspect(repo)} is neither on PostgreSQL nor on CockroachDB")}

      true ->
        :ok
    end
  end

  defp version(repo) do
    case run(repo, [{Schema.version_query(), []}], :read) do
      {:ok, [%{rows: [[version]]}]} -> {:ok, version || 0}
      {:error, %Error{kind: :schema}} -> {:ok, 0}
      {:error, error} -> {:error, %{error | message: "#{inspect(repo)}: #{error.message}"}}
    end
  end

  defp schema_error(repo, reason),
    do: {:error, %Error{kind: :schema, message: "#{inspect(repo)}: #{reason}"}}
end

defmodule UroDiscord.TestRepo do
  @moduledoc """
  What an Ecto Repo is to `UroDiscord.Store.Repo`, over Debian's `erlang-p1-pgsql`: `query/3`, `transaction/2`, `rollback/1`,
  `in_transaction?/0` with the results and errors of Ecto on Postgrex, and a pool of connections.

  Like Postgrex, it lets the server infer the types of parameters, and takes no value of another type. It prepares
  statements in SQL: p1_pgsql's own parameters will not do, as it cannot read a NULL from a BIGINT column.
  """

  alias UroDiscord.Postgres
  alias UroDiscord.TestRepo.{Error, Literal, Pool}

  @in_transaction {__MODULE__, :in_transaction}

  @doc "Connects to a database of `UroDiscord.Postgres.database!/0`; the connections end with the pool."
  def start_link(connection), do: Pool.start_link(connection)

  def child_spec(connection),
    do: %{id: __MODULE__, start: {__MODULE__, :start_link, [connection]}}

  def in_transaction?, do: Process.get(@in_transaction) != nil

  def query(sql, parameters, _options \\ []) do
    case Process.get(@in_transaction) do
      nil -> Pool.with_connection(&execute(&1, sql, parameters))
      {_connection, :failed} -> {:error, aborted()}
      {connection, :open} -> connection |> execute(sql, parameters) |> note_failure()
    end
  end

  # A transaction within a transaction is part of it, and fails it.
  def transaction(fun, _options \\ []) do
    if in_transaction?(),
      do: fun |> run() |> note_failure(),
      else: Pool.with_connection(&outermost(&1, fun))
  end

  def rollback(value), do: throw({@in_transaction, value})

  defp outermost(connection, fun) do
    {:ok, _} = simple(connection, "BEGIN")
    Process.put(@in_transaction, {connection, :open})

    case {run(fun), Process.get(@in_transaction)} do
      {{:ok, value}, {_, :open}} -> commit(connection, value)
      {{:ok, _value}, {_, :failed}} -> undo(connection, :rollback)
      {{:error, value}, _} -> undo(connection, value)
    end
  after
    Process.delete(@in_transaction)
  end

  defp run(fun) do
    {:ok, fun.()}
  catch
    {@in_transaction, value} -> {:error, value}
  end

  defp commit(connection, value) do
    case simple(connection, "COMMIT") do
      {:ok, _} -> {:ok, value}
      {:error, error} -> raise error
    end
  end

  defp undo(connection, value) do
    {:ok, _} = simple(connection, "ROLLBACK")
    {:error, value}
  end

  defp note_failure({:error, _} = failed) do
    Process.put(@in_transaction, put_elem(Process.get(@in_transaction), 1, :failed))
    failed
  end

  defp note_failure(result), do: result

  defp aborted do
    %Error{postgres: %{pg_code: "25P02", message: "current transaction is aborted"}}
  end

  # Only these can be prepared.
  defp execute(connection, sql, parameters) do
    if sql =~ ~r/^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|VALUES)\b/i do
      with {:ok, {name, types}} <- prepared(connection, sql) do
        if length(types) != length(parameters),
          do: raise(ArgumentError, "expected #{length(types)} parameters: #{sql}")

        simple(connection, ["EXECUTE ", name, Literal.list(types, parameters)])
      end
    else
      [] = parameters
      simple(connection, sql)
    end
  end

  defp prepared(connection, sql) do
    name = "p" <> Base.encode16(:erlang.md5(sql))

    with nil <- Pool.prepared(connection, name),
         {:ok, _} <- simple(connection, "PREPARE #{name} AS #{sql}"),
         types = "SELECT parameter_types::text[]::text FROM pg_prepared_statements WHERE name = '",
         {:ok, %{rows: [[types]]}} <- simple(connection, types <> String.downcase(name) <> "'") do
      types = types |> String.trim_leading("{") |> String.trim_trailing("}")
      types = for type <- String.split(types, ",", trim: true), do: String.trim(type, "\"")
      Pool.prepared(connection, name, {name, types})
    end
    |> case do
      {:error, error} -> {:error, error}
      prepared -> {:ok, prepared}
    end
  end

  defp simple(connection, sql) do
    case connection |> Postgres.query(IO.iodata_to_binary(sql)) |> List.last() do
      {:error, fields} -> {:error, %Error{postgres: error(Map.new(fields))}}
      {tag, columns, rows} -> {:ok, %{rows: Literal.read(columns, rows), num_rows: count(tag)}}
      tag -> {:ok, %{rows: nil, num_rows: count(tag)}}
    end
  end

  defp error(%{code: code, message: message}), do: %{pg_code: code, message: message}

  # "INSERT 0 1", "SELECT 3", "CREATE TABLE".
  defp count(tag) do
    case tag |> String.split() |> List.last() |> Integer.parse() do
      {count, ""} -> count
      :error -> 0
    end
  end
end

defmodule UroDiscord.Store.Move do
  @moduledoc false
  # All that a SQLite file keeps, into another store. Which tables and columns there are is asked of the file itself, so that a new one cannot
  # be forgotten.

  alias UroDiscord.{Clock, Error, Store}
  alias UroDiscord.Store.NodeId

  # What both have for themselves.
  @schema "uro_discord_schema"
  # Rows that are read at once; of those with files one, as each may have 10 MiB.
  @rows 200

  @typedoc "Of each table how many rows came, and how many were there already."
  @type moved :: [%{table: String.t(), moved: non_neg_integer(), there: non_neg_integer()}]

  @doc "All of a SQLite file into the store that `target` names. The file is then renamed, with `.moved` behind its name."
  @spec file(Path.t(), {:sqlite, Path.t()} | {:repo, module()}) :: {:ok, moved()} | {:error, Error.t()}
  def file(file, target) do
    with :ok <- there(file),
         {:ok, to} <- Store.open(target),
         {:ok, from} <- Store.open({:sqlite, file}),
         {:ok, moved} <- copy(from, to) do
      # SQLite has its journal beside it.
      for end_of_name <- ["", "-wal", "-shm"],
          File.regular?(file <> end_of_name),
          do: File.rename!(file <> end_of_name, file <> ".moved" <> end_of_name)

      {:ok, moved}
    end
  end

  # Opening makes one that is not there.
  defp there(file),
    do: if(File.regular?(file), do: :ok, else: {:error, Error.invalid(nil, "there is no file #{file}")})

  @doc """
  Copies all rows. Those whose key is there already stay as they are there; so it can be run again, should it stop half way. It is refused
  while a node works with the file.
  """
  @spec copy(Store.t(), Store.t()) :: {:ok, moved()} | {:error, Error.t()}
  def copy(from, to) do
    with {:ok, tables} <- tables(from), :ok <- idle(from, tables) do
      each(tables, fn {table, columns} ->
        copy_table(from, to, table, columns, 0, %{table: table, moved: 0, there: 0})
      end)
    end
  end

  @doc "How many rows each table has, those without any left out."
  @spec content(Store.t()) :: {:ok, [{String.t(), pos_integer()}]} | {:error, Error.t()}
  def content(store) do
    with {:ok, tables} <- tables(store),
         {:ok, counts} <- each(tables, fn {table, _columns} -> count(store, table) end) do
      {:ok, for({{table, _columns}, count} <- Enum.zip(tables, counts), count > 0, do: {table, count})}
    end
  end

  defp count(store, table) do
    with {:ok, [%{rows: [[count]]}]} <- Store.run(store, [{"SELECT COUNT(*) FROM #{table}", []}], :read),
         do: {:ok, count}
  end

  # With each its columns and their types.
  defp tables(store) do
    sql = """
    SELECT tables.name, columns.name, columns.type FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
    WHERE tables.type = 'table' AND tables.name LIKE 'uro\\_discord\\_%' ESCAPE '\\' AND tables.name <> '#{@schema}'
    ORDER BY tables.name, columns.cid
    """

    with {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, []}], :read) do
      {:ok, rows |> Enum.group_by(&hd/1, fn [_table, column, type] -> {column, type} end) |> Enum.sort()}
    end
  end

  # What is accepted there while this runs would be left behind.
  defp idle(store, tables) do
    leased = for {table, columns} <- tables, {"lease_until", "INTEGER"} in columns, do: table

    with {:ok, owners} <- each(leased, &owners(store, &1)) do
      if owners |> Enum.concat() |> Enum.all?(&(&1 == "" or NodeId.dead?(&1))),
        do: :ok,
        else:
          {:error,
           %Error{
             kind: :busy,
             message: "a node works with it: stop every UroDiscord that uses this file, and run this again"
           }}
    end
  end

  defp owners(store, table) do
    statement = {"SELECT owner FROM #{table} WHERE lease_until > $1", [Clock.local()]}
    with {:ok, [%{rows: rows}]} <- Store.run(store, [statement], :read), do: {:ok, Enum.concat(rows)}
  end

  defp copy_table(from, to, table, columns, after_row, sum) do
    names = Enum.map_join(columns, ", ", &elem(&1, 0))
    most = if Enum.any?(columns, &match?({_name, "BLOB"}, &1)), do: 1, else: @rows
    read = {"SELECT rowid, #{names} FROM #{table} WHERE rowid > $1 ORDER BY rowid LIMIT #{most}", [after_row]}
    places = Enum.map_join(1..length(columns), ", ", &"$#{&1}")
    sql = "INSERT INTO #{table} (#{names}) VALUES (#{places}) ON CONFLICT DO NOTHING"

    with {:ok, [%{rows: [_ | _] = rows}]} <- Store.run(from, [read], :read),
         writes = for([_row | values] <- rows, do: {sql, parameters(values, columns)}),
         {:ok, answers} <- Store.run(to, writes, :write) do
      moved = answers |> Enum.map(& &1.num_rows) |> Enum.sum()
      sum = %{sum | moved: sum.moved + moved, there: sum.there + length(rows) - moved}
      copy_table(from, to, table, columns, rows |> List.last() |> hd(), sum)
    else
      {:ok, [%{rows: []}]} -> {:ok, sum}
      {:error, error} -> {:error, %{error | message: "#{table}: #{error.message}"}}
    end
  end

  defp parameters(values, columns) do
    for {value, {_name, type}} <- Enum.zip(values, columns),
        do: if(type == "BLOB" and value != nil, do: {:blob, value}, else: value)
  end

  defp each(list, fun) do
    Enum.reduce_while(list, {:ok, []}, fn element, {:ok, results} ->
      case fun.(element) do
        {:ok, result} -> {:cont, {:ok, [result | results]}}
        {:error, error} -> {:halt, {:error, error}}
      end
    end)
    |> case do
      {:ok, results} -> {:ok, Enum.reverse(results)}
      {:error, error} -> {:error, error}
    end
  end
end

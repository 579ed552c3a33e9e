defmodule UroDiscord.Store.SQLite do
  @moduledoc false
  # A SQLite file, through the NIF; `crates/store` says how it is written. Its schema migrates forward by itself.

  @behaviour UroDiscord.Store.Adapter

  alias UroDiscord.{Error, Native}
  alias UroDiscord.Store.Schema

  @doc "The version of a file's schema as it is, 0 where there is none: nothing is made or migrated."
  @spec version(Path.t()) :: {:ok, non_neg_integer()} | {:error, Error.t()}
  def version(path) do
    with {:ok, database} <- path |> Path.expand() |> Native.store_open() |> result() do
      case run(database, [{Schema.version_query(), []}], :read) do
        {:ok, [%{rows: [[version]]}]} -> {:ok, version || 0}
        # There is no such table.
        {:error, %Error{kind: :statement}} -> {:ok, 0}
        {:error, error} -> {:error, error}
      end
    end
  end

  @impl true
  def open(path) do
    with {:ok, database} <- path |> Path.expand() |> Native.store_open() |> result(),
         {:ok, version} <- made(database),
         :ok <- migrate(database, version) do
      {:ok, database}
    else
      {:error, %Error{} = error} ->
        {:error, %{error | message: "store #{path}: #{error.message}"}}
    end
  end

  @impl true
  def run(database, statements, mode) do
    ref = make_ref()

    case Native.store_run(database, ref, statements, mode) do
      :ok ->
        # No timeout: the store answers every batch, at the latest when it closes.
        receive do
          {:uro_discord_store, ^ref, answer} -> result(answer)
        end

      refused ->
        result(refused)
    end
  end

  defp made(database) do
    statements = [{Schema.version_table(:sqlite), []}, {Schema.version_query(), []}]

    with {:ok, [_created, %{rows: [[version]]}]} <- run(database, statements, :write),
         do: {:ok, version || 0}
  end

  # All new versions at once, or none. Where it fails because another process has just done the same, it is done.
  defp migrate(database, version) do
    case Schema.compare(version) do
      :newer ->
        {:error, %Error{kind: :schema, message: Schema.newer(version)}}

      :older ->
        statements = for sql <- Schema.up(:sqlite, version), do: {sql, []}

        case run(database, statements, :write) do
          {:ok, _answers} -> :ok
          {:error, error} -> if made(database) == {:ok, Schema.current()}, do: :ok, else: {:error, error}
        end

      :current ->
        :ok
    end
  end

  defp result({:ok, value}), do: {:ok, value}

  defp result({:error, %{kind: kind, message: message}}),
    do: {:error, %Error{kind: kind, message: message}}
end

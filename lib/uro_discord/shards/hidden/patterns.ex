defmodule UroDiscord.Shards.Hidden.Patterns do
  @moduledoc false
  # The patterns of what an admin does not want to see, in the store.

  alias UroDiscord.{Error, Store}
  alias UroDiscord.Shards.Text

  @longest 200
  @most 500

  @type entry :: %{pattern: String.t(), hidden_at: DateTime.t()}

  @spec hide(Store.t(), String.t()) :: :ok | {:error, Error.t()}
  def hide(store, pattern) do
    sql =
      "INSERT INTO uro_discord_hidden_shards (pattern, hidden_at) SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT) " <>
        "WHERE (SELECT COUNT(*) FROM uro_discord_hidden_shards) < #{@most} ON CONFLICT (pattern) DO NOTHING"

    with {:ok, pattern} <- cast(pattern),
         {:ok, [%{num_rows: added}]} <- Store.run(store, [{sql, [pattern, System.os_time(:millisecond)]}], :write),
         {:ok, entries} <- all(store) do
      if added == 1 or Enum.any?(entries, &(&1.pattern == pattern)),
        do: :ok,
        else:
          {:error,
           %Error{
             kind: :full,
             message: "there are #{@most} patterns already: unhide some, or write one with a * for several"
           }}
    end
  end

  @spec unhide(Store.t(), String.t()) :: :ok | {:error, Error.t()}
  def unhide(store, pattern) do
    with {:ok, pattern} <- cast(pattern),
         {:ok, [%{num_rows: count}]} <-
           Store.run(store, [{"DELETE FROM uro_discord_hidden_shards WHERE pattern = $1", [pattern]}], :write) do
      if count == 1,
        do: :ok,
        else:
          {:error,
           Error.invalid("pattern", "#{inspect(pattern)} is not hidden; `mix uro_discord.shards.hidden` lists what is")}
    end
  end

  @spec all(Store.t()) :: {:ok, [entry()]} | {:error, Error.t()}
  def all(store) do
    sql = "SELECT pattern, hidden_at FROM uro_discord_hidden_shards ORDER BY hidden_at, pattern"

    with {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, []}], :read) do
      {:ok, for([pattern, at] <- rows, do: %{pattern: pattern, hidden_at: DateTime.from_unix!(at, :millisecond)})}
    end
  end

  # As it would be written in a shard, or nothing would ever match it.
  defp cast(pattern) when is_binary(pattern) do
    case Text.clean(pattern, @longest) do
      "" -> {:error, Error.invalid("pattern", "is blank")}
      clean -> {:ok, clean}
    end
  end

  defp cast(pattern), do: {:error, Error.invalid("pattern", pattern, "a string")}
end

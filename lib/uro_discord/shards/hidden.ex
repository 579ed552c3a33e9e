defmodule UroDiscord.Shards.Hidden do
  @moduledoc false
  # What an admin does not want to see. The patterns are in the store, where `mix uro_discord.shards.hide` on another machine puts
  # them too: they are read again every few seconds.

  use UroDiscord.Server
  alias UroDiscord.{Error, Runtime, Shards, Store}
  alias UroDiscord.Shards.Text

  @reload 2_000
  @longest 200
  @most 500

  @type entry :: %{pattern: String.t(), hidden_at: DateTime.t()}

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(_argument), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  ## In the store

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

  defp cast(pattern), do: {:error, Error.invalid("pattern", "#{inspect(pattern)} is not a string")}

  ## What they match

  @doc """
  What tells whether a shard is hidden: its id, name, map, host, host id or address is one of the patterns, in which `*` is
  anything, and letters may be large or small.

      iex> matcher = UroDiscord.Shards.Hidden.matcher(["*casino*", "203.0.113.7"])
      iex> shard = %{id: "1", name: "Plaza", map: nil, host: nil, host_id: nil, address: nil}
      iex> UroDiscord.Shards.Hidden.matches?(matcher, shard)
      false
      iex> UroDiscord.Shards.Hidden.matches?(matcher, %{shard | name: "Ｃasino 24"})
      true
      iex> UroDiscord.Shards.Hidden.matches?(matcher, %{shard | address: "203.0.113.7"})
      true
  """
  @spec matches?(Regex.t() | nil, map()) :: boolean()
  def matches?(nil, _shard), do: false

  def matches?(matcher, shard) do
    Enum.any?(
      [shard.id, shard.name, shard.map, shard.host, shard.host_id, shard.address],
      &(&1 != nil and fold(&1) =~ matcher)
    )
  end

  @spec matcher([String.t()]) :: Regex.t() | nil
  def matcher([]), do: nil

  def matcher(patterns) do
    alternatives =
      Enum.map_join(patterns, "|", fn pattern ->
        pattern |> fold() |> String.split("*") |> Enum.map_join(".*", &Regex.escape/1)
      end)

    Regex.compile!("\\A(?:#{alternatives})\\z", "su")
  end

  # Letters that only look otherwise (full width, in a circle, mathematical) are the same here.
  defp fold(text), do: text |> String.normalize(:nfkc) |> String.downcase()

  ## In this node

  @doc "Looks at once, for who has just changed it here."
  @spec reload() :: :ok
  def reload, do: GenServer.call(__MODULE__, :reload)

  @impl true
  def init(nil) do
    # Before anything is shown.
    {:ok, read(%{patterns: :unknown, failing?: false}), {:continue, :later}}
  end

  @impl true
  def handle_continue(:later, state), do: {:noreply, later(state)}

  @impl true
  def handle_call(:reload, _from, state), do: {:reply, :ok, read(state)}

  @impl true
  def handle_info(:read, state), do: {:noreply, state |> read() |> later()}

  defp later(state) do
    Process.send_after(self(), :read, @reload)
    state
  end

  defp read(state) do
    {:ok, %{store: store}} = Runtime.fetch()

    case all(store) do
      {:ok, entries} -> apply_patterns(%{state | failing?: false}, Enum.map(entries, & &1.pattern))
      {:error, error} -> failing(state, error)
    end
  end

  defp apply_patterns(%{patterns: patterns} = state, patterns), do: state

  defp apply_patterns(state, patterns) do
    Shards.put_hidden(matcher(patterns))
    %{state | patterns: patterns}
  end

  # What was hidden stays so.
  defp failing(%{failing?: true} = state, _error), do: state

  defp failing(state, error) do
    Store.failed(error, "it cannot be read which shards are hidden")
    %{state | failing?: true}
  end
end

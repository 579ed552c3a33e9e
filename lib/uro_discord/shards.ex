defmodule UroDiscord.Shards do
  @moduledoc """
  The running shards (game servers), and what happens to them.

  Whoever knows of shards calls `put/1` and `delete/1`; `UroDiscord.subscribe(:shards)` hears of every change as
  `{:uro_discord, :shards, event}`, where `event` is one of

    * `{:opened, shard}`
    * `{:changed, before, shard}`
    * `{:closed, shard}`

  The bot's presence is such a subscriber.
  """

  use GenServer
  alias UroDiscord.{Error, Events}

  @typedoc "`players` is nil where the source does not tell."
  @type shard :: %{
          id: String.t(),
          name: String.t(),
          map: String.t() | nil,
          players: non_neg_integer() | nil,
          max_players: non_neg_integer() | nil
        }

  @type event :: {:opened, shard()} | {:changed, shard(), shard()} | {:closed, shard()}

  @doc false
  def start_link(_options), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc """
  A shard as it is now, from a map or keyword list with `:id` and `:name`, and `:map`, `:players` and `:max_players` where known.
  """
  @spec put(map() | keyword()) :: :ok | {:error, Error.t()}
  def put(shard) do
    with {:ok, shard} <- shard |> Map.new() |> cast(),
         do: GenServer.call(__MODULE__, {:put, shard})
  end

  @doc "The shard is gone. Nothing happens when it was not there."
  @spec delete(String.t() | integer()) :: :ok
  def delete(id), do: GenServer.call(__MODULE__, {:delete, to_string(id)})

  @doc "All shards, by id."
  @spec list() :: [shard()]
  def list, do: __MODULE__ |> :ets.tab2list() |> Enum.map(&elem(&1, 1))

  @impl true
  def init(nil) do
    {:ok, :ets.new(__MODULE__, [:named_table, :ordered_set, read_concurrency: true])}
  end

  @impl true
  def handle_call({:put, shard}, _from, table) do
    case :ets.lookup(table, shard.id) do
      [{_id, ^shard}] -> :unchanged
      [{_id, before}] -> store(table, shard, {:changed, before, shard})
      [] -> store(table, shard, {:opened, shard})
    end

    {:reply, :ok, table}
  end

  def handle_call({:delete, id}, _from, table) do
    case :ets.take(table, id) do
      [{_id, shard}] -> Events.publish(:shards, {:closed, shard})
      [] -> :unchanged
    end

    {:reply, :ok, table}
  end

  defp store(table, shard, event) do
    :ets.insert(table, {shard.id, shard})
    Events.publish(:shards, event)
  end

  defp cast(shard) do
    with {:ok, id} <- id(shard[:id]),
         {:ok, name} <- text(shard, :name),
         {:ok, map} <- text(shard, :map),
         {:ok, players} <- count(shard, :players),
         {:ok, max_players} <- count(shard, :max_players) do
      {:ok, %{id: id, name: name || id, map: map, players: players, max_players: max_players}}
    end
  end

  defp id(id) when is_integer(id), do: {:ok, Integer.to_string(id)}
  defp id(id) when is_binary(id) and id != "", do: {:ok, id}

  defp id(other),
    do: {:error, Error.invalid("id", "#{inspect(other)} is not a string or an integer")}

  defp text(shard, field) do
    case shard[field] do
      nil ->
        {:ok, nil}

      text when is_binary(text) ->
        if String.valid?(text),
          do: {:ok, text},
          else: {:error, Error.invalid("#{field}", "is not valid UTF-8")}

      other ->
        {:error, Error.invalid("#{field}", "#{inspect(other)} is not a string")}
    end
  end

  defp count(shard, field) do
    case shard[field] do
      nil -> {:ok, nil}
      count when is_integer(count) and count >= 0 -> {:ok, count}
      other -> {:error, Error.invalid("#{field}", "#{inspect(other)} is not a count")}
    end
  end
end

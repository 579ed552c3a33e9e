defmodule UroDiscord.Shards.Announcements.Memory do
  @moduledoc false
  # Which worlds were open when we last looked, and when they were announced or closed: a map here, and rows in the store. A world
  # is known by its name and host, since its id changes whenever it is registered anew.

  alias UroDiscord.{Error, Shards, Store}

  @typedoc "Times are Unix ms. A world that is open has no `closed_at`."
  @type entry :: %{announced_at: integer() | nil, closed_at: integer() | nil}
  @type t :: %{(world :: String.t()) => entry()}
  @type limits :: %{cooldown: pos_integer(), per_hour: pos_integer()}

  # What was registered longer ago is no news, such as all there is when announcements are first configured.
  @news_ms 600_000
  @hour_ms 3_600_000

  @spec world(Shards.shard()) :: String.t()
  def world(shard) do
    # Texts of any length, and a key of this one.
    :crypto.hash(:sha256, [shard.name, 0, shard.host || ""]) |> Base.url_encode64(padding: false)
  end

  @doc """
  Compares what is open now with what was. `announce` are the news; `quiet` is what has changed besides; `held_back` says how many
  would have been news, had there not been so many in the past hour.
  """
  @spec look(t(), [Shards.shard()], integer(), limits()) ::
          %{announce: [Shards.shard()], quiet: t(), held_back: non_neg_integer()}
  def look(memory, shards, now, limits) do
    shards = Enum.uniq_by(shards, &world/1)
    open = MapSet.new(shards, &world/1)
    closed = for {world, %{closed_at: nil} = entry} <- memory, world not in open, do: {world, %{entry | closed_at: now}}

    {news, others} =
      shards
      |> Enum.reject(&match?(%{closed_at: nil}, memory[world(&1)]))
      |> Enum.split_with(&news?(&1, memory[world(&1)], now, limits))

    left = limits.per_hour - Enum.count(memory, fn {_world, entry} -> recent?(entry, now) end)
    {announce, held_back} = Enum.split(news, max(left, 0))
    opened = for shard <- others ++ held_back, do: {world(shard), opened(memory[world(shard)])}
    %{announce: announce, quiet: Map.new(closed ++ opened), held_back: length(held_back)}
  end

  defp news?(shard, entry, now, limits) do
    now - DateTime.to_unix(shard.opened_at, :millisecond) < @news_ms and
      (entry == nil or now - entry.closed_at >= limits.cooldown)
  end

  defp recent?(entry, now), do: entry.announced_at != nil and now - entry.announced_at < @hour_ms

  defp opened(nil), do: %{announced_at: nil, closed_at: nil}
  defp opened(entry), do: %{entry | closed_at: nil}

  @doc "What no longer matters to `look/4`, and the rest."
  @spec over(t(), integer(), limits()) :: {t(), t()}
  def over(memory, now, limits) do
    {over, kept} =
      Enum.split_with(memory, fn {_world, entry} ->
        entry.closed_at != nil and now - entry.closed_at >= limits.cooldown and not recent?(entry, now)
      end)

    {Map.new(over), Map.new(kept)}
  end

  ## In the store

  @spec load(Store.t()) :: {:ok, t()} | {:error, Error.t()}
  def load(store) do
    sql = "SELECT world, announced_at, closed_at FROM uro_discord_worlds"

    with {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, []}], :read) do
      {:ok,
       for([world, announced, closed] <- rows, into: %{}, do: {world, %{announced_at: announced, closed_at: closed}})}
    end
  end

  @spec put(t()) :: [Store.statement()]
  def put(entries) do
    for {world, entry} <- entries do
      {"""
       INSERT INTO uro_discord_worlds (world, announced_at, closed_at) VALUES ($1, $2, $3)
       ON CONFLICT (world) DO UPDATE SET announced_at = excluded.announced_at, closed_at = excluded.closed_at
       """, [world, entry.announced_at, entry.closed_at]}
    end
  end

  @doc """
  For the transaction that stores an announcement. It is a conflict if another node has announced the world since, or seen it
  open.
  """
  @spec announced(String.t(), entry() | nil, integer()) :: [Store.statement()]
  def announced(world, before, now) do
    [
      {"DELETE FROM uro_discord_worlds WHERE world = $1 AND closed_at = $2",
       [world, if(before, do: before.closed_at, else: 0)]},
      {"INSERT INTO uro_discord_worlds (world, announced_at) VALUES ($1, $2)", [world, now]}
    ]
  end

  @doc "Deletes entries, as far as they still are so."
  @spec delete(t()) :: [Store.statement()]
  def delete(entries) do
    for {world, entry} <- entries,
        do: {"DELETE FROM uro_discord_worlds WHERE world = $1 AND closed_at = $2", [world, entry.closed_at]}
  end
end

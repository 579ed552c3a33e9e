defmodule UroDiscord.Gateway.Lease do
  @moduledoc false
  # Which node holds the bot's gateway, in the store, and what is kept there under it: sessions and the identify budget. Each
  # new holder has a higher fence, and whatever is written names it, so that a node which lost the lease changes nothing.

  alias UroDiscord.{Error, Store}

  # How long a lease lasts from the moment it was asked for.
  @lease_ms 7_000
  # Nodes' clocks may differ by this much.
  @skew_ms 5_000

  @type fence :: pos_integer()

  @typedoc "The row as it was found; `lease_until` changes with every renewal."
  @type row :: %{owner: String.t(), fence: non_neg_integer(), lease_until: integer()}

  @typedoc "A session as the bridge knows it (docs/bridge-protocol.md), and what it was made for."
  @type kept :: %{session: map(), shards: pos_integer(), intents: non_neg_integer()}

  @typedoc "What is to be written: sessions (nil: forget it), and a budget, if that has changed."
  @type changes :: %{
          sessions: %{(shard :: non_neg_integer()) => kept() | nil},
          budget: String.t() | nil
        }

  @spec lease_ms() :: pos_integer()
  def lease_ms, do: @lease_ms

  @doc "The lease as it is; nobody's, where there has been none."
  @spec look(Store.t(), String.t()) :: {:ok, row()} | {:error, Error.t()}
  def look(store, bot_id) do
    sql = "SELECT owner, fence, lease_until FROM uro_discord_gateway WHERE bot_id = $1"

    case Store.run(store, [{sql, [bot_id]}], :read) do
      {:ok, [%{rows: [[owner, fence, until]]}]} -> {:ok, %{owner: owner, fence: fence, lease_until: until}}
      {:ok, [%{rows: []}]} -> {:ok, %{owner: "", fence: 0, lease_until: 0}}
      {:error, error} -> {:error, error}
    end
  end

  @doc """
  Whether a lease may be taken by `owner`: it was given back, or is his own, or its holder is known to be dead, or it has run
  out. It has by the clock, if that is surely past its end; but clocks differ, so also when it was `unchanged_ms` long not renewed
  before our eyes.

      iex> alias UroDiscord.Gateway.Lease
      iex> row = %{owner: "other", fence: 3, lease_until: 100_000}
      iex> for {now, unchanged_ms} <- [{99_000, 0}, {104_000, 6_900}, {99_000, 7_000}, {105_001, 0}],
      ...>   do: Lease.free?(row, "us", now, unchanged_ms, fn _ -> false end)
      [false, false, true, true]
      iex> {Lease.free?(row, "other", 0, 0, fn _ -> false end), Lease.free?(row, "us", 0, 0, fn "other" -> true end)}
      {true, true}
      iex> Lease.free?(%{row | owner: ""}, "us", 0, 0, fn _ -> false end)
      true
  """
  @spec free?(row(), String.t(), integer(), non_neg_integer(), (String.t() -> boolean())) :: boolean()
  def free?(row, owner, now, unchanged_ms, dead?) do
    row.owner in ["", owner] or unchanged_ms >= @lease_ms or row.lease_until + @skew_ms < now or dead?.(row.owner)
  end

  @doc "Takes the lease, if it still is as it was found, with what was kept under it; `:taken` when somebody was quicker."
  @spec take(Store.t(), String.t(), String.t(), row()) ::
          {:ok, fence(), %{non_neg_integer() => kept()}, budget :: String.t() | nil} | :taken | {:error, Error.t()}
  def take(store, bot_id, owner, found) do
    statements = [
      {"""
       INSERT INTO uro_discord_gateway (bot_id, owner, fence, lease_until)
       VALUES ($1, '', 0, 0) ON CONFLICT (bot_id) DO NOTHING
       """, [bot_id]},
      {"""
       UPDATE uro_discord_gateway SET owner = $2, fence = fence + 1, lease_until = $3
       WHERE bot_id = $1 AND fence = $4 AND lease_until = $5 RETURNING fence, budget
       """, [bot_id, owner, until(), found.fence, found.lease_until]},
      {"""
       SELECT shard, shards, intents, session_id, sequence, resume_url FROM uro_discord_gateway_sessions WHERE bot_id = $1
       """, [bot_id]}
    ]

    with {:ok, [_, %{rows: taken}, %{rows: sessions}]} <- Store.run(store, statements, :write) do
      case taken do
        [[fence, budget]] -> {:ok, fence, Map.new(sessions, &kept/1), budget}
        [] -> :taken
      end
    end
  end

  defp kept([shard, shards, intents, id, sequence, resume_url]) do
    session = %{"id" => id, "sequence" => sequence, "resume_url" => resume_url}
    {shard, %{session: session, shards: shards, intents: intents}}
  end

  @doc "Renews the lease and writes what has changed; `:lost` when it is another's by now, and nothing was written."
  @spec renew(Store.t(), String.t(), fence(), changes()) :: :ok | :lost | {:error, Error.t()}
  def renew(store, bot_id, fence, changes) do
    # The first one locks the lease's row, so that nobody takes it in the middle.
    statements =
      [{"UPDATE uro_discord_gateway SET lease_until = $3 WHERE bot_id = $1 AND fence = $2", [bot_id, fence, until()]}] ++
        for({shard, kept} <- changes.sessions, do: session(bot_id, fence, shard, kept)) ++
        if(changes.budget, do: [budget(bot_id, fence, changes.budget)], else: [])

    with {:ok, [%{num_rows: renewed} | _]} <- Store.run(store, statements, :write),
         do: if(renewed == 1, do: :ok, else: :lost)
  end

  defp session(bot_id, fence, shard, nil) do
    {"DELETE FROM uro_discord_gateway_sessions WHERE bot_id = $1 AND shard = $3 AND #{held()}", [bot_id, fence, shard]}
  end

  defp session(bot_id, fence, shard, kept) do
    %{"id" => id, "sequence" => sequence, "resume_url" => resume_url} = kept.session

    {"""
     INSERT INTO uro_discord_gateway_sessions (bot_id, shard, shards, intents, session_id, sequence, resume_url)
     SELECT CAST($1 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS BIGINT), CAST($5 AS BIGINT), CAST($6 AS TEXT),
       CAST($7 AS BIGINT), CAST($8 AS TEXT)
     WHERE #{held()}
     ON CONFLICT (bot_id, shard) DO UPDATE SET shards = excluded.shards, intents = excluded.intents,
       session_id = excluded.session_id, sequence = excluded.sequence, resume_url = excluded.resume_url
     """, [bot_id, fence, shard, kept.shards, kept.intents, id, sequence, resume_url]}
  end

  defp budget(bot_id, fence, budget) do
    {"UPDATE uro_discord_gateway SET budget = $3 WHERE bot_id = $1 AND fence = $2", [bot_id, fence, budget]}
  end

  # For statements whose first two parameters are the bot and the fence.
  defp held, do: "EXISTS (SELECT 1 FROM uro_discord_gateway WHERE bot_id = $1 AND fence = $2)"

  @doc "Gives the lease back, for another node to take at once."
  @spec release(Store.t(), String.t(), fence()) :: :ok | {:error, Error.t()}
  def release(store, bot_id, fence) do
    sql = "UPDATE uro_discord_gateway SET owner = '', lease_until = 0 WHERE bot_id = $1 AND fence = $2"
    with {:ok, _} <- Store.run(store, [{sql, [bot_id, fence]}], :write), do: :ok
  end

  defp until, do: now() + @lease_ms
  defp now, do: System.os_time(:millisecond)
end

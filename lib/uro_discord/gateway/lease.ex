defmodule UroDiscord.Gateway.Lease do
  @moduledoc false
  # Which node holds the bot's gateway, in the store, and what is kept there under it: sessions and the identify budget. Each
  # new holder has a higher fence, and whatever is written names it, so that a node which lost the lease changes nothing.

  alias UroDiscord.{Clock, Error, Store}

  # A gateway that nobody holds is missed within seconds.
  @lease %{table: "uro_discord_gateway", key: "bot_id", ms: 7_000}

  @type fence :: pos_integer()

  @typedoc "A session as the bridge knows it (docs/bridge-protocol.md), and what it was made for."
  @type kept :: %{session: map(), shards: pos_integer(), intents: non_neg_integer()}

  @typedoc "What is to be written: sessions (nil: forget it), and a budget, if that has changed."
  @type changes :: %{
          sessions: %{(shard :: non_neg_integer()) => kept() | nil},
          budget: String.t() | nil
        }

  @spec lease_ms() :: pos_integer()
  def lease_ms, do: @lease.ms

  @doc "Takes the lease, with what was kept under it, if another node does not have it; else what to `watch` of that, see `UroDiscord.Store.Lease`."
  @spec claim(Store.t(), String.t(), String.t(), Store.Lease.watch()) ::
          {:ok, fence(), %{non_neg_integer() => kept()}, budget :: String.t() | nil}
          | {:held, Store.Lease.watch()}
          | {:error, Error.t()}
  def claim(store, bot_id, owner, watch) do
    kept = [
      {"SELECT budget FROM uro_discord_gateway WHERE bot_id = $1", [bot_id]},
      {"""
       SELECT shard, shards, intents, session_id, sequence, resume_url FROM uro_discord_gateway_sessions WHERE bot_id = $1
       """, [bot_id]}
    ]

    with {:ok, fence, [%{rows: [[budget]]}, %{rows: sessions}]} <-
           Store.Lease.claim(store, @lease, bot_id, owner, watch, kept),
         do: {:ok, fence, Map.new(sessions, &kept/1), budget}
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
      [Store.Lease.renewal(@lease, bot_id, fence)] ++
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

  @doc """
  A node that has its bridge, and not the lease, says that it is there. Whoever has the lease and not its bridge looks for that, and gives way.
  """
  @spec wish(Store.t(), String.t(), String.t()) :: :ok | {:error, Error.t()}
  def wish(store, bot_id, owner) do
    sql = """
    INSERT INTO uro_discord_gateway (bot_id, owner, fence, lease_until) VALUES ($1, $2, 0, $3)
    ON CONFLICT (bot_id) DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until
    """

    with {:ok, _} <- Store.run(store, [{sql, [wish_of(bot_id), owner, Clock.local()]}], :write), do: :ok
  end

  @doc "The last wish: another value is another wish, or nil. Nodes' clocks need not agree on what it says."
  @spec wished(Store.t(), String.t()) :: {:ok, integer() | nil} | {:error, Error.t()}
  def wished(store, bot_id) do
    sql = "SELECT lease_until FROM uro_discord_gateway WHERE bot_id = $1"

    with {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, [wish_of(bot_id)]}], :read),
         do: {:ok, List.first(List.flatten(rows))}
  end

  # No bot has such an id.
  defp wish_of(bot_id), do: bot_id <> "/next"

  @doc "Gives the lease back, for another node to take at once."
  @spec release(Store.t(), String.t(), fence()) :: :ok | {:error, Error.t()}
  def release(store, bot_id, fence), do: Store.Lease.release(store, @lease, bot_id, fence)
end

defmodule UroDiscord.Store.Lease do
  @moduledoc false
  # A lease in the store: which node does something that only one may do, until when the others leave it to that one. Each new holder has
  # a higher fence. What is written under a lease is written in one batch behind its renewal, which locks its row and changes none once another
  # has it; so a node that lost the lease changes nothing.

  alias UroDiscord.{Clock, Error, Store}
  alias UroDiscord.Store.NodeId

  # Nodes' clocks may differ by this much.
  @skew_ms 5_000

  @typedoc "The table, its column that says what is leased, and how long a lease lasts from the moment it is asked for."
  @type kind :: %{table: String.t(), key: String.t(), ms: pos_integer()}

  @typedoc "The row as it was found; `lease_until` changes with every renewal."
  @type row :: %{owner: String.t(), fence: non_neg_integer(), lease_until: integer()}

  @typedoc "A row of another's, and since when (monotonic ms) it is as it is."
  @type watch :: {row(), integer()} | nil

  @doc """
  Takes the lease for an owner, and does what goes `also` with it, whose answers come back; or gives what to watch, for the next time that this is asked.
  """
  @spec claim(Store.t(), kind(), String.t(), String.t(), watch(), [Store.statement()]) ::
          {:ok, fence :: pos_integer(), [Store.answer()]} | {:held, watch()} | {:error, Error.t()}
  def claim(store, kind, key, owner, watch, also \\ []) do
    now = System.monotonic_time(:millisecond)

    with {:ok, row} <- look(store, kind, key) do
      since = if match?({^row, _since}, watch), do: elem(watch, 1), else: now

      if free?(row, owner, Clock.local(), now - since, kind.ms, &NodeId.dead?/1),
        do: take(store, kind, key, owner, row, also),
        else: {:held, {row, since}}
    end
  end

  defp look(store, kind, key) do
    sql = "SELECT owner, fence, lease_until FROM #{kind.table} WHERE #{kind.key} = $1"

    case Store.run(store, [{sql, [key]}], :read) do
      {:ok, [%{rows: [[owner, fence, until]]}]} -> {:ok, %{owner: owner, fence: fence, lease_until: until}}
      {:ok, [%{rows: []}]} -> {:ok, %{owner: "", fence: 0, lease_until: 0}}
      {:error, error} -> {:error, error}
    end
  end

  @doc """
  Whether a lease may be taken by `owner`: it was given back, or is his own, or its holder is known to be dead, or it has run
  out. It has by the clock, if that is surely past its end; but clocks differ, by hours where one is wrong, so also when it was not renewed
  before our eyes for as long as it lasts.

      iex> alias UroDiscord.Store.Lease
      iex> row = %{owner: "other", fence: 3, lease_until: 100_000}
      iex> for {now, unchanged_ms} <- [{99_000, 0}, {104_000, 6_900}, {99_000, 7_000}, {105_001, 0}],
      ...>   do: Lease.free?(row, "us", now, unchanged_ms, 7_000, fn _ -> false end)
      [false, false, true, true]
      iex> {Lease.free?(row, "other", 0, 0, 7_000, fn _ -> false end), Lease.free?(row, "us", 0, 0, 7_000, fn "other" -> true end)}
      {true, true}
      iex> Lease.free?(%{row | owner: ""}, "us", 0, 0, 7_000, fn _ -> false end)
      true
  """
  @spec free?(row(), String.t(), integer(), non_neg_integer(), pos_integer(), (String.t() -> boolean())) :: boolean()
  def free?(row, owner, now, unchanged_ms, lease_ms, dead?) do
    row.owner in ["", owner] or unchanged_ms >= lease_ms or row.lease_until + @skew_ms < now or dead?.(row.owner)
  end

  # Only if it still is as it was found.
  defp take(store, kind, key, owner, found, also) do
    statements = [
      {"""
       INSERT INTO #{kind.table} (#{kind.key}, owner, fence, lease_until)
       VALUES ($1, '', 0, 0) ON CONFLICT (#{kind.key}) DO NOTHING
       """, [key]},
      {"""
       UPDATE #{kind.table} SET owner = $2, fence = fence + 1, lease_until = $3
       WHERE #{kind.key} = $1 AND fence = $4 AND lease_until = $5 RETURNING fence
       """, [key, owner, until(kind), found.fence, found.lease_until]}
      | also
    ]

    case Store.run(store, statements, :write) do
      {:ok, [_, %{rows: [[fence]]} | answers]} -> {:ok, fence, answers}
      # Somebody was quicker.
      {:ok, [_, %{rows: []} | _]} -> {:held, nil}
      {:error, error} -> {:error, error}
    end
  end

  @doc "Renews a lease; it changes one row, or none where the lease is another's by now."
  @spec renewal(kind(), String.t(), pos_integer()) :: Store.statement()
  def renewal(kind, key, fence) do
    {"UPDATE #{kind.table} SET lease_until = $3 WHERE #{kind.key} = $1 AND fence = $2", [key, fence, until(kind)]}
  end

  @doc "Gives a lease back, for another node to take at once."
  @spec release(Store.t(), kind(), String.t(), pos_integer()) :: :ok | {:error, Error.t()}
  def release(store, kind, key, fence) do
    sql = "UPDATE #{kind.table} SET owner = '', lease_until = 0 WHERE #{kind.key} = $1 AND fence = $2"
    with {:ok, _} <- Store.run(store, [{sql, [key, fence]}], :write), do: :ok
  end

  defp until(kind), do: Clock.local() + kind.ms
end

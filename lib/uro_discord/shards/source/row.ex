defmodule UroDiscord.Shards.Source.Row do
  @moduledoc false
  # A shard as a source lists it: one of Uro's structs, or the JSON of one, under Uro's own names. Both generations are read:
  # `Uro.VSekai.Shard` with updated_at, and `Uro.VSekai.Zone` of newer forks with last_put_at and public.

  alias UroDiscord.Shards
  alias UroDiscord.Shards.Shard

  # Much more than all rows take, and less than a poll may.
  @budget_ms 5_000

  @enforce_keys [:shard, :opened_at, :heartbeat_at, :stale_at]
  defstruct @enforce_keys

  @typedoc """
  `heartbeat_at` is when the shard last gave a sign of life, `stale_at` when its source itself stops to list it unless it gives another one,
  nil where that means that it has closed; both in Unix ms.
  """
  @type t :: %__MODULE__{
          shard: map(),
          opened_at: DateTime.t() | nil,
          heartbeat_at: integer(),
          stale_at: integer() | nil
        }

  @typedoc "What was read before, by the source's own ids: a digest of the fields, and the shard that they were."
  @type known :: %{optional(term()) => {binary(), map()}}

  @doc """
  The shards of a list that are nobody's secret, and what is known for the next time; `now` is when it was asked for.

  A row costs only when it has changed, and then itself: what is no shard is left out. Those that are known go first, then the oldest. If
  `budget_ms` do not suffice for all, the others have their turn the next time, and until then are what they were.
  """
  @spec read([map()], integer(), window_ms :: pos_integer() | nil, known(), budget_ms :: integer()) :: {[t()], known()}
  def read(list, now, window_ms, known, budget_ms \\ @budget_ms) do
    public = for %{} = listed <- list, public?(listed), do: listed
    chosen = first(public, known)
    deadline = System.monotonic_time(:millisecond) + budget_ms

    for listed <- chosen,
        fields = fields(listed),
        {:ok, digest, shard} <- [shard(fields, known[fields.id], deadline)],
        reduce: {[], %{}} do
      {rows, kept} -> {[row(listed, shard, now, window_ms) | rows], Map.put(kept, fields.id, {digest, shard})}
    end
  end

  defp shard(fields, before, deadline) do
    digest = :crypto.hash(:sha256, :erlang.term_to_binary(fields))

    case before do
      {^digest, shard} -> {:ok, digest, shard}
      _ -> changed(fields, digest, before, System.monotonic_time(:millisecond) >= deadline)
    end
  end

  defp changed(fields, digest, _before, false) do
    with {:ok, shard} <- Shard.believe(fields), do: {:ok, digest, shard}
  end

  defp changed(_fields, _digest, nil, true), do: :error
  defp changed(_fields, _digest, {digest, shard}, true), do: {:ok, digest, shard}

  # A heartbeat of the future is one of now.
  defp row(listed, shard, now, window_ms) do
    heartbeat_at = min(milliseconds(Map.get(listed, :last_put_at) || Map.get(listed, :updated_at)) || now, now)

    %__MODULE__{
      shard: shard,
      opened_at: opened_at(Map.get(listed, :inserted_at), now),
      heartbeat_at: heartbeat_at,
      stale_at: window_ms && heartbeat_at + window_ms
    }
  end

  # Zones say whether they are, twice; shards are.
  defp public?(listed), do: Map.get(listed, :public, true) == true and Map.get(listed, :status) != "private"

  # A million of them are not worth reading.
  defp first(rows, known) do
    {old, new} = Enum.split_with(rows, &is_map_key(known, Map.get(&1, :id)))
    new = Enum.sort_by(new, &milliseconds(Map.get(&1, :inserted_at)))
    Enum.take(old ++ new, Shards.capacity())
  end

  # The host is preloaded, or else an `Ecto.Association.NotLoaded`, or nil.
  defp fields(listed) do
    user = with %{} = user <- Map.get(listed, :user), do: user, else: (_ -> %{})

    %{
      id: Map.get(listed, :id),
      name: Map.get(listed, :name),
      map: Map.get(listed, :map),
      players: Map.get(listed, :current_users),
      max_players: Map.get(listed, :max_users),
      host: Map.get(user, :display_name) || Map.get(user, :username),
      host_id: Map.get(listed, :user_id) || Map.get(user, :id),
      address: Map.get(listed, :address),
      port: Map.get(listed, :port)
    }
  end

  defp opened_at(time, now) do
    case milliseconds(time) do
      nil -> nil
      opened -> opened |> min(now) |> DateTime.from_unix!(:millisecond)
    end
  end

  # Ecto's timestamps are UTC, with a zone or without.
  defp milliseconds(%NaiveDateTime{} = time), do: time |> DateTime.from_naive!("Etc/UTC") |> milliseconds()
  defp milliseconds(%DateTime{} = time), do: DateTime.to_unix(time, :millisecond)
  defp milliseconds(_unknown), do: nil
end

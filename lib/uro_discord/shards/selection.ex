defmodule UroDiscord.Shards.Selection do
  @moduledoc false
  # Which shards may be shown. Anybody can register a shard with Uro, and as many as they like: those who were there first keep
  # their places.

  @type limits :: %{
          :trusted => [String.t()],
          :trusted_only => boolean(),
          :max_visible => pos_integer(),
          :max_per_address => pos_integer(),
          :max_per_host => pos_integer(),
          optional(atom()) => term()
        }

  @doc """
  Those that are shown: the trusted ones first, then the oldest. A trusted host or address has as many as there is room for, any other
  at most its share.

      iex> limits = %{trusted: ["fire"], trusted_only: false, max_visible: 3, max_per_address: 2, max_per_host: 9}
      iex> shards = for {id, host_id, address} <- [{"1", nil, "::1"}, {"2", nil, "::1"}, {"3", nil, "::1"}, {"4", "fire", nil}] do
      ...>   %{id: id, host: nil, host_id: host_id, address: address, opened_at: ~U[2025-01-01 00:00:00Z]}
      ...> end
      iex> shards |> UroDiscord.Shards.Selection.select(limits) |> Enum.map(& &1.id)
      ["4", "1", "2"]
  """
  @spec select([UroDiscord.Shards.shard()], limits()) :: [UroDiscord.Shards.shard()]
  def select(shards, limits) do
    names = MapSet.new(limits.trusted, &(origin(&1) || &1))
    {trusted, others} = if limits.trusted == [], do: {[], shards}, else: Enum.split_with(shards, &trusted?(&1, names))
    trusted = trusted |> oldest_first() |> Enum.take(limits.max_visible)

    if limits.trusted_only,
      do: trusted,
      else: trusted ++ (others |> oldest_first() |> share(limits, limits.max_visible - length(trusted), %{}))
  end

  defp trusted?(shard, trusted), do: shard.host_id in trusted or origin(shard.address) in trusted

  defp oldest_first(shards), do: Enum.sort_by(shards, &{DateTime.to_unix(&1.opened_at, :microsecond), &1.id})

  # The first `room` of those of whose origins there are not too many; a flood behind these is not looked at.
  defp share([shard | rest], limits, room, counts) when room > 0 do
    keys = keys(shard)

    if Enum.all?(keys, fn {kind, _} = key -> Map.get(counts, key, 0) < limits[kind] end) do
      counts = Enum.reduce(keys, counts, fn key, counts -> Map.update(counts, key, 1, &(&1 + 1)) end)
      [shard | share(rest, limits, room - 1, counts)]
    else
      share(rest, limits, room, counts)
    end
  end

  defp share(_shards, _limits, _room, _counts), do: []

  defp keys(shard) do
    for {kind, origin} <- [max_per_address: origin(shard.address), max_per_host: shard.host_id || shard.host],
        origin != nil,
        do: {kind, origin}
  end

  # Whoever has one address of an IPv6 network usually has all 2^64 of them.
  defp origin(nil), do: nil

  defp origin(address) do
    case address |> String.to_charlist() |> :inet.parse_address() do
      {:ok, {0, 0, 0, 0, 0, 0xFFFF, high, low}} -> <<high::16, low::16>>
      {:ok, {a, b, c, d, _, _, _, _}} -> <<a::16, b::16, c::16, d::16>>
      {:ok, {a, b, c, d}} -> <<a, b, c, d>>
      {:error, :einval} -> String.downcase(address)
    end
  end
end

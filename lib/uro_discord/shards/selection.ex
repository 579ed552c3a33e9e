defmodule UroDiscord.Shards.Selection do
  @moduledoc false
  # Which shards may be shown. Anybody can register a shard with Uro, and as many as they like: those who were there first keep
  # their places.

  @type limits :: %{
          trusted: [String.t()],
          trusted_only: boolean(),
          max_visible: pos_integer(),
          max_per_address: pos_integer(),
          max_per_host: pos_integer()
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
    trusted = MapSet.new(limits.trusted, &(origin(&1) || &1))

    {trusted, others} = Enum.split_with(shards, &trusted?(&1, trusted))
    others = if limits.trusted_only, do: [], else: others |> oldest_first() |> share(limits)
    trusted |> oldest_first() |> Enum.concat(others) |> Enum.take(limits.max_visible)
  end

  defp trusted?(shard, trusted), do: shard.host_id in trusted or origin(shard.address) in trusted

  defp oldest_first(shards), do: Enum.sort_by(shards, &{DateTime.to_unix(&1.opened_at, :microsecond), &1.id})

  # At most so many of an origin.
  defp share(shards, limits) do
    {shown, _counts} =
      Enum.flat_map_reduce(shards, %{}, fn shard, counts ->
        keys = keys(shard)

        if Enum.all?(keys, fn {kind, _} = key -> Map.get(counts, key, 0) < limits[kind] end),
          do: {[shard], Enum.reduce(keys, counts, fn key, counts -> Map.update(counts, key, 1, &(&1 + 1)) end)},
          else: {[], counts}
      end)

    shown
  end

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

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

  @typedoc "What matters here of a shard: when it opened (Unix µs), its id, where it comes from, and whose it is."
  @type place ::
          {integer(), String.t(), origin :: String.t() | nil, host_id :: String.t() | nil, host :: String.t() | nil}

  @doc "The place of a shard whose `origin/1` is known."
  @spec place(UroDiscord.Shards.shard(), String.t() | nil) :: place()
  def place(shard, origin),
    do: {DateTime.to_unix(shard.opened_at, :microsecond), shard.id, origin, shard.host_id, shard.host_id || shard.host}

  @doc """
  The ids of those that are shown: the trusted ones first, then the oldest. A trusted host or address has as many as there is room for, any
  other at most its share.

      iex> alias UroDiscord.Shards.Selection
      iex> limits = %{trusted: ["fire"], trusted_only: false, max_visible: 3, max_per_address: 2, max_per_host: 9}
      iex> places = for {id, host_id, address} <- [{"1", nil, "::1"}, {"2", nil, "::1"}, {"3", nil, "::1"}, {"4", "fire", nil}] do
      ...>   Selection.place(%{id: id, host: nil, host_id: host_id, opened_at: ~U[2025-01-01 00:00:00Z]}, Selection.origin(address))
      ...> end
      iex> Selection.select(places, limits)
      ["4", "1", "2"]
  """
  @spec select([place()], limits()) :: [String.t()]
  def select(places, limits) do
    names = MapSet.new(limits.trusted, &(origin(&1) || &1))
    # A place begins with when and which.
    places = Enum.sort(places)
    {trusted, others} = if limits.trusted == [], do: {[], places}, else: Enum.split_with(places, &trusted?(&1, names))
    trusted = Enum.take(trusted, limits.max_visible)
    others = if limits.trusted_only, do: [], else: share(others, limits, limits.max_visible - length(trusted), %{})
    Enum.map(trusted ++ others, &elem(&1, 1))
  end

  defp trusted?({_opened, _id, origin, host_id, _host}, trusted), do: host_id in trusted or origin in trusted

  # The first `room` of those of whose origins there are not too many; a flood behind these is not looked at.
  defp share([place | rest], limits, room, counts) when room > 0 do
    keys = keys(place)

    if Enum.all?(keys, fn {kind, _} = key -> Map.get(counts, key, 0) < limits[kind] end) do
      counts = Enum.reduce(keys, counts, fn key, counts -> Map.update(counts, key, 1, &(&1 + 1)) end)
      [place | share(rest, limits, room - 1, counts)]
    else
      share(rest, limits, room, counts)
    end
  end

  defp share(_places, _limits, _room, _counts), do: []

  defp keys({_opened, _id, origin, _host_id, host}) do
    for {kind, name} <- [max_per_address: origin, max_per_host: host], name != nil, do: {kind, name}
  end

  @doc "Where an address is. Whoever has one of an IPv6 network usually has all 2^64 of them."
  @spec origin(String.t() | nil) :: String.t() | nil
  def origin(nil), do: nil

  def origin(address) do
    case address |> String.to_charlist() |> :inet.parse_address() do
      {:ok, {0, 0, 0, 0, 0, 0xFFFF, high, low}} -> <<high::16, low::16>>
      {:ok, {a, b, c, d, _, _, _, _}} -> <<a::16, b::16, c::16, d::16>>
      {:ok, {a, b, c, d}} -> <<a, b, c, d>>
      {:error, :einval} -> String.downcase(address)
    end
  end
end

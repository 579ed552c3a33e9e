defmodule UroDiscord.Shards.SelectionTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Shards.Selection

  doctest UroDiscord.Shards.Selection

  @limits %{trusted: [], trusted_only: false, max_visible: 5, max_per_address: 2, max_per_host: 2}

  # The n-th one to have opened.
  defp shard(n, fields \\ []) do
    shard = %{
      id: "#{n}",
      host: nil,
      host_id: nil,
      address: nil,
      opened_at: DateTime.add(~U[2025-01-01 00:00:00Z], n, :second)
    }

    Map.merge(shard, Map.new(fields))
  end

  defp ids(shards, limits \\ []) do
    shards
    |> Enum.map(&Selection.place(&1, Selection.origin(&1.address)))
    |> Selection.select(Map.merge(@limits, Map.new(limits)))
  end

  test "the oldest ones have the places" do
    assert ids(for n <- 20..1//-1, do: shard(n)) == ~w(1 2 3 4 5)
  end

  test "an address has so many and no more, however it is written" do
    assert ids(for n <- 1..9, do: shard(n, address: "203.0.113.7")) == ~w(1 2)

    assert ids([
             shard(1, address: "203.0.113.7"),
             shard(2, address: "::ffff:203.0.113.7"),
             shard(3, address: "203.0.113.7")
           ]) == ~w(1 2)

    assert ids(for n <- 1..9, do: shard(n, address: "2001:db8::#{n}")) == ~w(1 2)
    assert ids(for n <- 1..4, do: shard(n, address: "2001:db8:0:#{n}::1")) == ~w(1 2 3 4)
    assert ids(for {a, n} <- Enum.with_index(~w(w.example W.example w.EXAMPLE)), do: shard(n, address: a)) == ~w(0 1)
  end

  test "a host has so many and no more; without an id, those of a name are one" do
    assert ids(for n <- 1..9, do: shard(n, host_id: "a", host: "#{n}", address: "203.0.113.#{n}")) == ~w(1 2)
    assert ids(for n <- 1..9, do: shard(n, host: "fire")) == ~w(1 2)
    assert ids([shard(1, host: "fire"), shard(2, host: "fire", host_id: "a"), shard(3, host: "fire")]) == ~w(1 2 3)
  end

  test "what is refused for its address takes no place of its host" do
    shards = [
      shard(1, address: "a", host: "x"),
      shard(2, address: "a"),
      shard(3, address: "a", host: "x"),
      shard(4, host: "x")
    ]

    assert ids(shards) == ~w(1 2 4)
  end

  test "trusted ones go first, without limits of their own" do
    flood = for n <- 1..10, do: shard(n)

    late = [
      shard(20, address: "203.0.113.7"),
      shard(21, address: "203.0.113.7"),
      shard(22, address: "203.0.113.7"),
      shard(23, host_id: "f")
    ]

    assert ids(flood ++ late, trusted: ["203.0.113.7", "f"]) == ~w(20 21 22 23 1)
    assert ids(flood ++ late, trusted: ["203.0.113.7", "f"], trusted_only: true) == ~w(20 21 22 23)
    assert ids(flood, trusted_only: true) == []
    # A name is not an id: anybody may call themselves so.
    assert ids([shard(1, host: "f")], trusted: ["f"], trusted_only: true) == []
  end
end

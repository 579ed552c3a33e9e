defmodule UroDiscord.Accounts.Tasks.PartsTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Accounts.Tasks.{Lane, Retries, Tally, Text, Window}

  doctest Lane
  doctest Retries
  doctest Tally
  doctest Text
  doctest Window

  test "reasons are told apart up to a number, and those who failed are named up to one" do
    tally = Enum.reduce(1..100, %Tally{}, &Tally.add(&2, "user #{&1}", [{:failed, "reason #{&1}"}]))
    assert {Tally.sum(tally.failed), map_size(tally.failed), length(tally.who)} == {100, 31, 20}
    assert tally.failed["other reasons"] == 70
  end

  test "those who wait are read again 1,000 at a time, and the others keep their order" do
    items = for n <- 1..1_500, do: %{entry: n, read_at: 0, try: 1}
    assert {:read, first, lane} = %Lane{} |> Lane.add(items) |> Lane.next(30_001)

    assert {Enum.map(first, & &1.entry), Enum.map(lane.todo, & &1.entry)} ==
             {Enum.to_list(1..1_000), Enum.to_list(1_001..1_500)}
  end
end

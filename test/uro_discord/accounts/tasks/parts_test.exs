defmodule UroDiscord.Accounts.Tasks.PartsTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Accounts.Tasks.{Retries, Schedule, Tally, Text, Window}

  doctest Retries
  doctest Schedule
  doctest Tally
  doctest Text
  doctest Window

  test "reasons are told apart up to a number, and those who failed are named up to one" do
    tally = Enum.reduce(1..100, %Tally{}, &Tally.add(&2, "user #{&1}", [{:failed, "reason #{&1}"}]))
    assert {Tally.sum(tally.failed), map_size(tally.failed), length(tally.who)} == {100, 31, 20}
    assert tally.failed["other reasons"] == 70
  end
end

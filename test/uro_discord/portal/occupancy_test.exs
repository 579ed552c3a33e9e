defmodule UroDiscord.Portal.OccupancyTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Portal.Occupancy

  doctest Occupancy

  # What happens, for people who come and go second by second.
  defp story(days, close_after) do
    {told, _known, _open?} =
      days
      |> Enum.with_index()
      |> Enum.reduce({[], Occupancy.new(), false}, fn {{discord, world}, second}, {told, known, open?} ->
        here = %{open?: open?, discord: discord, world: world}

        case Occupancy.decide(known, :people, here, close_after, second * 1_000) do
          {:open, known} -> {[{second, :open} | told], Occupancy.opened(known), true}
          {:close, _known} -> {[{second, :close} | told], Occupancy.new(), false}
          {_nothing_or_wait, known} -> {told, known, open?}
        end
      end)

    Enum.reverse(told)
  end

  test "it opens as the second side has somebody, and closes when one was empty for long enough" do
    both = {true, true}
    alone = {true, false}
    assert story([{false, false}, alone, both, both], 2_000) == [{2, :open}]
    assert story([both, alone, both, alone, alone, alone], 2_000) == [{0, :open}, {5, :close}]
    assert story([both, {false, true}, alone, {false, false}, both], 2_000) == [{0, :open}, {3, :close}, {4, :open}]
    assert story([both, alone, both], 0) == [{0, :open}, {1, :close}, {2, :open}]
  end

  test "where nobody tells who is in the channel it looks, if there is somebody in the world" do
    assert story([{:unknown, false}, {:unknown, true}], 1_000) == [{1, :open}]
  end
end

defmodule UroDiscord.Gateway.BudgetTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Gateway.{Budget, Identify}

  doctest Budget

  @now 1_700_000_000_000
  @hour 3_600_000
  @day 24 * @hour

  defp answer(remaining, options \\ []) do
    %{
      "url" => "wss://gateway.discord.gg",
      "shards" => Keyword.get(options, :shards, 1),
      "session_start_limit" => %{
        "total" => 1000,
        "remaining" => remaining,
        "reset_after" => Keyword.get(options, :reset_after, @day),
        "max_concurrency" => Keyword.get(options, :max_concurrency, 1)
      }
    }
  end

  defp budget(remaining, options \\ []) do
    {:ok, budget} = Budget.answered(%Budget{}, answer(remaining, options), @now)
    budget
  end

  test "Discord is asked first, and again when what it said is old" do
    assert Budget.next(%Budget{}, 0, 50, @now) == :ask
    budget = budget(1000)
    assert Budget.next(budget, 0, 50, @now) == :ok
    assert Budget.next(budget, 0, 50, @now + 59_999) == :ok
    assert Budget.next(budget, 0, 50, @now + 60_000) == :ask
    # The clock was set back.
    assert Budget.next(budget, 0, 50, @now - 1) == :ask
  end

  test "an answer that is not Discord's is none" do
    for body <- [nil, "text", %{}, %{"shards" => 0, "session_start_limit" => %{}}, put_in(answer(1)["shards"], "1")],
        do: assert(Budget.answered(%Budget{}, body, @now) == :error)
  end

  test "no more than the floor is used up, counting our own since Discord was asked" do
    budget = budget(52)
    assert Budget.next(budget, 0, 50, @now) == :ok
    budget = budget |> Budget.spend(0, @now) |> Budget.identifying(0, @now) |> Budget.spend(1, @now + 6_000)
    assert Budget.next(budget, 2, 50, @now + 30_000) == {:refused, @now + @day}
    assert Budget.next(budget, 2, 49, @now + 30_000) == :ok
    # However old that is; after the reset Discord is asked.
    assert Budget.next(budget, 2, 50, @now + @day - 1) == {:refused, @now + @day}
    assert Budget.next(budget, 2, 50, @now + @day) == :ask
    # Which is not done without end, whatever it says of that.
    assert Budget.next(budget(50, reset_after: 0), 0, 50, @now) == {:refused, @now + 60_000}
  end

  test "an answer that came while an identify is on its way does not count that" do
    budget = 1000 |> budget() |> Budget.spend(0, @now)
    {:ok, budget} = Budget.answered(budget, answer(1000), @now + 1)
    assert budget.limit.remaining == 999
  end

  test "what was permitted and not used is given back, once" do
    before = budget(1000)
    budget = Budget.spend(before, 0, @now)
    assert budget.limit.remaining == 999
    budget = Budget.unused(budget, 0)
    assert budget.limit.remaining == 1000
    assert Budget.next(budget, 0, 50, @now) == :ok
    assert Budget.unused(budget, 0) == budget
    # It did identify, and Discord ended the session.
    used = before |> Budget.spend(0, @now) |> Budget.identifying(0, @now + 100)
    assert Budget.unused(used, 0) == used
    # It may have identified.
    ended = before |> Budget.spend(0, @now) |> Budget.settle()
    assert Budget.unused(ended, 0) == ended
  end

  test "shards of the same bucket identify at least 5 s apart, others at once" do
    budget = budget(1000, max_concurrency: 2) |> Budget.spend(0, @now)
    assert Budget.next(budget, 1, 50, @now) == :ok
    # It is not known when shard 0 identifies, until it says so.
    assert {:wait, 15_000} = Budget.next(budget, 2, 50, @now)
    budget = Budget.identifying(budget, 0, @now + 2_000)
    assert {:wait, wait} = Budget.next(budget, 2, 50, @now + 2_000)
    assert wait in 5_000..6_000
    assert Budget.next(budget, 2, 50, @now + 2_000 + wait) == :ok
  end

  # Discord ends every session at once, with op 9: each time the shard waits again, and Discord counts.
  defp loop(identify, remaining, now, until, spent) when now < until do
    case Identify.step(identify, now) do
      {:ask, identify} ->
        {:ok, budget} = Budget.answered(identify.budget, answer(remaining), now)
        loop(%{identify | budget: budget}, remaining, now, until, spent)

      {:nothing, identify} ->
        {[0], identify} = Identify.granted(identify, [0])
        identify = identify |> Identify.identifying(0, now + 200) |> Identify.waiting(0)
        loop(identify, remaining - 1, now + 300, until, [now | spent])

      {{:wait, ms}, identify} ->
        loop(identify, remaining, now + ms, until, spent)
    end
  end

  defp loop(_identify, _remaining, _now, _until, spent), do: Enum.reverse(spent)

  test "an op 9 loop of an hour spends fewer than 20 identifies, and of a day fewer than 200" do
    identify = Identify.waiting(%Identify{floor: 50}, 0)
    spent = loop(identify, 1000, @now, @now + @hour, [])
    assert length(spent) in 8..19
    gaps = Enum.zip_with(spent, tl(spent), &(&2 - &1))
    assert Enum.all?(gaps, &(&1 >= 5_000))
    assert gaps == Enum.sort(gaps)

    day = loop(identify, 1000, @now, @now + @day, [])
    assert length(day) < 200
    for time <- day, do: assert(Enum.count(day, &(&1 in time..(time + @hour))) < 20)
  end

  test "a reset is a day away at most, whatever the answer says" do
    for {reset_after, ms} <- [{10 ** 30, 86_400_000}, {-5, 0}, {7, 7}] do
      answer = put_in(answer(1000)["session_start_limit"]["reset_after"], reset_after)
      assert {:ok, %{limit: %{reset_at: reset_at}}} = Budget.answered(budget(1000), answer, @now)
      assert reset_at == @now + ms
    end
  end

  test "the loop goes on where it was when it comes out of the store" do
    budget = Enum.reduce([0, 6_000, 20_000], budget(1000), &Budget.spend(&2, 0, @now + &1))
    {:ok, json} = budget |> Budget.to_term() |> UroDiscord.JSON.encode()
    {:ok, term} = UroDiscord.JSON.decode(json)
    assert Budget.from_term(term) == Budget.settle(budget)
    assert {:wait, 20_000} = term |> Budget.from_term() |> Budget.next(0, 50, @now + 20_000)
  end

  test "shards identify in their order, each as its bucket allows" do
    identify = Enum.reduce([3, 1, 0, 2], %Identify{floor: 0}, &Identify.waiting(&2, &1))
    assert {:ask, identify} = Identify.step(identify, @now)
    {:ok, budget} = Budget.answered(identify.budget, answer(1000, max_concurrency: 2), @now)
    assert {{:wait, _}, identify} = Identify.step(%{identify | budget: budget}, @now)
    assert identify.permitted == [0, 1]
    # Only what is stored is granted.
    assert {[1], identify} = Identify.granted(identify, [1])
    assert identify.permitted == [0]
    # Those of one of several bridges end with it.
    assert %{permitted: [], waiting: waiting, budget: budget} = Identify.bridge_ended(identify, MapSet.new([0, 3]))
    assert {Enum.to_list(waiting), Enum.to_list(budget.open)} == {[2], [1]}
    # Another bridge begins anew.
    assert %{permitted: [], waiting: waiting} = Identify.bridge_ended(identify, :all)
    assert MapSet.size(waiting) == 0
  end
end

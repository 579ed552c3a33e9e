defmodule UroDiscord.BackoffTest do
  use ExUnit.Case, async: true

  alias UroDiscord.Backoff

  doctest Backoff

  test "pauses double to the longest, within its bounds, and half of each is chance" do
    for {failures, whole} <- [{0, 100}, {1, 200}, {3, 800}, {8, 25_600}, {9, 30_000}, {10_000, 30_000}] do
      pauses = for _ <- 1..500, do: Backoff.delay({100, 30_000}, failures)
      assert Enum.all?(pauses, &(&1 in div(whole, 2)..whole))
      assert Enum.max(pauses) - Enum.min(pauses) >= div(whole, 4)
    end

    assert Backoff.delay({1, 1}, 0) == 1
  end

  test "what works for 50 ms and fails again is asked ever less" do
    {now, _backoff} =
      Enum.reduce(1..20, {0, Backoff.new({100, 30_000})}, fn failures, {now, backoff} ->
        {pause, backoff} = backoff |> Backoff.well(now) |> Backoff.failed(now + 50)
        assert Backoff.failures(backoff, now + 50) == failures
        {now + 50 + pause, backoff}
      end)

    assert now > 20 * 50 + 11 * 15_000
  end

  test "30 s of health, counted from the first good word, make it forget" do
    {_pause, backoff} = {100, 30_000} |> Backoff.new() |> Backoff.failed(0)
    # Time alone does not.
    assert Backoff.failures(backoff, 1_000_000) == 1
    backoff = backoff |> Backoff.well(1_000) |> Backoff.well(20_000)
    assert Backoff.failures(backoff, 30_999) == 1
    assert Backoff.failures(backoff, 31_000) == 0
    assert {pause, %{failures: 1}} = Backoff.failed(backoff, 31_000)
    assert pause in 50..100
  end
end

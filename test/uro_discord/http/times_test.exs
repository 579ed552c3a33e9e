defmodule UroDiscord.HTTP.TimesTest do
  use ExUnit.Case, async: true
  alias UroDiscord.HTTP.Times

  doctest Times

  @day 86_400_000
  # 2026-11-28 23:35:00Z
  @now 1_795_908_900_000

  defp wait(headers), do: Times.retry_after(headers, @day, @now)

  test "seconds, dates and Unix times are understood, whatever header they are in" do
    for {text, ms} <- [
          {"0", 0},
          {" 7 ", 7_000},
          {"1.5", 2_000},
          {"86400", @day},
          {"Sat, 28 Nov 2026 23:36:00 GMT", 60_000},
          {"Saturday, 28-Nov-26 23:36:00 GMT", 60_000},
          {"Sat Nov 28 23:36:00 2026", 60_000},
          {"1795908960", 60_000},
          {"1795908960000", 60_000},
          {"1795908000", 0},
          {"Sun, 06 Nov 1994 08:49:37 GMT", 0}
        ] do
      assert {text, wait(%{"retry-after" => text})} == {text, ms}
      assert {text, wait(%{"x-ratelimit-remaining" => "0", "x-ratelimit-reset" => text})} == {text, ms}
      assert {text, wait(%{"ratelimit-remaining" => "0", "ratelimit-reset" => text})} == {text, ms}
    end
  end

  test "a limit that is not used up is no reason to wait" do
    assert wait(%{"x-ratelimit-remaining" => "1", "x-ratelimit-reset" => "1795908960"}) == nil
    assert wait(%{}) == nil
  end

  test "a point in time is on the server's clock" do
    # It is three hours ahead of ours.
    theirs = "Sun, 29 Nov 2026 02:35:00 GMT"
    assert wait(%{"retry-after" => "Sun, 29 Nov 2026 02:36:00 GMT", "date" => theirs}) == 60_000
    assert wait(%{"retry-after" => "90", "date" => theirs}) == 90_000
    assert wait(%{"retry-after" => "1795919760", "date" => "junk"}) == 10_860_000
  end

  test "whatever a server says, a timer can take it" do
    texts = [
      "999999999999999999999999999999",
      String.duplicate("9", 1_000_000),
      "1795902930000000",
      "Fri, 31 Dec 9999 23:59:59 GMT",
      "-5",
      "1e99",
      "NaN",
      "0x10",
      "",
      " ",
      "7 s",
      "١٢",
      "Sat, 31 Feb 2026 00:00:00 GMT",
      "Sat, 28 Foo 2026 00:00:00 GMT",
      "Sat, 28 Nov 2026 99:99:99 GMT",
      "Sat Foo 28 23:36:00 2026",
      <<0xFF, 0xFE>>
    ]

    for text <- texts, name <- ["retry-after", "x-ratelimit-reset", "date"] do
      headers = Map.merge(%{"x-ratelimit-remaining" => "0", "x-ratelimit-reset" => "1795908960"}, %{name => text})
      wait = wait(headers)
      assert {text, name, wait == nil or wait in 0..@day} == {text, name, true}
      if wait, do: self() |> Process.send_after(:never, wait) |> Process.cancel_timer()
    end

    assert wait(%{"retry-after" => hd(texts)}) == @day
    assert Times.retry_after(%{"retry-after" => hd(texts)}, 60_000, @now) == 60_000
  end
end

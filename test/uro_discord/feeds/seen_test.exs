defmodule UroDiscord.Feeds.SeenTest do
  use ExUnit.Case, async: true

  alias UroDiscord.Feeds.{Event, Seen}
  alias UroDiscord.JSON

  defp event(key, time, change \\ []) do
    state = Keyword.get(change, :state, :passed)
    {attempt, change} = Keyword.pop(change, :attempt, 1)
    position = Event.position([time && "2026-11-21T#{time}Z"], state, attempt)
    struct!(%Event{key: key, position: position, kind: :build, state: state, project: "a/b", title: key}, change)
  end

  # What is news in these, when each is accepted and all is kept in the store in between.
  defp looks(lists) do
    {news, _seen} =
      Enum.map_reduce(lists, nil, fn events, seen ->
        {news, seen} = Seen.news(seen, events)
        {for(event <- news, do: {event.key, event.correction}), stored(Enum.reduce(news, seen, &Seen.add(&2, &1)))}
      end)

    news
  end

  defp stored(seen) do
    {:ok, json} = seen |> Seen.dump() |> JSON.encode()
    {:ok, cursor} = JSON.decode(json)
    Seen.load(cursor)
  end

  test "the first look is no news, what is new since is, and what goes on" do
    old = event("old", "10:00:00")
    running = event("new", "10:01:00", state: :running)

    assert [[], [{"new", false}], [], [{"new", false}]] =
             looks([[old], [running, old], [running, old], [event("new", "10:02:00"), old]])

    # One that was pushed out of the list and is back.
    assert [[], [], []] = looks([[old, event("older", "09:00:00")], [old], [event("older", "09:00:00"), old]])
  end

  test "what was told before is no news when it comes back into the list, since others were deleted" do
    {first, stable} = {event("first", "10:00:00"), event("stable", "10:01:00")}
    nightly = for n <- 10..59, do: event("nightly/#{n}", "11:#{n}:00")

    assert [[], [{"stable", false}], told, [], [], [{"stable", false}]] =
             looks([[first], [stable, first], nightly, [stable], [stable, first], [%{stable | state: :deleted}]])

    assert length(told) == 50
  end

  test "of what has left the list only so much is kept" do
    {[], seen} = Seen.news(nil, [])

    seen =
      for day <- 1..700, kind <- ["timed", "untimed"], reduce: seen do
        seen ->
          at = if kind == "timed", do: DateTime.add(~U[2026-01-01 00:00:00Z], day, :day) |> DateTime.to_iso8601()
          position = Event.position([at], :passed)

          event = %Event{
            key: "#{kind}/#{day}",
            position: position,
            kind: :build,
            state: :passed,
            project: "a/b",
            title: "x"
          }

          {[^event], seen} = Seen.news(seen, [event])
          Seen.add(seen, event)
      end

    assert map_size(seen.entries) in 1_000..1_001
    assert seen.entries["timed/700"] && seen.entries["timed/201"]
    refute seen.entries["timed/199"]
  end

  test "a run that is run again does not hide those that are new" do
    again = event("again", "10:00:00", attempt: 3)
    assert [[], [{"new", false}]] = looks([[again], [event("new", "10:00:01"), again]])
    # In the second in which it ended.
    assert [[], [{"again", false}]] =
             looks([[event("again", "10:00:00")], [event("again", "10:00:00", attempt: 2, state: :queued)]])
  end

  test "what has no time is known by its key, also when it was away for a while" do
    first = event("1", nil)
    second = event("2", nil)

    assert [[], [{"2", false}], [], [], [{"3", false}]] =
             looks([[first], [second], [first], [second], [event("3", nil), second]])

    # It goes on without a time, too.
    assert [[], [{"2", false}], [{"2", false}]] = looks([[first], [event("2", nil, state: :running)], [second]])
  end

  test "what changes without another time is told: another state as news, another text as a correction" do
    pre = event("v1", "10:00:00", state: :prereleased)
    assert [[], [{"v1", false}]] = looks([[pre], [event("v1", "10:00:00", state: :published)]])
    assert [[], [{"v1", true}], []] = looks([[pre], [%{pre | text: "fixed"}], [%{pre | text: "fixed"}]])
  end

  test "what is not accepted stays news" do
    {[], seen} = Seen.news(nil, [event("1", "10:00:00")])
    events = [event("3", "10:02:00"), event("2", "10:01:00"), event("1", "10:00:00")]
    {[second, _third], seen} = Seen.news(stored(seen), events)
    assert second.key == "2"
    assert {[%{key: "3"}], _seen} = seen |> Seen.add(second) |> stored() |> Seen.news(events)
  end

  test "what a former version kept is understood" do
    known = event("1", "10:00:00")
    cursor = %{"since" => known.position, "seen" => %{"1" => known.position}}
    assert {[%{key: "2"}], _seen} = Seen.news(Seen.load(cursor), [event("2", "10:00:01"), known])
  end
end

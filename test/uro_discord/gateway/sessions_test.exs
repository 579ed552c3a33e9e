defmodule UroDiscord.Gateway.SessionsTest do
  use ExUnit.Case
  alias UroDiscord.Gateway.{AckTracker, Sessions}

  @fence 7

  setup do
    :ok = Sessions.init()
  end

  defp session(id, sequence), do: %{"id" => id, "sequence" => sequence, "resume_url" => "wss://r"}
  defp put(id, sequence, lowest \\ nil), do: Sessions.put(@fence, 0, session(id, sequence), lowest)
  defp handled, do: Sessions.handled(@fence)[0]["sequence"]

  test "a session keeps what was received of it, and a new one begins where it says" do
    assert put("s", 5) == :new
    :ok = Sessions.received(@fence, {0, "s", 9})
    assert put("s", 7) == :known
    assert Sessions.all(@fence) == %{0 => session("s", 9)}
    assert put("t", 1) == :new
    assert handled() == 1
    :ok = Sessions.delete(@fence, 0)
    assert Sessions.handled(@fence) == %{}
  end

  test "what comes of a session that is over changes nothing of the new one" do
    put("s", 0)
    :ok = Sessions.lowest(@fence, 0, "s", 2)
    put("t", 1)
    :ok = Sessions.received(@fence, {0, "s", 8})
    :ok = Sessions.lowest(@fence, 0, "s", 1)
    assert handled() == 1
  end

  test "shards do not wait for each other, and a lease has nothing of another one" do
    put("s", 0)
    :ok = Sessions.received(@fence, {0, "s", 4})
    :ok = Sessions.lowest(@fence, 0, "s", 1)
    :new = Sessions.put(@fence, 1, session("u", 3), nil)
    :ok = Sessions.received(@fence, {1, "u", 9})
    assert %{0 => %{"sequence" => 0}, 1 => %{"sequence" => 9}} = Sessions.handled(@fence)

    assert Sessions.handled(@fence + 1) == %{}
    assert Sessions.put(nil, 2, session("v", 1), nil) == :known
    assert Sessions.all(nil) == %{}
    :ok = Sessions.received(nil, {0, "s", 5})
    assert Sessions.all(@fence)[0]["sequence"] == 4
  end

  test "a repeat is one, whatever is handled" do
    put("s", 3)
    :ok = Sessions.lowest(@fence, 0, "s", 5)
    :ok = Sessions.received(@fence, {0, "s", 5})

    for {place, repeat?} <- [
          {{0, "s", 3}, true},
          {{0, "s", 5}, true},
          {{0, "s", 6}, false},
          {{0, "t", 3}, false},
          {{1, "s", 3}, false}
        ],
        do: assert(Sessions.repeat?(@fence, place) == repeat?)
  end

  test "the store is told of what it does not have, and of what is over" do
    :ok = Sessions.load(@fence, %{0 => session("s", 4)}, %{3 => session("of another number of shards", 1)})
    assert Sessions.all(@fence) == %{0 => session("s", 4)}
    assert Sessions.changes(@fence) == %{3 => nil}

    :ok = Sessions.received(@fence, {0, "s", 6})
    assert %{0 => %{"sequence" => 6}, 3 => nil} = changes = Sessions.changes(@fence)
    # Meanwhile one is over, and another begins.
    :ok = Sessions.received(@fence, {0, "s", 7})
    :new = Sessions.put(@fence, 3, session("u", 1), nil)
    :ok = Sessions.stored(@fence, changes)
    assert %{0 => %{"sequence" => 7}, 3 => %{"id" => "u"}} = changes = Sessions.changes(@fence)
    :ok = Sessions.stored(@fence, changes)
    assert Sessions.changes(@fence) == %{}

    :ok = Sessions.forget(@fence)
    assert Sessions.changes(@fence) == %{0 => nil, 3 => nil}
    :ok = Sessions.stored(@fence, %{0 => nil, 3 => nil})
    assert Sessions.changes(@fence) == %{}
    assert Sessions.all(@fence) == %{}
  end

  test "what its owner had not handled when it ended comes again" do
    put("s", 0)
    :ok = Sessions.lowest(@fence, 0, "s", 3)
    :ok = Sessions.received(@fence, {0, "s", 9})
    :ok = Sessions.rewind(@fence, :all)
    assert Sessions.all(@fence)[0]["sequence"] == 2
    refute Sessions.repeat?(@fence, {0, "s", 3})
    :ok = Sessions.received(@fence, {0, "s", 4})
    assert handled() == 4
  end

  # Against a list of everything that was received and is not done.
  test "at random: the highest sequence below which all is handled" do
    for round <- 1..200 do
      id = "session #{round}"
      put(id, 0)

      Enum.reduce(1..60, {%AckTracker{}, 0, []}, fn _, {acks, received, open} ->
        {acks, received, open} = step(:rand.uniform(4), id, {acks, received, open})
        :ok = Sessions.lowest(@fence, 0, id, AckTracker.lowest(acks, 0, id))
        :ok = Sessions.received(@fence, {0, id, received})
        assert handled() == if(open == [], do: received, else: Enum.min(open) - 1)
        assert Sessions.all(@fence)[0]["sequence"] == received
        {acks, received, open}
      end)
    end
  end

  defp step(1, _id, {acks, received, open}), do: {acks, received + 3, open}

  defp step(2, id, {acks, received, open}),
    do: {AckTracker.open(acks, {0, id, received + 1}), received + 1, [received + 1 | open]}

  defp step(_done, id, {acks, received, []}), do: {AckTracker.done(acks, {0, id, received}), received, []}

  defp step(_done, id, {acks, received, open}) do
    seq = Enum.random(open)
    {AckTracker.done(acks, {0, id, seq}), received, List.delete(open, seq)}
  end
end

defmodule UroDiscord.Gateway.AckTrackerTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Gateway.AckTracker

  doctest AckTracker

  defp new(sequence \\ 0), do: session(%AckTracker{}, "s", sequence)

  defp session(handled, id, sequence),
    do: AckTracker.session(handled, 0, %{"id" => id, "sequence" => sequence, "resume_url" => "wss://r"})

  defp sequence(handled), do: AckTracker.handled(handled)[0]["sequence"]

  test "a session keeps what was received of it, and a new one begins where it says" do
    handled = new(5) |> AckTracker.received({0, "s", 9}) |> session("s", 7)
    assert AckTracker.handled(handled) == %{0 => %{"id" => "s", "sequence" => 9, "resume_url" => "wss://r"}}
    assert handled |> session("t", 1) |> sequence() == 1
    assert handled |> AckTracker.no_session(0) |> AckTracker.handled() == %{}
  end

  test "what comes of a session that is over changes nothing of the new one" do
    handled =
      new()
      |> AckTracker.open({0, "s", 2})
      |> session("t", 1)
      |> AckTracker.received({0, "s", 8})
      |> AckTracker.open({0, "s", 9})

    assert sequence(handled) == 1
    handled = Enum.reduce([2, 9], handled, &AckTracker.done(&2, {0, "s", &1}))
    assert handled.open == %{}
    assert sequence(handled) == 1
  end

  test "shards do not wait for each other" do
    handled =
      new()
      |> AckTracker.session(1, %{"id" => "u", "sequence" => 3, "resume_url" => nil})
      |> AckTracker.open({0, "s", 1})
      |> AckTracker.received({1, "u", 9})

    assert %{0 => %{"sequence" => 0}, 1 => %{"sequence" => 9}} = AckTracker.handled(handled)
  end

  test "a repeat is one, whatever is handled" do
    handled = new(3) |> AckTracker.open({0, "s", 5})

    for {place, repeat?} <- [
          {{0, "s", 3}, true},
          {{0, "s", 5}, true},
          {{0, "s", 6}, false},
          {{0, "t", 3}, false},
          {{1, "s", 3}, false}
        ],
        do: assert(AckTracker.repeat?(handled, place) == repeat?)
  end

  # Against a list of everything that was received and is not done.
  test "at random: the highest sequence below which all is handled" do
    for _ <- 1..200 do
      Enum.reduce(1..60, {new(), 0, []}, fn _, {handled, received, open} ->
        {handled, received, open} =
          case :rand.uniform(4) do
            1 ->
              {AckTracker.received(handled, {0, "s", received + 3}), received + 3, open}

            2 ->
              {AckTracker.open(handled, {0, "s", received + 1}), received + 1, [received + 1 | open]}

            _ when open == [] ->
              {AckTracker.done(handled, {0, "s", received}), received, open}

            _ ->
              seq = Enum.random(open)
              {AckTracker.done(handled, {0, "s", seq}), received, List.delete(open, seq)}
          end

        assert sequence(handled) == if(open == [], do: received, else: Enum.min(open) - 1)
        assert AckTracker.received(handled)[0]["sequence"] == received
        {handled, received, open}
      end)
    end
  end
end

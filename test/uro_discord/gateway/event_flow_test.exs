defmodule UroDiscord.Gateway.EventFlowTest do
  use ExUnit.Case
  alias UroDiscord.Events
  alias UroDiscord.Gateway.{EventFlow, Sessions}

  @credit 1_024
  @types ["KEPT", "OTHER"]

  # Subscribers are processes that only wait, and register as `UroDiscord.subscribe/2` does.
  defp spawn_subscriber(type, value) do
    test = self()

    pid =
      spawn(fn ->
        # Some subscribe more than once.
        for _ <- 1..Enum.random([1, 1, 2]), do: {:ok, _} = Registry.register(Events, {:gateway, type}, value)
        send(test, :registered)
        Process.sleep(:infinity)
      end)

    assert_receive :registered
    pid
  end

  defp start do
    {@credit, flow} = EventFlow.start(EventFlow.new(["KEPT"]))
    :ok = Sessions.load(1, %{0 => %{"id" => "s", "sequence" => 0, "resume_url" => nil}}, %{})
    %{flow: EventFlow.lease(flow, 1, :all), seq: 0, subscribers: []}
  end

  # What may happen, at random: events and gaps, repeats, acknowledgements in any order, subscribers that come, go and die, another
  # bridge, a lease that is lost and taken again, another bridge that has the shard for some time.
  defp step(1, state), do: event(state, state.seq + 1)
  defp step(2, state), do: event(state, state.seq + 1)
  defp step(3, state), do: sequence(state, state.seq + 3)
  defp step(4, %{seq: seq} = state) when seq > 0, do: repeat(state, :rand.uniform(seq))

  defp step(n, state) when n in 5..7 do
    case for({place, %{waits_for: [_ | _] = waits_for}} <- state.flow.open, do: {place, waits_for}) do
      [] ->
        state

      open ->
        {place, waits_for} = Enum.random(open)
        update(state, &EventFlow.acknowledge(&1, place, Enum.random(waits_for)))
    end
  end

  defp step(8, state) do
    type = Enum.random(@types)
    pid = spawn_subscriber(type, if(type == "KEPT", do: Enum.random([:ack, :ack, nil])))
    update(%{state | subscribers: [{pid, type} | state.subscribers]}, &EventFlow.release/1)
  end

  defp step(9, %{subscribers: [_ | _]} = state) do
    {pid, _type} = subscriber = Enum.random(state.subscribers)
    ref = Process.monitor(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^ref, :process, ^pid, :killed}
    update(%{state | subscribers: List.delete(state.subscribers, subscriber)}, &EventFlow.died(&1, pid, :killed))
  end

  defp step(10, state) do
    {credit, flow} = EventFlow.start(state.flow)
    assert credit == @credit - map_size(flow.open)
    # Discord goes on after what was received.
    %{state | flow: flow, seq: Sessions.all(flow.fence)[0]["sequence"]}
  end

  defp step(11, state) do
    %{fence: fence} = flow = state.flow
    stored = Sessions.handled(fence)
    flow = EventFlow.lease(flow, nil, :all)
    :ok = Sessions.load(fence + 1, stored, %{})
    %{state | flow: EventFlow.lease(flow, fence + 1, :all), seq: stored[0]["sequence"]}
  end

  # The shard goes to another bridge, with something of it under way, and comes back.
  defp step(12, %{flow: %{credit: credit}} = state) when credit > 0 do
    state = update(state, &(&1 |> EventFlow.forget(MapSet.new([0])) |> EventFlow.late()))
    :ok = Sessions.rewind(state.flow.fence, [0])
    assert state.flow.open == %{}
    %{state | seq: Sessions.all(state.flow.fence)[0]["sequence"]}
  end

  defp step(_other, state), do: state

  defp event(%{flow: %{credit: 0}} = state, _seq), do: state

  defp event(state, seq) do
    update(%{state | seq: seq}, &EventFlow.event(&1, event(seq)))
  end

  defp event(seq), do: %{shard: 0, session: "s", seq: seq, type: Enum.at(@types, rem(seq, 2)), data: nil}

  defp repeat(%{flow: %{credit: 0}} = state, _seq), do: state
  defp repeat(state, seq), do: update(state, &EventFlow.event(&1, event(seq)))

  defp sequence(%{flow: %{credit: 0}} = state, _seq), do: state
  defp sequence(state, seq), do: update(%{state | seq: seq}, &EventFlow.sequence(&1, {0, "s", seq}))

  defp update(state, change) do
    case EventFlow.grant(change.(state.flow)) do
      {{:grant, _}, flow} -> %{state | flow: flow}
      {_, flow} -> %{state | flow: flow}
    end
  end

  test "at random: credit is neither lost nor made, and what is open is not handled" do
    :ok = Sessions.init()

    for round <- 1..40 do
      start_supervised!({Events, []}, id: round)

      Enum.reduce(1..250, start(), fn _, state ->
        %{flow: flow} = state = step(:rand.uniform(12), state)
        assert flow.credit + flow.due + map_size(flow.open) == @credit
        handled = Sessions.handled(flow.fence)[0]["sequence"]
        assert Enum.all?(flow.open, fn {{0, "s", seq}, _entry} -> seq > handled end)
        # Who waits is alive, and what waits for nobody is of a kept type.
        for {_place, entry} <- flow.open do
          assert Enum.all?(entry.waits_for, &Process.alive?/1)
          assert entry.waits_for != [] or (entry.event.type == "KEPT" and "KEPT" in flow.unsubscribed)
        end

        state
      end)
      |> Map.fetch!(:subscribers)
      |> Enum.each(fn {pid, _type} -> Process.exit(pid, :kill) end)

      stop_supervised!(round)
    end
  end
end

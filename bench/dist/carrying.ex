defmodule Bench.Dist.Carrying do
  @moduledoc "1 KiB terms to the bridge and back, over distribution and on the Port, by what the owner of a bridge speaks through."

  alias Bench.Elsewhere
  alias UroDiscord.Bridge.{Protocol, Transport}
  alias UroDiscord.RemoteBridge

  @trips Bench.size(20_000, 300)
  @total Bench.size(400_000, 5_000)
  @window 256

  def run do
    {name, bridge} = Elsewhere.start!()
    {:absent, transport, _reason} = Transport.Node.open(name)
    elsewhere = measured("over distribution", transport)
    RemoteBridge.stop(bridge)
    {:ok, transport} = Transport.Port.open(%{executable: nil, media_workers: 1})
    all = [elsewhere, measured("on the Port", transport)]

    Bench.title("A bridge elsewhere: a 1 KiB term there and back, over loopback")

    for {name, times, _rate} <- all,
        do: Bench.row(name, [{"p50", Bench.percentile(times, 50), "us"}, {"p99", Bench.percentile(times, 99), "us"}])

    Bench.title("A bridge elsewhere: 1 KiB terms a second, there and back, #{@window} under way")
    for {name, _times, rate} <- all, do: Bench.row(name, [{"", rate, "messages/s"}])
  end

  defp measured(name, transport) do
    Elsewhere.greet(transport)
    term = :binary.copy("x", 1_024)
    Bench.sample(div(@trips, 10), fn -> trip(transport, term) end)
    times = Bench.sample(@trips, fn -> trip(transport, term) end)
    {microseconds, :ok} = :timer.tc(fn -> flood(transport, term) end)
    {:ok, stop} = Protocol.encode({:stop})
    Transport.finish(transport, stop)
    {name, times, @total / microseconds * 1.0e6}
  end

  defp trip(transport, term) do
    Elsewhere.say(transport, [{:ping, term}])
    {[{:pong, ^term}], _buffer} = Elsewhere.messages(transport, Protocol.empty())
  end

  defp flood(transport, term) do
    Elsewhere.say(transport, List.duplicate({:ping, term}, @window))
    flood(transport, Protocol.empty(), term, @total - @window, @window)
  end

  defp flood(_transport, _buffer, _term, 0, 0), do: :ok

  defp flood(transport, buffer, term, left, under_way) do
    {pongs, buffer} = Elsewhere.messages(transport, buffer)
    back = length(pongs)
    next = min(back, left)
    if next > 0, do: Elsewhere.say(transport, List.duplicate({:ping, term}, next))
    flood(transport, buffer, term, left - next, under_way - back + next)
  end
end

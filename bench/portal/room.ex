defmodule Bench.Portal.Room do
  @moduledoc """
  A room by itself, without sockets: what it adds to a packet's way and what it costs, in simulated time; how late it is in real time, on one
  thread, beside a thread on the same core that does nothing but wake every 20 ms.
  """

  import Bench.Portal.Program

  @seconds Bench.size(60, 1)
  @rooms Bench.size(20, 5)
  @late Bench.size([10, 20, 30], [2])
  @window Bench.size(5, 1)
  # Frames of a second each way.
  @kinds [
    {"pass", "one voice each way, which passes through"},
    {"each", "8 talk each way, a world hears each"},
    {"mix", "8 talk each way, one hears the mix"},
    {"mixes", "4 talk each way, 4 hear the others"}
  ]

  def run do
    Bench.title("Portal: from a packet in to the packet out in a room, beyond what the jitter buffer holds")
    [passthrough, mixed] = told(["delay"], 0, ["passthrough", "mixed"])
    delays("one speaks: passed through", passthrough)
    delays("two speak: mixed", mixed)

    Bench.title("Portal: what a room takes of a core while its people talk, without sockets")

    for {kind, name} <- @kinds do
      [%{us: us} = out] = told(["cost", kind, @seconds], 0, ["cost"])
      [%{kib: kib}] = told(["memory", kind, @rooms], 0, ["memory"])

      Bench.row(name, [
        {"CPU", us / 1_000, "ms/s"},
        {"", 1_000_000 / us, "rooms a core"},
        {"memory", kib, "KiB"},
        {"out", round(out.call + out.world), "packets/s"}
      ])
    end

    Bench.title("Portal: rooms of 8 who talk each way, one hears the mix, in real time on one thread")

    for rooms <- @late do
      [served, bare] = told(["late", "mix", rooms, @window], 0, ["late", "timer"])
      late("#{rooms} rooms", served, [{"CPU", served.core, "%"}])
      late("  a bare timer thread on that core", bare)
    end
  end
end

defmodule Bench.Portal.Sockets do
  @moduledoc """
  Portals with their sockets and encryption, and aiortc's relay beside them. The server is on core 0, guests on core 1.

  A burst's first sample is spoken a frame before its packet is sent, and heard when it stands in a packet that has come: so a frame of 20 ms and the
  codec's 6.5 are in what is called from mouth to ear, and the ear's own jitter buffer is not. aiortc's relay decodes and encodes each packet on its way
  from one guest to another. In our rooms a guest's voice goes to the call, which says it again, and comes back: through the room twice.
  """

  import Bench.Portal.Program

  alias Bench.{Callgrind, Program, VoiceServer}

  @ears_s Bench.size(30, 2)
  @ears Bench.size(8, 2)
  @ours Bench.size([20, 50], [3])
  @theirs Bench.size([5], [1])
  @settle_ms Bench.size(12_000, 500)
  @window_ms Bench.size(5_000, 500)
  @joining Bench.size(20, 2)
  @bare 10_000
  @pass_s 20

  def ears do
    Bench.title("Portal: from mouth to ear over loopback")

    words =
      for kind <- ["passed", "mixed"], way <- ["call", "world"], part <- ["", "-beyond"], do: "#{kind}-#{way}#{part}"

    ours = Enum.zip(words, told(["ears", @ears, @ears_s], "0,1", words))

    for {name, word} <- [
          {"a world's voice in the call, alone", "passed-call"},
          {"a world's voice in the call, mixed", "mixed-call"},
          {"the call's voice in a world, alone", "passed-world"},
          {"the call's voice in a world, mixed", "mixed-world"}
        ] do
      delays(name, find(ours, word))
      delays("  packet to packet, beyond the buffer", find(ours, word <> "-beyond"))
    end

    server = relay!()
    [relay] = told(["ears-relay", address(server), @ears_s], 1, ["relay"])
    Program.stop!(server)
    delays("aiortc's relay", relay)
  end

  def rooms do
    Bench.title("Portal: rooms with one guest who speaks and hears (CPU of the server's process)")
    for rooms <- @ours, do: ours(rooms)
    for rooms <- @theirs, do: theirs(rooms)
  end

  defp find(figures, word), do: figures |> List.keyfind!(word, 0) |> elem(1)

  defp ours(rooms) do
    server = start!(["serve", rooms + @joining], 0)
    address = address(server)
    empty = Program.rss_kib(server)
    {before, guests} = {Program.cpu(server), guests(address, rooms, 0, "both")}
    cost("#{rooms} rooms", server, guests, {empty, Program.cpu_us(before, Program.cpu(server))}, rooms, 1)

    # What joins cost all others.
    Program.tell!(server, "late")
    figures(server, "late")
    Process.sleep(@window_ms)
    Program.tell!(server, "late")
    calm = figures(server, "late")
    {_joined, others} = joining = guests(address, @joining, rooms, "both")
    Program.tell!(server, "late")
    busy = figures(server, "late")
    late("  their frames in the call", calm)

    late("  while #{@joining} more join, one after another", busy, [
      {"joins", @joining * 1_000 / elem(joining, 0), "/s"}
    ])

    for program <- [elem(guests, 1), others, server], do: Program.stop!(program)
  end

  defp theirs(rooms) do
    server = relay!()
    empty = Program.rss_kib(server)
    {before, guests} = {Program.cpu(server), guests(address(server), rooms, 0, "relay")}

    cost(
      "#{rooms} rooms, aiortc's relay",
      server,
      guests,
      {empty, Program.cpu_us(before, Program.cpu(server))},
      rooms,
      2
    )

    for program <- [elem(guests, 1), server], do: Program.stop!(program)
  end

  defp cost(name, server, {_joined, guests}, {empty, joining_us}, rooms, peers) do
    # Until streams are where they should be.
    Process.sleep(@settle_ms)
    {before, cpu, began} = {heard(guests), Program.cpu(server), System.monotonic_time(:microsecond)}
    Process.sleep(@window_ms)
    {heard, cpu_us} = {heard(guests) - before, Program.cpu_us(cpu, Program.cpu(server))}
    took = System.monotonic_time(:microsecond) - began

    Bench.row(name, [
      {"CPU", 100 * cpu_us / took, "% of a core"},
      {"", cpu_us / max(heard, 1), "us a packet"},
      {"heard", 100 * heard / (rooms * took / 20_000), "%"},
      {"rooms a core", round(rooms * took / cpu_us), ""},
      {"memory", (Program.rss_kib(server) - empty) / (rooms * peers), "KiB a peer"},
      {"a join", joining_us / (rooms * peers * 1_000), "ms of CPU"}
    ])
  end

  @doc """
  A packet's instructions, by callgrind, which knows nothing of the kernel's. Under callgrind a server in real time is late, so its rooms conceal and mix:
  they are left out, and counted in simulated time.
  """
  def instructions do
    Bench.title("Portal: instructions for a packet that comes, passes the room twice and goes again (callgrind)")

    Callgrind.folder(fn folder ->
      rooms = 1
      server = counted!(["serve", rooms], "#{folder}/serve")
      {_joined, guests} = guests(address(server), rooms, 0, "both")
      Process.sleep(@settle_ms)
      Callgrind.zero!(server)
      before = heard(guests)
      Process.sleep(2 * @window_ms)
      heard = heard(guests) - before
      all = Callgrind.total!(server, "#{folder}/serve")
      peer = (all - Callgrind.within!("#{folder}/serve", ~r/room::inputs::.*Room>::timeout/)) / heard
      for program <- [guests, server], do: Program.stop!(program)

      # Both ways are the room twice.
      room = stretch("#{folder}/room", ["pass", @pass_s]) / (50 * @pass_s)
      aead = stretch("#{folder}/bare", ["bare", @bare]) / @bare
      beside = fn count -> [{"", count, "instructions"}, {"", count / aead, "times"}] end
      Bench.row("peer: in and decrypted, encrypted and out", beside.(peer))
      Bench.row("room: in and out, twice", beside.(room))
      Bench.row("both", beside.(peer + room))
      Bench.row("its two AEAD operations", beside.(aead))
    end)
  end

  # From "made" to "done".
  defp stretch(file, arguments) do
    program = counted!(arguments, file)
    Program.said!(program, "made")
    Callgrind.zero!(program)
    Program.go!(program)
    Program.said!(program, "done")
    total = Callgrind.total!(program, file)
    Program.stop!(program)
    total
  end

  defp counted!(arguments, file),
    do: Program.start!(VoiceServer.pinned(0, Callgrind.command(command(arguments, nil), file)), %{})

  defp guests(address, rooms, first, way) do
    guests = start!(["load", address, rooms, first, way], 1)
    {guests |> Program.said!("joined") |> String.to_integer() |> max(1), guests}
  end

  defp heard(guests) do
    Program.tell!(guests, "heard")
    guests |> Program.said!("heard") |> String.to_integer()
  end

  defp relay! do
    python = Program.python()
    Program.start!(VoiceServer.pinned(0, [python, "bench/portal/aiortc_relay.py"]), %{})
  end

  defp address(server), do: "127.0.0.1:#{Program.said!(server, "port")}"
end

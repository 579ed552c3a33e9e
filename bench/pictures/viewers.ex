defmodule Bench.Pictures.Viewers do
  @moduledoc """
  What viewers cost who forwards pictures: 1280x720, 30 a second, 2 Mbit/s of VP8, recorded by record.py and shown again and again by WHIP. The server is on core 0 and
  its process alone is counted; who shows and who sees are bench-portal's guests, on core 1: ICE, DTLS and the first packet as it should be, and then what comes is counted
  and no more, so they report nothing. Their system calls are counted by strace in a part of its own, since it makes them slow.
  """

  alias Bench.Pictures.Forwarder
  alias Bench.Portal.Program, as: Portal
  alias Bench.Program

  @bits 2_000_000
  @record_s Bench.size(4, 1)
  # Rooms, and viewers of each: a room has 256 peers at most.
  @ours Bench.size([{1, 50}, {1, 200}, {2, 150}], [{1, 3}])
  @pages Bench.size([{1, 50}, {2, 150}], [{1, 3}])
  @theirs Bench.size([1, 2], [1])
  @worlds Bench.size([1, 10], [1])
  @settle_ms Bench.size(3_000, 200)
  @window_ms Bench.size(10_000, 600)
  @calls_ms Bench.size(3_000, 500)

  def run do
    recording(@bits, fn file, megabits ->
      Bench.title("Pictures: viewers of 1280x720 at 30 a second, #{megabits} Mbit/s (CPU of the server's process)")

      for {rooms, viewers} <- @ours do
        name = "UroDiscord, #{rooms * viewers} in #{rooms} rooms"
        cost({:uro, rooms}, name, 30, rooms * viewers, &["pictures", &1, rooms, viewers, file, "webrtc"])
      end

      for {rooms, viewers} <- @pages do
        name = "UroDiscord, World TV, #{rooms * viewers} in #{rooms} rooms"
        cost({:uro, rooms}, name, 30, rooms * viewers, &["pictures", &1, rooms, viewers, file, "tv"], "frame")
      end

      for viewers <- @theirs,
          do:
            cost(
              {:aiortc, 1},
              "aiortc's relay, #{viewers} in 1 rooms",
              30,
              viewers,
              &["pictures", &1, 1, viewers, file, "webrtc"]
            )
    end)

    recording(0, fn file, megabits ->
      Bench.title(
        "Pictures: JPEGs of 640x360 at 15 a second, #{megabits} Mbit/s, as they are (CPU of the server's process)"
      )

      for {way, name, unit} <- [{"webrtc", "UroDiscord", "packet"}, {"tv", "UroDiscord, World TV", "frame"}],
          viewers <- @worlds,
          do: cost({:uro, 1}, "#{name}, #{viewers} who see them", 15, viewers, &["jpeg", &1, viewers, file, way], unit)

      Bench.Pictures.Anew.run(file)
    end)
  end

  defp recording(bits, fun) do
    file = Path.join(System.tmp_dir!(), "bench-pictures-#{System.pid()}")
    {bits, 0} = System.cmd(Program.python(), ["bench/pictures/record.py", file, "#{@record_s}", "#{bits}"])
    fun.(file, Float.round(String.to_integer(String.trim(bits)) / 1.0e6, 1))
    File.rm!(file)
  end

  defp cost({kind, rooms}, name, rate, viewers, arguments, unit \\ "packet") do
    server = Forwarder.start!(kind, rooms)
    empty = Program.rss_kib(server)
    before = Program.cpu(server)
    guests = Portal.start!(arguments.(Forwarder.address(server)), 1)
    Program.said!(guests, "joined")
    joining_us = Program.cpu_us(before, Program.cpu(server))
    Process.sleep(@settle_ms)

    {cpu, seen, began} = {Program.cpu(server), seen(guests), now()}
    Process.sleep(@window_ms)
    {cpu_us, seen, took} = {Program.cpu_us(cpu, Program.cpu(server)), since(guests, seen), now() - began}

    Bench.row(name, [
      {"CPU", 100 * cpu_us / took, "% of a core"},
      {"", cpu_us / max(seen.packets, 1), "us a #{unit}"},
      {"seen", 100 * seen.pictures / (viewers * rate * took / 1.0e6), "%"},
      {"out", seen.bytes * 8 / took, "Mbit/s"},
      {"viewers a core", round(viewers * took / cpu_us), ""},
      {"memory", (Program.rss_kib(server) - empty) / viewers, "KiB each"},
      {"a join", joining_us / (viewers * 1_000), "ms of CPU"}
    ])

    calls(server, guests, unit)
    for program <- [guests, server], do: Program.stop!(program)
  end

  defp calls(server, guests, unit) do
    seen = seen(guests)

    {table, _} =
      System.cmd("timeout", ["--signal=INT", "#{@calls_ms / 1_000}", "strace", "-f", "-c", "-p", "#{server.os_pid}"],
        stderr_to_stdout: true
      )

    seen = since(guests, seen)

    counts =
      for line <- String.split(table, "\n"),
          [_, calls, name] <- [Regex.run(~r/^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s.*?(\w+)$/, line)],
          name != "total",
          do: {name, String.to_integer(calls)}

    of = fn names -> Enum.sum(for {name, calls} <- counts, name in names, do: calls) / max(seen.packets, 1) end

    Bench.row("  its system calls for a #{unit}", [
      {"", Enum.sum(Enum.map(counts, &elem(&1, 1))) / max(seen.packets, 1), "in all"},
      {"", of.(~w(sendmsg sendto sendmmsg write writev)), "to send"},
      {"", of.(~w(recvmsg recvfrom recvmmsg read readv)), "to receive"},
      {"", of.(~w(epoll_wait epoll_pwait)), "to wait"}
    ])
  end

  defp seen(guests) do
    Program.tell!(guests, "seen")
    Portal.figures(guests, "seen")
  end

  defp since(guests, before), do: Map.new(seen(guests), fn {name, count} -> {name, count - before[name]} end)
  defp now, do: System.monotonic_time(:microsecond)
end

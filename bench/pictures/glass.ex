defmodule Bench.Pictures.Glass do
  @moduledoc """
  From glass to glass over loopback: Chromium paints its clock into the pictures that it publishes by WHIP, and reads it from those that World TV's page shows, by WHEP and
  by its WebSocket (clock.mjs). Encoding, decoding and drawing are in it, all in software, on whatever core is free.
  """

  alias Bench.Pictures.Forwarder
  alias Bench.Portal.Program, as: Portal
  alias Bench.Program

  @settle_ms Bench.size(5_000, 200)
  @seconds Bench.size(20, 1.2)
  @full_s Bench.size(5, 1)
  @joins Bench.size(10, 2)
  # Those who come within half a second share a keyframe, and wait for it.
  @apart_ms Bench.size(1_000, 0)
  @picture "width=640 height=360 bits=1000000 layers=1"
  # A small run has no time for what it says.
  @large Bench.size("width=1280 height=720 bits=2000000", "width=640 height=360 bits=2000000")
  @wide Bench.size(1280, 640)
  @link 1_200_000
  @open 20_000_000

  def run do
    clock = Program.start!(["node", "bench/pictures/clock.mjs"], %{"NODE_MODULES" => modules()})

    measured =
      for {kind, by, layers} <- [{:uro, "webrtc", 2}, {:uro, "websocket", 2}, {:aiortc, "webrtc", 1}],
          do: {name(kind, by), measure(clock, kind, by, layers)}

    wholes = wholes(clock)
    Program.stop!(clock)

    Bench.title("Pictures: from glass to glass over loopback, 640x360 at 30 a second (VP8)")

    for {name, %{plain: plain, sounding: sounding}} <- measured do
      Portal.delays(name, plain)
      Portal.delays("#{name}, with sound", sounding)
      Portal.delays("  its sound", figures(sounding, "sound"))
      Portal.delays("  sound after its picture", figures(sounding, "apart"))
    end

    Portal.delays("UroDiscord, World TV, JPEGs at 15 a second", wholes)

    Bench.title("Pictures: the first one, from the opening of the page on")

    for {name, %{first: first}} <- measured do
      Bench.row(name, [{"p50", Bench.percentile(first, 50), "ms"}, {"p95", Bench.percentile(first, 95), "ms"}])
    end

    Bench.title(
      "Pictures: a link that carries 1.2 Mbit/s from now on, and 1280x720 of 2 Mbit/s; 2 layers but for aiortc"
    )

    for {name, %{full: full, rest: rest}} <- measured do
      slow("#{name}, the first #{@full_s} s", full, @full_s)
      slow("  and then", rest, @seconds)
    end
  end

  defp name(kind, "webrtc"), do: "#{Forwarder.name(kind)}, WHEP"
  defp name(kind, "websocket"), do: "#{Forwarder.name(kind)}, World TV"

  defp figures(seen, name), do: Map.new([:p50_us, :p95_us, :p99_us], &{&1, seen[:"#{name}_#{&1}"]})

  defp measure(clock, kind, by, layers) do
    with_server(kind, fn where ->
      watch = &say(clock, "watch #{where} by=#{by} link=#{&1} sound=#{&2}")

      say(clock, "show #{where} #{@picture} sound=0")
      watch.(0, 0)
      plain = read(clock)

      first =
        for _ <- 1..@joins do
          Process.sleep(@apart_ms)
          watch.(0, 0).first_ms
        end

      over(clock)

      say(clock, "show #{where} #{@picture} sound=1")
      watch.(0, 1)
      sounding = read(clock)
      over(clock)

      say(clock, "link bits=#{@open}")
      say(clock, "show #{where} #{@large} layers=#{layers} sound=0")
      watch.(1, 0)
      say(clock, "wide pixels=#{@wide}")
      Process.sleep(@settle_ms)
      say(clock, "link bits=#{@link}")
      full = say(clock, "read seconds=#{@full_s}")
      rest = say(clock, "read seconds=#{@seconds}")
      over(clock)
      %{plain: plain, first: Enum.sort(first), sounding: sounding, full: full, rest: rest}
    end)
  end

  # What a world of Godot's shows, as it is.
  defp wholes(clock) do
    with_server(:uro, fn where ->
      say(clock, "show #{where} width=640 height=360 bits=0 layers=0 sound=0")
      say(clock, "watch #{where} by=websocket link=0 sound=0")
      wholes = read(clock)
      over(clock)
      wholes
    end)
  end

  defp slow(name, seen, seconds) do
    Bench.row(name, [
      {"p50", seen.p50_us / 1_000, "ms"},
      {"p95", seen.p95_us / 1_000, "ms"},
      {"max", seen.max_us / 1_000, "ms"},
      {"", seen.count / seconds, "pictures/s"},
      {"wide", round(seen.width), ""}
    ])
  end

  defp with_server(kind, fun) do
    server = Forwarder.start!(kind, 1)
    address = Forwarder.address(server)
    measured = fun.("url=http://#{address}/portal/room-0 token=#{token()}")
    Program.stop!(server)
    measured
  end

  defp token do
    program = Portal.start!(["token", 0], nil)
    token = Program.said!(program, "token")
    Program.stop!(program)
    token
  end

  defp read(clock) do
    Process.sleep(@settle_ms)
    say(clock, "read seconds=#{@seconds}")
  end

  defp over(clock), do: for(line <- ["leave", "hide"], do: say(clock, line))

  # It answers each line with its first word.
  defp say(clock, line) do
    Program.tell!(clock, line)
    [word | _] = String.split(line, " ", parts: 2)
    Portal.figures(clock, word)
  end

  defp modules, do: System.fetch_env!("URO_DISCORD_NODE_MODULES")
end

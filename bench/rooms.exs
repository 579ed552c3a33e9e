# Voice channels of many guilds in one bridge: how long joining takes, what a room costs while nobody is there, while somebody speaks whom
# nobody wants to hear, and while one listens; and how late frames are. `bin/bench rooms`; BENCH_ROOMS (200) is how many.
#
# discord-sim has the guilds, and sends the bot to voice/program's server, which only measures and relays. The bridge is pinned to core 0,
# all else that has to do with frames to core 1.

Logger.configure(level: :warning)

defmodule Bench.Rooms do
  @moduledoc false

  alias Bench.{Program, VoiceServer}
  alias UroDiscord.{DiscordSim, Voice}

  @tone Path.expand("test/fixtures/tone.opus")
  @first_user 1_400_000_000_000_000_000
  @seconds Bench.size(10, 1)
  # What Discord takes of a connection in a minute.
  @commands 120

  def run(rooms) do
    sim = DiscordSim.start!()
    server = VoiceServer.start_plain!(1)
    DiscordSim.post(sim, "/settings", %{voice_elsewhere: %{endpoint: server.endpoint, token: "dave,listen,1"}})
    guilds = DiscordSim.post(sim, "/guilds", %{count: rooms, voice_channels: 1})
    {:ok, _} = UroDiscord.start_link(DiscordSim.config(sim) ++ [intents: [:guilds, :guild_voice_states]])
    Connected.wait()
    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    VoiceServer.pin!(0, os_pid)
    bridge = %{os_pid: os_pid}
    empty = Program.rss_kib(bridge)

    Bench.title("Rooms: #{rooms} in one bridge, end-to-end encrypted")
    seconds = join(guilds)

    Bench.row("joined", [
      {"took", seconds, "s"},
      {"Discord's #{@commands} commands a minute allow it in", div(rooms - 1, @commands) * 60, "s"}
    ])

    row("nobody there", bridge, empty, rooms, used(bridge, fn -> Process.sleep(@seconds * 1_000) end))

    first = hd(guilds)["id"]
    speakers = people(server, "speak", rooms, first)
    Program.tell!(speakers, "speak")
    Process.sleep(1_000)

    row(
      "somebody speaks, nobody wants it",
      bridge,
      empty,
      rooms,
      used(bridge, fn -> Process.sleep(@seconds * 1_000) end)
    )

    Program.stop!(speakers)

    listeners = people(server, "listen", rooms, first)
    for guild <- guilds, do: :ok = Voice.play(guild["id"], @tone, loop: true)
    Process.sleep(2_000)
    timer = Program.start!(VoiceServer.pinned(0, [Program.rust("voice-timer"), "#{@seconds}"]), %{})
    Program.go!(timer)
    {cpu, window} = used(bridge, fn -> VoiceServer.window!(server, @seconds) end)
    timed = VoiceServer.figures(Program.said!(timer, "timer"))
    Program.stop!(timer)
    row("the bot plays, and one listens", bridge, empty, rooms, {cpu, window})
    late("  its frames", window)
    late("  a bare timer thread on that core", timed)
    Program.stop!(listeners)

    Supervisor.stop(UroDiscord)
    VoiceServer.stop!(server)
    DiscordSim.stop(sim)
  end

  # The seconds until the bot is in all of them.
  defp join(guilds) do
    :ok = UroDiscord.subscribe(:voice)
    began = System.monotonic_time(:millisecond)
    for %{"id" => guild, "voice_channels" => [channel]} <- guilds, do: :ok = Voice.join(guild, channel)
    joined(MapSet.new(guilds, & &1["id"]))
    took = System.monotonic_time(:millisecond) - began
    UroDiscord.unsubscribe(:voice)
    took / 1_000
  end

  defp joined(missing) do
    unless Enum.empty?(missing) do
      receive do
        {:uro_discord, :voice, {guild, {:joined, _channel}}} -> joined(MapSet.delete(missing, guild))
        {:uro_discord, :voice, {guild, {:ended, reason, nil}}} -> raise "#{guild} ended: #{reason}"
        {:uro_discord, :voice, _other} -> joined(missing)
      after
        120_000 -> raise "#{MapSet.size(missing)} rooms are not joined, and none was in two minutes"
      end
    end
  end

  # One in each room, all in one process.
  defp people(server, role, rooms, first_guild) do
    command = VoiceServer.sessions(server, "uro", "dave", role, @first_user) ++ [first_guild]
    program = Program.start!(VoiceServer.pinned(1, command), %{})
    Program.tell!(program, "sessions #{rooms}")
    told = "#{rooms}"
    ^told = Program.said!(program, "sessions")
    program
  end

  # The ms of CPU that the bridge takes a second, and what `fun` says.
  defp used(bridge, fun) do
    {before, began} = {Program.cpu(bridge), System.monotonic_time(:microsecond)}
    answer = fun.()
    took = System.monotonic_time(:microsecond) - began
    {Program.cpu_us(before, Program.cpu(bridge)) / took * 1_000, answer}
  end

  defp row(name, bridge, empty, rooms, {cpu, _answer}) do
    Bench.row(name, [
      {"CPU", cpu / 10, "% of a core"},
      {"", cpu * 1_000 / rooms, "us/s a room"},
      {"memory", (Program.rss_kib(bridge) - empty) / rooms, "KiB a room"}
    ])
  end

  defp late(name, figures) do
    Bench.row(name, [
      {"late p99.9", figures.p999_us / 1_000, "ms"},
      {"max", figures.max_us / 1_000, "ms"},
      {"over 5 ms", figures.late, "of #{figures.frames}"}
    ])
  end
end

"BENCH_ROOMS" |> System.get_env(Bench.size("200", "8")) |> String.to_integer() |> Bench.Rooms.run()

defmodule Bench.Gateway.Peers do
  @moduledoc """
  One stream of events to the handlers of UroDiscord, twilight, discord.js and discord.py: each is a program of its own with all
  intents, alone with discord-sim while its turn is, and measured from outside in the same way. They take turns, several times.
  """

  alias Bench.{Program, Stream}
  alias UroDiscord.DiscordSim

  @rounds Bench.size(3, 1)
  @warm_up Bench.size(20_000, 500)
  @all ["GUILD_CREATE", "MESSAGE_CREATE", "PRESENCE_UPDATE"]
  @one ["MESSAGE_CREATE"]
  @ours [
    {"all types", "UroDiscord"},
    {"no spinning", "UroDiscord, its VM told not to spin"},
    {"messages only", "UroDiscord, messages only"}
  ]
  # The processes of UroDiscord, as /proc names them.
  @parts ["beam.smp", "uro-discord-bri"]

  def run do
    folder = Path.join(System.tmp_dir!(), "bench-#{System.pid()}")
    File.mkdir_p!(folder)

    Bench.title("Gateway: to the user's handler (medians of #{@rounds} rounds)")

    runs =
      for _round <- 1..@rounds, client <- clients() do
        {client.name, figures(client, folder)}
      end

    File.rm_rf!(folder)
    runs = Enum.group_by(runs, &elem(&1, 0), &elem(&1, 1))
    for %{name: name} <- clients(), do: rows(name, runs[name])
    for peer <- ["discord.js", "discord.py"], do: ratio(runs, peer)
    # twilight is a part of the bridge: this is what all that follows costs.
    times = for {what, ours} <- @ours, do: {what <> ":", 1 / ratio(runs, "twilight alone", ours), "times"}
    Bench.row("CPU an event beside that of twilight alone", times)
  end

  defp clients do
    # bin/bench installs and builds them.
    python = Program.python()

    [
      %{name: "UroDiscord", command: Program.elixir(script("uro_discord.exs")), types: @all},
      %{
        name: "UroDiscord, its VM told not to spin",
        command: Program.elixir(script("uro_discord.exs"), "+sbwt none +sbwtdcpu none +sbwtdio none"),
        types: @all
      },
      %{name: "UroDiscord, messages only", command: Program.elixir(script("uro_discord.exs")), types: @one},
      %{name: "twilight alone", command: [Program.rust("bench-twilight")], types: @all},
      %{name: "discord.js", command: ["node", script("discord_js.mjs")], types: @all},
      %{name: "discord.py", command: [python, script("discord_py.py")], types: @all}
    ]
  end

  defp script(name), do: Path.join("bench/gateway", name)

  defp figures(client, folder) do
    sim = Stream.sim!()

    program =
      Program.start!(client.command, %{
        "DISCORD_API" => sim.info["api"],
        "DISCORD_GATEWAY" => sim.info["gateway"],
        "DISCORD_TOKEN" => sim.info["token"],
        "DATABASE" => Path.join(folder, "#{System.unique_integer([:positive])}.sqlite3"),
        "NODE_MODULES" => System.fetch_env!("URO_DISCORD_NODE_MODULES"),
        "TYPES" => Enum.join(client.types, ",")
      })

    play(sim, program, client, %{seed: 2, events: @warm_up, guilds: 20})
    before = Program.account(program)
    microseconds = play(sim, program, client, %{seed: 1})
    worked = Program.account(program)
    [%{"compression" => compression}] = DiscordSim.get(sim, "/gateway")["connections"]
    Program.stop!(program)
    DiscordSim.stop(sim)

    %{
      compression: compression,
      seconds: microseconds / 1.0e6,
      cpu_ms: worked.cpu_ms - before.cpu_ms,
      peak_mib: worked.peak_mib,
      parts:
        for(
          name <- @parts,
          part = worked.parts[name],
          do: {name, %{part | cpu_ms: part.cpu_ms - cpu_ms(before.parts[name])}}
        )
    }
  end

  defp cpu_ms(nil), do: 0
  defp cpu_ms(part), do: part.cpu_ms

  # The microseconds from the first event at the handler to the last; all that it is for have to come.
  defp play(sim, program, client, plan) do
    told = Stream.play!(sim, plan)
    "" = Program.said!(program, "begins")
    began = System.monotonic_time(:microsecond)
    count = Program.said!(program, "ends")
    took = System.monotonic_time(:microsecond) - began
    expected = client.types |> Enum.map(&told["types"][&1]) |> Enum.sum()
    if count != "#{expected}", do: raise("#{client.name} got #{count} events of #{expected}")
    took
  end

  defp rows(name, runs) do
    run = Enum.at(Enum.sort_by(runs, & &1.cpu_ms), div(@rounds, 2))
    {least, most} = runs |> Enum.map(& &1.cpu_ms) |> Enum.min_max()

    Bench.row("#{name} (#{run.compression})", [
      {"", Stream.events() / run.seconds, "events/s"},
      {"took", run.seconds, "s"},
      {"CPU", run.cpu_ms, "ms (#{least} to #{most})"},
      {"", per_event(run), "us an event"},
      {"peak", run.peak_mib, "MiB"}
    ])

    for {part, used} <- run.parts do
      Bench.row("  of which #{part}", [{"CPU", used.cpu_ms, "ms"}, {"peak", used.peak_mib, "MiB"}])
    end
  end

  defp ratio(runs, peer) do
    shares = for {what, ours} <- @ours, do: {what <> ": 1 /", ratio(runs, peer, ours), ""}
    Bench.row("CPU an event beside that of #{peer}", shares)
  end

  # Of a small run the clock of /proc may count nothing.
  defp ratio(runs, peer, ours), do: max(median(runs[peer]), 1) / max(median(runs[ours]), 1)
  defp median(runs), do: runs |> Enum.map(& &1.cpu_ms) |> Enum.sort() |> Enum.at(div(@rounds, 2))
  defp per_event(run), do: run.cpu_ms * 1_000 / Stream.events()
end

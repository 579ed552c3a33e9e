defmodule Bench.Notify.Peers do
  @moduledoc """
  The same messages to the same channels of discord-sim, its limits on, by UroDiscord, discord.js and discord.py: each is a
  program of its own, logged in to the gateway, and measured from outside in the same way.
  """

  alias Bench.Program
  alias UroDiscord.DiscordSim

  @messages Bench.size(1_000, 40)
  @channels 20
  @idle_seconds Bench.size(10, 1)

  def run(folder) do
    Bench.title("Notify: #{@messages} messages to #{@channels} channels, by Discord's limits")

    # bin/bench installs them.
    python = Program.python()

    for {name, command} <- [
          {"UroDiscord", Program.elixir(script("uro_discord.exs"))},
          # An Erlang VM looks for more work for a while before it sleeps, which is CPU time that nobody needs.
          {"UroDiscord, its VM told not to spin",
           Program.elixir(script("uro_discord.exs"), "+sbwt none +sbwtdcpu none +sbwtdio none")},
          {"discord.js", ["node", script("discord_js.mjs")]},
          {"discord.py", [python, script("discord_py.py")]}
        ],
        do: figures(name, command, folder)
  end

  defp script(name), do: Path.join("bench/notify", name)

  defp figures(name, command, folder) do
    sim = DiscordSim.start!(["--channels", "#{@channels}"])
    names = for number <- 1..@channels, do: "channel-#{number}"

    program =
      Program.start!(command, %{
        "DISCORD_API" => sim.info["api"],
        "DISCORD_GATEWAY" => sim.info["gateway"],
        "DISCORD_TOKEN" => sim.info["token"],
        "DISCORD_CHANNELS" => Enum.map_join(names, ",", &sim.info["channels"][&1]),
        "MESSAGES" => "#{@messages}",
        "DATABASE" => Path.join(folder, "#{System.unique_integer([:positive])}.sqlite3"),
        "NODE_MODULES" => System.fetch_env!("URO_DISCORD_NODE_MODULES")
      })

    started = Program.account(program)
    # Nothing to wait for: this is what it uses when there is nothing to do.
    Process.sleep(@idle_seconds * 1_000)
    idle = Program.account(program)

    {microseconds, ""} =
      :timer.tc(fn ->
        Program.go!(program)
        Program.said!(program, "sent")
      end)

    worked = Program.account(program)
    Program.stop!(program)

    posts = sim |> DiscordSim.get("/requests") |> Enum.filter(&(&1["route"] == "/channels/{channel_id}/messages"))
    limits = DiscordSim.get(sim, "/limits")

    Bench.row(name, [
      {"429s", Enum.count(posts, &(&1["status"] == 429)), ""},
      {"too early", limits["too_early"], ""},
      {"over 50/s", limits["over_global"], ""},
      {"out of order", names |> Enum.map(&misplaced(sim, &1)) |> Enum.sum(), ""}
    ])

    Bench.row("", [
      {"took", microseconds / 1.0e6, "s"},
      {"CPU", worked.cpu_ms - idle.cpu_ms, "ms"},
      {"to start", started.cpu_ms, "ms"},
      {"idle", (idle.cpu_ms - started.cpu_ms) / @idle_seconds, "ms/s"},
      {"peak", worked.peak_mib, "MiB"}
    ])

    DiscordSim.stop(sim)
  end

  # How many of a channel's messages come after one that was sent later; all of them have to be there, once.
  defp misplaced(sim, channel) do
    numbers =
      for message <- DiscordSim.messages(sim, channel) do
        [_, number] = Regex.run(~r/\ANotification (\d+):/, message["content"])
        String.to_integer(number)
      end

    expected = div(@messages, @channels)

    if length(Enum.uniq(numbers)) != expected or length(numbers) != expected,
      do: raise("#{channel} has #{inspect(numbers)}")

    numbers |> Enum.zip(Enum.drop(numbers, 1)) |> Enum.count(fn {one, next} -> next < one end)
  end
end

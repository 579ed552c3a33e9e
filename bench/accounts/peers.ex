defmodule Bench.Accounts.Peers do
  @moduledoc """
  The same members of a guild of discord-sim, its limits on, by UroDiscord and by Alliance Auth: each is a program of its own to which
  everybody is linked already, and which is told to sync everybody. What happens in between, it learns only from Discord.

  "right" are the members who have the roles they should have in the end, which the bench counts in discord-sim.
  """

  alias Bench.{Accounts.Guild, Program}
  alias UroDiscord.DiscordSim

  @scenes [:first, :same, :left, :deleted, :locked, :cut]
  @both_members Bench.size(20, 3)
  @alone_members Bench.size("1000,10000", "200")
  # Alliance Auth's own is 60.
  @retry_pause Bench.size(5, 1)
  # The longest window of a bucket that a sync uses, so that no scene pays for the one before.
  @window_ms Bench.size(10_000, 0)

  def run(folder) do
    both = number("BENCH_MEMBERS", @both_members)
    peers = [{"UroDiscord", uro_discord(), @scenes} | alliance_auth()]
    Bench.title("Accounts: #{both} members, by Discord's limits, a pause of #{@retry_pause} s before a retry")
    print(for {name, command, scenes} <- peers, do: {name, play(command, folder, both, scenes)})

    for members <- alone() do
      Bench.title("Accounts: #{members} members, by Discord's limits")
      print([{"UroDiscord", play(uro_discord(), folder, members, [:given, :hundredth | @scenes -- [:first, :same]])}])
    end
  end

  defp uro_discord, do: Program.elixir("bench/accounts/uro_discord.exs")

  # bin/bench installs it, where it can.
  defp alliance_auth do
    case System.fetch_env("URO_DISCORD_ALLIANCE_AUTH") do
      {:ok, folder} ->
        python = Path.join(folder, "venv/bin/python")
        [{"Alliance Auth", [python, "bench/accounts/alliance_auth/bench.py"], Bench.size(@scenes, [:first])}]

      :error ->
        []
    end
  end

  defp alone,
    do:
      "BENCH_ALONE" |> System.get_env(@alone_members) |> String.split(",", trim: true) |> Enum.map(&String.to_integer/1)

  defp number(name, default), do: name |> System.get_env("#{default}") |> String.to_integer()

  # One process of the program for all of them, in this order.
  defp play(command, folder, count, scenes) do
    sim = DiscordSim.start!()
    guild = Guild.add!(sim, count)
    members = Path.join(folder, "members")
    File.write!(members, Enum.map_join(guild.members, "\n", & &1))

    program =
      Program.start!(command, %{
        "DISCORD_API" => sim.info["api"],
        "DISCORD_GATEWAY" => sim.info["gateway"],
        "DISCORD_TOKEN" => sim.info["token"],
        "DISCORD_APP_ID" => sim.info["application_id"],
        "DISCORD_GUILD_ID" => guild.id,
        "DATABASE" => Path.join(folder, "#{System.unique_integer([:positive])}.sqlite3"),
        "MEMBERS" => members,
        "RETRY_PAUSE" => "#{@retry_pause}"
      })

    {figures, _guild} =
      Enum.map_reduce(scenes, guild, fn scene, guild ->
        {name, guild} = scene(scene, sim, program, guild)
        Process.sleep(@window_ms)
        {{name, sync(sim, program, guild)}, guild}
      end)

    Program.stop!(program)
    DiscordSim.stop(sim)
    figures
  end

  defp sync(sim, program, guild) do
    before = Program.account(program)
    requests = requests(sim)

    {microseconds, _summary} =
      :timer.tc(fn ->
        Program.tell!(program, "sync")
        Program.said!(program, "synced")
      end)

    cpu_ms = Program.account(program).cpu_ms - before.cpu_ms
    DiscordSim.delete(sim, "/faults")
    later = requests(sim)

    [
      {"requests", later.all - requests.all, ""},
      {"429s", later.limited - requests.limited, ""},
      {"took", microseconds / 1.0e6, "s"},
      {"CPU", cpu_ms, "ms"},
      {"right", Guild.right(sim, guild), "of #{length(guild.members)}"}
    ]
  end

  # How many there were so far, and how many of them were answered with 429.
  defp requests(sim) do
    counts = DiscordSim.get(sim, "/requests/counts")

    %{
      all: counts |> Enum.map(& &1["count"]) |> Enum.sum(),
      limited: counts |> Enum.map(&Map.get(&1["statuses"], "429", 0)) |> Enum.sum()
    }
  end

  defp scene(:first, _sim, _program, guild), do: {"all changed, and no role is there yet", guild}

  defp scene(:given, sim, _program, guild), do: {"nothing changed", Guild.give_all!(sim, guild)}

  defp scene(:same, _sim, _program, guild), do: {"nothing changed", guild}

  defp scene(:hundredth, sim, _program, guild) do
    some = Enum.take_every(guild.members, 100)
    Guild.take!(sim, guild, "Member", some)
    {"a role taken from 1%, #{length(some)}: the limits allow #{div(length(some) - 1, 10) * 10} s", guild}
  end

  defp scene(:left, sim, _program, guild) do
    left = Enum.at(guild.members, 1)
    Guild.leave!(sim, guild, left)
    {"one left", %{guild | left: [left | guild.left]}}
  end

  defp scene(:deleted, sim, _program, guild) do
    Guild.delete_role!(sim, guild, "rare")
    {"a role of 1% was deleted, of one member at least", guild}
  end

  defp scene(:locked, _sim, program, guild) do
    Program.tell!(program, "lock 2")
    "" = Program.said!(program, "locked")
    {"one is locked", %{guild | locked: [Enum.at(guild.members, 2)]}}
  end

  defp scene(:cut, sim, _program, guild) do
    DiscordSim.post(sim, "/faults", [%{method: "GET", route: "/guilds/{id}/**", drop: "before_answer"}])
    {"one connection is cut", guild}
  end

  # Each scene with all who played it.
  defp print([{_name, scenes} | _] = peers) do
    for {scene, _row} <- scenes do
      IO.puts(scene)
      for {name, played} <- peers, {^scene, row} <- played, do: Bench.row("  " <> name, row)
    end
  end
end

defmodule Bench.Gateway.Memory do
  @moduledoc "What the bridge holds at its peak when a bot logs in that is in many guilds."

  alias Bench.{Program, Stream}
  alias UroDiscord.DiscordSim

  @guilds Bench.size(1_000, 50)
  @members 100

  def run do
    Bench.title("Bridge: peak after #{@guilds} GUILD_CREATEs of #{@members} members")
    sim = Stream.sim!()
    {:ok, _} = UroDiscord.start_link(DiscordSim.config(sim) ++ [intents: UroDiscord.Config.Checks.intent_names()])
    Connected.wait()
    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    started = Program.peak_mib(os_pid)
    :ok = UroDiscord.subscribe({:gateway, "GUILD_CREATE"})
    # The bridge's owner has told it by now.
    {:ok, _} = UroDiscord.status()

    told = Stream.play!(sim, %{events: @guilds + 2, guilds: @guilds, members: [@members, @members]})
    for _ <- 1..@guilds, do: receive(do: ({:uro_discord, {:gateway, "GUILD_CREATE"}, %{data: %{"id" => _}}} -> :ok))

    Bench.row("uro-discord-bridge", [
      {"peak", Program.peak_mib(os_pid), "MiB"},
      {"when it had logged in", started, "MiB"},
      {"sent to it", told["bytes"] / 1_048_576, "MiB"}
    ])

    # A subscriber ends with UroDiscord.
    UroDiscord.unsubscribe({:gateway, "GUILD_CREATE"})
    Supervisor.stop(UroDiscord)
    DiscordSim.stop(sim)
  end
end

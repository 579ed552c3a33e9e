defmodule Bench.Gateway.Kills do
  @moduledoc "How soon the gateway has resumed after somebody killed the bridge (SIGKILL)."

  alias Bench.Stream
  alias UroDiscord.DiscordSim

  @kills Bench.size(200, 3)
  # The pause before another bridge starts doubles when they end soon after each other, as ours do: this is the first one's.
  @restart {100, 100}
  @topics [:status, {:gateway, "MESSAGE_CREATE"}]

  def run do
    Bench.title("Bridge: from SIGKILL to RESUMED, #{@kills} times")
    sim = Stream.sim!()

    {:ok, _} =
      UroDiscord.start_link(DiscordSim.config(sim) ++ [intents: [:guilds, :guild_messages], bridge_restart: @restart])

    Connected.wait()
    for topic <- @topics, do: :ok = UroDiscord.subscribe(topic)
    times = Enum.sort(for number <- 1..@kills, do: kill(sim, number))

    Bench.row("the gateway is resumed after", [
      {"p50", Bench.percentile(times, 50), "ms"},
      {"p99", Bench.percentile(times, 99), "ms"},
      {"longest", List.last(times), "ms"}
    ])

    %{"identifies" => 1, "resumes" => @kills} = DiscordSim.get(sim, "/gateway")
    for topic <- @topics, do: UroDiscord.unsubscribe(topic)
    Supervisor.stop(UroDiscord)
    DiscordSim.stop(sim)
  end

  defp kill(sim, number) do
    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    killed = System.monotonic_time(:microsecond)
    {"", 0} = System.cmd("kill", ["-KILL", "#{os_pid}"])
    receive(do: ({:uro_discord, :status, {:bridge, :up, _info}} -> :ok))
    receive(do: ({:uro_discord, :status, {:gateway, 0, %{state: :active, resumed: true}}} -> :ok))
    resumed = System.monotonic_time(:microsecond)
    # What is dispatched from now on comes, and the next resume is from there.
    DiscordSim.post(sim, "/dispatch", %{type: "MESSAGE_CREATE", data: %{number: number}})
    receive(do: ({:uro_discord, {:gateway, "MESSAGE_CREATE"}, %{data: %{"number" => ^number}}} -> :ok))
    (resumed - killed) / 1_000
  end
end

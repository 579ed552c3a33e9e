defmodule Bench.Dist.Events do
  @moduledoc "Discord's events to the user's handler, with the gateway on a bridge that runs elsewhere and on one of ours: a stream as that of bin/bench gateway."

  alias Bench.{Elsewhere, Program, Stream}
  alias UroDiscord.{DiscordSim, RemoteBridge}

  @events Bench.size(50_000, 1_000)
  @warm_up Bench.size(10_000, 500)
  @topics for type <- ["GUILD_CREATE", "MESSAGE_CREATE", "PRESENCE_UPDATE"], do: {:gateway, type}

  def run do
    Bench.title("A bridge elsewhere: events to the handler, with the gateway on one bridge")
    {name, bridge} = Elsewhere.start!()
    row("over distribution", bridges: [{:node, name}], elsewhere: bridge.os_pid)
    RemoteBridge.stop(bridge)
    row("on the Port", bridges: [:local])
  end

  defp row(name, options) do
    {elsewhere, options} = Keyword.pop(options, :elsewhere)
    sim = Stream.sim!()
    options = DiscordSim.config(sim) ++ options ++ [intents: UroDiscord.Config.Checks.intent_names()]
    {:ok, _} = UroDiscord.start_link(options)
    Connected.wait()
    for topic <- @topics, do: :ok = UroDiscord.subscribe(topic)
    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    handle(sim, %{seed: 2, events: @warm_up, guilds: 20})

    {vm, bridge, seconds, events} =
      Program.used([elsewhere || os_pid], fn -> handle(sim, %{seed: 1, events: @events, guilds: 20}) end)

    Bench.row(name, [
      {"", events / seconds, "events/s"},
      {"CPU an event: the VM", vm * seconds * 1_000 / events, "us"},
      {"the bridge", bridge * seconds * 1_000 / events, "us"}
    ])

    # A subscriber ends with UroDiscord.
    for topic <- @topics, do: UroDiscord.unsubscribe(topic)
    Supervisor.stop(UroDiscord)
    DiscordSim.stop(sim)
  end

  # How many came, from the first of the stream to its last.
  defp handle(sim, plan) do
    Stream.play!(sim, plan)
    handled(0)
  end

  defp handled(events) do
    receive do
      {:uro_discord, {:gateway, "MESSAGE_CREATE"}, %{data: %{"content" => "stream " <> mark}}} ->
        if String.ends_with?(mark, "begins"), do: handled(1), else: events + 1

      {:uro_discord, {:gateway, _type}, _event} ->
        handled(events + 1)
    after
      60_000 -> raise "no event came for a minute"
    end
  end
end

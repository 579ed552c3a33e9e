defmodule Bench.Dist.Events do
  @moduledoc """
  Discord's events to the user's handler, with the gateway on a bridge that runs elsewhere and on one of ours: a stream as that of bin/bench gateway. Then four
  shards, each with a stream of a quarter, on one, two and four bridges.
  """

  alias Bench.{Elsewhere, Program, Stream}
  alias UroDiscord.{Bridge, DiscordSim, RemoteBridge}

  @events Bench.size(50_000, 1_000)
  @warm_up Bench.size(10_000, 500)
  @shards 4
  @topics for type <- ["GUILD_CREATE", "MESSAGE_CREATE", "PRESENCE_UPDATE"], do: {:gateway, type}

  def run do
    Bench.title("A bridge elsewhere: events to the handler, with the gateway on one bridge")
    elsewhere("over distribution", 1, 1)
    row("on the Port", 1, [], bridges: [:local])
    Bench.title("A bridge elsewhere: events to the handler, with #{@shards} shards on several bridges")
    for count <- [1, 2, 4], do: elsewhere("over distribution, #{count}", count, @shards)
  end

  defp elsewhere(name, count, shards) do
    bridges = for _ <- 1..count, do: Elsewhere.start!()
    [{first, _} | others] = bridges
    options = [{:node, first} | for({name, _} <- others, do: {:node, name, roles: [:gateway]})]
    row(name, shards, for({name, bridge} <- bridges, do: {name, bridge.os_pid}), bridges: options)
    for {_name, bridge} <- bridges, do: RemoteBridge.stop(bridge)
  end

  defp row(name, shards, bridges, options) do
    sim = Stream.sim!()
    DiscordSim.post(sim, "/settings", %{max_concurrency: shards})
    # Voice is not for several bridges.
    intents = UroDiscord.Config.Checks.intent_names() -- if(shards > 1, do: [:guild_voice_states], else: [])
    options = DiscordSim.config(sim) ++ options ++ [intents: intents, gateway: [shards: shards]]
    {:ok, _} = UroDiscord.start_link(options)
    Connected.wait()
    spread(bridges, shards)
    for topic <- @topics, do: :ok = UroDiscord.subscribe(topic)
    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    os_pids = if bridges == [], do: [os_pid], else: Enum.map(bridges, &elem(&1, 1))
    handle(sim, shards, %{seed: 2, events: @warm_up, guilds: 20})

    {vm, bridges, seconds, events} =
      Program.used(os_pids, fn -> handle(sim, shards, %{seed: 1, events: div(@events, shards), guilds: 20}) end)

    Bench.row(name, [
      {"", events / seconds, "events/s"},
      {"CPU an event: the VM", vm * seconds * 1_000 / events, "us"},
      {if(length(bridges) > 1, do: "the bridges", else: "the bridge"), Enum.sum(bridges) * seconds * 1_000 / events,
       "us"}
    ])

    # A subscriber ends with UroDiscord.
    for topic <- @topics, do: UroDiscord.unsubscribe(topic)
    Supervisor.stop(UroDiscord)
    DiscordSim.stop(sim)
  end

  # Each bridge has its share.
  defp spread(bridges, shards, tries \\ 1_200) do
    shares =
      for {name, _os_pid} <- bridges,
          do: Enum.count(Bridge.status(name).gateway.shards, fn {_shard, fact} -> fact.state == :active end)

    if bridges != [] and shares != for(_ <- bridges, do: div(shards, length(bridges))) do
      if tries == 0, do: raise("the shards are not spread after a minute: #{inspect(shares)}")
      Process.sleep(50)
      spread(bridges, shards, tries - 1)
    end
  end

  # How many came, from the first of the streams to the last of each.
  defp handle(sim, shards, plan) do
    for shard <- 0..(shards - 1), do: Stream.play!(sim, Map.put(plan, :shard, shard))
    handled(0, shards)
  end

  defp handled(events, 0), do: events

  defp handled(events, left) do
    receive do
      {:uro_discord, {:gateway, "MESSAGE_CREATE"}, %{data: %{"content" => "stream " <> mark}}} ->
        handled(events + 1, if(String.ends_with?(mark, "ends"), do: left - 1, else: left))

      {:uro_discord, {:gateway, _type}, _event} ->
        handled(events + 1, left)
    after
      60_000 -> raise "no event came for a minute"
    end
  end
end

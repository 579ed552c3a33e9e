defmodule Bench.Dist.Portals do
  @moduledoc """
  What portals cost the VM that controls them, and their bridges, while they are opened and while nobody is in them; and how long those of a bridge that is killed are away. UroDiscord has
  the gateway on its own bridge, and portals on one bridge that runs elsewhere, and then on ten.
  """

  alias Bench.{Elsewhere, Program}
  alias UroDiscord.{Bridges, DiscordSim, FreePort, HttpClient, Portal, RemoteBridge}

  @key "of-this-bench-and-long-enough-for-it"
  # On each bridge.
  @portals Bench.size(100, 3)
  @bridges Bench.size(10, 2)
  @kills Bench.size(3, 1)
  @seconds Bench.size(20, 1)
  # Discord takes so few commands of a shard in a minute that a thousand channels on one would measure that alone.
  @shards Bench.size(32, 2)
  @timeout 60_000

  def run do
    Bench.title(
      "A bridge elsewhere: #{@portals} portals on each of one bridge and of #{@bridges} (#{@seconds} s, nobody in them)"
    )

    for count <- [1, @bridges], do: measure(count)
  end

  defp measure(count) do
    sim = DiscordSim.start!()
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 1_000, max_concurrency: @shards})
    guilds = DiscordSim.post(sim, "/guilds", %{count: count * @portals, voice_channels: 1})
    bridges = for _ <- 1..count, do: Elsewhere.start!()
    {:ok, _} = UroDiscord.start_link(config(sim, bridges))
    ready(bridges)
    used("#{count} beside the gateway's, no portal", bridges, fn _vm -> [] end)

    before = %{vm: Elsewhere.memory(), bridges: rss(bridges)}
    :ok = UroDiscord.subscribe(:portal)
    open(guilds, bridges)
    portals = count * @portals

    used("  with #{portals} portals", bridges, fn vm ->
      [
        {"the VM", vm * 1_000 / portals, "us/s a portal"},
        {"memory", max(Elsewhere.memory() - before.vm, 0.0) / portals, "KiB a portal"},
        {"memory of the bridges", (rss(bridges) - before.bridges) / portals, "KiB a portal"}
      ]
    end)

    bridges =
      if count > 1, do: Enum.reduce(1..@kills, bridges, fn n, bridges -> kill(bridges, n - 1) end), else: bridges

    UroDiscord.unsubscribe(:portal)
    Supervisor.stop(UroDiscord)
    for {_name, bridge} <- bridges, do: RemoteBridge.stop(bridge)
    DiscordSim.stop(sim)
  end

  defp config(sim, bridges) do
    media =
      for {name, _bridge} <- bridges do
        port = FreePort.free_port()

        {:node, name,
         roles: [:media], url: "http://127.0.0.1:#{port}", web: [port: port], udp: [ip: "127.0.0.1", port: 0]}
      end

    DiscordSim.config(sim) ++
      [
        intents: [:guilds, :guild_voice_states],
        gateway: [shards: @shards],
        bridges: [{:local, roles: [:gateway, :http]} | media],
        web: [port: FreePort.free_port()],
        portal: [key: @key]
      ]
  end

  # All shards are connected, and each bridge takes portals.
  defp ready(bridges, tries \\ 1_200) do
    {:ok, %{gateway: %{shards: shards}}} = UroDiscord.status()
    active = Enum.count(shards, fn {_shard, fact} -> fact.state == :active end)

    if active < @shards or not takes?(bridges) do
      if tries == 0, do: raise("after a minute it is #{inspect(Bridges.status())}, with #{active} shards")
      Process.sleep(50)
      ready(bridges, tries - 1)
    end
  end

  # Of one alone it is no matter.
  defp takes?(bridges) do
    {:ok, all} = Bridges.status()
    names = for {name, _bridge} <- bridges, do: name
    Enum.all?(all, &(&1.name not in names or (&1.state == :up and (&1.takes or length(names) == 1))))
  end

  # `more`: of what the VM used, what else is to be seen.
  defp used(name, bridges, more) do
    {vm, [gateway | media], _seconds, :ok} = Program.used(os_pids(bridges), fn -> Process.sleep(@seconds * 1_000) end)

    figures = [
      {"CPU of the VM", vm, "ms/s"},
      {"of the gateway's bridge", gateway, "ms/s"},
      {"of one of these", Enum.sum(media) / length(media), "ms/s"}
    ]

    Bench.row(name, figures ++ more.(vm))
  end

  defp os_pids(bridges) do
    {:ok, %{bridge: %{os_pid: gateway}}} = UroDiscord.status()
    [gateway | for({_name, bridge} <- bridges, do: bridge.os_pid)]
  end

  defp rss(bridges), do: bridges |> Enum.map(fn {_name, bridge} -> Program.rss_kib(bridge) end) |> Enum.sum()

  # One after the other, as a host may; and until the bot is in all their channels.
  defp open(guilds, bridges) do
    began = now()

    {vm, others, seconds, ids} =
      Program.used(os_pids(bridges), fn ->
        for %{"voice_channels" => [channel]} <- guilds do
          {:ok, id} = Portal.open(channel)
          id
        end
      end)

    :ok = opened(MapSet.new(ids))
    portals = length(guilds)

    Bench.row("  #{portals} portals opened", [
      {"took", seconds, "s"},
      {"all in their channels after", (now() - began) / 1_000, "s"},
      {"CPU of the VM", vm * seconds / portals, "ms a portal"},
      {"of the bridges", Enum.sum(others) * seconds / portals, "ms a portal"}
    ])
  end

  defp opened(missing) do
    if Enum.empty?(missing) do
      :ok
    else
      receive do
        {:uro_discord, :portal, {id, {:state, :open, _reason}}} -> opened(MapSet.delete(missing, id))
      after
        @timeout -> raise "#{MapSet.size(missing)} portals are not open, and none was for a minute"
      end
    end
  end

  ## One that is killed

  # The first spreads what it had over the others; the next ones give it to the one that came in the place of the one before, which has nothing.
  defp kill(bridges, n) do
    {name, bridge} = Enum.at(bridges, n)
    {:ok, all} = Bridges.status()
    %{calls: guilds} = Enum.find(all, &(&1.name == name))
    {:ok, portals} = Portal.list()
    ids = for %{id: id, guild_id: guild, state: :open} <- portals, guild in guilds, do: id
    heard()
    began = now()
    RemoteBridge.kill!(bridge)
    times = moved(Map.new(ids, &{&1, %{}}), began, 2 * length(ids))

    {:ok, all} = Bridges.status()
    to = Enum.count(all, &Enum.any?(guilds, fn guild -> guild in &1.calls end))

    Bench.row(
      "  one killed: #{length(ids)} portals, to #{to} others",
      times(times, :answered, "its peers are let in after") ++ times(times, :open, "in its channel after")
    )

    bridges = List.replace_at(bridges, n, {name, Elsewhere.start!(name)})
    ready(bridges)
    bridges
  end

  defp times(times, what, title) do
    sorted = times |> Enum.map(fn {_id, of} -> Map.fetch!(of, what) end) |> Enum.sort()

    [
      {"#{title} p50", Bench.percentile(sorted, 50), "ms"},
      {"p99", Bench.percentile(sorted, 99), "ms"},
      {"max", List.last(sorted), "ms"}
    ]
  end

  # Of each portal, the ms until its bridge answers for it by HTTP, and until the bot is in its channel too.
  defp moved(times, _began, 0), do: times

  defp moved(times, began, missing) do
    receive do
      # Its room is there. Before that it is :opening.
      {:uro_discord, :portal, {id, {:state, state, _reason}}} when is_map_key(times, id) and state in [:waiting, :open] ->
        {asked, times} = first(times, id, :asked, began)
        if asked == 1, do: ask(id)
        {open, times} = if state == :open, do: first(times, id, :open, began), else: {0, times}
        moved(times, began, missing - open)

      {:answered, id} ->
        {answered, times} = first(times, id, :answered, began)
        moved(times, began, missing - answered)
    after
      @timeout -> raise "#{missing} of the portals' answers and calls are missing, and none came for a minute"
    end
  end

  defp first(times, id, what, began) do
    of = times[id]
    if is_map_key(of, what), do: {0, times}, else: {1, Map.put(times, id, Map.put(of, what, now() - began))}
  end

  # Another bridge than the one that has it would send us there (307).
  defp ask(id) do
    bench = self()

    spawn_link(fn ->
      {:ok, url} = Portal.url(id, :peer)
      {200, _headers, _page} = HttpClient.call(url, "GET", "/portal/#{id}/")
      send(bench, {:answered, id})
    end)
  end

  # What was told before.
  defp heard, do: receive(do: ({:uro_discord, :portal, _event} -> heard()), after: (0 -> :ok))

  defp now, do: System.monotonic_time(:millisecond)
end

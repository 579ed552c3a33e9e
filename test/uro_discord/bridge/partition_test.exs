defmodule UroDiscord.Bridge.PartitionTest do
  @moduledoc false
  # Two Uros with one store, each with a bridge on a machine of its own, and cables that are pulled at random. `PARTITIONS=50 mix test FILE` pulls
  # as many; `SEED=n` pulls those of a run before.
  use ExUnit.Case, async: true
  import UroDiscord.Case, only: [eventually: 2]
  import UroDiscord.NodeCase
  alias UroDiscord.{DiscordSim, Listener, Network, Peer, Postgres, RemoteBridge, TcpProxy, TestRepo}
  alias UroDiscord.Gateway.Leader
  alias UroDiscord.Store.Schema

  @moduletag needs: :namespaces
  @moduletag timeout: :infinity

  @type_of_event "CHANNEL_UPDATE"
  @partitions String.to_integer(System.get_env("PARTITIONS", "3"))

  # What is pulled of the Uro that has the gateway, and of its bridge. Where Discord's cable is not among the bridge's, Discord sees all that it does.
  @kinds [
    control: [bridge: [:control]],
    store: [uro: [:store]],
    control_and_store: [uro: [:store, :control]],
    uro: [uro: [:store, :control, :discord]],
    bridge: [bridge: [:control, :discord]]
  ]

  setup do
    network =
      Network.start!(
        discord: [:discord],
        uro_a: [:control, :store, :discord],
        uro_b: [:control, :store, :discord],
        bridge_a: [:control, :discord],
        bridge_b: [:control, :discord]
      )

    address = Network.address(network, :discord, :discord)
    sim = DiscordSim.start!([], ip: address, within: Network.within(network, :discord))
    on_exit(fn -> DiscordSim.stop(sim) end)
    DiscordSim.post(sim, "/settings", %{identify_interval_ms: 0, session_timeout_ms: 600_000})
    File.mkdir_p!(DiscordSim.scratch())

    database = Postgres.database!()
    connection = Postgres.connect!(database)
    for sql <- Schema.up(:postgres, 0), do: [_] = Postgres.query(connection, sql)
    store = Network.address(network, :here, :store)
    {:ok, proxy} = TcpProxy.start_link(database[:port], ip(store))
    repo = Keyword.merge(database, host: to_charlist(store), port: TcpProxy.port(proxy))

    context = %{sim: sim, network: network, repo: repo}
    sides = for side <- [:a, :b], do: side!(side, context)
    %{sim: sim, network: network, sides: sides}
  end

  defp ip(text), do: text |> to_charlist() |> :inet.parse_address() |> elem(1)

  # A Uro, and the bridge that dials it and no other.
  defp side!(side, %{sim: sim, network: network, repo: repo}) do
    [uro, bridge] = [:"uro_#{side}", :"bridge_#{side}"]
    at = Network.address(network, uro, :control)
    # Without TLS a token goes to loopback only.
    %URI{host: discord, port: port} = URI.parse(sim.info["api"])
    for machine <- [uro, bridge], do: Network.lead(network, machine, port, discord)
    # A machine of its own has this port free.
    [name, port] = [:"#{bridge}@#{Network.address(network, bridge, :control)}", 4_370]
    arguments = ["--node", "#{name}", "--uro", "#{at}:#{port}", "--media-workers", "1"]
    started = RemoteBridge.start!(cookie(), arguments, Network.within(network, bridge))
    on_exit(fn -> RemoteBridge.stop(started) end)

    peer = Peer.start!(node: {"uro", port, cookie()}, host: at, within: Network.within(network, uro))
    heard = Path.join(DiscordSim.scratch(), "heard-#{side}-#{System.unique_integer([:positive])}")
    config = config(here(sim), name, repo: TestRepo, gateway: [events: [@type_of_event]])
    Peer.start_child!(peer, {TestRepo, repo})
    start!(peer, config)
    Peer.start_child!(peer, {Listener, {heard, @type_of_event}})
    %{uro: uro, bridge: bridge, peer: peer, heard: heard}
  end

  defp here(sim) do
    here = fn url -> URI.to_string(%{URI.parse(url) | host: "127.0.0.1"}) end
    %{sim | info: sim.info |> Map.update!("api", here) |> Map.update!("gateway", here)}
  end

  defp held?(side), do: Peer.call(side.peer, Leader, :held?, [])

  # One has the gateway, and both their bridges.
  defp settled(sides) do
    leaders = Enum.filter(sides, &held?/1)
    up? = Enum.all?(sides, &(status(&1.peer).bridge.state == :up))

    with [leader] when up? <- leaders,
         %{0 => %{state: :active}} <- status(leader.peer).gateway.shards,
         do: {leader, hd(sides -- [leader])},
         else: (_not_yet -> nil)
  end

  defp settled!(sides) do
    settled = eventually(fn -> settled(sides) end, 1_200)

    assert settled,
           "it is #{inspect(for side <- sides, do: {side.uro, held?(side), status(side.peer).gateway, status(side.peer).bridge})}"

    settled
  end

  # Numbered events until it is told to stop; the next number then.
  defp dispatch(sim, n) do
    DiscordSim.post(sim, "/dispatch", %{type: @type_of_event, data: %{n: n}})
    receive(do: (:stop -> n + 1), after: (50 -> dispatch(sim, n + 1)))
  end

  defp heard(sides),
    do: for(side <- sides, entry <- Listener.read(side.heard), do: %{entry | n: String.to_integer(entry.n)})

  # What Discord logged since then.
  defp log(sim, number) do
    types = "connect,disconnect,identify,resume,resume_refused,session_end,violation"
    DiscordSim.get(sim, "/events?types=#{types}&after=#{number}&timeout_ms=0")["events"]
  end

  # Begins that are not of a connection that is alone, given those that are open.
  defp beside_others(log, open) do
    {_open, beside} =
      Enum.reduce(log, {open, []}, fn
        %{"type" => "connect"} = event, {open, beside} ->
          {MapSet.put(open, event["connection"]), beside}

        %{"type" => "disconnect"} = event, {open, beside} ->
          {MapSet.delete(open, event["connection"]), beside}

        %{"type" => type} = event, {open, beside} when type in ["identify", "resume"] ->
          if MapSet.equal?(open, MapSet.new([event["connection"]])), do: {open, beside}, else: {open, [event | beside]}

        _other, acc ->
          acc
      end)

    beside
  end

  test "a bridge that is cut off has stopped before another acts, and no event is lost", %{sim: sim} = context do
    seed = String.to_integer(System.get_env("SEED", "#{:rand.uniform(1_000_000)}"))
    IO.puts("#{@partitions} partitions of seed #{seed}")
    settled!(context.sides)
    start = {1, log(sim, 0)}

    {moved, {next, log}} =
      Enum.flat_map_reduce(1..@partitions, start, fn n, {next, log} ->
        :rand.seed(:exsss, {seed, n, 0})
        {moved, next, more} = partition!(n, next, context)
        {moved, {next, log ++ more}}
      end)

    %{"identifies" => identifies, "resumes" => resumes, "resumes_refused" => refused} = gateway(sim)
    assert identifies == 1 + refused
    heard = heard(context.sides)
    unexplained(heard, log) |> then(&assert(&1 == [], "heard more often than Discord said it: #{inspect(&1)}"))

    IO.puts(
      "#{@partitions} partitions: #{length(moved)} in which the gateway went to the other bridge, within #{Enum.max(moved, fn -> 0 end)} ms; " <>
        "#{next - 1} events, #{length(heard) - next + 1} repeats; #{identifies} identify, #{resumes} resumes, #{refused} refused"
    )

    # Before the store goes.
    for side <- context.sides, do: Peer.kill!(side.peer)
  end

  defp gateway(sim), do: DiscordSim.get(sim, "/gateway")

  defp partition!(n, next, %{sim: sim, network: network, sides: sides}) do
    {{kind, pulled}, length, loss} = which(n)
    {leader, _other} = settled!(sides)
    what = "partition #{n}, #{kind} of #{leader.uro} for #{length} ms, #{round(loss * 100)} % lost"
    cables = for {role, networks} <- pulled, name <- networks, do: {Map.fetch!(leader, role), name}
    open = MapSet.new(gateway(sim)["connections"], & &1["id"])
    before = DiscordSim.now(sim)

    for machine <- [leader.uro, leader.bridge], do: Network.lose(network, machine, :control, loss)
    started = System.os_time(:millisecond)
    dispatching = Task.async(fn -> dispatch(sim, next) end)
    for {machine, name} <- cables, do: Network.cut(network, machine, name)
    Process.sleep(length)
    for {machine, name} <- cables, do: Network.mend(network, machine, name)
    {now, _other} = settled!(sides)
    send(dispatching.pid, :stop)
    next = Task.await(dispatching)

    # Every event is heard, by whichever of them.
    missing = fn -> Enum.to_list(1..(next - 1)) -- Enum.map(heard(sides), & &1.n) end
    assert eventually(fn -> missing.() == [] end, 400), "#{what}: not heard: #{inspect(missing.())}"

    log = log(sim, before)
    begins = Enum.filter(log, &(&1["type"] in ["identify", "resume"]))
    # Discord does not see the end of what is cut off from it: then one has begun at most.
    if :discord in Keyword.get(pulled, :bridge, []),
      do: assert(length(begins) <= 1, "#{what}: #{inspect(log)}"),
      else: assert(beside_others(log, open) == [], "#{what}: #{inspect(log)}")

    assert Enum.filter(log, &(&1["type"] in ["violation", "resume_refused", "identify"])) == [],
           "#{what}: #{inspect(log)}"

    # What was cut off has gone when it is back.
    assert eventually(fn -> length(gateway(sim)["connections"]) == 1 end, 200), what

    moved = for %{"time" => time} <- Enum.take(begins, -1), now.uro != leader.uro, do: time - started
    IO.puts("#{what}: " <> if(moved == [], do: "it stayed", else: "it went to #{now.uro} after #{hd(moved)} ms"))
    assert n != 1 or moved != [], "#{what}: the other has its bridge, and did not get the gateway"
    {moved, next, log}
  end

  # The first is what is hardest to see: a Uro that is well, has the store, and not its bridge.
  defp which(1), do: {{:control, @kinds[:control]}, 12_500, 0}
  defp which(_n), do: {Enum.random(@kinds), Enum.random(200..11_000), Enum.random([0, 0.02, 0.1])}

  # Whoever hears an event again hears it from a session that was resumed from before it.
  defp unexplained(heard, log) do
    resumes = for %{"type" => "resume", "session_id" => id, "sequence" => sequence} <- log, do: {id, sequence}

    for {{session, seq}, times} <- Enum.frequencies_by(heard, &{&1.session, &1.seq}),
        times > 1 + Enum.count(resumes, fn {id, sequence} -> id == session and sequence < seq end),
        do: {seq, times}
  end
end

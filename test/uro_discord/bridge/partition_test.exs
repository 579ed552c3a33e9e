defmodule UroDiscord.Bridge.PartitionTest do
  @moduledoc false
  # Uros and bridges on machines of their own, and cables that are pulled at random. `PARTITIONS=50 mix test FILE` pulls as many of each test; `SEED=n` pulls those
  # of a run before.
  use ExUnit.Case, async: true
  import UroDiscord.Case, only: [eventually: 2]
  import UroDiscord.NodeCase, only: [status: 1]
  import UroDiscord.PartitionCase
  alias UroDiscord.{Network, Peer, Postgres, TcpProxy, TestRepo}
  alias UroDiscord.Gateway.Leader
  alias UroDiscord.Store.Schema

  @moduletag needs: :namespaces
  @moduletag timeout: :infinity
  # What is pulled of the Uro that has the gateway, and of its bridge. Where Discord's cable is not among the bridge's, Discord sees all that it does.
  @kinds [
    control: [bridge: [:control]],
    store: [uro: [:store]],
    control_and_store: [uro: [:store, :control]],
    uro: [uro: [:store, :control, :discord]],
    bridge: [bridge: [:control, :discord]]
  ]

  setup context, do: start!(context.machines)

  @moduletag machines: [
               uro_a: [:control, :store, :discord],
               uro_b: [:control, :store, :discord],
               bridge_a: [:control, :discord],
               bridge_b: [:control, :discord]
             ]

  setup %{network: network} = context do
    database = Postgres.database!()
    connection = Postgres.connect!(database)
    for sql <- Schema.up(:postgres, 0), do: [_] = Postgres.query(connection, sql)
    store = Network.address(network, :here, :store)
    {:ok, ip} = store |> to_charlist() |> :inet.parse_address()
    {:ok, proxy} = TcpProxy.start_link(database[:port], ip)
    repo = Keyword.merge(database, host: to_charlist(store), port: TcpProxy.port(proxy))
    context = Map.put(context, :repo, repo)

    sides =
      for {uro, bridge} <- [uro_a: :bridge_a, uro_b: :bridge_b] do
        bridge_on!(network, bridge, uro)
        bridges = [{:node, bridge_of(network, bridge)}]
        options = [bridges: bridges, repo: TestRepo, gateway: [events: [type_of_event()]]]
        context |> uro_on!(uro, options) |> Map.merge(%{uro: uro, bridge: bridge})
      end

    %{sides: sides}
  end

  test "a bridge that is cut off has stopped before another acts, and no event is lost", %{sim: sim} = context do
    settled!(context.sides)
    start = {1, log(sim, 0), %{}}

    {moved, {next, log, _open}} =
      Enum.flat_map_reduce(1..partitions(), start, fn n, {next, log, open} ->
        :rand.seed(:exsss, {context.seed, n, 0})
        open = if n == 1, do: alone!("at first", log, open, []), else: open
        {moved, next, more, open} = partition!(n, next, open, context)
        {moved, {next, log ++ more, open}}
      end)

    %{"identifies" => identifies, "resumes" => resumes, "resumes_refused" => refused} = gateway(sim)
    assert identifies == 1 + refused
    heard = heard(context.sides)
    assert unexplained(heard, log) == []

    IO.puts(
      "#{partitions()} partitions: #{length(moved)} in which the gateway went to the other bridge, within #{Enum.max(moved, fn -> 0 end)} ms; " <>
        "#{next - 1} events, #{length(heard) - next + 1} repeats; #{identifies} identify, #{resumes} resumes, #{refused} refused"
    )

    # Before the store goes.
    for side <- context.sides, do: Peer.kill!(side.peer)
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

  defp partition!(n, next, open, %{network: network, sides: sides} = context) do
    {{kind, pulled}, length, loss} = which(n)
    {leader, _other} = settled!(sides)
    what = "partition #{n}, #{kind} of #{leader.uro} for #{length} ms, #{round(loss * 100)} % lost"
    cables = for {role, networks} <- pulled, name <- networks, do: {Map.fetch!(leader, role), name}
    for machine <- [leader.uro, leader.bridge], do: Network.lose(network, machine, :control, loss)
    started = System.os_time(:millisecond)
    {log, next} = pull(what, cables, length, next, 1, context, fn -> settled!(sides) end, sides)

    # Discord does not see the end of what is cut off from it.
    cut_off = if :discord in Keyword.get(pulled, :bridge, []), do: Map.keys(open), else: []
    open = alone!(what, log, open, cut_off)
    begins = Enum.filter(log, &(&1["type"] == "resume"))

    {now, _other} = settled!(sides)
    moved = for %{"time" => time} <- Enum.take(begins, -1), now.uro != leader.uro, do: time - started
    IO.puts("#{what}: " <> if(moved == [], do: "it stayed", else: "it went to #{now.uro} after #{hd(moved)} ms"))
    assert n != 1 or moved != [], "#{what}: the other has its bridge, and did not get the gateway"
    {moved, next, log, open}
  end

  # The first is what is hardest to see: a Uro that is well, has the store, and not its bridge.
  defp which(1), do: {{:control, @kinds[:control]}, 14_500, 0}
  defp which(_n), do: {Enum.random(@kinds), Enum.random(200..11_000), Enum.random([0, 0.02, 0.1])}
end

defmodule UroDiscord.Gateway.SpreadPartitionTest do
  @moduledoc false
  # The same with several bridges of one Uro.
  use ExUnit.Case, async: true
  import UroDiscord.Case, only: [eventually: 2]
  import UroDiscord.NodeCase, only: [status: 1]
  import UroDiscord.PartitionCase
  alias UroDiscord.{Bridge, Network, Peer}

  @moduletag needs: :namespaces
  @moduletag timeout: :infinity
  @shards 4

  setup context, do: start!(context.machines)

  @moduletag machines: [
               uro: [:control, :discord],
               bridge_a: [:control, :discord],
               bridge_b: [:control, :discord]
             ]

  test "one that is cut off has left its shards before the other has them, and no event is lost",
       %{sim: sim, network: network} = context do
    machines = [:bridge_a, :bridge_b]
    for machine <- machines, do: bridge_on!(network, machine, :uro)
    bridges = for machine <- machines, do: {:node, bridge_of(network, machine)}
    [first | others] = bridges
    bridges = [first | for({:node, name} <- others, do: {:node, name, roles: [:gateway]})]
    side = uro_on!(context, :uro, bridges: bridges, gateway: [shards: @shards, events: [type_of_event()]])
    names = for {:node, name} <- [first | others], do: name
    shared!(side, names)

    before = log(sim, 0)

    {moves, {next, _open, log}} =
      Enum.map_reduce(1..partitions(), {1, alone!("at first", before, %{}, []), before}, fn n, {next, open, before} ->
        :rand.seed(:exsss, {context.seed, n, 0})
        machine = Enum.random(machines)
        pulled = if n == 1, do: [:control], else: Enum.random([[:control], [:control, :discord]])
        [length, loss] = if n == 1, do: [11_500, 0], else: [Enum.random(200..10_000), Enum.random([0, 0.02, 0.1])]
        what = "partition #{n}, #{inspect(pulled)} of #{machine} for #{length} ms, #{round(loss * 100)} % lost"
        for machine <- [machine, :uro], do: Network.lose(network, machine, :control, loss)
        cables = for name <- pulled, do: {machine, name}
        %{gateway: %{shards: shards}} = Peer.call(side.peer, Bridge, :status, [bridge_of(network, machine)])
        sessions = for {_shard, fact} <- shards, do: fact[:session]
        {log, next} = pull(what, cables, length, next, @shards, context, fn -> shared!(side, names) end, [side])

        # Discord does not see the end of what is cut off from it.
        cut_off = for {id, session} <- open, :discord in pulled, session in sessions, do: id
        open = alone!(what, log, open, cut_off)
        resumes = Enum.count(log, &(&1["type"] == "resume"))
        IO.puts("#{what}: #{resumes} resumes")
        # Two shards went, and two came.
        assert n != 1 or resumes >= 4, "#{what}: #{inspect(log)}"
        {resumes, {next, open, before ++ log}}
      end)

    assert %{"identifies" => @shards, "resumes_refused" => 0} = gateway(sim)
    heard = heard([side])

    IO.puts(
      "#{partitions()} partitions: #{Enum.sum(moves)} resumes; #{next - 1} events, #{length(heard) - next + 1} repeats"
    )

    assert unexplained(heard, log) == []
  end

  # Each has its share, and all are connected.
  defp shared!(side, names) do
    shared =
      eventually(
        fn ->
          for(name <- names, do: Peer.call(side.peer, Bridge, :status, [name]).gateway.shards)
          |> Enum.map(&Enum.count(&1, fn {_shard, fact} -> fact.state == :active end)) == [2, 2]
        end,
        1_200
      )

    assert shared, "it is #{inspect(status(side.peer).gateway)}"
  end
end

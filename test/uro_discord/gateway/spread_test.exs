defmodule UroDiscord.Gateway.SpreadTest do
  # One Uro, in a VM of its own that is a node, and several bridges that have the shards between them.
  use ExUnit.Case, async: true
  import UroDiscord.Case, only: [start_sim!: 0, eventually: 1]
  import UroDiscord.FreePort
  import UroDiscord.NodeCase
  alias UroDiscord.{Bridge, DiscordSim, Gateway, Listener, Peer, RemoteBridge, Shards}

  doctest UroDiscord.Gateway.Spread

  @type_of_event "CHANNEL_UPDATE"
  @shards 4

  setup do
    sim = start_sim!()
    DiscordSim.post(sim, "/settings", %{identify_interval_ms: 0, max_concurrency: @shards})
    File.mkdir_p!(DiscordSim.scratch())
    [a, b] = names = [name("a"), name("b")]
    port = free_port()
    bridges = [{:node, a}, {:node, b, roles: [:gateway]}]
    gateway = [shards: @shards, events: [@type_of_event]]
    config = config(sim, a, bridges: bridges, gateway: gateway)
    uro = uro!(port, config)
    heard = config[:database] <> ".heard"
    Peer.start_child!(uro, {Listener, {heard, @type_of_event}})
    %{sim: sim, uro: uro, port: port, names: names, heard: heard}
  end

  # The shards that each bridge says it has connected.
  defp connected(uro, names) do
    for name <- names do
      %{gateway: %{shards: shards}} = Peer.call(uro, Bridge, :status, [name])
      for {shard, %{state: :active}} <- shards, do: shard
    end
  end

  defp spread!(uro, names, counts) do
    spread? = eventually(fn -> Enum.map(connected(uro, names), &length/1) == counts end)
    status = status(uro)

    assert spread?,
           "it is #{inspect({connected(uro, names), status.gateway, status.bridges, Peer.call(uro, Gateway.Leader, :lease, [])}, limit: :infinity)}"
  end

  defp whereis(uro, process), do: Peer.call(uro, Process, :whereis, [process])

  defp gateway(sim),
    do: DiscordSim.get(sim, "/gateway") |> Map.take(["identifies", "resumes", "resumes_refused", "violations"])

  defp log(sim) do
    DiscordSim.get(sim, "/events?types=connect,disconnect,identify,resume&after=0&timeout_ms=0")["events"]
  end

  # Of no session a connection was there when another took it up, as Discord saw it.
  defp never_twice?(log) do
    {open, twice} =
      Enum.reduce(log, {%{}, []}, fn
        %{"type" => "disconnect", "connection" => id}, {open, twice} ->
          {Map.delete(open, id), twice}

        %{"type" => "connect"}, acc ->
          acc

        %{"connection" => id, "session_id" => session} = event, {open, twice} ->
          {Map.put(open, id, session), if(session in Map.values(open), do: [event | twice], else: twice)}
      end)

    map_size(open) == @shards and twice == []
  end

  defp dispatch(sim, numbers) do
    for n <- numbers,
        do: DiscordSim.post(sim, "/dispatch", %{type: @type_of_event, data: %{n: n}, shard: rem(n, @shards)})
  end

  # Each, and none twice.
  defp heard?(heard, numbers) do
    eventually(fn ->
      heard |> Listener.read() |> Enum.map(&String.to_integer(&1.n)) |> Enum.sort() == Enum.to_list(numbers)
    end)
  end

  defp active?(uro),
    do:
      eventually(fn ->
        match?([_, _, _, _], for({_, %{state: :active}} = fact <- status(uro).gateway.shards, do: fact))
      end)

  test "the shards are spread as bridges come and go, by resuming, and no event is lost",
       %{sim: sim, uro: uro, port: port, names: [a, b] = names, heard: heard} do
    bridge!(port, a)
    spread!(uro, names, [4, 0])
    dispatch(sim, 1..40)
    assert heard?(heard, 1..40)
    assert %{"identifies" => 4, "resumes" => 0} = gateway(sim)

    # Another comes: it has half of them. Whoever has a shard tells it what is to be told.
    second = bridge!(port, b)
    spread!(uro, names, [2, 2])
    dispatch(sim, 41..80)
    assert heard?(heard, 1..80)
    assert %{"identifies" => 4, "resumes" => 2, "resumes_refused" => 0} = gateway(sim)
    assert never_twice?(log(sim))
    :ok = Peer.call(uro, Shards, :put, [[id: 1, name: "Plaza", players: 1]])

    assert eventually(fn ->
             Enum.all?(DiscordSim.get(sim, "/gateway")["sessions"], &(inspect(&1["presence"]) =~ "1 player in 1 world"))
           end)

    # A session that is lost is begun anew where its shard is.
    [_, [shard | _]] = connected(uro, names)
    DiscordSim.post(sim, "/gateway", %{action: "invalid_session", shard: shard, resumable: false})
    assert eventually(fn -> gateway(sim)["identifies"] == 5 end)
    spread!(uro, names, [2, 2])

    # One is killed: the other resumes.
    RemoteBridge.kill!(second)
    dispatch(sim, 81..120)
    spread!(uro, names, [4, 0])
    assert heard?(heard, 1..120)
    # And it is there again.
    bridge!(port, b)
    spread!(uro, names, [2, 2])
    dispatch(sim, 121..160)
    assert heard?(heard, 1..160)
    assert %{"identifies" => 5, "resumes" => 6, "resumes_refused" => 0, "violations" => violations} = gateway(sim)
    assert violations == %{}
    assert never_twice?(log(sim))
    assert Peer.call(uro, Gateway.Leader, :held?, [])
    # One of each owner, however often its bridge came.
    assert {:monitors, [_, _]} = Peer.call(uro, Process, :info, [whereis(uro, Gateway.Spread), :monitors])
  end

  test "one that hangs has lost its shards when it goes on", %{
    sim: sim,
    uro: uro,
    port: port,
    names: [a, b] = names,
    heard: heard
  } do
    bridge!(port, a)
    second = bridge!(port, b)
    spread!(uro, names, [2, 2])
    RemoteBridge.signal(second, "STOP")
    dispatch(sim, 1..40)
    spread!(uro, names, [4, 0])
    assert heard?(heard, 1..40)
    before = gateway(sim)
    RemoteBridge.signal(second, "CONT")
    # It is given its share again, by an owner that knows it; until then it does nothing.
    spread!(uro, names, [2, 2])
    dispatch(sim, 41..80)
    assert heard?(heard, 1..80)
    assert gateway(sim)["resumes"] == before["resumes"] + 2
    assert gateway(sim)["resumes_refused"] == 0
  end

  test "the end of an owner, and of whoever spreads, moves nothing for long", %{
    sim: sim,
    uro: uro,
    port: port,
    names: [a, b] = names,
    heard: heard
  } do
    bridge!(port, a)
    bridge!(port, b)
    spread!(uro, names, [2, 2])
    shares = connected(uro, names)
    dispatch(sim, 1..40)
    assert heard?(heard, 1..40)

    kill = fn process -> Peer.call(uro, Process, :exit, [whereis(uro, process), :kill]) end
    kill.(Gateway.Spread)
    dispatch(sim, 41..80)
    assert heard?(heard, 1..80)
    assert connected(uro, names) == shares

    kill.(Bridge.server(b))
    dispatch(sim, 81..120)
    spread!(uro, names, [2, 2])
    assert heard?(heard, 1..120)
    assert connected(uro, names) == shares
    assert active?(uro)

    # The first of the owners: the others, and what is behind them, go on.
    others = [Bridge.server(b), Gateway.Spread]
    before = Enum.map(others, &whereis(uro, &1))
    kill.(Bridge.server(a))
    dispatch(sim, 121..160)
    spread!(uro, names, [2, 2])
    assert heard?(heard, 1..160)
    assert connected(uro, names) == shares
    assert active?(uro)
    assert Enum.map(others, &whereis(uro, &1)) == before

    # What an owner has read of the lease may be of before: only what it is now counts. Owners say each second that they have looked.
    total = fn -> Peer.call(uro, :sys, :get_state, [Gateway.Spread]).total end
    assert eventually(fn -> total.() == @shards end)
    Peer.call(uro, GenServer, :cast, [Gateway.Spread, {:lease, nil}])
    assert total.() == @shards
    assert %{"identifies" => 4, "resumes_refused" => 0} = gateway(sim)
  end
end

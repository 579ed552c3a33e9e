defmodule UroDiscord.Gateway.NodesTest do
  @moduledoc false
  # Two BEAMs with one store: exactly one holds the gateway.

  use UroDiscord.Case
  alias UroDiscord.{Listener, Peer, Postgres, TestRepo}
  alias UroDiscord.Gateway.Leader
  alias UroDiscord.Store.Schema

  @type_of_event "CHANNEL_UPDATE"

  setup context do
    sim = start_sim!()
    DiscordSim.post(sim, "/settings", %{identify_interval_ms: 0})
    config = Keyword.put(DiscordSim.config(sim), :gateway, events: [@type_of_event])
    File.mkdir_p!(DiscordSim.scratch())

    {config, repo} =
      case context.store do
        :sqlite -> {config, nil}
        :postgres -> {Keyword.put(config, :repo, TestRepo), postgres!()}
      end

    # What the nodes' subscribers write down.
    %{sim: sim, config: config, repo: repo, heard: config[:database] <> ".heard"}
  end

  defp postgres! do
    database = Postgres.database!()
    connection = Postgres.connect!(database)
    for sql <- Schema.up(:postgres, 0), do: [_] = Postgres.query(connection, sql)
    database
  end

  defp node!(context) do
    node = Peer.start!()
    if context.repo, do: Peer.start_child!(node, {TestRepo, context.repo})
    Peer.start_child!(node, {UroDiscord, context.config})
    Peer.start_child!(node, {Listener, {context.heard, @type_of_event}})
    node
  end

  defp held?(node), do: Peer.call(node, Leader, :held?, [])

  defp lease(node) do
    {:ok, %{gateway: %{lease: lease}}} = Peer.call(node, UroDiscord, :status, [])
    lease
  end

  defp connected(sim, type, after_number),
    do: DiscordSim.wait_for(sim, type, fn _ -> true end, after: after_number, timeout: 30_000)

  defp dispatch(sim, numbers),
    do: for(n <- numbers, do: DiscordSim.post(sim, "/dispatch", %{type: @type_of_event, data: %{n: n}}))

  defp heard?(context, numbers),
    do:
      eventually(
        fn ->
          context.heard |> Listener.read() |> Enum.map(&String.to_integer(&1.n)) |> Enum.uniq() == Enum.to_list(numbers)
        end,
        400
      )

  defp gateway(sim), do: DiscordSim.get(sim, "/gateway")

  # The first holds the gateway, with a session that is stored.
  defp two_nodes!(%{sim: sim} = context) do
    first = node!(context)
    connected(sim, "identify", 0)
    second = node!(context)
    dispatch(sim, 1..2)
    assert heard?(context, 1..2)
    assert held?(first)
    refute held?(second)
    {:ok, %{owner: owner}} = Peer.call(first, UroDiscord.Runtime, :fetch, [])
    # As soon as it has looked.
    assert eventually(fn -> match?(%{held: false, holder: ^owner}, lease(second)) end)
    assert %{"identifies" => 1, "connections" => [_]} = gateway(sim)
    {first, second}
  end

  for store <- [:sqlite, :postgres] do
    describe "over #{store}" do
      @describetag store: store

      test "one that is killed leaves the gateway to the other, which resumes", %{sim: sim} = context do
        {first, second} = two_nodes!(context)
        before = DiscordSim.now(sim)
        Peer.kill!(first)
        killed = System.monotonic_time(:millisecond)
        dispatch(sim, 3..5)
        connected(sim, "resume", before)
        assert System.monotonic_time(:millisecond) - killed < 10_000
        assert heard?(context, 1..5)
        assert held?(second)
        assert %{"identifies" => 1, "resumes" => 1} = gateway(sim)
      end

      test "one that stops leaves it at once, and its connection is closed by then", %{sim: sim} = context do
        {first, second} = two_nodes!(context)
        before = DiscordSim.now(sim)
        stopped = System.monotonic_time(:millisecond)
        :ok = Peer.call(first, Supervisor, :stop, [UroDiscord])
        dispatch(sim, 3..5)
        %{"number" => resumed} = connected(sim, "resume", before)
        assert System.monotonic_time(:millisecond) - stopped < 5_000
        assert %{"number" => closed, "by" => "client"} = connected(sim, "disconnect", before)
        assert closed < resumed
        assert heard?(context, 1..5)
        assert held?(second)
        assert %{"identifies" => 1, "resumes" => 1, "connections" => [_]} = gateway(sim)
      end
    end
  end

  @tag store: :postgres
  test "one that is frozen loses it: its bridge closes before another resumes", %{sim: sim} = context do
    {first, second} = two_nodes!(context)
    before = DiscordSim.now(sim)
    frozen = System.monotonic_time(:millisecond)
    Peer.signal!(first, "STOP")
    dispatch(sim, 3..4)
    %{"number" => resumed} = connected(sim, "resume", before)
    assert System.monotonic_time(:millisecond) - frozen < 15_000
    assert %{"number" => closed, "by" => "client", "code" => 4000} = connected(sim, "disconnect", before)
    assert closed < resumed
    assert heard?(context, 1..4)

    Peer.signal!(first, "CONT")
    # It hears that it lost the lease, and what it stores from before changes nothing.
    assert eventually(fn -> not held?(first) end)
    dispatch(sim, 5..6)
    assert heard?(context, 1..6)
    assert held?(second)
    assert %{"identifies" => 1, "resumes" => 1, "connections" => [_]} = gateway(sim)

    # And is as good as the other.
    before = DiscordSim.now(sim)
    Peer.kill!(second)
    dispatch(sim, 7..8)
    connected(sim, "resume", before)
    assert heard?(context, 1..8)
    assert held?(first)
    assert %{"identifies" => 1, "resumes" => 2} = gateway(sim)
  end
end

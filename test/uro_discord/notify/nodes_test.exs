defmodule UroDiscord.Notify.NodesTest do
  @moduledoc false
  # Two BEAMs that share one outbox in PostgreSQL.

  use UroDiscord.Case
  alias UroDiscord.{Delivery, Peer, Postgres, TestRepo}
  alias UroDiscord.Notify.Dispatcher
  alias UroDiscord.Store.Schema

  @channels 8

  setup do
    database = Postgres.database!()
    connection = Postgres.connect!(database)
    for sql <- Schema.up(:postgres, 0), do: [_] = Postgres.query(connection, sql)
    sim = start_sim!(["--channels", "#{@channels}"])
    config = Keyword.put(DiscordSim.config(sim), :repo, TestRepo)
    channels = for n <- 1..@channels, do: sim.info["channels"]["channel-#{n}"]
    %{sim: sim, channels: channels, nodes: for(_ <- 1..2, do: node!(database, config))}
  end

  defp node!(database, config) do
    node = Peer.start!()
    Peer.start_child!(node, {TestRepo, database})
    Peer.start_child!(node, {UroDiscord, config})
    node
  end

  defp notify!(node, channel, content) do
    assert {:ok, delivery} = Peer.call(node, UroDiscord, :notify, [channel, content])
    delivery
  end

  defp delivered!(node, deliveries, timeout) do
    for delivery <- deliveries,
        do: assert({:ok, %Delivery{status: :delivered}} = Peer.call(node, UroDiscord, :await, [delivery, timeout]))
  end

  defp contents(sim, channel), do: sim |> DiscordSim.get("/messages?channel=#{channel}") |> Enum.map(& &1["content"])

  defp posts(sim), do: sim |> DiscordSim.get("/requests") |> Enum.filter(&(&1["method"] == "POST"))

  test "each message is sent once, and each node's are in their order", %{nodes: nodes} = context do
    %{sim: sim, channels: channels} = context
    # Discord would hide a request too many if it knew the nonces.
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 100, nonce_memory_ms: 0})
    sent = for number <- 1..10, do: number

    deliveries =
      nodes
      |> Enum.with_index()
      |> Enum.map(fn {node, name} ->
        Task.async(fn -> for number <- sent, channel <- channels, do: notify!(node, channel, "#{name} #{number}") end)
      end)
      |> Enum.flat_map(&Task.await(&1, 30_000))

    delivered!(hd(nodes), deliveries, 60_000)

    for channel <- channels, name <- ["0", "1"] do
      assert for(content <- contents(sim, channel), [^name, number] <- [String.split(content)], do: number) ==
               Enum.map(sent, &to_string/1)
    end

    assert length(posts(sim)) == length(deliveries)
  end

  test "one that is killed leaves what it had to the other at once", %{nodes: [node, other]} = context do
    %{sim: sim, channels: channels} = context
    deliveries = notify_all!(node, channels)
    wait_for_messages(sim, 5 * @channels)
    Peer.kill!(node)
    # Sooner than the leases run out.
    delivered!(other, deliveries, 20_000)
    for channel <- channels, do: assert(contents(sim, channel) == numbers())
  end

  test "one that stalls is waited for, and does not send again when it is back", %{nodes: [node, other]} = context do
    %{sim: sim, channels: channels} = context
    deliveries = notify_all!(node, channels)
    # Then the limits hold up each channel: the next request is waiting in the client.
    wait_for_messages(sim, 5 * @channels)
    Peer.signal!(node, "STOP")
    stopped = System.os_time(:millisecond)

    delivered!(other, deliveries, 60_000)
    for channel <- channels, do: assert(contents(sim, channel) == numbers())
    sent = posts(sim)
    # What was on its way arrives yet, as soon as a busy simulator reads it.
    assert Enum.all?(sent, &(&1["time"] <= stopped + 5_000 or &1["time"] >= stopped + 25_000))

    # Now Discord would not recognise them.
    DiscordSim.post(sim, "/settings", %{nonce_memory_ms: 0})
    Peer.signal!(node, "CONT")
    # It works again: it looks for what waits, and answers, and every process that sent has ended or has nothing to do.
    Peer.call(node, Kernel, :send, [Dispatcher, :poll])
    Peer.call(node, :sys, :get_state, [Dispatcher])
    assert eventually(fn -> idle?(node) end)
    assert posts(sim) == sent

    # And is as good as the other.
    last = for channel <- channels, do: notify!(node, channel, "last")
    delivered!(node, last, 60_000)
    for channel <- channels, do: assert(contents(sim, channel) == numbers() ++ ["last"])
  end

  # More than the limit of a channel lets through at once.
  defp numbers, do: for(number <- 1..8, do: to_string(number))

  defp notify_all!(node, channels),
    do: for(content <- numbers(), channel <- channels, do: notify!(node, channel, content))

  defp wait_for_messages(sim, count) do
    Enum.reduce(1..count, 0, fn _, last ->
      DiscordSim.wait_for(sim, "message_create", fn _ -> true end, after: last)["number"]
    end)
  end

  defp idle?(node) do
    {:ok, %{rest: rest}} = Peer.call(node, UroDiscord, :status, [])
    rest.queued == 0 and rest.in_flight == 0
  end
end

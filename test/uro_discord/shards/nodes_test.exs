defmodule UroDiscord.Shards.NodesTest do
  @moduledoc false
  # Two BEAMs that share a store in PostgreSQL and know of the same worlds: the one that holds the gateway shows them.

  use UroDiscord.Case
  alias UroDiscord.{Peer, Postgres, Shards, TestRepo}
  alias UroDiscord.Store.Schema

  setup do
    database = Postgres.database!()
    connection = Postgres.connect!(database)
    for sql <- Schema.up(:postgres, 0), do: [_] = Postgres.query(connection, sql)
    sim = start_sim!()

    config =
      sim
      |> DiscordSim.config()
      |> Keyword.merge(
        repo: TestRepo,
        board: [channels: [:status], voice_channels: [:world], interval: 1_000],
        announcements: [channel: :announcements]
      )

    %{sim: sim, start: fn -> node!(database, config) end}
  end

  defp node!(database, config) do
    node = Peer.start!()
    Peer.start_child!(node, {TestRepo, database})
    Peer.start_child!(node, {UroDiscord, config})
    node
  end

  defp put!(nodes, shard), do: for(node <- nodes, do: :ok = Peer.call(node, Shards, :put, [shard]))

  defp states(node) do
    {:ok, %{board: boards}} = Peer.call(node, UroDiscord, :status, [])
    boards |> Enum.map(& &1.state) |> Enum.sort()
  end

  defp wait_for_board(sim, type, text, options \\ []) do
    DiscordSim.wait_for(
      sim,
      type,
      fn %{"message" => message} -> shows?(message, text) end,
      options
    )
  end

  defp shows?(message, text), do: Enum.any?(message["embeds"], &(&1["description"] =~ text))

  test "one shows and announces; when it is killed, the other does", %{sim: sim, start: start} do
    holder = start.()
    wait_for_board(sim, "message_create", "No world is open")
    assert eventually(fn -> states(holder) == [:shown, :shown] end)
    other = start.()
    assert eventually(fn -> states(other) == [:left_to_another_node, :left_to_another_node] end)

    put!([holder, other], id: 7, name: "Plaza", players: 3)
    wait_for_board(sim, "message_update", "3 players in 1 world")
    DiscordSim.wait_for(sim, "voice_channel_status", &(&1["status"] == "3 players in 1 world"))
    DiscordSim.wait_for(sim, "message_create", &(&1["message"]["content"] =~ "Plaza"))

    mark = DiscordSim.now(sim)
    Peer.kill!(holder)
    put!([other], id: 8, name: "Garden", players: 1)
    wait_for_board(sim, "message_update", "4 players in 2 worlds", after: mark, timeout: 30_000)
    DiscordSim.wait_for(sim, "message_create", &(&1["message"]["content"] =~ "Garden"), after: mark, timeout: 30_000)
    assert eventually(fn -> states(other) == [:shown, :shown] end)

    assert [_board] = DiscordSim.messages(sim, "status")
    assert [_plaza, _garden] = DiscordSim.messages(sim, "announcements")
  end

  test "one that stops says so, and the other goes on with the same message", %{sim: sim, start: start} do
    holder = start.()
    wait_for_board(sim, "message_create", "No world is open")
    assert eventually(fn -> states(holder) == [:shown, :shown] end)
    other = start.()
    put!([holder, other], id: 7, name: "Plaza", players: 3)
    wait_for_board(sim, "message_update", "3 players in 1 world")
    DiscordSim.wait_for(sim, "message_create", &(&1["message"]["content"] =~ "Plaza"))

    mark = DiscordSim.now(sim)
    Peer.cast(holder, Supervisor, :stop, [UroDiscord])
    %{"number" => offline} = wait_for_board(sim, "message_update", "went offline", after: mark)
    wait_for_board(sim, "message_update", "3 players in 1 world", after: offline, timeout: 30_000)
    assert [_board] = DiscordSim.messages(sim, "status")
    assert [_plaza] = DiscordSim.messages(sim, "announcements")
  end

  test "of two that start at once, one posts the board", %{sim: sim, start: start} do
    nodes = [start, start] |> Enum.map(&Task.async/1) |> Enum.map(&Task.await(&1, 30_000))
    put!(nodes, id: 7, name: "Plaza", players: 3)
    # The world may be there before the board is, which is then posted with it.
    assert eventually(fn -> Enum.any?(DiscordSim.messages(sim, "status"), &shows?(&1, "3 players in 1 world")) end)
    assert [_board] = DiscordSim.messages(sim, "status")
    # The board is there before its node hears so.
    settled = [[:left_to_another_node, :left_to_another_node], [:shown, :shown]]
    assert eventually(fn -> nodes |> Enum.map(&states/1) |> Enum.sort() == settled end)
    assert [_board] = DiscordSim.messages(sim, "status")
  end
end

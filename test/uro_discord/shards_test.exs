defmodule UroDiscord.ShardsTest do
  use UroDiscord.Case
  alias UroDiscord.Shards

  doctest UroDiscord.Shards.Presence

  setup do
    start_supervised!({UroDiscord, enabled: false})
    UroDiscord.subscribe(:shards)
  end

  @unknown %{map: nil, players: nil, max_players: nil, host: nil, host_id: nil, address: nil, port: nil}

  test "a shard opens, changes and closes" do
    plaza = %{
      id: "1",
      name: "Plaza",
      map: "plaza",
      players: 1,
      max_players: 16,
      host: "fire",
      address: "::1",
      port: 7777
    }

    assert Shards.put(plaza) == :ok
    assert_receive {:uro_discord, :shards, {:opened, opened}}
    assert Map.drop(opened, [:opened_at]) == Map.merge(plaza, %{host_id: nil, source: :put})
    assert DateTime.diff(DateTime.utc_now(), opened.opened_at) in 0..60
    assert Shards.put(Map.to_list(%{plaza | players: 2})) == :ok
    assert_receive {:uro_discord, :shards, {:changed, ^opened, changed}}
    assert changed == %{opened | players: 2}
    assert Shards.list() == [changed]
    assert Shards.delete(1) == :ok
    assert_receive {:uro_discord, :shards, {:closed, %{id: "1"}}}
    assert Shards.list() == []
  end

  test "what the host has put survives the end of the process that keeps it, and no one hears of it" do
    for id <- [1, 2], do: :ok = Shards.put(id: id, name: "Plaza", players: 3)
    for _ <- 1..2, do: assert_receive({:uro_discord, :shards, {:opened, _}})
    before = Shards.list()
    pid = Process.whereis(Shards)
    Process.exit(pid, :kill)
    assert eventually(fn -> Process.whereis(Shards) not in [nil, pid] end)
    assert Shards.list() == before
    assert Shards.visible() == before
    refute_received {:uro_discord, :shards, {_, _}}
    assert :ok = Shards.delete(1)
    assert_receive {:uro_discord, :shards, {:closed, %{id: "1"}}}
    assert %{shards: 1} = Shards.status()
  end

  test "what did not change, and what was not there, is no event" do
    :ok = Shards.put(id: 7, name: "Plaza")
    assert_receive {:uro_discord, :shards, {:opened, opened}}
    assert Map.drop(opened, [:opened_at]) == Map.merge(@unknown, %{id: "7", name: "Plaza", source: :put})
    :ok = Shards.put(id: "7", name: "Plaza")
    :ok = Shards.delete("8")
    refute_received {:uro_discord, :shards, _}
  end

  test "what is not a shard is refused by field" do
    for {shard, field} <- [
          {[name: "Plaza"], "id"},
          {[id: ""], "id"},
          {[id: 1, name: 2], "name"},
          {[id: 1, name: <<0xFF>>], "name"},
          {[id: 1, players: -1], "players"},
          {[id: 1, max_players: "many"], "max_players"},
          {[id: 1, port: 70_000], "port"},
          {[id: String.duplicate("a", 65)], "id"},
          {[id: <<0>>], "id"},
          {[id: 1, playrs: 2], "playrs"},
          {%{"id" => 1}, nil},
          {URI.parse("http://localhost"), nil},
          {:plaza, nil}
        ] do
      assert {:error, %UroDiscord.Error{kind: :invalid, field: ^field}} = Shards.put(shard)
    end

    assert Shards.list() == []
  end

  test "texts are cleaned and cut, and without one a shard is called by its id" do
    :ok = Shards.put(id: 1, name: "\u202Eazalp\n", map: String.duplicate("m", 1_000), host: "\u200B")
    assert [%{name: "azalp", map: map, host: nil}] = Shards.list()
    assert String.length(map) == 200
    :ok = Shards.put(id: 1, name: " \n ")
    assert [%{name: "1"}] = Shards.list()
  end

  test "a count that no game server has is unknown" do
    :ok = Shards.put(id: 1, players: 2_000_000_000, max_players: 10_000)
    assert [%{players: nil, max_players: 10_000}] = Shards.list()
  end

  test "so many are kept and no more" do
    for n <- 1..10_000, do: :ok = Shards.put(id: n)
    assert {:error, %UroDiscord.Error{kind: :full} = error} = Shards.put(id: 10_001)
    assert Exception.message(error) =~ "delete"
    assert Shards.put(id: 1, players: 5) == :ok
    :ok = Shards.delete(2)
    assert Shards.put(id: 10_001) == :ok
    assert length(Shards.list()) == 10_000
    # The oldest of them, a hundred as the configuration has it.
    assert length(Shards.visible()) == 100
    assert hd(Shards.visible()).id == "1"
  end

  test "addresses are not to be shown" do
    :ok = Shards.put(id: 1, address: "203.0.113.7", port: 7777)
    assert [%{address: nil, port: nil}] = Shards.visible()
    assert [%{address: "203.0.113.7", port: 7777}] = Shards.list()
  end

  test "without a source there is nothing to reach" do
    assert Shards.source_status() == :reachable
  end
end

defmodule UroDiscord.ShardsTest do
  use UroDiscord.Case
  alias UroDiscord.Shards

  doctest UroDiscord.Shards.Presence

  setup do
    start_supervised!({UroDiscord, enabled: false})
    UroDiscord.subscribe(:shards)
  end

  test "a shard opens, changes and closes" do
    plaza = %{id: "1", name: "Plaza", map: "plaza", players: 1, max_players: 16}
    assert Shards.put(plaza) == :ok
    assert_receive {:uro_discord, :shards, {:opened, ^plaza}}
    assert Shards.put(Map.to_list(%{plaza | players: 2})) == :ok
    assert_receive {:uro_discord, :shards, {:changed, ^plaza, %{id: "1", players: 2}}}
    assert [%{id: "1", players: 2}] = Shards.list()
    assert Shards.delete(1) == :ok
    assert_receive {:uro_discord, :shards, {:closed, %{id: "1"}}}
    assert Shards.list() == []
  end

  test "what did not change, and what was not there, is no event" do
    :ok = Shards.put(id: 7, name: "Plaza")
    assert_receive {:uro_discord, :shards, {:opened, %{id: "7", players: nil}}}
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
          {[id: 1, max_players: "many"], "max_players"}
        ] do
      assert {:error, %UroDiscord.Error{kind: :invalid, field: ^field}} = Shards.put(shard)
    end

    assert Shards.list() == []
  end
end

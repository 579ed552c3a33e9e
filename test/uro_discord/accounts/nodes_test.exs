defmodule UroDiscord.Accounts.NodesTest do
  @moduledoc false
  # Two BEAMs with one store, which sync the same members at the same time.

  use UroDiscord.Case
  alias UroDiscord.Accounts.{Links, Sync}
  alias UroDiscord.{Peer, Postgres, Runtime, Store, TestDirectory, TestRepo}
  alias UroDiscord.Store.Schema

  @home "1300000000000000100"
  @bot "1300000000000000001"

  test "each member is changed once, and a role is made once" do
    sim = start_sim!()
    database = Postgres.database!()
    connection = Postgres.connect!(database)
    for sql <- Schema.up(:postgres, 0), do: [_] = Postgres.query(connection, sql)

    rules = [{:linked, {:named, "New"}}, {:linked, {:named, "Newer"}}]
    guild = [id: @home, roles: rules, nickname: "{display_name}", create_roles: true]

    config =
      DiscordSim.config(sim) ++
        [repo: TestRepo, intents: [:guilds, :guild_members]] ++
        TestDirectory.accounts(guilds: [guild], poll: 3_600_000)

    nodes =
      for _ <- 1..2 do
        node = Peer.start!()
        Peer.start_child!(node, {TestRepo, database})
        Peer.start_child!(node, {UroDiscord, config})
        node
      end

    people =
      for member <- DiscordSim.post(sim, "/members", %{action: "join", user: "bob", count: 5}), do: member["user"]["id"]

    {:ok, %{store: store}} = Peer.call(hd(nodes), Runtime, :fetch, [])

    for id <- people do
      for node <- nodes, do: Peer.call(node, TestDirectory, :put, [id, [display_name: "P #{id}"]])
      # Ours, as the people's ids are Discord's.
      assert eventually(fn -> match?({:ok, _, _}, Peer.call(hd(nodes), Links, :put, [store, id, id, "@p"])) end)
    end

    outcomes =
      for(id <- people, node <- nodes, do: Task.async(fn -> Peer.call(node, Sync, :sync, [id, :linked]) end))
      |> Task.await_many(60_000)

    assert Enum.all?(
             outcomes,
             &match?({:ok, %{@home => done}} when done == :unchanged or elem(done, 0) == :changed, &1)
           )

    %{"roles" => roles} = DiscordSim.get(sim, "/guild")
    made = for %{"name" => name, "id" => id} <- roles, name in ["New", "Newer"], do: {name, id}
    assert [{"New", new}, {"Newer", newer}] = Enum.sort(made)

    for id <- people do
      assert [%{"roles" => given, "nick" => nick}] = DiscordSim.get(sim, "/members?user=#{id}")
      assert Enum.sort(given) == Enum.sort([new, newer]) and nick == "P #{id}"
    end

    # 24: a member's nickname has changed.
    renamed =
      for %{"user_id" => @bot, "action_type" => 24, "target_id" => id} <- DiscordSim.get(sim, "/audit-log"), do: id

    assert Enum.sort(renamed) == Enum.sort(people)

    # What the roles' events had them look at is over, too.
    assert eventually(fn ->
             locks = [store, [{"SELECT name FROM uro_discord_account_locks", []}], :read]
             match?({:ok, [%{rows: []}]}, Peer.call(hd(nodes), Store, :run, locks))
           end)
  end
end

defmodule UroDiscord.Accounts.EndedTest do
  @moduledoc false
  # What follows on the end of links, when the BEAM that is at it is killed: between any two steps, on whatever node it is gone on with.

  use UroDiscord.Case
  import UroDiscord.TestDirectory, only: [accounts: 1]
  alias UroDiscord.Accounts.{Applied, Ended, Links, Sync, Tokens}

  alias UroDiscord.{
    Accounts,
    HttpClient,
    JSON,
    Peer,
    Postgres,
    Runtime,
    Secret,
    Store,
    TestDirectory,
    TestHost,
    TestRepo
  }

  alias UroDiscord.Store.Schema

  # Each is killed while this is done: roles are about to be taken back; they are, but nobody knows; and so on.
  @steps ~w(member answer login tokens taken host)

  setup do
    Process.register(self(), TestHost)
    TestHost.clear()
    sim = start_sim!()
    guild = sim.info["guild_id"]
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 100})
    [linked, taken] = for name <- ["Linked", "Taken"], do: role!(sim, name)
    members = DiscordSim.post(sim, "/members", %{action: "join", user: "bob", count: length(@steps)})
    ids = @steps |> Enum.zip(for %{"user" => %{"id" => id}} <- members, do: id) |> Map.new()
    for {_step, id} <- ids, do: DiscordSim.post(sim, "/members", %{action: "roles", user: id, add: [taken]})

    accounts = [
      directory: TestHost,
      client_secret: sim.info["client_secret"],
      on_unlinked: {TestHost, :unlinked},
      guilds: [[id: guild, roles: [{:linked, linked}]]],
      self_roles: [[name: "s", channel: :general, text: "?", only: :linked, roles: [{"Taken", taken}]]],
      linked_roles: [[key: "is_admin", name: "Admin", description: "is an admin", type: :boolean_equal]],
      token_key: Base.encode64(:crypto.strong_rand_bytes(32)),
      poll: 1_000
    ]

    config = DiscordSim.config(sim) ++ [intents: [:guilds, :guild_members]] ++ accounts(accounts)
    %{sim: sim, guild: guild, ids: ids, config: config, linked: linked, taken: taken}
  end

  # As the owner of the server.
  defp role!(sim, name) do
    headers = [{"authorization", sim.info["users"]["alice"]["token"]}, {"content-type", "application/json"}]
    {:ok, body} = JSON.encode(%{name: name})
    path = "#{URI.parse(sim.info["api"]).path}/guilds/#{sim.info["guild_id"]}/roles"
    {200, _headers, json} = HttpClient.call(sim.info["api"], "POST", path, headers, body)
    {:ok, %{"id" => id}} = JSON.decode(json)
    id
  end

  test "another node goes on", %{config: config} = context do
    database = Postgres.database!()
    connection = Postgres.connect!(database)
    for sql <- Schema.up(:postgres, 0), do: [_] = Postgres.query(connection, sql)
    node = Peer.start!()
    Peer.start_child!(node, {TestRepo, database})
    killed(node, Keyword.put(config, :repo, TestRepo), context)
    start_supervised!({TestRepo, database})
    gone_on_with(Keyword.put(config, :repo, TestRepo), context)
  end

  test "the next life of the same node goes on", %{config: config} = context do
    killed(Peer.start!(), config, context)
    gone_on_with(config, context)
  end

  # All are unlinked at once, and each comes so far.
  defp killed(node, config, %{sim: sim, guild: guild, ids: ids, linked: linked, taken: taken}) do
    Peer.start_child!(node, {UroDiscord, put_in(config[:accounts][:poll], 3_600_000)})
    {:ok, %{store: store, config: config}} = Peer.call(node, Runtime, :fetch, [])

    for {step, id} <- ids do
      for {module, function, arguments} <- [
            {TestDirectory, :put, [step, [display_name: step]]},
            {TestHost, :put_identity, [step, id]}
          ] do
        apply(module, function, arguments)
        Peer.call(node, module, function, arguments)
      end

      tokens = if step == "tokens", do: tokens(config, id)
      {:ok, :new, _link} = Peer.call(node, Links, :put, [store, step, id, "@" <> step, tokens, [identity: true]])
      assert {:ok, %{^guild => {:changed, _plan}}} = Peer.call(node, Sync, :sync, [step, :linked])
    end

    members = "/guilds/#{guild}/members/"

    DiscordSim.post(sim, "/faults", [
      %{method: "GET", route: members <> ids["member"], delay_ms: 60_000},
      %{method: "DELETE", route: members <> ids["answer"] <> "/roles/" <> linked, answer_delay_ms: 60_000},
      %{method: "POST", route: "/oauth2/token/revoke", delay_ms: 60_000},
      %{method: "DELETE", route: members <> ids["taken"] <> "/roles/" <> taken, delay_ms: 60_000}
    ])

    # The first of a kind has Discord tell its limit, for which others of the kind wait.
    for place <- [{:host, "host"}, {:login, "login"}] do
      Peer.call(node, TestHost, :hold, [place])
      Peer.cast(node, Accounts, :unlink, [elem(place, 1)])
      assert eventually(fn -> Peer.call(node, TestHost, :held?, [place]) end)
    end

    for step <- @steps -- ["host", "login"], do: Peer.cast(node, Accounts, :unlink, [step])
    # Each of these has met its request.
    assert eventually(fn -> DiscordSim.get(sim, "/faults") == [] end)
    assert eventually(fn -> linked not in has(sim, ids["answer"]) end)
    Peer.kill!(node)
    DiscordSim.delete(sim, "/faults")
  end

  defp tokens(config, id) do
    tokens = %{
      access: Secret.wrap("access"),
      refresh: Secret.wrap("refresh"),
      expires_at: DateTime.add(DateTime.utc_now(), 604_800),
      scopes: ["identify"]
    }

    Tokens.seal(config, tokens, id)
  end

  defp has(sim, id) do
    [%{"roles" => roles}] = DiscordSim.get(sim, "/members?user=#{id}")
    roles
  end

  # All that is to be done of each is done, whatever was done before.
  defp gone_on_with(config, %{sim: sim, guild: guild, ids: ids}) do
    start_supervised!({UroDiscord, config})
    {:ok, %{store: store}} = Runtime.fetch()
    # Whoever was at it might still be, for two minutes.
    {:ok, _} = Store.run(store, [{"UPDATE uro_discord_ended_links SET due_at = 0", []}], :write)
    GenServer.cast(Ended.keeper(), {:soon, 0})
    for step <- @steps, do: assert_receive({:unlinked, ^step, :user}, 15_000)
    left = {"SELECT user_id, todo FROM uro_discord_ended_links", []}
    assert eventually(fn -> match?({:ok, [%{rows: []}]}, Store.run(store, [left], :read)) end)

    for {step, id} <- ids do
      assert Accounts.link(step) == :error
      assert {step, eventually(fn -> has(sim, id) == [] end)} == {step, true}
      assert eventually(fn -> Applied.get(store, guild, id) == {:ok, nil} end)
    end

    assert TestHost.discord_identities("login") == {:ok, []}
    assert Enum.any?(DiscordSim.get(sim, "/requests"), &(&1["path"] == "/oauth2/token/revoke" and &1["status"] == 200))
    refute_received {:unlinked, _user, _reason}
  end
end

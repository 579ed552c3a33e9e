defmodule UroDiscord.Accounts.LinkedRolesTest do
  use UroDiscord.LinkingCase

  alias UroDiscord.Accounts.{LinkedRoles, Links, Sync, User}
  alias UroDiscord.{Error, Rest, Runtime, Secret, Store}

  @records [
    [key: "is_admin", name: "Admin", description: "is an admin of Uro", type: :boolean_equal],
    [key: "worlds", name: "Worlds", description: "has made so many worlds", type: :integer_at_least, attribute: "maps"],
    [
      key: "since",
      name: "Since",
      description: "when the account was made",
      type: :datetime_after,
      attribute: "created_at"
    ]
  ]

  setup_all do
    started = start!(:sqlite, linked_roles: @records, token_key: Base.encode64(:crypto.strong_rand_bytes(32)))
    # Of values that it does not know yet Discord keeps nothing.
    true = eventually(fn -> length(known(started.sim)) == 3 end)
    started
  end

  defp metadata(sim), do: "applications/#{sim.info["application_id"]}/role-connections/metadata"

  defp known(sim) do
    {:ok, runtime} = Runtime.fetch()
    {:ok, %{body: records}} = Rest.call(runtime.rest, {:raw, :get, nil, metadata(sim)})
    records
  end

  defp told(sim, person) do
    [connection] = for(%{"name" => ^person, "connection" => it} <- DiscordSim.get(sim, "/oauth"), do: it)
    connection
  end

  defp role_connection(sim, after_number),
    do: DiscordSim.wait_for(sim, "role_connection", fn _ -> true end, after: after_number)["connection"]

  defp stored do
    {:ok, %{store: store}} = Runtime.fetch()
    sql = "SELECT access_token, refresh_token, scopes, connection FROM uro_discord_links"
    {:ok, [%{rows: rows}]} = Store.run(store, [{sql, []}], :read)
    rows
  end

  test "Discord knows which values there are", %{sim: sim} do
    {:ok, runtime} = Runtime.fetch()

    assert [%{"key" => "is_admin", "type" => 7, "name" => "Admin"}, %{"key" => "worlds", "type" => 2}, %{"type" => 6}] =
             known(sim)

    # What is so already is not written again.
    written = fn ->
      Enum.count(DiscordSim.get(sim, "/requests"), &(&1["method"] == "PUT" and &1["path"] =~ "role-connections"))
    end

    before = written.()
    assert before >= 1
    assert LinkedRoles.register(runtime) == :ok
    assert written.() == before
  end

  test "what users were told of before Discord knew the values is told again", %{sim: sim, url: url} do
    {:ok, runtime} = Runtime.fetch()
    TestDirectory.put("ada", display_name: "Ada", attributes: %{"is_admin" => true})
    link(url, "ada", "alice")
    assert eventually(fn -> match?([[_, _, _, hash]] when hash != nil, stored()) end)
    {:ok, _} = Rest.call(runtime.rest, {:raw, :put, nil, metadata(sim)}, json: [])
    assert LinkedRoles.register(runtime) == :ok
    assert [[_, _, _, nil]] = stored()
    before = DiscordSim.now(sim)
    assert LinkedRoles.push("ada") == :ok
    assert role_connection(sim, before)["metadata"] == %{"is_admin" => "1"}
  end

  test "a user's values are told when he links, and when they change", %{sim: sim, url: url} do
    TestDirectory.put("ada", display_name: "Ada", attributes: %{"is_admin" => true, "maps" => 3})
    before = DiscordSim.now(sim)
    link(url, "ada", "alice")

    assert %{"platform_name" => "Uro", "platform_username" => "Ada", "metadata" => metadata} =
             role_connection(sim, before)

    assert metadata == %{"is_admin" => "1", "worlds" => "3"}

    # The same again costs nothing.
    assert eventually(fn -> match?([[_, _, _, hash]] when hash != nil, stored()) end)
    before = DiscordSim.now(sim)
    assert LinkedRoles.push("ada") == :ok
    assert DiscordSim.get(sim, "/events?after=#{before}&types=role_connection")["events"] == []

    TestDirectory.put("ada", display_name: "Ada", attributes: %{"is_admin" => false, "maps" => 4})
    :ok = Sync.later("ada", :changed)
    assert role_connection(sim, before)["metadata"] == %{"is_admin" => "0", "worlds" => "4"}

    # Of a locked user nothing is said.
    before = DiscordSim.now(sim)
    TestDirectory.put("ada", display_name: "Ada", locked?: true, attributes: %{"is_admin" => true})
    assert LinkedRoles.push("ada") == :ok
    assert %{"metadata" => none, "platform_username" => nil} = role_connection(sim, before)
    assert none == %{}
  end

  test "tokens are encrypted where they are kept, refreshed, and revoked with the link", %{sim: sim, url: url} do
    link(url, "ada", "alice")
    assert eventually(fn -> match?([[_, _, _, hash]] when hash != nil, stored()) end)
    assert [["v1." <> _ = access, "v1." <> _, "identify role_connections.write", _hash]] = stored()

    # They are about to end: the next time they are refreshed, by one of two who come at once.
    {:ok, %{store: store}} = Runtime.fetch()
    {:ok, _} = Store.run(store, [{"UPDATE uro_discord_links SET token_expires_at = 1, connection = NULL", []}], :write)
    before = DiscordSim.now(sim)
    assert [:ok, :ok] = Task.await_many(for(_ <- 1..2, do: Task.async(fn -> LinkedRoles.push("ada") end)), 20_000)
    assert %{"platform_username" => "Ada"} = role_connection(sim, before)
    assert [[refreshed, _, _, _]] = stored()
    assert refreshed != access

    {:ok, link} = Accounts.unlink("ada")
    assert DiscordSim.wait_for(sim, "oauth_revoked", fn _ -> true end, after: before)["by"] == "application"
    assert Links.tokens(store, link.discord_id) == {:ok, nil, nil}
  end

  test "of one who cannot be told the others are not told again", %{sim: sim, url: url} do
    link(url, "ada", "alice")
    link(url, "bob", "bob")
    assert eventually(fn -> match?([[_, _, _, a], [_, _, _, b]] when a != nil and b != nil, stored()) end)
    for id <- ~w(ada bob), do: TestDirectory.put(id, display_name: "New #{id}")
    body = %{code: 50_035, message: "Invalid Form Body"}
    route = "/users/@me/applications/*/role-connection"
    DiscordSim.post(sim, "/faults", [%{method: "PUT", route: route, status: 400, body: body}])

    told = fn ->
      counts =
        for %{"method" => "PUT", "route" => path, "count" => n} <- DiscordSim.get(sim, "/requests/counts"),
            do: {path, n}

      Enum.sum(for {path, n} <- counts, path =~ "role-connection", not (path =~ "metadata"), do: n)
    end

    told_before = told.()
    idle? = fn -> match?(%{task: nil, failures: 0}, :sys.get_state(LinkedRoles.Keeper)) end

    names = fn ->
      Enum.sort(for %{"connection" => %{"platform_username" => name}} <- DiscordSim.get(sim, "/oauth"), do: name)
    end

    # Whom Discord refused waits in the queue, by himself.
    log =
      capture_log(fn ->
        send(LinkedRoles.Keeper, :look)
        assert eventually(fn -> names.() == ["New ada", "New bob"] and idle?.() end)
      end)

    refute log =~ "looked at again"
    assert told.() - told_before == 3
    assert {:ok, %{accounts: %{linked_roles: %{error: nil, looked_at: %DateTime{}}}}} = UroDiscord.status()
  end

  test "who takes his permission back stays linked, and his tokens are forgotten", %{sim: sim, url: url} do
    link(url, "ada", "alice")
    assert eventually(fn -> match?([[_, _, _, hash]] when hash != nil, stored()) end)
    DiscordSim.post(sim, "/oauth", %{user: "alice", action: "revoke"})
    TestDirectory.put("ada", display_name: "Ada L.")
    assert LinkedRoles.push("ada") == :ok
    assert [[nil, nil, nil, _]] = stored()
    assert {:ok, _} = Accounts.link("ada")
    assert {:ok, %{rest: %{unauthorized: false}}} = UroDiscord.status()

    # When he links again, Discord is told again.
    before = DiscordSim.now(sim)
    again = "ada" |> browser() |> Browser.get(url <> "/link?again=1") |> agree("alice") |> Browser.follow()
    assert status(again) == 200
    assert role_connection(sim, before)["platform_username"] == "Ada L."
    assert told(sim, "alice")["platform_username"] == "Ada L."
  end

  test "with another key the tokens are as good as none", %{url: url} do
    link(url, "ada", "alice")
    {:ok, %{config: config} = runtime} = Runtime.fetch()
    {:ok, link} = Accounts.link("ada")
    assert {:ok, access} = Accounts.Tokens.access(runtime, link)
    assert is_binary(Secret.reveal(access))
    other = Secret.wrap(:crypto.strong_rand_bytes(32))

    changed = fn older ->
      %{runtime | config: %{config | accounts: %{config.accounts | token_key: other, token_keys: older}}}
    end

    # It is told once, and not for each user.
    log = capture_log(fn -> for _ <- 1..2, do: assert(Accounts.Tokens.access(changed.([]), link) == :none) end)
    assert [_, _] = String.split(log, "another token_key")
    # What was the key until now opens them still.
    assert {:ok, again} = Accounts.Tokens.access(changed.([config.accounts.token_key]), link)
    assert Secret.reveal(again) == Secret.reveal(access)
  end

  test "what is about to end is refreshed also where there is nothing to tell", %{sim: sim, url: url} do
    link(url, "ada", "alice")
    assert eventually(fn -> match?([[_, _, _, hash]] when hash != nil, stored()) end)
    {:ok, %{store: store}} = Runtime.fetch()
    soon = System.os_time(:millisecond) + 86_400_000
    {:ok, _} = Store.run(store, [{"UPDATE uro_discord_links SET token_expires_at = $1", [soon]}], :write)
    [[access, refresh, _, hash]] = stored()
    before = DiscordSim.now(sim)
    assert LinkedRoles.push("ada") == :ok
    assert [[access_now, refresh_now, _, ^hash]] = stored()
    assert access_now != access and refresh_now != refresh
    assert DiscordSim.get(sim, "/events?after=#{before}&types=role_connection")["events"] == []
    # And then it is left alone.
    assert LinkedRoles.push("ada") == :ok
    assert [[^access_now, ^refresh_now, _, ^hash]] = stored()
  end

  # A store in which nothing can be written, until it can.
  defmodule Away do
    @moduledoc false
    def run({store, switch}, statements, kind) do
      if kind == :write and :counters.get(switch, 1) == 0,
        do: {:error, %Error{kind: :unavailable, message: "the store is away"}},
        else: Store.run(store, statements, kind)
    end
  end

  test "new tokens are not lost where the store does not take them", %{url: url} do
    link(url, "ada", "alice")
    assert eventually(fn -> match?([[_, _, _, hash]] when hash != nil, stored()) end)
    {:ok, %{store: store} = runtime} = Runtime.fetch()
    {:ok, _} = Store.run(store, [{"UPDATE uro_discord_links SET token_expires_at = 1", []}], :write)
    {:ok, link} = Accounts.link("ada")
    switch = :counters.new(1, [])
    away = %{runtime | store: {Away, {store, switch}}}
    assert {:error, %Error{kind: :unavailable}} = Accounts.Tokens.access(away, link)
    # The refresh token that the store has is used up by now; what came for it is not lost.
    :counters.put(switch, 1, 1)
    assert {:ok, access} = Accounts.Tokens.access(away, link)
    assert {:ok, stored} = Accounts.Tokens.access(runtime, link)
    assert Secret.reveal(stored) == Secret.reveal(access)
  end

  test "a wrong secret of the application costs nobody his tokens", %{sim: sim, url: url} do
    link(url, "ada", "alice")
    assert eventually(fn -> match?([[_, _, _, hash]] when hash != nil, stored()) end)
    {:ok, %{store: store, config: config} = runtime} = Runtime.fetch()
    {:ok, _} = Store.run(store, [{"UPDATE uro_discord_links SET token_expires_at = 1", []}], :write)
    before = stored()
    {:ok, link} = Accounts.link("ada")
    wrong = put_in(config.accounts.client_secret, Secret.wrap("not-the-secret-of-this-application"))

    refused = fn ->
      for %{"route" => "/oauth2/token", "statuses" => %{"401" => n}} <- DiscordSim.get(sim, "/requests/counts"), do: n
    end

    # Nor is Discord asked for each of them: 500 refusals are one too many for all that the bot does.
    for _ <- 1..3 do
      assert {:error, %Error{message: message}} = Accounts.Tokens.access(%{runtime | config: wrong}, link)
      assert message =~ "invalid_client"
    end

    assert refused.() == [1]
    assert stored() == before
    assert {:ok, _access} = Accounts.Tokens.access(runtime, link)
  end

  test "tokens that are refreshed while the link ends are revoked", %{sim: sim, url: url} do
    link(url, "ada", "alice")
    assert eventually(fn -> match?([[_, _, _, hash]] when hash != nil, stored()) end)
    {:ok, %{store: store} = runtime} = Runtime.fetch()
    {:ok, _} = Store.run(store, [{"UPDATE uro_discord_links SET token_expires_at = 1", []}], :write)
    {:ok, link} = Accounts.link("ada")
    DiscordSim.post(sim, "/faults", [%{method: "POST", route: "/oauth2/token", delay_ms: 700}])
    before = DiscordSim.now(sim)
    refreshing = Task.async(fn -> Accounts.Tokens.access(runtime, link) end)
    # It is under way.
    assert eventually(fn -> DiscordSim.get(sim, "/faults") == [] end)
    # As an unlink that has read the tokens of before.
    {:ok, true} = Links.delete(store, link)
    assert Task.await(refreshing) == :none
    assert DiscordSim.wait_for(sim, "oauth_revoked", fn _ -> true end, after: before)["by"] == "application"
  end

  test "what does not fit its type is not said" do
    {:ok, %{config: config}} = Runtime.fetch()
    at = ~U[2026-11-29 12:00:00Z]
    said = fn attributes -> LinkedRoles.body(config, %User{id: "u", username: "u", attributes: attributes}).metadata end
    assert said.(%{"is_admin" => "yes", "maps" => 1.5, "created_at" => "yesterday"}) == %{}
    assert said.(%{"maps" => 0x8000_0000_0000, "created_at" => at}) == %{"since" => "2026-11-29T12:00:00Z"}
    assert LinkedRoles.body(config, nil) == %{platform_name: "Uro", metadata: %{}}
    long = %User{id: "u", display_name: String.duplicate("ä", 200)}
    assert String.length(LinkedRoles.body(config, long).platform_username) == 100
  end
end

defmodule UroDiscord.Accounts.DeparturesTest do
  @moduledoc false
  # Links that end because somebody goes: as discord-sim tells of it, and as the store remembers it.

  use UroDiscord.Case
  import ExUnit.CaptureLog
  import UroDiscord.TestDirectory, only: [accounts: 1, link!: 3, person: 2]
  alias UroDiscord.Accounts
  alias UroDiscord.Accounts.{Applied, Departures, Ended, Link, Links, Unlinking}
  alias UroDiscord.Accounts.Tasks.Reader
  alias UroDiscord.{Clock, Events, HttpClient, JSON, Peer, Rest, Runtime, Store, Stores, TestDirectory, WebCase}

  @away "1100000000000000900"

  # What the host is told.
  def unlinked(%Link{} = link, reason) do
    send(__MODULE__, {:unlinked, link, reason})

    if Process.whereis(__MODULE__) |> Process.info(:dictionary) |> elem(1) |> Keyword.get(:refuses, false),
      do: raise("the host is busy")
  end

  setup do
    Process.register(self(), __MODULE__)
    sim = start_sim!()
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 100})
    %{sim: sim, guild: sim.info["guild_id"]}
  end

  defp start!(sim, more \\ [], options \\ []) do
    accounts =
      [guilds: [[id: sim.info["guild_id"]]], on_unlinked: {__MODULE__, :unlinked}] |> Keyword.merge(more) |> accounts()

    intents = [:guilds, :guild_members, :guild_moderation]
    config = DiscordSim.config(sim) ++ accounts ++ [intents: intents, public_key: sim.info["public_key"]]
    # Without a subscription of this process, which would end with it.
    start_supervised!({UroDiscord, Keyword.merge(config, options)})
    assert eventually(&connected?/0)
  end

  defp connected? do
    {:ok, %{gateway: %{shards: shards}}} = UroDiscord.status()
    match?(%{0 => %{state: :active}}, shards)
  end

  # The person goes, by himself, or thrown out.
  defp leave!(sim, user), do: DiscordSim.post(sim, "/members", %{action: "leave", user: user})
  defp join!(sim, user), do: DiscordSim.post(sim, "/members", %{action: "join", user: user})
  defp ban!(sim, user), do: DiscordSim.post(sim, "/members", %{action: "ban", user: user})

  # Discord tells of bans those who may ban.
  defp may_ban!(sim) do
    headers = [{"authorization", sim.info["users"]["alice"]["token"]}, {"content-type", "application/json"}]
    {:ok, body} = JSON.encode(%{name: "Bans", permissions: "4"})
    %URI{path: path} = URI.parse(sim.info["api"])
    url = path <> "/guilds/#{sim.info["guild_id"]}/roles"
    {200, _headers, json} = HttpClient.call(sim.info["api"], "POST", url, headers, body)
    {:ok, %{"id" => role}} = JSON.decode(json)
    DiscordSim.post(sim, "/members", %{action: "roles", user: sim.info["application_id"], add: [role]})
  end

  # As UroDiscord.Web.WebhookEvents hears it from Discord.
  defp deauthorized(sim, user, at), do: :ok = Departures.deauthorized(%{"user" => %{"id" => person(sim, user)}}, at)

  defp told!(reason) do
    assert_receive {:unlinked, %Link{} = link, ^reason}, 15_000
    assert Accounts.link(link.user_id) == :error
    link
  end

  for store <- [:sqlite, :postgres] do
    test "who leaves is unlinked, and the host is told (#{store})", %{sim: sim} do
      start!(sim, [], Stores.options!(unquote(store)))
      UroDiscord.subscribe(:accounts)
      link!(sim, "bela", "bob")
      leave!(sim, "bob")
      assert %{user_id: "bela"} = told!(:left)
      assert_receive {:uro_discord, :accounts, {:unlinked, %{link: %{user_id: "bela"}, reason: :left}}}
      refute_received {:unlinked, _link, _reason}
    end
  end

  test "who comes back within the grace keeps it, also over a restart; who does not, loses it", %{sim: sim} do
    options = [database: DiscordSim.config(sim)[:database]]
    grace = [leave_grace: 4_000]
    start!(sim, grace, options)
    link!(sim, "bela", "bob")
    leave!(sim, "bob")
    assert eventually(fn -> match?({:ok, %{left_at: %DateTime{}}}, Accounts.link("bela")) end)
    {:ok, %{left_at: left_at}} = Accounts.link("bela")
    join!(sim, "bob")
    assert eventually(fn -> match?({:ok, %{left_at: nil}}, Accounts.link("bela")) end)

    leave!(sim, "bob")
    assert eventually(fn -> match?({:ok, %{left_at: %DateTime{}}}, Accounts.link("bela")) end)
    {:ok, %{left_at: again}} = Accounts.link("bela")
    assert DateTime.compare(again, left_at) == :gt
    stop_supervised!(UroDiscord)
    start!(sim, grace, options)
    refute_received {:unlinked, _link, _reason}
    told!(:left)
    assert DateTime.diff(DateTime.utc_now(), again, :millisecond) >= 4_000
  end

  test "one who came back while nobody listened keeps it", %{sim: sim} do
    start!(sim)
    link!(sim, "bela", "bob")
    {:ok, %{store: store}} = Runtime.fetch()
    :ok = Links.put_left(store, person(sim, "bob"), DateTime.from_unix!(Clock.local() - 60_000, :millisecond))
    # Somebody else gives occasion to look.
    link!(sim, "ada", "alice")
    Events.publish(:accounts, {:left, %{discord_id: person(sim, "alice"), guild_id: sim.info["guild_id"]}})
    assert eventually(fn -> match?({:ok, %{left_at: nil}}, Accounts.link("bela")) end)
    assert eventually(fn -> match?({:ok, %{left_at: nil}}, Accounts.link("ada")) end)
  end

  test "of several servers it is the last one that counts", %{sim: sim, guild: guild} do
    [%{"id" => second}] = DiscordSim.post(sim, "/guilds", %{count: 1, members: 0})
    start!(sim, guilds: [[id: guild], [id: second]])
    link!(sim, "bela", "bob")
    DiscordSim.post(sim, "/members", %{action: "join", user: "bob", guild: second})
    UroDiscord.Events.subscribe({:gateway, "GUILD_MEMBER_REMOVE"})
    leave!(sim, "bob")
    assert_receive {:uro_discord, {:gateway, "GUILD_MEMBER_REMOVE"}, _event}, 15_000
    assert eventually(fn -> match?({:ok, %{left_at: nil}}, Accounts.link("bela")) end)
    # A look later he still has it.
    refute_receive {:unlinked, _link, _reason}, 2_000
    DiscordSim.post(sim, "/members", %{action: "leave", user: "bob", guild: second})
    told!(:left)
  end

  test "the grace begins with the last of the servers", %{sim: sim, guild: guild} do
    [%{"id" => second}] = DiscordSim.post(sim, "/guilds", %{count: 1, members: 0})
    start!(sim, guilds: [[id: guild], [id: second]], leave_grace: 60_000)
    link!(sim, "bela", "bob")
    DiscordSim.post(sim, "/members", %{action: "join", user: "bob", guild: second})
    leave!(sim, "bob")
    assert eventually(fn -> asked(sim, second) > 0 end)
    assert {:ok, %{left_at: nil}} = Accounts.link("bela")
    now = DateTime.utc_now()
    DiscordSim.post(sim, "/members", %{action: "leave", user: "bob", guild: second})
    assert eventually(fn -> match?({:ok, %{left_at: %DateTime{}}}, Accounts.link("bela")) end)
    {:ok, %{left_at: left_at}} = Accounts.link("bela")
    assert DateTime.compare(left_at, now) == :gt
  end

  test "a server that cannot be asked ends no link, and is not asked for each who left", %{sim: sim, guild: guild} do
    log =
      capture_log(fn ->
        start!(sim, guilds: [[id: guild], [id: @away]])
        link!(sim, "bela", "bob")
        leave!(sim, "bob")
        assert eventually(fn -> asked(sim, guild) > 0 end)
        # He is looked at again after a second.
        assert eventually(fn -> asked(sim, guild) > 1 end)
        refute_received {:unlinked, _link, _reason}
      end)

    assert log =~ "later"
    assert {:ok, %{left_at: nil}} = Accounts.link("bela")
    assert asked(sim, @away) == 0
  end

  test "of those who left a server that has thrown the bot out nobody is asked for, and nobody loses his link", %{
    sim: sim,
    guild: guild
  } do
    start!(sim, leave_grace: 1)
    {:ok, %{store: store}} = Runtime.fetch()
    people = for(n <- 1..30, do: "person-#{n}")
    DiscordSim.post(sim, "/members", %{action: "join", count: 30})
    members = DiscordSim.get(sim, "/members?guild=#{guild}")
    ids = for %{"user" => %{"id" => id, "username" => "person-" <> _}} <- members, do: id
    assert length(ids) == length(people)

    log =
      capture_log(fn ->
        DiscordSim.post(sim, "/members", %{action: "kick", user: sim.info["application_id"]})
        ago = DateTime.add(DateTime.utc_now(), -60)
        for {id, n} <- Enum.with_index(ids), do: link!(sim, "u#{n}", id)
        for id <- ids, do: :ok = Links.put_left(store, id, ago)
        send(Departures, {:wake, :look})
        assert eventually(fn -> map_size(:sys.get_state(Departures).unsure) == 30 end)
        # Nor are they when it looks again.
        send(Departures, {:wake, :look})
        assert eventually(fn -> not is_map_key(:sys.get_state(Departures).tasks, :look) end)
      end)

    # Those who are asked for at once may learn it at once.
    assert asked(sim, guild) <= 8
    assert {:ok, [_ | _] = links} = Accounts.links()
    assert length(links) == 30
    refute_received {:unlinked, _link, _reason}
    assert length(String.split(log, "whether 30 have left the servers is seen later")) == 2
  end

  # How often Discord was asked for somebody who is not the bot in a server.
  defp asked(sim, guild) do
    bot = "/guilds/#{guild}/members/#{sim.info["application_id"]}"
    path = "/guilds/#{guild}/members/"

    sim
    |> DiscordSim.get("/requests")
    |> Enum.count(&(&1["method"] == "GET" and String.starts_with?(&1["path"], path) and &1["path"] != bot))
  end

  test "what it asks keeps nobody waiting who tells it something", %{sim: sim, guild: guild} do
    start!(sim)
    link!(sim, "bela", "bob")
    link!(sim, "ada", "alice")
    UroDiscord.subscribe(:accounts)
    DiscordSim.post(sim, "/faults", [%{method: "GET", route: "/guilds/*/members/*", answer_delay_ms: 2_000, times: 9}])
    leave!(sim, "bob")
    assert eventually(fn -> Map.has_key?(:sys.get_state(Departures, 1_000).tasks, :presence) end)
    # Somebody else is seen to while he is asked for.
    banned = %{data: %{"guild_id" => guild, "user" => %{"id" => person(sim, "alice")}}}
    Events.publish({:gateway, "GUILD_BAN_ADD"}, banned)
    assert_receive {:uro_discord, :accounts, {:unlinked, %{link: %{user_id: "ada"}}}}, 1_500
    assert Map.has_key?(:sys.get_state(Departures, 1_000).tasks, :presence)
    DiscordSim.delete(sim, "/faults")
    told!(:left)
  end

  test "who came back meanwhile keeps it, also where a task has read that he was gone", %{sim: sim} do
    start!(sim, leave_grace: 60_000)
    link!(sim, "bela", "bob")
    {:ok, %{store: store}} = Runtime.fetch()
    :ok = Links.put_left(store, person(sim, "bob"), DateTime.add(DateTime.utc_now(), -120))
    {:ok, gone} = Accounts.link("bela")
    assert Reader.left(gone) == []
    assert {:ok, %{left_at: nil}} = Accounts.link("bela")
    # Or between the answer and the end.
    assert Unlinking.unlink_account(person(sim, "bob"), :left, {:left_at, DateTime.utc_now()}) == :error
    assert {:ok, _link} = Accounts.link("bela")
    refute_received {:unlinked, _link, _reason}
  end

  for store <- [:sqlite, :postgres] do
    test "what follows on an unlink outlives the processes that do it (#{store})", %{sim: sim, guild: guild} do
      options = Stores.options!(unquote(store)) ++ [database: DiscordSim.config(sim)[:database]]
      start!(sim, [], options)
      link!(sim, "bela", "bob")
      link!(sim, "ada", "alice")
      {:ok, runtime} = Runtime.fetch()

      # One whose host fails, and one whose process has ended right after the link did.
      Process.put(:refuses, true)
      log = capture_log(fn -> assert {:ok, %Link{}} = Accounts.unlink("bela", :admin) end)
      assert_receive {:unlinked, %{user_id: "bela"}, :admin}
      {:ok, ada} = Accounts.link("ada")
      assert {:ok, %{todo: [_ | _]}} = Ended.put(runtime, ada, :user, nil)
      assert Ended.put(runtime, ada, :user, nil) == :error
      assert Accounts.link("ada") == :error
      assert {:ok, %{}} = Applied.get(runtime.store, guild, ada.discord_id)
      refute log =~ "not tried again"
      # That it failed is stored.
      assert eventually(fn -> due_in(runtime.store, "bela") < 60_000 end)

      capture_log(fn -> stop_supervised!(UroDiscord) end)
      Process.put(:refuses, false)
      drain()
      start!(sim, [], options)
      # Whoever was at it might still be.
      {:ok, %{store: store}} = Runtime.fetch()
      sql = "UPDATE uro_discord_ended_links SET due_at = 0 WHERE user_id = 'ada'"
      {:ok, _} = Store.run(store, [{sql, []}], :write)
      GenServer.cast(Ended.keeper(), {:soon, 0})
      assert_receive {:unlinked, %{user_id: "bela", username: "@bob"}, :admin}, 10_000
      assert_receive {:unlinked, %{user_id: "ada"}, :user}, 10_000
      assert eventually(fn -> Ended.due(store) == {:ok, []} and waiting(store) == 0 end)
      refute_received {:unlinked, _link, _reason}
    end
  end

  defp waiting(store) do
    {:ok, [%{rows: [[count]]}]} = Store.run(store, [{"SELECT COUNT(*) FROM uro_discord_ended_links", []}], :read)
    count
  end

  defp due_in(store, user_id) do
    sql = "SELECT due_at FROM uro_discord_ended_links WHERE user_id = $1"
    {:ok, [%{rows: [[due_at]]}]} = Store.run(store, [{sql, [user_id]}], :read)
    due_at - System.os_time(:millisecond)
  end

  defp drain do
    receive do
      {:unlinked, _link, _reason} -> drain()
    after
      0 -> :ok
    end
  end

  test "who is banned is unlinked at once", %{sim: sim} do
    start!(sim, leave_grace: 60_000)
    link!(sim, "bela", "bob")
    may_ban!(sim)
    ban!(sim, "bob")
    told!(:banned)
  end

  test "who takes back the permission is unlinked, but not by what he did before he linked", %{sim: sim} do
    start!(sim)
    link!(sim, "bela", "bob")
    link!(sim, "ada", "alice")
    deauthorized(sim, "bob", "2020-01-01T00:00:00.000Z")
    deauthorized(sim, "peer", DateTime.to_iso8601(DateTime.utc_now()))
    deauthorized(sim, "alice", DateTime.to_iso8601(DateTime.add(DateTime.utc_now(), 1)))
    assert %{user_id: "ada"} = told!(:deauthorized)
    assert {:ok, %{user_id: "bela"}} = Accounts.link("bela")
  end

  test "who has agreed again since keeps it", %{sim: sim} do
    start!(sim)
    link!(sim, "bela", "bob")
    {:ok, %{store: store}} = Runtime.fetch()
    ago = System.os_time(:millisecond) - 60_000
    {:ok, _} = Store.run(store, [{"UPDATE uro_discord_links SET linked_at = $1, agreed_at = $1", [ago]}], :write)
    {:ok, :again, link} = Links.put(store, "bela", person(sim, "bob"), "@bob")
    assert DateTime.compare(link.agreed_at, link.linked_at) == :gt
    deauthorized(sim, "bob", DateTime.to_iso8601(DateTime.from_unix!(ago + 30_000, :millisecond)))
    # What comes behind it is done with it, or after.
    link!(sim, "ada", "alice")
    deauthorized(sim, "alice", DateTime.to_iso8601(DateTime.add(DateTime.utc_now(), 1)))
    assert %{user_id: "ada"} = told!(:deauthorized)
    assert {:ok, %{user_id: "bela"}} = Accounts.link("bela")
  end

  test "a node whose clock is an hour ahead knows what came after he had agreed", %{sim: sim} do
    node = Peer.start!()
    Peer.call(node, Code, :compiler_options, [[ignore_module_conflict: true]])
    source = File.read!("lib/uro_discord/clock.ex")
    wrong = String.replace(source, "System.os_time(:millisecond)", "System.os_time(:millisecond) + 3_600_000")
    Peer.call(node, Code, :compile_string, [wrong])
    intents = [intents: [:guilds, :guild_members, :guild_moderation]]
    accounts = accounts(guilds: [[id: sim.info["guild_id"]]])
    Peer.start_child!(node, {UroDiscord, DiscordSim.config(sim) ++ accounts ++ intents})
    # It has it from what Discord answers.
    assert eventually(fn -> Peer.call(node, Clock, :ahead, []) != 0 end)
    {:ok, %{store: store}} = Peer.call(node, Runtime, :fetch, [])
    {:ok, :new, _link} = Peer.call(node, Links, :put, [store, "bela", person(sim, "bob"), "@bob"])
    event = [%{"user" => %{"id" => person(sim, "bob")}}, DateTime.to_iso8601(DateTime.add(DateTime.utc_now(), 3))]
    assert Peer.call(node, Departures, :deauthorized, event) == :ok
    assert Peer.call(node, Accounts, :link, ["bela"]) == :error
  end

  test "who is not in Uro any more is unlinked when Uro has said so twice, some time apart", %{sim: sim} do
    TestDirectory.put("bela", display_name: "Béla")
    start!(sim, poll: 1_000)
    link!(sim, "bela", "bob")
    TestDirectory.delete("bela")
    assert eventually(fn -> match?({:ok, %{missing_at: %DateTime{}}}, Accounts.link("bela")) end)
    # A database that was put back.
    TestDirectory.put("bela", display_name: "Béla")
    assert eventually(fn -> match?({:ok, %{missing_at: nil}}, Accounts.link("bela")) end)
    TestDirectory.delete("bela")
    assert eventually(fn -> match?({:ok, %{missing_at: %DateTime{}}}, Accounts.link("bela")) end)
    refute_received {:unlinked, _link, _reason}
    {:ok, %{store: store}} = Runtime.fetch()
    {:ok, _} = Store.run(store, [{"UPDATE uro_discord_links SET missing_at = missing_at - 7200000", []}], :write)
    assert %{user_id: "bela"} = told!(:not_found)
  end

  test "of a directory that knows almost nobody, as of a database that is put back, nobody's link ends", %{sim: sim} do
    ids = for n <- 1..9, do: "v#{n}"
    for id <- ids, do: TestDirectory.put(id, display_name: id)
    start!(sim, poll: 1_000)
    for {id, n} <- Enum.with_index(ids), do: link!(sim, id, "110000000000000091#{n}")
    {:ok, %{store: store}} = Runtime.fetch()

    log =
      capture_log(fn ->
        for id <- ids, do: TestDirectory.delete(id)
        # Also not of one who was away before.
        {:ok, _} = Store.run(store, [{"UPDATE uro_discord_links SET missing_at = 1 WHERE user_id = 'v1'", []}], :write)
        refute_receive {:unlinked, _link, _reason}, 2_500
      end)

    assert log =~ "knows 0 of 9 linked users"
    assert {:ok, links} = Accounts.links()
    assert for(%{missing_at: %DateTime{}} = link <- links, do: link.user_id) == ["v1"]
    assert length(links) == 9
    # When it knows most of them again, it is believed of him.
    for id <- ids -- ["v1"], do: TestDirectory.put(id, display_name: id)
    assert %{user_id: "v1"} = told!(:not_found)
  end

  test "while that cannot be stored Discord is not told that it was taken", %{sim: sim} do
    start!(sim, [], [web: [port: 0]] ++ Stores.options!(:postgres))
    link!(sim, "bela", "bob")
    event = %{"user" => %{"id" => person(sim, "bob")}}
    stop_supervised!(UroDiscord.TestRepo)
    assert {:error, %UroDiscord.Error{}} = Departures.deauthorized(event, nil)
  end

  test "whoever removes the application in Discord's settings is unlinked, and Discord is answered", %{sim: sim} do
    start!(sim, [], web: [port: 0])
    {:ok, %{rest: rest}} = Runtime.fetch()
    urls = %{event_webhooks_url: WebCase.web_url!() <> "/webhook-events"}
    {:ok, %{status: 200}} = Rest.call(rest, {:raw, :patch, nil, "applications/@me"}, json: urls)
    link!(sim, "bela", "bob")
    authorize!(sim, rest, "bob")

    # Discord says it at least once.
    assert %{"revoked" => true, "statuses" => [204, 204]} =
             DiscordSim.post(sim, "/oauth", %{user: "bob", action: "revoke", times: 2})

    assert %{user_id: "bela"} = told!(:deauthorized)
    refute_received {:unlinked, _link, _reason}
  end

  # As on Discord's page, and as OAuth2 goes on from there.
  defp authorize!(sim, rest, user) do
    redirect = "http://127.0.0.1:9/link/callback"
    id = sim.info["application_id"]
    query = URI.encode_query(client_id: id, response_type: "code", redirect_uri: redirect, scope: "identify", as: user)
    %URI{path: path} = URI.parse(sim.info["oauth"])
    headers = [{"content-type", "application/x-www-form-urlencoded"}]
    page = HttpClient.call(sim.info["oauth"], "POST", "#{path}?#{query}", headers, "authorize=true")
    assert {303, %{"location" => back}, _body} = page
    %{"code" => code} = back |> URI.parse() |> Map.fetch!(:query) |> URI.decode_query()

    form = [
      {"client_id", id},
      {"client_secret", sim.info["client_secret"]},
      {"grant_type", "authorization_code"},
      {"code", code},
      {"redirect_uri", redirect}
    ]

    assert {:ok, %{body: %{"access_token" => _}}} =
             Rest.call(rest, {:raw, :post, nil, "oauth2/token"}, form: form, auth: :none)
  end

  test "an admin ends it; a host that crashes is told again", %{sim: sim} do
    start!(sim)
    link!(sim, "bela", "bob")
    Process.put(:refuses, true)

    log =
      capture_log(fn ->
        assert {:ok, %Link{user_id: "bela"}} = Accounts.unlink("bela", :admin)
        assert_receive {:unlinked, %{user_id: "bela"}, :admin}
        Process.put(:refuses, false)
        assert_receive {:unlinked, %{user_id: "bela"}, :admin}, 5_000
      end)

    assert log =~ "the host is busy"
  end

  test "the tasks find who has left: at once, or after the grace", %{sim: sim} do
    leave!(sim, "bob")
    start!(sim, leave_grace: 60_000)
    link = link!(sim, "bela", "bob")
    assert Departures.settle(link) == :waits
    {:ok, %{left_at: %DateTime{}} = waiting} = Accounts.link("bela")
    assert Departures.settle(waiting) == :waits
    {:ok, %{store: store}} = Runtime.fetch()
    {:ok, _} = Store.run(store, [{"UPDATE uro_discord_links SET left_at = left_at - 60000", []}], :write)
    {:ok, over} = Accounts.link("bela")
    assert Departures.settle(over) == :unlinked
    told!(:left)
    assert Departures.settle(over) == :there
  end
end

defmodule UroDiscord.Accounts.DeparturesTest do
  @moduledoc false
  # Links that end because somebody goes: as discord-sim tells of it, and as the store remembers it.

  use UroDiscord.Case
  import ExUnit.CaptureLog
  import UroDiscord.TestDirectory, only: [accounts: 1, link!: 3, person: 2]
  alias UroDiscord.Accounts
  alias UroDiscord.Accounts.{Departures, Link, Links}
  alias UroDiscord.{Clock, Events, HttpClient, JSON, Rest, Runtime, Stores, WebCase}

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
  defp deauthorized(sim, user, at) do
    data = %{"user" => %{"id" => person(sim, user)}}

    Events.publish({:webhook, "APPLICATION_DEAUTHORIZED"}, %{
      type: "APPLICATION_DEAUTHORIZED",
      timestamp: at,
      data: data
    })
  end

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

  test "a server that cannot be asked ends no link", %{sim: sim, guild: guild} do
    log =
      capture_log(fn ->
        start!(sim, guilds: [[id: guild], [id: @away]])
        link!(sim, "bela", "bob")
        leave!(sim, "bob")
        assert eventually(fn -> match?({:ok, %{left_at: %DateTime{}}}, Accounts.link("bela")) end)
        # Two seconds are enough for the look.
        refute_receive {:unlinked, _link, _reason}, 2_000
      end)

    assert log =~ "is seen later"
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
    start!(sim, leave_grace: 60_000)
    link = link!(sim, "bela", "bob")
    assert Departures.left(link) == :waits
    {:ok, %{left_at: %DateTime{}} = waiting} = Accounts.link("bela")
    assert Departures.left(waiting) == :waits
    assert Departures.left(%{waiting | left_at: DateTime.add(waiting.left_at, -60)}) == :unlinked
    told!(:left)
    assert Departures.left(waiting) == :waits
  end
end

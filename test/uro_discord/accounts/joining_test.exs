defmodule UroDiscord.Accounts.JoiningTest do
  @moduledoc false
  # What becomes of a user in the server, from his link to its end. Discord-sim's server is alice's, and bob is a member; others come by their link.

  use UroDiscord.LinkingCase

  alias UroDiscord.Runtime

  @home "1300000000000000100"

  setup_all do
    start!(:sqlite, &accounts/1, intents: [:guilds, :guild_members])
  end

  # Before it starts: roles of the server.
  defp accounts(sim) do
    # Ten may join in ten seconds, and here more do.
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 10})
    %{"roles" => roles} = DiscordSim.post(sim, "/guild", %{guild: @home, roles: [%{role: "Linked"}, %{role: "Admin"}]})
    role = fn name -> roles |> Enum.find(&(&1["name"] == name)) |> Map.fetch!("id") end

    [
      guilds: [
        [
          id: @home,
          roles: [{:linked, role.("Linked")}, {{:attribute, "is_admin"}, role.("Admin")}],
          nickname: "{display_name}"
        ]
      ]
    ]
  end

  setup %{sim: sim} do
    :ok = UroDiscord.subscribe(:accounts)
    on_exit(fn -> DiscordSim.delete(sim, "/faults") end)
    # What another test had Discord say of the server is not remembered.
    Runtime.delete({:accounts_guild, @home})
    name = "person#{System.unique_integer([:positive])}"
    [_] = act(sim, "join", name)
    act(sim, "leave", name)
    %{person: name}
  end

  defp act(sim, action, user, fields \\ %{}),
    do: DiscordSim.post(sim, "/members", Map.merge(%{action: action, user: user}, Map.new(fields)))

  defp member(sim, user), do: sim |> DiscordSim.get("/members?guild=#{@home}&user=#{user}") |> List.first()

  defp names(sim, member) do
    %{"roles" => roles} = DiscordSim.post(sim, "/guild", %{guild: @home, roles: []})
    for %{"id" => id, "name" => name} <- roles, id in member["roles"], do: name
  end

  # The requests that a function has caused and that concern members.
  defp requests(sim, fun) do
    before = length(DiscordSim.get(sim, "/requests"))
    result = fun.()
    requests = sim |> DiscordSim.get("/requests") |> Enum.drop(before)

    {result,
     for(%{"method" => method, "route" => "/guilds/{guild_id}/members" <> _ = route} <- requests, do: {method, route})}
  end

  defp fail(sim, fields),
    do: DiscordSim.post(sim, "/faults", [Map.merge(%{method: "PUT", route: "/guilds/*/members/*"}, Map.new(fields))])

  test "he joins with his roles and his name already there", %{sim: sim, url: url, person: person} do
    TestDirectory.put("ada", display_name: "Ada", attributes: %{"is_admin" => true})
    before = DiscordSim.now(sim)
    linked = link(url, "ada", person)
    assert body(linked) =~ "<li>You are now in"
    assert body(linked) =~ "Open Discord"
    # It is so in the moment of his coming.
    joined = DiscordSim.wait_for(sim, "member_add", fn _ -> true end, after: before)
    assert joined["user_id"] == member(sim, person)["user"]["id"]
    assert %{"nick" => "Ada"} = member = member(sim, person)
    assert Enum.sort(names(sim, member)) == ["Admin", "Linked"]
    refute_receive {:uro_discord, :accounts, {:synced, _}}, 300
  end

  test "who is there already has them a moment later", %{sim: sim, url: url, person: person} do
    act(sim, "join", person, nick: "old")
    assert "eve" |> then(&link(url, &1, person)) |> body() =~ "already; roles and name follow"
    assert_receive {:uro_discord, :accounts, {:synced, %{user_id: "eve"}}}, 10_000
    assert %{"nick" => "Eve"} = member = member(sim, person)
    assert names(sim, member) == ["Linked"]
  end

  test "unlinking takes both back, and leaves what is not ours", %{sim: sim, url: url, person: person} do
    %{"roles" => roles} = DiscordSim.post(sim, "/guild", %{guild: @home, roles: [%{role: "Friend"}]})
    [friend] = for(%{"id" => id, "name" => "Friend"} <- roles, do: id)
    linked = link(url, "ada", person)
    act(sim, "roles", person, add: [friend])
    assert Enum.sort(names(sim, member(sim, person))) == ["Friend", "Linked"]

    id = member(sim, person)["user"]["id"]
    assert linked |> Browser.post(url <> "/link/delete?account=#{id}") |> status() == 303
    assert %{"nick" => nil} = member = member(sim, person)
    assert names(sim, member) == ["Friend"]
    assert_receive {:uro_discord, :accounts, {:unlinked, %{reason: :user}}}
  end

  test "who is banned is linked, and told so", %{sim: sim, url: url, person: person} do
    act(sim, "ban", person)
    linked = link(url, "bob", person)
    assert body(linked) =~ "You are banned from" and body(linked) =~ "linked all the same"
    assert {:ok, _} = Accounts.link("bob")
    assert member(sim, person) == nil
  end

  test "who is in as many servers as he may is linked, and told so", %{sim: sim, url: url, person: person} do
    DiscordSim.post(sim, "/accounts", %{user: person, guilds_full: true})
    linked = link(url, "bob", person)
    assert body(linked) =~ "as many servers as Discord allows" and body(linked) =~ "linked all the same"
    assert member(sim, person) == nil

    # Who could not come has not left.
    assert_receive {:uro_discord, :accounts, {:left, %{user_id: "bob"}}}, 5_000
    {:ok, %{joined?: false} = link} = Accounts.link("bob")
    assert Accounts.Departures.settle(link) == :kept_out
    refute_receive {:uro_discord, :accounts, {:unlinked, _}}, 1_500
    # When he comes by himself and goes, he has.
    DiscordSim.post(sim, "/accounts", %{user: person, guilds_full: false})
    act(sim, "join", person)
    assert eventually(fn -> match?({:ok, %{joined?: true}}, Accounts.link("bob")) end)
    act(sim, "leave", person)
    assert_receive {:uro_discord, :accounts, {:unlinked, %{link: %{user_id: "bob"}, reason: :left}}}, 10_000
  end

  test "what Discord refuses is told of the server that it is about", %{sim: sim, url: url, person: person} do
    for {code, status, text} <- [
          {50_025, 403, "Try again"},
          {50_001, 403, "The bot is not in"},
          {10_004, 404, "The bot is not in"},
          {20_001, 403, "does not let the bot bring you"}
        ] do
      fail(sim, status: status, body: %{code: code, message: "as told"})
      assert url |> link("ada", person) |> body() =~ text
      DiscordSim.delete(sim, "/faults")
      {:ok, _} = Accounts.unlink("ada")
    end
  end

  test "roles that cannot be given do not keep him out", %{sim: sim, url: url, person: person} do
    fail(sim, status: 403, body: %{code: 50_013, message: "Missing Permissions"}, times: 1)

    {linked, requests} = requests(sim, fn -> link(url, "ada", person) end)
    assert body(linked) =~ "You are now in"
    assert Enum.count(requests, &(&1 == {"PUT", "/guilds/{guild_id}/members/{user_id}"})) == 2
    # What was left out follows.
    assert eventually(fn -> names(sim, member(sim, person)) == ["Linked"] end)
  end

  test "an error of Discord's that passes is waited for", %{sim: sim, url: url, person: person} do
    fail(sim, status: 502, body: "bad gateway", times: 1)
    assert url |> link("ada", person) |> body() =~ "You are now in"
  end

  test "the bot is thrown out meanwhile: he is linked, and told; and nothing crashes", %{
    sim: sim,
    url: url,
    person: person
  } do
    sent = "ada" |> browser() |> Browser.get(url <> "/link") |> agree(person)

    fail(sim,
      status: 403,
      body: %{code: 50_001, message: "Missing Access"},
      route: "/guilds/**",
      method: nil,
      times: 100
    )

    linked = Browser.follow(sent)
    assert status(linked) == 200
    assert body(linked) =~ "The bot is not in"
    assert {:ok, _} = Accounts.link("ada")
    assert Process.whereis(Accounts.Queue)
  end

  test "who is unlinked while he joins keeps nothing of what he joined with", %{sim: sim, url: url, person: person} do
    fail(sim, delay_ms: 700, times: 1)
    before = DiscordSim.now(sim)
    sent = "ada" |> browser() |> Browser.get(url <> "/link") |> agree(person)
    tab = Task.async(fn -> Browser.follow(sent) end)
    assert eventually(fn -> match?({:ok, _}, Accounts.link("ada")) end)
    # The other tab.
    assert {:ok, _} = Accounts.unlink("ada")
    assert tab |> Task.await(20_000) |> status() == 200
    DiscordSim.wait_for(sim, "member_add", fn _ -> true end, after: before)
    assert eventually(fn -> match?(%{"nick" => nil, "roles" => []}, member(sim, person)) end)
    assert Accounts.link("ada") == :error
  end

  test "when Discord's part is away, nothing is half done", %{sim: sim, url: url, person: person} do
    sent = "ada" |> browser() |> Browser.get(url <> "/link") |> agree(person)
    DiscordSim.post(sim, "/faults", [%{method: "POST", route: "/oauth2/token", status: 503, body: "away"}])

    log =
      capture_log(fn ->
        away = Browser.follow(sent)
        assert status(away) == 503
        assert body(away) =~ "does not work just now"
      end)

    refute log =~ Browser.sent(sent)["code"]
    assert Accounts.link("ada") == :error
    DiscordSim.delete(sim, "/faults")
    # Begun anew it works.
    assert url |> link("ada", person) |> body() =~ "You are now in"
  end

  test "the access token is nowhere kept without Linked Roles", %{url: url, person: person} do
    link(url, "ada", person)
    {:ok, %{store: store}} = Runtime.fetch()
    {:ok, link} = Accounts.link("ada")
    assert Accounts.Links.tokens(store, link.discord_id) == {:ok, nil, nil}
  end
end

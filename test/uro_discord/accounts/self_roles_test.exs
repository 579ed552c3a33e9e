defmodule UroDiscord.Accounts.SelfRolesTest do
  @moduledoc false
  # Messages by which people take roles, in discord-sim, clicked on there.

  use UroDiscord.Case
  import ExUnit.CaptureLog
  import UroDiscord.TestDirectory, only: [accounts: 1, link!: 3, person: 2, put: 2]
  alias UroDiscord.Accounts
  alias UroDiscord.Accounts.{SelfRoles, Turns}
  alias UroDiscord.{HttpClient, JSON, Peer, Postgres, Runtime, Stores, TestRepo}
  alias UroDiscord.Store.Schema

  setup do
    sim = start_sim!()
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 100})
    roles = for name <- ["Red", "Blue", "Green"], into: %{}, do: {name, role!(sim, name)}
    %{sim: sim, roles: roles}
  end

  # As the owner of the server.
  defp api!(sim, method, path, term \\ nil) do
    headers = [{"authorization", sim.info["users"]["alice"]["token"]}, {"content-type", "application/json"}]
    %URI{path: base} = URI.parse(sim.info["api"])
    {:ok, body} = if term, do: JSON.encode(term), else: {:ok, ""}
    {status, _headers, json} = HttpClient.call(sim.info["api"], method, base <> path, headers, body)
    assert status in 200..299, "#{method} #{path}: #{status} #{json}"
    if json == "", do: nil, else: elem(JSON.decode(json), 1)
  end

  defp role!(sim, name, more \\ %{}),
    do: api!(sim, "POST", "/guilds/#{sim.info["guild_id"]}/roles", Map.put(more, :name, name))["id"]

  defp has(sim, user, roles) do
    member = api!(sim, "GET", "/guilds/#{sim.info["guild_id"]}/members/#{person(sim, user)}")
    for {name, id} <- Enum.sort(roles), id in member["roles"], do: name
  end

  defp message(roles, more \\ []),
    do: Keyword.merge([name: "colour", channel: :general, text: "Which colour?", roles: Enum.sort(roles)], more)

  defp start!(sim, messages, options \\ []) do
    intents = [intents: [:guilds, :guild_members, :guild_messages]]
    config = DiscordSim.config(sim) ++ accounts(self_roles: messages) ++ intents
    start_supervised!({UroDiscord, Keyword.merge(config, options)})
    # What happens in Discord before that, nobody tells.
    assert eventually(fn -> match?({:ok, %{gateway: %{shards: %{0 => %{state: :active}}}}}, UroDiscord.status()) end)
  end

  defp restart!(sim, messages, options) do
    stop_supervised!(UroDiscord)
    start!(sim, messages, options)
  end

  defp status(name \\ "colour"), do: Runtime.lookup({:self_roles, name})

  defp shown!(name \\ "colour") do
    assert eventually(fn -> match?(%{state: :shown, error: nil, message_id: "" <> _}, status(name)) end),
           inspect(status(name))

    status(name).message_id
  end

  defp press(sim, message, custom_id, options \\ []) do
    %{"id" => id} =
      DiscordSim.post(sim, "/interactions", %{
        user: options[:user] || "bob",
        component: %{message: message, custom_id: custom_id, values: options[:values]}
      })

    id
  end

  defp answer(sim, id) do
    find = fn -> sim |> DiscordSim.get("/interactions") |> Enum.find(&(&1["id"] == id)) end
    assert eventually(fn -> match?(%{"response" => %{"waiting" => false}}, find.()) end), inspect(find.())
    %{"response" => %{"private" => true, "message" => message}} = find.()
    message
  end

  defp click(sim, message, role, options \\ []),
    do: answer(sim, press(sim, message, "self-role:colour:#{role}", options))["content"]

  for store <- [:sqlite, :postgres] do
    test "a button gives a role, and takes it back at the next click; nobody else is told (#{store})", %{
      sim: sim,
      roles: roles
    } do
      start!(sim, [message(roles)], Stores.options!(unquote(store)))
      message = shown!()

      assert [%{"content" => "Which colour?", "components" => [%{"components" => buttons}]}] =
               DiscordSim.messages(sim, "general")

      assert Enum.map(buttons, & &1["label"]) == ["Blue", "Green", "Red"]

      assert click(sim, message, roles["Red"]) =~ "You have <@&#{roles["Red"]}> now."
      assert click(sim, message, roles["Blue"]) =~ "now"
      assert has(sim, "bob", roles) == ["Blue", "Red"]
      assert click(sim, message, roles["Red"]) =~ "You no longer have <@&#{roles["Red"]}>."
      assert has(sim, "bob", roles) == ["Blue"]
      assert has(sim, "alice", roles) == []
      assert length(DiscordSim.messages(sim, "general")) == 1
    end
  end

  test "of one kind there is one: taking another gives it back, also when two are clicked at once", %{
    sim: sim,
    roles: roles
  } do
    start!(sim, [message(roles, rule: :one)])
    message = shown!()
    assert click(sim, message, roles["Red"]) =~ "now"
    said = click(sim, message, roles["Blue"])
    assert said =~ "You have <@&#{roles["Blue"]}> now."
    assert said =~ "You no longer have <@&#{roles["Red"]}>."
    assert has(sim, "bob", roles) == ["Blue"]
    assert click(sim, message, roles["Blue"]) =~ "no longer"
    assert has(sim, "bob", roles) == []

    # The first is under way when the others come, and these are not waited for.
    DiscordSim.post(sim, "/faults", [%{method: "GET", route: "/guilds/*/members/*", delay_ms: 500}])
    ids = for name <- ["Red", "Blue", "Green"], do: press(sim, message, "self-role:colour:#{roles[name]}")
    said = for id <- ids, do: answer(sim, id)["content"]
    assert [_one] = for("You have" <> _ = text <- said, do: text)
    assert [_, _] = for("Your last click" <> _ = text <- said, do: text)
    assert [_one] = has(sim, "bob", roles)
  end

  test "what others give somebody while his click waits for Discord's limits stays", %{sim: sim, roles: roles} do
    muted = role!(sim, "Muted")
    start!(sim, [message(roles, rule: :one)])
    message = shown!()
    # Ten of these in ten seconds, for all members.
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 1})
    for n <- 0..10, do: assert(click(sim, message, roles[Enum.at(["Red", "Blue"], rem(n, 2))]) =~ "now")
    waits = press(sim, message, "self-role:colour:#{roles["Blue"]}")
    # It has read what he has by now: the answer that there will be one says so.
    waiting? = &match?(%{"response" => %{"waiting" => true}}, &1)

    assert eventually(fn ->
             sim |> DiscordSim.get("/interactions") |> Enum.find(&(&1["id"] == waits)) |> waiting?.()
           end)

    DiscordSim.post(sim, "/members", %{action: "roles", user: "bob", roles: [muted, roles["Red"]]})
    assert answer(sim, waits)["content"] =~ "You have <@&#{roles["Blue"]}> now."
    assert has(sim, "bob", Map.put(roles, "Muted", muted)) == ["Blue", "Muted"]
  end

  test "who clicks too often is told so, and others are not", %{sim: sim, roles: roles} do
    start!(sim, [message(roles)])
    message = shown!()
    # Twenty in each minute of the clock, of which one may begin in between.
    said = for _ <- 1..41, do: click(sim, message, roles["Red"])
    assert Enum.any?(said, &(&1 =~ "That was often"))
    assert click(sim, message, roles["Red"], user: "alice") =~ "now"
  end

  test "a menu gives and takes what is chosen in it", %{sim: sim, roles: roles} do
    start!(sim, [message(roles, style: :menu)])
    message = shown!()
    choose = fn names -> answer(sim, press(sim, message, "self-role:colour", values: Enum.map(names, &roles[&1]))) end
    choose.(["Red", "Green"])
    assert has(sim, "bob", roles) == ["Green", "Red"]
    choose.(["Red", "Blue"])
    assert has(sim, "bob", roles) == ["Blue", "Green"]
  end

  test "only the linked may take it, and give it back when the link ends", %{sim: sim, roles: roles} do
    start!(sim, [
      message(Map.delete(roles, "Green"), only: :linked),
      message([{"Green", roles["Green"]}], name: "other")
    ])

    message = shown!()
    other = shown!("other")
    log = capture_log(fn -> assert click(sim, message, roles["Red"]) =~ "linked" end)
    refute log =~ "crashed"
    assert has(sim, "bob", roles) == []

    put("bela", display_name: "Béla", locked?: true)
    link = link!(sim, "bela", "bob")
    assert click(sim, message, roles["Red"]) =~ "locked"
    put("bela", display_name: "Béla")
    assert click(sim, message, roles["Red"]) =~ "now"
    assert click(sim, message, roles["Blue"]) =~ "now"
    answer(sim, press(sim, other, "self-role:other:#{roles["Green"]}"))
    assert has(sim, "bob", roles) == ["Blue", "Green", "Red"]

    assert {:ok, ^link} = Accounts.unlink("bela")
    assert eventually(fn -> has(sim, "bob", roles) == ["Green"] end)
  end

  test "who is locked loses what is for the linked only, takes none, and may give back", %{sim: sim, roles: roles} do
    start!(sim, [
      message(Map.delete(roles, "Green"), only: :linked),
      message([{"Green", roles["Green"]}], name: "other")
    ])

    message = shown!()
    other = shown!("other")
    put("bela", display_name: "Béla")
    link!(sim, "bela", "bob")
    assert click(sim, message, roles["Red"]) =~ "now"
    answer(sim, press(sim, other, "self-role:other:#{roles["Green"]}"))
    assert has(sim, "bob", roles) == ["Green", "Red"]

    put("bela", display_name: "Béla", locked?: true)
    :ok = Accounts.sync("bela")
    assert eventually(fn -> has(sim, "bob", roles) == ["Green"] end)
    assert click(sim, message, roles["Blue"]) =~ "locked"

    # Somebody gave it to him by hand.
    guild = sim.info["guild_id"]
    api!(sim, "PUT", "/guilds/#{guild}/members/#{person(sim, "bob")}/roles/#{roles["Blue"]}")
    assert click(sim, message, roles["Blue"]) =~ "no longer"
    assert has(sim, "bob", roles) == ["Green"]
  end

  test "a click that is under way when the link ends leaves nothing behind", %{sim: sim, roles: roles} do
    start!(sim, [message(roles, only: :linked)])
    message = shown!()
    put("bela", display_name: "Béla")
    link!(sim, "bela", "bob")
    DiscordSim.post(sim, "/faults", [%{method: "PUT", route: "/guilds/*/members/*/roles/*", delay_ms: 1_000}])
    id = press(sim, message, "self-role:colour:#{roles["Red"]}")
    turn = {:click, person(sim, "bob")}
    assert eventually(fn -> Turns.if_free(turn, fn -> :free end) == :busy end)
    {:ok, _} = Accounts.unlink("bela")
    answer(sim, id)
    assert eventually(fn -> has(sim, "bob", roles) == [] and Turns.if_free(turn, fn -> :free end) == :free end)
    # What is taken back is: it comes to its end, and then there is nothing.
    assert eventually(fn -> Task.Supervisor.children(Accounts.TaskSupervisor) == [] end)
    assert has(sim, "bob", roles) == []
  end

  test "after a restart the same message is edited to what is configured by then", %{sim: sim, roles: roles} do
    options = [database: DiscordSim.config(sim)[:database]]
    start!(sim, [message(roles)], options)
    id = shown!()

    restart!(sim, [message(roles)], options)
    assert shown!() == id
    assert DiscordSim.get(sim, "/requests") |> Enum.filter(&(&1["method"] == "PATCH")) == []

    restart!(sim, [message(Map.delete(roles, "Green"), text: "Red or blue?", style: :menu)], options)

    assert eventually(fn ->
             match?([%{"id" => ^id, "content" => "Red or blue?"}], DiscordSim.messages(sim, "general"))
           end)

    # It moves, and is there once.
    restart!(sim, [message(roles, channel: :builds)], options)
    assert eventually(fn -> match?([%{"content" => "Which colour?"}], DiscordSim.messages(sim, "builds")) end)
    assert DiscordSim.messages(sim, "general") == []

    # It is no longer configured.
    assert shown!() != id
    restart!(sim, [], options)
    assert eventually(fn -> DiscordSim.messages(sim, "builds") == [] end)
  end

  test "one that somebody deleted is posted anew, once", %{sim: sim, roles: roles} do
    start!(sim, [message(roles)])
    id = shown!()
    DiscordSim.delete_message(sim, "general", id)
    assert eventually(fn -> match?([%{"id" => other}] when other != id, DiscordSim.messages(sim, "general")) end)
    assert shown!() != id
  end

  test "a role with which one could do harm is not offered, and says so; once it is mended, the message is there",
       context do
    %{sim: sim, roles: roles} = context
    # MANAGE_MESSAGES
    power = role!(sim, "Power", %{permissions: "8192"})

    log =
      capture_log(fn ->
        start!(sim, [message([{"Power", power} | Enum.sort(roles)])])
        assert eventually(fn -> match?(%{state: :failing}, status()) end)
      end)

    assert log =~ "has the permission Manage Messages"
    assert %{error: %{message: "\"Power\"" <> _}} = status()
    assert DiscordSim.messages(sim, "general") == []

    api!(sim, "PATCH", "/guilds/#{sim.info["guild_id"]}/roles/#{power}", %{permissions: "0"})
    message = shown!()
    assert click(sim, message, power) =~ "now"

    # It becomes dangerous later: from then on it is given to nobody.
    api!(sim, "PATCH", "/guilds/#{sim.info["guild_id"]}/roles/#{power}", %{permissions: "8192"})

    log =
      capture_log(fn ->
        assert eventually(fn -> match?(%{state: :failing}, status()) end)
        assert click(sim, message, power, user: "alice") =~ "tell an admin"
      end)

    assert log =~ "Manage Messages"
    assert has(sim, "alice", %{"Power" => power}) == []
  end

  test "what nobody could have clicked on gives nothing", %{sim: sim, roles: roles} do
    staff = role!(sim, "Staff")
    start!(sim, [message(Map.delete(roles, "Green"))])
    shown!()

    for id <- [
          "self-role:colour:#{staff}",
          "self-role:colour:#{roles["Green"]}",
          "self-role:gone:#{roles["Red"]}",
          "self-role:colour"
        ] do
      button = %{type: 2, style: 1, label: "x", custom_id: id}
      {:ok, delivery} = UroDiscord.notify(:general, content: "forged", components: [%{type: 1, components: [button]}])
      {:ok, %{message_id: forged}} = UroDiscord.await(delivery)
      assert answer(sim, press(sim, forged, id))["content"] =~ "do not know"
    end

    assert has(sim, "bob", Map.put(roles, "Staff", staff)) == []
  end

  test "what Discord refuses is told kindly, and to the log", %{sim: sim, roles: roles} do
    start!(sim, [message(roles)])
    message = shown!()
    body = %{code: 50_013, message: "Missing Permissions"}
    DiscordSim.post(sim, "/faults", [%{method: "PUT", route: "/guilds/*/members/*/roles/*", status: 403, body: body}])
    log = capture_log(fn -> assert click(sim, message, roles["Red"]) =~ "tell an admin" end)
    assert log =~ "Missing Permissions"

    # It is not asked again for everybody who clicks: 500 refusals are too many for all that the bot does.
    assert click(sim, message, roles["Blue"], user: "alice") =~ "tell an admin"
    assert has(sim, "alice", roles) == []
    assert Runtime.delete({:self_roles_refused, "colour"})
    assert click(sim, message, roles["Blue"], user: "alice") =~ "now"
  end

  test "an answer that takes long is there all the same", %{sim: sim, roles: roles} do
    start!(sim, [message(roles)])
    message = shown!()

    DiscordSim.post(sim, "/faults", [
      %{method: "PUT", route: "/guilds/*/members/*/roles/*", delay_ms: 2_500}
    ])

    assert click(sim, message, roles["Red"]) =~ "now"
    assert has(sim, "bob", roles) == ["Red"]
  end

  test "every message of self_roles has a keeper", %{sim: sim, roles: roles} do
    start!(sim, for(n <- 1..3, do: message(roles, name: "m#{n}")))
    for n <- 1..3, do: shown!("m#{n}")
    assert length(DiscordSim.messages(sim, "general")) == 3
    # One that is killed comes back, and posts nothing.
    for {_id, pid, _type, _modules} <- Supervisor.which_children(SelfRoles), do: Process.exit(pid, :kill)
    assert eventually(fn -> Enum.all?(Supervisor.which_children(SelfRoles), &is_pid(elem(&1, 1))) end)
    for n <- 1..3, do: shown!("m#{n}")
    assert length(DiscordSim.messages(sim, "general")) == 3
  end

  test "while Discord is asked it hears what happens, and looks again for that", %{sim: sim, roles: roles} do
    start!(sim, [message(roles)])
    message = shown!()
    {_id, keeper, _type, _modules} = SelfRoles |> Supervisor.which_children() |> List.keyfind("colour", 0)
    DiscordSim.post(sim, "/faults", [%{method: "GET", route: "/guilds/*", answer_delay_ms: 2_000}])
    role!(sim, "Grey")
    assert eventually(fn -> :sys.get_state(keeper, 500).task != nil end)
    channel = sim.info["channels"]["general"]
    api!(sim, "DELETE", "/channels/#{channel}/messages/#{message}")
    assert eventually(fn -> :sys.get_state(keeper, 500).again? end, 20)
    assert :sys.get_state(keeper, 500).task != nil
    assert eventually(fn -> match?(%{state: :shown, message_id: id} when id not in [nil, message], status()) end)
    assert [%{"id" => id}] = DiscordSim.messages(sim, "general")
    assert id == status().message_id
  end

  test "of two nodes one posts it, and the other goes on with the same message", %{sim: sim, roles: roles} do
    database = Postgres.database!()
    connection = Postgres.connect!(database)
    for sql <- Schema.up(:postgres, 0), do: [_] = Postgres.query(connection, sql)
    options = [repo: TestRepo, intents: [:guilds, :guild_messages]] ++ accounts(self_roles: [message(roles)])
    config = sim |> DiscordSim.config() |> Keyword.merge(options)

    node = Peer.start!()
    Peer.start_child!(node, {TestRepo, database})
    Peer.start_child!(node, {UroDiscord, config})
    assert eventually(fn -> match?([_], DiscordSim.messages(sim, "general")) end)
    start_supervised!({TestRepo, database})
    start_supervised!({UroDiscord, config})
    assert eventually(fn -> match?(%{state: :left_to_another_node}, status()) end)

    :ok = Peer.call(node, Supervisor, :stop, [UroDiscord, :shutdown])
    id = shown!()
    assert [%{"id" => ^id}] = DiscordSim.messages(sim, "general")
  end
end

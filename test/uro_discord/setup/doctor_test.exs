defmodule UroDiscord.Setup.DoctorTest do
  # Its own simulator, and options that go before those of the application's environment: nothing here is anybody else's.
  use ExUnit.Case, async: true

  alias UroDiscord.{DiscordSim, HTTPServer, Wrong}
  alias UroDiscord.Setup.{Doctor, Permissions}

  defmodule Directory do
    @behaviour UroDiscord.Accounts.Directory
    @impl true
    def get(_id), do: :not_found
    @impl true
    def get_many(_ids), do: {:ok, %{}}
  end

  @role "1300000000000000150"
  @secret "0123456789abcdef-of-the-client"
  # Where nothing listens.
  @public_url "http://127.0.0.1:1/discord"
  @redirect @public_url <> "/link/callback"

  setup_all do
    sim = DiscordSim.start!()
    on_exit(fn -> DiscordSim.stop(sim) end)
    # Each test asks for the same few things several times.
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 1_000})
    {:ok, sim: sim, guild: DiscordSim.get(sim, "/guild")["id"]}
  end

  setup %{sim: sim} do
    Wrong.none(sim)
    :ok
  end

  defp channel(sim, name), do: sim.info["channels"][name]

  # What a bot that is set up well has. Of options that are there twice the last one holds.
  defp options(sim, more) do
    given = [channels: [news: channel(sim, "announcements")]] ++ more
    sim |> DiscordSim.config() |> Keyword.merge(given |> Map.new() |> Keyword.new())
  end

  defp look(sim, more \\ []), do: sim |> options(more) |> Doctor.findings()

  # Of a check its states, and all that it says.
  defp said(findings, check) do
    mine = Enum.filter(findings, &(&1.check == check))
    {Enum.map(mine, & &1.state), Enum.map_join(mine, "\n", &"#{&1.found} #{&1.advice}")}
  end

  defp accounts(guild, more \\ []) do
    given = [directory: Directory, client_secret: @secret, public_url: @public_url, guilds: [[id: guild]]]
    [intents: [:guilds, :guild_members], accounts: Keyword.merge(given, more)]
  end

  defp application(sim, changes), do: Wrong.answer(sim, "/applications/@me", &Map.merge(&1, changes))

  # An application that is right for accounts.
  defp linked(sim, changes \\ %{}) do
    right = %{
      "redirect_uris" => [@redirect],
      "flags" => Bitwise.bsl(1, 15),
      "bot_public" => false,
      "event_webhooks_url" => @public_url <> "/webhook-events",
      "event_webhooks_status" => 2,
      "event_webhooks_types" => ["APPLICATION_DEAUTHORIZED"]
    }

    application(sim, Map.merge(right, changes))
  end

  defp public_key(sim) do
    {200, _headers, json} =
      UroDiscord.HttpClient.call(sim.info["api"], "GET", "/api/v10/applications/@me", [
        {"authorization", "Bot " <> sim.info["token"]}
      ])

    {:ok, %{"verify_key" => key}} = UroDiscord.JSON.decode(json)
    key
  end

  defp guild(sim, guild, change), do: Wrong.answer(sim, "/guilds/#{guild}", change)

  defp role(changes),
    do:
      Map.merge(
        %{"id" => @role, "name" => "Member", "position" => 1, "permissions" => "0", "managed" => false},
        changes
      )

  defp with_roles(sim, guild, roles), do: guild(sim, guild, &Map.update!(&1, "roles", fn there -> there ++ roles end))

  test "what is right is right, and costs no identify", %{sim: sim, guild: guild} do
    # As UroDiscord answers to a GET of what takes a POST.
    url = HTTPServer.start!(fn _request -> {405, [], "{}"} end).url <> "/discord"
    linked(sim, %{"redirect_uris" => [url <> "/link/callback"], "event_webhooks_url" => url <> "/webhook-events"})
    with_roles(sim, guild, [role(%{})])
    key = public_key(sim)

    options =
      accounts(guild,
        public_url: url,
        guilds: [[id: guild, roles: [{:linked, @role}], nickname: "{display_name}"]]
      ) ++ [public_key: key, board: [channels: [channel(sim, "status")]], portal: [open: []]]

    findings = look(sim, options)
    assert [] = Enum.reject(findings, &(&1.state == :ok))

    for check <-
          ~w(configuration nif bridge store token clock application intents identifies server permissions roles channel callback_url public_key
             interactions_url webhook_events_url public_url)a,
        do: assert({[:ok | _], _said} = said(findings, check), "#{check}")

    assert DiscordSim.get(sim, "/events?types=connect,identify")["events"] == []
    # Of all that it asked for from here on.
    asked = length(DiscordSim.get(sim, "/requests"))
    look(sim, options)
    assert [_ | _] = requests = Enum.drop(DiscordSim.get(sim, "/requests"), asked)
    assert Enum.all?(requests, &(&1["method"] == "GET"))
    assert Doctor.Finding.exit_status(findings) == 0
  end

  test "no secret is told, whatever is wrong", %{sim: sim, guild: guild} do
    key = Base.encode64(:crypto.strong_rand_bytes(32))
    options = options(sim, accounts(guild, token_key: key) ++ [public_key: String.duplicate("ab", 32)])
    [_id, _time, hmac] = String.split(options[:token], ".")

    for findings <- [Doctor.findings(options), Doctor.findings([board: 5, web: [port: "x"]] ++ options)],
        json <- [true, false],
        text = Doctor.Report.render(findings, json),
        secret <- [@secret, hmac, key],
        do: refute(text =~ secret)
  end

  describe "the configuration" do
    test "each problem is told, and the rest is looked at all the same", %{sim: sim} do
      findings = look(sim, chanels: [], board: [channels: 5])
      assert {[:wrong, :wrong], said} = said(findings, :configuration)
      assert said =~ "did you mean channels?"
      assert said =~ "board.channels: is 5; it may be a list"
      assert {[:ok], _} = said(findings, :token)
      assert Doctor.Finding.exit_status(findings) == 1
    end

    test "without a token Discord is not asked" do
      for token <- [nil, "hunter2-hunter2"] do
        findings = Doctor.findings(token: token, database: "/tmp/x.sqlite3")
        assert {[:wrong], said} = said(findings, :configuration)
        assert said =~ ~r/\Atoken: /
        refute said =~ "hunter2"
        assert {[:unknown], _} = said(findings, :discord)
        assert {[], ""} = said(findings, :token)
      end
    end

    test "accounts that lack what they need are wrong, and what stands alone is looked at", %{sim: sim, guild: guild} do
      findings = look(sim, accounts(guild, client_secret: nil, public_url: nil))
      assert {[:wrong, :wrong], said} = said(findings, :configuration)
      assert said =~ "accounts.client_secret: is missing"
      assert said =~ "accounts.public_url: is missing"
      assert {[:ok], _} = said(findings, :token)
    end
  end

  describe "the bridge" do
    @describetag :tmp_dir

    defp bridge(sim, folder, script, mode \\ 0o755) do
      file = Path.join(folder, "bridge")
      File.write!(file, "#!/bin/sh\n" <> script)
      File.chmod!(file, mode)
      sim |> look(bridge_executable: file) |> said(:bridge)
    end

    test "that ends, says nonsense or may not be executed is wrong", %{sim: sim, tmp_dir: folder} do
      assert {[:wrong], said} = bridge(sim, folder, "exit 127\n")
      assert said =~ "it ended with status 127"
      assert {[:wrong], said} = bridge(sim, folder, "echo hello, I am no bridge; cat\n")
      assert said =~ "the bridge announced a frame of"
      assert {[:wrong], said} = bridge(sim, folder, "exit 0\n", 0o644)
      assert said =~ "chmod +x"
    end

    test "of another version is wrong, and an older build is warned of", %{sim: sim, tmp_dir: folder} do
      # As the bridge says it: the length, and a term.
      hello = fn version, bridge ->
        frame = :erlang.term_to_binary({:hello, version, %{"bridge" => bridge, "os_pid" => 1}})
        file = Path.join(folder, "hello")
        File.write!(file, <<byte_size(frame)::32, frame::binary>>)
        bridge(sim, folder, "cat #{file}; cat >/dev/null\n")
      end

      assert {[:wrong], said} = hello.(99, "0.1.0")
      assert said =~ "speaks version 99 of the protocol"
      assert {[:warning], said} = hello.(UroDiscord.Bridge.Protocol.version() - 1, "0.1.0")
      assert said =~ "does without what is new in the other"
      assert {[:warning], said} = hello.(UroDiscord.Bridge.Protocol.version(), "0.0.9")
      assert said =~ "is version 0.0.9, and the library 0.1.0"
    end
  end

  test "a bridge that runs elsewhere was not looked at", %{sim: sim} do
    bridges = [{:local, roles: [:http]}, {:node, :"media1@10.0.0.5", roles: [:gateway]}]
    assert {[:ok, :unknown], said} = sim |> look(bridges: bridges) |> said(:bridge)
    assert said =~ "media1@10.0.0.5 runs elsewhere"
  end

  describe "the store" do
    @describetag :tmp_dir

    defp store(sim, options), do: sim |> look(options) |> said(:store)

    test "is neither made nor migrated", %{sim: sim, tmp_dir: folder} do
      file = Path.join(folder, "a/b/store.sqlite3")
      assert {[:ok], said} = store(sim, database: file)
      assert said =~ "is made with the first start"
      assert File.ls!(folder) == []
      # One of an older version: with the first table only.
      File.mkdir_p!(Path.dirname(file))
      {:ok, store} = UroDiscord.Store.open({:sqlite, file})
      old = [{"DELETE FROM uro_discord_schema WHERE version > 1", []}]
      {:ok, _} = UroDiscord.Store.run(store, old, :write)
      assert {[:ok], said} = store(sim, database: file)
      assert said =~ "its tables become version #{UroDiscord.Store.Schema.current()}"
      assert UroDiscord.Store.SQLite.version(file) == {:ok, 1}
    end

    test "that is no database, that a newer one made, or that has no place is wrong", %{sim: sim, tmp_dir: folder} do
      file = Path.join(folder, "store.sqlite3")
      File.write!(file, String.duplicate("this is no database\n", 500))
      assert {[:wrong], said} = store(sim, database: file)
      assert said =~ "cannot be opened"

      newer = Path.join(folder, "newer.sqlite3")
      {:ok, store} = UroDiscord.Store.open({:sqlite, newer})
      {:ok, _} = UroDiscord.Store.run(store, [{"INSERT INTO uro_discord_schema (version) VALUES (99)", []}], :write)
      assert {[:wrong], said} = store(sim, database: newer)
      assert said =~ "made by a newer uro_discord"

      assert {[:wrong], said} = store(sim, database: Path.join(file, "store.sqlite3"))
      assert said =~ "cannot be made"
    end

    test "in the Repo is asked for its tables", %{sim: sim} do
      database = UroDiscord.Postgres.database!()
      start_supervised!({UroDiscord.TestRepo, database})
      assert {[:wrong], said} = store(sim, repo: UroDiscord.TestRepo)
      assert said =~ "has no uro_discord tables"
      assert said =~ "mix uro_discord.gen.migration"

      connection = UroDiscord.Postgres.connect!(database)

      for sql <- UroDiscord.Store.Schema.up(:postgres, 0), do: UroDiscord.Postgres.query(connection, sql)
      assert {[:ok], said} = store(sim, repo: UroDiscord.TestRepo)
      assert said =~ "has the tables of version #{UroDiscord.Store.Schema.current()}"
    end
  end

  describe "who the bot is" do
    test "a token that Discord does not know", %{sim: sim} do
      [id, time, hmac] = String.split(sim.info["token"], ".")
      findings = look(sim, token: Enum.join([id, time, String.reverse(hmac)], "."))
      assert {[:wrong], said} = said(findings, :token)
      assert said =~ "does not know it (401)"
      assert said =~ "Reset Token"
      assert Doctor.Finding.exit_status(findings) == 1
    end

    test "a Discord that answers with something else is not known", %{sim: sim} do
      Wrong.rule(sim, "/users/@me", %{status: 200, body: "<html>a captive portal</html>"})
      findings = look(sim)
      assert {[:unknown], _said} = said(findings, :discord)
      assert Doctor.Finding.exit_status(findings) == 2
    end

    test "a clock that is wrong", %{sim: sim} do
      date = fn seconds ->
        at = NaiveDateTime.utc_now() |> NaiveDateTime.add(seconds) |> Calendar.strftime("%a, %d %b %Y %H:%M:%S GMT")
        Wrong.rule(sim, "/users/@me", %{headers: %{"date" => at}, apply: true})
        sim |> look() |> said(:clock)
      end

      assert {[:warning], said} = date.(60)
      assert said =~ ~r/it is (5\d|60) s behind Discord's/
      assert {[:wrong], said} = date.(-3_600)
      assert said =~ ~r/it is 36\d\d s ahead of Discord's/
    end

    test "an application that is another one, or cannot be added", %{sim: sim, guild: guild} do
      linked(sim, %{"id" => "1300000000000000009"})
      assert {[:wrong], said} = sim |> look(accounts(guild)) |> said(:application)
      assert said =~ ~s(client_id: "1300000000000000009")
      assert {[:ok], _said} = sim |> look(accounts(guild, client_id: "1300000000000000009")) |> said(:application)

      # A button for admins that is the owner's only.
      Wrong.none(sim)
      linked(sim)
      button = accounts(guild, may_add_bot: {MyApp.Session, :admin?})
      assert {[:warning], said} = sim |> look(button) |> said(:application)
      assert said =~ "Public Bot on"
      application(sim, %{"bot_public" => true})
      assert {[:ok], said} = sim |> look(button) |> said(:application)
      assert said =~ "as the button of `may_add_bot:` needs"

      Wrong.none(sim)
      application(sim, %{"bot_require_code_grant" => true})
      assert {[:wrong], said} = sim |> look() |> said(:application)
      assert said =~ "Requires OAuth2 Code Grant"

      application(sim, %{"bot_require_code_grant" => false, "bot_public" => true})
      assert {[:warning], said} = sim |> look() |> said(:application)
      assert said =~ "public bot"

      Wrong.refuse(sim, "/applications/@me", 403, 20_001)
      findings = look(sim)
      assert {[:unknown], _said} = said(findings, :application)
      assert {[:unknown], _said} = said(findings, :intents)
    end

    test "privileged intents that the portal does not allow", %{sim: sim} do
      intents = [:guilds, :guild_members, :guild_presences, :message_content]

      flags = fn bits ->
        application(sim, %{"flags" => Enum.reduce(bits, 0, &Bitwise.bor(Bitwise.bsl(1, &1), &2))})
        sim |> look(intents: intents) |> said(:intents)
      end

      assert {[:wrong], said} = flags.([])

      for word <- ["4014", "Presence Intent", "Server Members Intent", "Message Content Intent"],
          do: assert(said =~ word)

      assert {[:wrong], said} = flags.([13, 15])
      assert said =~ "Message Content Intent"
      refute said =~ "Presence"
      # Those of a verified bot are other bits.
      for bits <- [[13, 15, 19], [12, 14, 18]], do: assert({[:ok], _said} = flags.(bits))
    end

    test "accounts without the members' intent cannot be, and the rest is looked at", %{sim: sim, guild: guild} do
      findings = look(sim, accounts(guild) ++ [intents: [:guilds]])
      assert {[:wrong | _], said} = said(findings, :configuration)
      assert said =~ "lacks :guild_members"
      assert {[:ok], _said} = said(findings, :token)
    end

    test "bans that would be taken for departures", %{sim: sim, guild: guild} do
      linked(sim)
      grace = accounts(guild, leave_grace: 60_000)
      assert {[:ok, :warning], said} = sim |> look(grace) |> said(:intents)
      assert said =~ ":guild_moderation"
      intents = [intents: [:guilds, :guild_members, :guild_moderation]]

      two = accounts(guild, guilds: [[id: guild], [id: "1300000000000000199"]])
      assert {[:ok, :warning], _said} = sim |> look(two) |> said(:intents)

      for options <- [grace ++ intents, accounts(guild)],
          do: assert({[:ok], _said} = sim |> look(options) |> said(:intents))
    end

    test "identifies that are used up", %{sim: sim} do
      left = fn remaining ->
        Wrong.answer(sim, "/gateway/bot", &put_in(&1["session_start_limit"]["remaining"], remaining))
        sim |> look() |> said(:identifies)
      end

      assert {[:wrong], said} = left.(50)
      assert said =~ "identify_floor:] is 50"
      assert {[:warning], _said} = left.(99)
      Wrong.refuse(sim, "/gateway/bot", 403, 20_001)
      assert {[:unknown], _said} = sim |> look() |> said(:identifies)
    end
  end

  describe "servers" do
    test "one that the bot is not in", %{sim: sim, guild: guild} do
      linked(sim)
      elsewhere = "1300000000000000999"
      assert {[:wrong], said} = sim |> look(accounts(elsewhere) ++ [channels: []]) |> said(:server)
      assert said =~ "the bot is not in server #{elsewhere}"
      assert said =~ "guild_id=#{elsewhere}"

      for {status, code} <- [{404, 10_004}, {403, 50_001}] do
        Wrong.refuse(sim, "/guilds/#{guild}", status, code)
        assert {[:wrong], _said} = sim |> look() |> said(:server)
      end

      Wrong.refuse(sim, "/guilds/#{guild}", 403, 20_001)
      assert {[:unknown], _said} = sim |> look() |> said(:server)
    end

    test "none at all", %{sim: sim} do
      assert {[:warning], _said} = sim |> look(channels: []) |> said(:server)
    end

    test "permissions that a feature needs in all of it", %{sim: sim, guild: guild} do
      linked(sim)
      options = accounts(guild, guilds: [[id: guild, roles: [{:linked, @role}], nickname: "{username}"]])

      with_bot = fn names ->
        bot = Enum.find(DiscordSim.get(sim, "/guild")["roles"], &(get_in(&1, ["tags", "bot_id"]) != nil))
        permissions = "#{Permissions.bits(names)}"

        guild(sim, guild, fn it ->
          roles =
            for role <- it["roles"],
                do: if(role["id"] == bot["id"], do: %{role | "permissions" => permissions}, else: role)

          %{it | "roles" => [role(%{}) | roles]}
        end)

        sim |> look(options) |> said(:permissions)
      end

      for {permission, feature} <- [
            manage_roles: "roles of linked users",
            manage_nicknames: "nicknames of linked users",
            create_instant_invite: "linking"
          ] do
        assert {[:wrong], said} = with_bot.([:manage_roles, :manage_nicknames, :create_instant_invite] -- [permission])
        assert said =~ "lacks #{Permissions.called(permission)} (#{feature}"
      end

      assert {[:ok, :warning], said} = with_bot.([:administrator])
      assert said =~ "Administrator, which no feature needs"
    end

    test "two-factor authentication that the bot's owner has not", %{sim: sim, guild: guild} do
      linked(sim)
      %{"roles" => roles} = DiscordSim.post(sim, "/guild", %{mfa: true, roles: [%{role: "Second factor", position: 1}]})
      on_exit(fn -> DiscordSim.post(sim, "/guild", %{mfa: false, roles: [%{role: "Second factor", delete: true}]}) end)
      %{"id" => role} = Enum.find(roles, &(&1["name"] == "Second factor"))
      options = accounts(guild, guilds: [[id: guild, roles: [{:linked, role}]]])
      assert {[:wrong], said} = sim |> look(options) |> said(:two_factor)
      assert said =~ "60003"
      assert said =~ "Manage Roles"
      # Discord does what is said here.
      assert give(sim, guild, role) == {403, 60_003}
      # Who needs none of these permissions needs no second factor.
      assert {[], ""} = sim |> look(accounts(guild)) |> said(:two_factor)
      DiscordSim.post(sim, "/accounts", %{user: "alice", mfa: true})
      on_exit(fn -> DiscordSim.post(sim, "/accounts", %{user: "alice", mfa: false}) end)
      Wrong.answer(sim, "/users/@me", &%{&1 | "mfa_enabled" => true})
      assert {[:ok], _said} = sim |> look(options) |> said(:two_factor)
      assert {204, nil} = give(sim, guild, role)
    end

    test "what is wrong here is what Discord refuses", %{sim: sim, guild: guild} do
      linked(sim)

      changes = [
        %{role: "High", position: 9},
        %{role: "Low", position: 1},
        %{role: "Boosters", position: 1, managed: true}
      ]

      %{"roles" => roles} = DiscordSim.post(sim, "/guild", %{roles: changes})

      on_exit(fn ->
        DiscordSim.post(sim, "/guild", %{roles: for(%{role: role} <- changes, do: %{role: role, delete: true})})
      end)

      ids = Map.new(roles, &{&1["name"], &1["id"]})

      for {name, state, answer} <- [
            {"High", :wrong, {403, 50_013}},
            {"Low", :ok, {204, nil}},
            {"Boosters", :wrong, {403, 50_013}}
          ] do
        options = accounts(guild, guilds: [[id: guild, roles: [{:linked, ids[name]}]]])
        assert {[^state], _said} = sim |> look(options) |> said(:roles)
        assert give(sim, guild, ids[name]) == answer, name
      end
    end

    test "the link that it prints adds the bot, with what it needs and no more", %{sim: sim} do
      linked(sim)
      [%{"id" => guild, "text_channels" => [text]}] = DiscordSim.post(sim, "/guilds", %{count: 1, text_channels: 1})
      DiscordSim.post(sim, "/members", %{action: "kick", user: "uro", guild: guild})
      %{"roles" => roles} = DiscordSim.post(sim, "/guild", %{guild: guild, roles: [%{role: "Member"}]})
      %{"id" => member} = Enum.find(roles, &(&1["name"] == "Member"))

      options =
        accounts(guild,
          oauth_url: sim.info["oauth"],
          guilds: [[id: guild, roles: [{:linked, member}], nickname: "{username}"]]
        ) ++ [channels: [text: text]]

      assert {[:wrong], said} = sim |> look(options) |> said(:server)
      [_all, link] = Regex.run(~r/open (\S+) as/, said)

      # The server's owner opens it, and agrees.
      %URI{path: path, query: query} = URI.parse(link)
      form = [{"content-type", "application/x-www-form-urlencoded"}]

      {status, _headers, page} =
        UroDiscord.HttpClient.call(link, "POST", "#{path}?#{query}&as=alice", form, "authorize=true")

      assert status in [200, 303], page

      # Discord puts a bot's new role below the others.
      findings = look(sim, options)
      assert {[:ok], _said} = said(findings, :server)
      assert {[:ok], _said} = said(findings, :permissions)
      assert {[:ok], _said} = said(findings, :channel)
      assert {[:wrong], said} = said(findings, :roles)
      assert said =~ "drag the bot's role above it"
      assert {403, 50_013} = give(sim, guild, member)

      %{"roles" => roles} = DiscordSim.post(sim, "/guild", %{guild: guild, roles: [%{role: "Uro", position: 9}]})
      assert {[:ok], _said} = sim |> look(options) |> said(:roles)
      assert {204, nil} = give(sim, guild, member)

      # View Channels, Send Messages, Embed Links, Attach Files, Read Message History, Manage Nicknames, Manage Roles, Create Invite.
      asked = Enum.sum(for bit <- [10, 11, 14, 15, 16, 27, 28, 0], do: Bitwise.bsl(1, bit))
      assert Enum.find(roles, &(&1["name"] == "Uro"))["permissions"] == "#{asked}"
    end

    # The bot gives a role to somebody.
    defp give(sim, guild, role) do
      bob = sim.info["users"]["bob"]["id"]
      path = "/api/v10/guilds/#{guild}/members/#{bob}/roles/#{role}"
      headers = [{"authorization", "Bot " <> sim.info["token"]}]
      {status, _headers, json} = UroDiscord.HttpClient.call(sim.info["api"], "PUT", path, headers)
      {status, with({:ok, %{"code" => code}} <- UroDiscord.JSON.decode(json), do: code, else: (_ -> nil))}
    end
  end

  describe "roles" do
    setup %{sim: sim}, do: linked(sim)

    defp mapped(sim, guild, rule, more \\ []),
      do: sim |> look(accounts(guild, guilds: [[id: guild, roles: [rule]] ++ more])) |> said(:roles)

    test "that are not there, are everybody's, a bot's, or not below the bot's", %{sim: sim, guild: guild} do
      assert {[:wrong], said} = mapped(sim, guild, {:linked, @role})
      assert said =~ "there is none in V-Sekai"
      assert {[:wrong], said} = mapped(sim, guild, {:linked, guild})
      assert said =~ "@everyone"
      bot = Enum.find(DiscordSim.get(sim, "/guild")["roles"], & &1["managed"])
      assert {[:wrong], said} = mapped(sim, guild, {:linked, bot["id"]})
      assert said =~ "belongs to a bot"

      # At the height of the bot's own role the older one is above.
      older = "1300000000000000099"

      for {above, id, state} <- [{-1, @role, :ok}, {1, @role, :wrong}, {0, older, :wrong}, {0, @role, :ok}] do
        position = bot["position"] + above
        Wrong.none(sim)
        linked(sim)
        with_roles(sim, guild, [role(%{"id" => id, "position" => position})])
        assert {[^state], said} = mapped(sim, guild, {:linked, id})
        if state == :wrong, do: assert(said =~ "drag the bot's role above it")
      end
    end

    test "with power over others are warned of, and wrong where people take them themselves", %{sim: sim, guild: guild} do
      with_roles(sim, guild, [role(%{"permissions" => "#{Permissions.bits([:administrator, :connect])}"})])
      assert {[:warning], said} = mapped(sim, guild, {{:attribute, "is_admin"}, @role})
      assert said =~ "gets Administrator with it"

      message = [name: "member", channel: :news, text: "Click.", roles: [{"Member", @role}]]
      findings = look(sim, accounts(guild, self_roles: [message]))
      assert {[:wrong], said} = said(findings, :roles)
      assert said =~ ~s(who clicks the message "member" gets Member)
    end

    test "by name: none, one to be made, several, or no room", %{sim: sim, guild: guild} do
      rule = {:linked, {:named, "Member"}}
      assert {[:wrong], said} = mapped(sim, guild, rule)
      assert said =~ "create_roles: true"
      assert {[:ok], said} = mapped(sim, guild, rule, create_roles: true)
      assert said =~ "is made in V-Sekai"

      twice = [role(%{}), role(%{"id" => "1300000000000000151"})]
      with_roles(sim, guild, twice)
      assert {[:ok, :warning], said} = mapped(sim, guild, rule)
      assert said =~ "there are 2 roles called \"Member\" in V-Sekai, and the lowest (1300000000000000151) is taken"

      Wrong.none(sim)
      linked(sim)
      with_roles(sim, guild, for(n <- 1..250, do: role(%{"id" => "13000000000000#{10_000 + n}", "name" => "r#{n}"})))
      assert {[:wrong], said} = mapped(sim, guild, rule, create_roles: true)
      assert said =~ "250 roles"
    end
  end

  describe "channels" do
    defp channels(sim, options), do: sim |> look([channels: []] ++ options) |> said(:channel)

    test "that are not there, or that the bot does not see", %{sim: sim} do
      assert {[:wrong], said} = channels(sim, channels: [gone: "1300000000000000998"])
      assert said =~ ":gone (1300000000000000998) is no channel"
      assert {[:wrong], said} = channels(sim, channels: [staff: channel(sim, "staff")])
      assert said =~ "the bot does not see :staff"
      id = channel(sim, "status")
      Wrong.refuse(sim, "/channels/#{id}", 403, 20_001)
      assert {[:unknown], _said} = channels(sim, channels: [status: id])
    end

    test "of a kind that the feature cannot use", %{sim: sim} do
      assert {[:wrong], said} = channels(sim, board: [voice_channels: [channel(sim, "status")]])
      assert said =~ "a text channel called status, cannot be used for the status of a voice channel"
      assert {[:wrong], said} = channels(sim, board: [voice_channels: [channel(sim, "stage")]])
      assert said =~ "a stage called stage"

      id = channel(sim, "status")

      for {type, kind} <- [{4, "a category"}, {15, "a forum"}] do
        Wrong.none(sim)
        Wrong.answer(sim, "/channels/#{id}", &%{&1 | "type" => type})

        for options <- [[channels: [status: id]], [board: [channels: [id]]], [announcements: [channel: id]]] do
          assert {[:wrong], said} = channels(sim, options)
          assert said =~ kind
        end
      end
    end

    test "where the bot lacks what the feature needs: that is wrong, and what it may want a warning", %{sim: sim} do
      assert {[:wrong], said} = channels(sim, channels: [rules: channel(sim, "rules")])
      assert said =~ "a text channel called rules: the bot lacks Send Messages (notifications: posts)"
      assert {[:wrong], said} = channels(sim, board: [voice_channels: [channel(sim, "office")]])
      assert said =~ "lacks Connect"

      id = channel(sim, "status")
      everyone = DiscordSim.get(sim, "/guild")["id"]

      denied = fn names, options ->
        overwrite = %{"id" => everyone, "type" => 0, "allow" => "0", "deny" => "#{Permissions.bits(names)}"}
        Wrong.none(sim)
        Wrong.answer(sim, "/channels/#{id}", &%{&1 | "permission_overwrites" => [overwrite]})
        channels(sim, options)
      end

      assert {[:warning, :ok], said} = denied.([:attach_files], channels: [status: id])
      assert said =~ "lacks Attach Files (notifications: posts files)"
      assert {[:wrong], said} = denied.([:embed_links], board: [channels: [id]])
      assert said =~ "Embed Links (the status board: the board is an embed)"
      assert {[:wrong], said} = denied.([:read_message_history, :send_messages], announcements: [channel: id])
      assert said =~ "Send Messages"
      assert said =~ "Read Message History"
    end

    test "a thread is judged by the channel that it is in", %{sim: sim} do
      [id, parent] = [channel(sim, "status"), channel(sim, "rules")]

      Wrong.answer(
        sim,
        "/channels/#{id}",
        &Map.merge(&1, %{"type" => 11, "parent_id" => parent, "permission_overwrites" => nil})
      )

      assert {[:wrong], said} = channels(sim, channels: [status: id])
      assert said =~ "a thread called status: the bot lacks Send Messages in Threads"
    end

    test "a portal posts in the chat of its voice channel", %{sim: sim} do
      id = channel(sim, "world")
      portal = [key: String.duplicate("k", 32), open: [[id: "world", channel: id]]]
      options = [portal: portal, web: [port: 0], intents: [:guilds, :guild_voice_states]]
      assert {[:ok], _said} = channels(sim, options)
      deny = Permissions.bits([:send_messages])
      everyone = DiscordSim.get(sim, "/guild")["id"]
      overwrite = %{"id" => everyone, "type" => 0, "allow" => "0", "deny" => "#{deny}"}
      Wrong.answer(sim, "/channels/#{id}", &%{&1 | "permission_overwrites" => [overwrite]})
      assert {[:wrong], said} = channels(sim, options)
      assert said =~ "Send Messages (the message of a portal: says in the channel's chat that people are heard"
      assert {[:ok], _said} = channels(sim, Keyword.update!(options, :portal, &(&1 ++ [message: false])))
    end

    test "a portal on a stage wants Mute Members there", %{sim: sim} do
      key = String.duplicate("k", 32)
      portal = [key: key, open: [[id: "stage", channel: channel(sim, "stage")]]]
      options = [portal: portal, web: [port: 0], intents: [:guilds, :guild_voice_states]]
      assert {[:ok], _said} = channels(sim, options)

      guild = DiscordSim.get(sim, "/guild")["id"]

      without = fn role ->
        Map.update!(
          role,
          "permissions",
          &"#{Bitwise.band(String.to_integer(&1), Bitwise.bnot(Permissions.bit(:mute_members)))}"
        )
      end

      guild(sim, guild, fn it -> Map.update!(it, "roles", &Enum.map(&1, without)) end)
      assert {[:warning, :ok], said} = channels(sim, options)
      assert said =~ "Mute Members (a portal on a stage: makes itself a speaker)"
    end
  end

  describe "addresses" do
    test "where something else answers, or nothing", %{sim: sim, guild: guild} do
      linked(sim)
      at = fn url -> sim |> look(accounts(guild, public_url: url)) |> said(:public_url) end
      assert {[:warning], said} = at.(@public_url)
      assert said =~ "nothing answers at #{@public_url} from here"

      for {answer, what} <- [{{404, [], "not here"}, "(status 404)"}, {{200, [], "[]"}, "is not UroDiscord"}] do
        assert {[:warning], said} = at.(HTTPServer.start!(fn _request -> answer end).url)
        assert said =~ what
      end

      assert {[], ""} = sim |> look() |> said(:public_url)
    end

    test "a callback that is not registered, letter by letter", %{sim: sim, guild: guild} do
      with_redirects = fn redirects, public_url ->
        linked(sim, %{"redirect_uris" => redirects})
        sim |> look(accounts(guild, public_url: public_url)) |> said(:callback_url)
      end

      assert {[:wrong], said} = with_redirects.([], @public_url)
      assert said =~ "#{@redirect} is not registered (none is)"
      for page <- ["Unknown Error", "Invalid OAuth2 redirect_uri"], do: assert(said =~ page)
      assert {[:wrong], said} = with_redirects.(["https://elsewhere.example/cb"], @public_url)
      refute said =~ "is not the same"

      for near <- [
            @redirect <> "/",
            String.replace(@redirect, "http:", "https:"),
            String.replace(@redirect, "link", "LINK")
          ] do
        assert {[:wrong], said} = with_redirects.([near], @public_url)
        assert said =~ "#{near} is not the same"
      end

      assert {[:warning], _said} = with_redirects.(nil, @public_url)
      insecure = "http://127.0.0.2:1/discord"
      assert {[:ok, :warning], said} = with_redirects.([insecure <> "/link/callback"], insecure)
      assert said =~ "in the clear"
      local = "http://127.0.0.1:4000/discord"
      assert {[:ok], _said} = with_redirects.([local <> "/link/callback"], local)
    end

    test "interactions that go where nobody answers", %{sim: sim, guild: guild} do
      key = public_key(sim)
      http = [interactions: :http, public_key: key]

      endpoint = fn url, options ->
        linked(sim, %{"interactions_endpoint_url" => url})
        sim |> look(options) |> said(:interactions_url)
      end

      url = @public_url <> "/interactions"
      assert {[:wrong], said} = endpoint.(url, [])
      assert said =~ "none through the gateway"
      assert {[:ok], _said} = endpoint.(nil, [])
      assert {[], ""} = endpoint.(url, commands: nil)
      assert {[:wrong], said} = endpoint.(nil, accounts(guild) ++ http)
      assert said =~ url
      assert {[:ok], _said} = endpoint.(url, accounts(guild) ++ http)
      assert {[:wrong], said} = endpoint.("https://old.example/discord/interactions", accounts(guild) ++ http)
      assert said =~ "should be #{url}"
      # Without public_url: only the path is known.
      assert {[:ok], _said} = endpoint.("https://old.example/discord/interactions", http)
      assert {[:wrong], _said} = endpoint.("https://old.example/webhook", http)
    end

    test "Linked Roles that nobody can connect for", %{sim: sim, guild: guild} do
      record = [
        key: "admin",
        name: "Admin",
        description: "is an admin of Uro",
        type: :boolean_equal,
        attribute: "is_admin"
      ]

      key = Base.encode64(:crypto.strong_rand_bytes(32))

      at = fn url, more ->
        linked(sim, %{"role_connections_verification_url" => url})
        sim |> look(accounts(guild, more)) |> said(:linked_roles_url)
      end

      on = [linked_roles: [record], token_key: key]
      assert {[:wrong], said} = at.(nil, on)
      assert said =~ "Linked Roles Verification URL: #{@public_url}/link"
      assert {[:wrong], _said} = at.("https://elsewhere.example/link", on)
      assert {[:ok], _said} = at.(@public_url <> "/link", on)
      assert {[], ""} = at.(nil, [])
    end

    test "a public key that is another application's", %{sim: sim} do
      assert {[:wrong], said} = sim |> look(public_key: String.duplicate("ab", 32)) |> said(:public_key)
      assert said =~ "DISCORD_PUBLIC_KEY"
      assert {[:ok], _said} = sim |> look(public_key: String.upcase(public_key(sim))) |> said(:public_key)
    end

    test "webhook events that do not come, or cannot be checked", %{sim: sim, guild: guild} do
      key = public_key(sim)
      options = accounts(guild) ++ [public_key: key]

      events = fn changes, options ->
        linked(sim, changes)
        sim |> look(options) |> said(:webhook_events_url)
      end

      assert {[:ok], _said} = events.(%{}, options)
      assert {[:warning], said} = events.(%{"event_webhooks_url" => nil}, options)
      assert said =~ "Authorized Apps"
      assert {[], ""} = events.(%{"event_webhooks_url" => nil}, [])
      assert {[:wrong], said} = events.(%{}, accounts(guild))
      assert said =~ "no `public_key:`"

      assert {[:wrong], said} =
               events.(%{"event_webhooks_url" => "https://old.example/discord/webhook-events"}, options)

      assert said =~ "should be #{@public_url}/webhook-events"
      assert {[:ok, :wrong], said} = events.(%{"event_webhooks_status" => 1}, options)
      assert said =~ "turned off"
      assert {[:ok, :wrong], said} = events.(%{"event_webhooks_status" => 3}, options)
      assert said =~ "Discord has turned events off"
      assert {[:ok, :warning], said} = events.(%{"event_webhooks_types" => ["ENTITLEMENT_CREATE"]}, options)
      assert said =~ "APPLICATION_DEAUTHORIZED"
    end
  end
end

defmodule UroDiscord.Accounts.SyncTest do
  @moduledoc false
  # Roles and nicknames in discord-sim: its server is alice's, and bob is a member.

  use UroDiscord.Case

  import ExUnit.CaptureIO
  import ExUnit.CaptureLog
  alias UroDiscord.Accounts.{Applied, Guild, Guilds, Links, Member, Members, Preview, Queue, Sync}
  alias UroDiscord.{Error, Events, Postgres, Runtime, TestDirectory, TestRepo}
  alias UroDiscord.Store.Schema

  @home "1300000000000000100"
  @bot "1300000000000000001"

  defmodule Directory do
    @moduledoc false
    @behaviour UroDiscord.Accounts.Directory

    @impl true
    defdelegate get(id), to: TestDirectory

    @impl true
    defdelegate get_many(ids), to: TestDirectory

    @impl true
    def changes,
      do: %{telemetry_prefix: [:uro, :repo], tables: %{"users" => "id", "user_privilege_rulesets" => "user_id"}}
  end

  defmodule SlowForAll do
    @moduledoc false
    # Who asks for several users at once waits until the test says so; who asks for one does not.
    @behaviour UroDiscord.Accounts.Directory

    @impl true
    defdelegate get(id), to: TestDirectory

    @impl true
    def get_many([_one] = ids), do: TestDirectory.get_many(ids)

    def get_many(ids) do
      send(UroDiscord.Accounts.SyncTest, {:asked_for_all, self()})
      receive do: (:answer -> TestDirectory.get_many(ids))
    end

    @impl true
    defdelegate changes, to: Directory
  end

  setup do
    user_id = "user-#{System.unique_integer([:positive])}"
    TestDirectory.put(user_id, display_name: "Bob the Builder", username: "bob")
    %{sim: start_sim!(), user: user_id}
  end

  defp start!(sim, guilds, options \\ []) do
    {more, options} = Keyword.pop(options, :accounts, [])
    accounts = Keyword.merge([directory: Directory, guilds: guilds, poll: 3_600_000], more)
    start_connected!(sim, [intents: [:guilds, :guild_members]] ++ TestDirectory.accounts(accounts) ++ options)
    :ok = Events.subscribe(:accounts)
    # Each start has a look at all, and another one if Discord tells of the server later than that.
    for guild <- guilds, do: assert(eventually(fn -> Runtime.lookup({:accounts_reconciled, guild[:id]}) end))
    assert eventually(&idle?/0)
    :ok
  end

  defp now, do: System.monotonic_time(:millisecond)
  defp idle?, do: match?(%{look: nil, roles_look: nil, reconcile: nil}, :sys.get_state(UroDiscord.Accounts.Drift))

  # Of a role that is made, or is there.
  defp role!(sim, name, fields \\ %{}, guild \\ @home) do
    roles = change_roles!(sim, [Map.merge(%{role: name}, Map.new(fields))], guild)
    roles |> Enum.find(&(&1["name"] == name)) |> Map.fetch!("id")
  end

  defp change_roles!(sim, roles, guild \\ @home),
    do: DiscordSim.post(sim, "/guild", %{guild: guild, roles: roles})["roles"]

  defp act!(sim, action, user, fields \\ %{}),
    do: DiscordSim.post(sim, "/members", Map.merge(%{action: action, user: user}, Map.new(fields)))

  defp member(sim, user, guild \\ @home) do
    case DiscordSim.get(sim, "/members?guild=#{guild}&user=#{user}") do
      [member] -> member
      [] -> nil
    end
  end

  defp bob(sim), do: sim.info["users"]["bob"]["id"]

  # What is asked of members and roles while a function runs.
  defp requests(sim, fun) do
    before = length(DiscordSim.get(sim, "/requests"))
    result = fun.()
    requests = sim |> DiscordSim.get("/requests") |> Enum.drop(before)

    {result,
     for(
       %{"method" => method, "route" => route} <- requests,
       route =~ "/members" or route =~ "/roles",
       do: method <> String.replace_prefix(route, "/guilds/{guild_id}", "")
     )}
  end

  @get "GET/members/{user_id}"
  @patch "PATCH/members/{user_id}"
  @give "PUT/members/{user_id}/roles/{role_id}"

  describe "one member" do
    test "gets roles and a nickname by one request, with a reason, and nothing else is changed", %{sim: sim, user: user} do
      [linked, builder, other] = for name <- ["Linked", "Builder", "Other"], do: role!(sim, name)
      boost = role!(sim, "Boost", managed: true)
      act!(sim, "roles", "bob", roles: [other, boost])
      start!(sim, [[id: @home, roles: [{:linked, linked}, {{:group, "b"}, builder}], nickname: "{display_name}"]])
      TestDirectory.link!(sim, user, "bob")

      {result, requests} = requests(sim, fn -> Sync.sync(user, :linked) end)

      assert {:ok, %{@home => {:changed, %{add: [^linked], remove: [], nick: {:set, "Bob the Builder"}, skipped: []}}}} =
               result

      assert requests == [@get, @patch]
      assert %{"nick" => "Bob the Builder", "roles" => roles} = member(sim, "bob")
      assert Enum.sort(roles) == Enum.sort([linked, other, boost])

      assert_received {:uro_discord, :accounts, {:synced, %{user_id: ^user, guild_id: @home}}}

      assert [_ | _] =
               reasons = for(%{"user_id" => @bot, "reason" => reason} <- DiscordSim.get(sim, "/audit-log"), do: reason)

      assert Enum.all?(reasons, &(&1 == "Uro: linked"))

      # A single role is given by itself, and then there is nothing to do.
      TestDirectory.put(user, display_name: "Bob the Builder", groups: ["b"])
      {_changed, requests} = requests(sim, fn -> Sync.sync(user, "in a group now") end)
      assert requests == [@get, @give]
      assert {{:ok, %{@home => :unchanged}}, [@get]} = requests(sim, fn -> Sync.sync(user, "again") end)
      assert builder in member(sim, "bob")["roles"]
    end

    test "of the server's owner gets the role, and the nickname is left and reported", %{sim: sim, user: user} do
      linked = role!(sim, "Linked")
      start!(sim, [[id: @home, roles: [{:linked, linked}], nickname: "{display_name}"]])
      TestDirectory.link!(sim, user, "alice")

      assert {:ok, %{@home => {:changed, %{add: [^linked], nick: :keep, skipped: [{:nickname, :owner}]}}}} =
               Sync.sync(user, :linked)

      {:ok, %{config: config}} = Runtime.fetch()
      assert [%{state: :well, skipped: [%{reason: "nobody but himself" <> _}]}] = Sync.status(config)
    end

    test "what he is given is stored before he has it; and that he has it also where Discord's answer is late", %{
      sim: sim,
      user: user
    } do
      linked = role!(sim, "Linked")
      start!(sim, [[id: @home, roles: [{:linked, linked}], nickname: "{display_name}"]])
      TestDirectory.link!(sim, user, "bob")

      DiscordSim.post(sim, "/faults", [
        %{method: "PATCH", route: "/guilds/*/members/*", answer_delay_ms: 1_000, times: 1}
      ])

      syncing = Task.async(fn -> Sync.sync(user, :linked) end)
      assert eventually(fn -> member(sim, "bob")["roles"] == [linked] end)
      {:ok, %{store: store}} = Runtime.fetch()
      assert {:ok, %{roles_set: [^linked]}} = Applied.get(store, @home, bob(sim))
      assert {:ok, %{@home => {:changed, %{add: [^linked], nick: {:set, nick}}}}} = Task.await(syncing, 20_000)
      assert {:ok, %{roles_set: [^linked], nick_set: ^nick}} = Applied.get(store, @home, bob(sim))
    end

    test "who is not there has left, and that is told", %{sim: sim, user: user} do
      start!(sim, [[id: @home, roles: [{:linked, role!(sim, "Linked")}]]])
      TestDirectory.link!(sim, user, "bob")
      Sync.sync(user, :linked)
      id = bob(sim)
      {:ok, guild} = Guilds.fetch(@home)
      :ok = Guilds.note_refusal(guild, id, {:give, "1"}, %Error{kind: :api, status: 403, code: 50_013, message: "no"})
      act!(sim, "leave", "bob")
      assert Sync.sync(user, "again") == {:ok, %{@home => :left}}
      # Nobody is refused anything any more.
      {:ok, %{config: config}} = Runtime.fetch()
      assert [%{state: :well, refused: []}] = Sync.status(config)
      assert_receive {:uro_discord, :accounts, {:left, %{discord_id: ^id, guild_id: @home, user_id: ^user}}}
      assert {:error, %Error{kind: :unknown}} = Sync.sync("nobody", "test")
    end

    for store <- [:sqlite, :postgres] do
      test "loses what was his, and his former name is his again (#{store})", %{sim: sim, user: user} do
        loses_what_was_his(sim, user, options(unquote(store)))
      end
    end

    defp loses_what_was_his(sim, user, options) do
      linked = role!(sim, "Linked")
      act!(sim, "rename", "bob", nick: "Bobby")
      start!(sim, [[id: @home, roles: [{:linked, linked}], nickname: "{display_name}"]], options)
      link = TestDirectory.link!(sim, user, "bob")
      {:ok, %{@home => {:changed, _}}} = Sync.sync(user, :linked)
      {:ok, %{store: store}} = Runtime.fetch()
      # A link that is there gives nothing back.
      :ok = Sync.release(link)
      assert member(sim, "bob")["nick"] == "Bob the Builder"
      {:ok, true} = Links.delete(store, link)
      :ok = Sync.release(link)
      assert %{"nick" => "Bobby", "roles" => []} = member(sim, "bob")
      assert Applied.get(store, @home, link.discord_id) == {:ok, nil}
    end

    defp options(:sqlite), do: []

    defp options(:postgres) do
      start_supervised!({TestRepo, Postgres.database!()})
      for sql <- Schema.up(:postgres, 0), do: {:ok, _} = TestRepo.query(sql, [])
      [repo: TestRepo]
    end

    test "joins with what he is to have", %{sim: sim, user: user} do
      linked = role!(sim, "Linked")
      start!(sim, [[id: @home, roles: [{:linked, linked}, {:linked, {:named, "None"}}], nickname: "{display_name}"]])
      {:ok, %{config: %{accounts: %{guilds: [settings]}}}} = Runtime.fetch()
      {:ok, user} = TestDirectory.get(user)
      assert Sync.joining(user, settings) == %{roles: [linked], nick: "Bob the Builder"}
      assert Sync.joining(%{user | locked?: true}, settings) == %{roles: [], nick: nil}
    end
  end

  describe "what Discord answers" do
    test "a role that is deleted on the way: the roles are looked at again, and the others are given", %{
      sim: sim,
      user: user
    } do
      [kept, deleted] = for name <- ["Kept", "Deleted"], do: role!(sim, name)
      start!(sim, [[id: @home, roles: [{:linked, kept}, {:linked, deleted}], nickname: "{display_name}"]])
      {:ok, before} = Guilds.fetch(@home)
      change_roles!(sim, [%{role: deleted, delete: true}])
      # The gateway tells of it, and then it is as if it had not.
      assert eventually(fn -> Runtime.lookup({:accounts_guild, @home})[:at] != before.read_at and idle?() end)
      Runtime.put({:accounts_guild, @home}, %{known: {:ok, before}, at: before.read_at})
      TestDirectory.link!(sim, user, "bob")
      assert {:ok, %{@home => {:changed, plan}}} = Sync.sync(user, :linked)
      assert {plan.add, plan.skipped} == {[kept], [{:role, deleted, :unknown}]}
      assert member(sim, "bob")["roles"] == [kept]
    end

    test "a refusal is not asked for again until something changes, and is shown", %{sim: sim, user: user} do
      linked = role!(sim, "Linked")
      start!(sim, [[id: @home, roles: [{:linked, linked}]]])
      TestDirectory.link!(sim, user, "bob")

      DiscordSim.post(sim, "/faults", [
        %{
          method: "PUT",
          route: "/guilds/*/members/*/roles/*",
          times: 2,
          status: 403,
          body: %{code: 50_013, message: "Missing Permissions"}
        }
      ])

      log = capture_log(fn -> assert {:ok, %{@home => {:error, %Error{code: 50_013}}}} = Sync.sync(user, :linked) end)
      assert log =~ "give the bot Manage Roles"
      {result, requests} = requests(sim, fn -> Sync.sync(user, "again") end)
      assert {:ok, %{@home => {:error, %Error{code: 50_013}}}} = result
      assert requests == [@get]

      {:ok, %{config: config}} = Runtime.fetch()
      id = bob(sim)
      assert [%{state: :troubled, refused: [%{what: ^id, reason: reason}]}] = Sync.status(config)
      assert reason =~ "move its role above"

      # Somebody moves the bot's role; it was the third.
      change_roles!(sim, [%{role: "Uro", position: 2}])
      assert eventually(fn -> linked in member(sim, "bob")["roles"] end)
      assert [%{state: :well, refused: []}] = Sync.status(config)
    end

    test "what cannot be taken back when a link ends is, when the server's roles change", %{sim: sim, user: user} do
      linked = role!(sim, "Linked", position: 1)
      start!(sim, [[id: @home, roles: [{:linked, linked}]]], accounts: [poll: 1_000])
      TestDirectory.link!(sim, user, "bob")
      {:ok, %{@home => {:changed, _}}} = Sync.sync(user, :linked)
      change_roles!(sim, [%{role: "Linked", position: 9}])
      above? = fn {:ok, guild} -> Guild.assignable(guild, linked) == {:error, :above_bot} end
      assert eventually(fn -> above?.(Guilds.fetch(@home)) and idle?() end)
      log = capture_log(fn -> {:ok, _link} = UroDiscord.Accounts.unlink(user) end)
      assert log =~ "taken back later" and log =~ "move the bot's role up"
      {:ok, %{store: store, config: config}} = Runtime.fetch()
      id = bob(sim)
      assert {:ok, %{roles_set: [^linked]}} = Applied.get(store, @home, id)
      assert [%{refused: [%{what: ^id}]}] = Sync.status(config)
      # It is not tried again for nothing.
      {result, requests} = requests(sim, fn -> Sync.release(@home, id) end)
      assert {:error, %Error{message: message}} = result
      assert message =~ "not below the bot's"
      assert requests == []
      change_roles!(sim, [%{role: "Linked", position: 1}])
      assert eventually(fn -> member(sim, "bob")["roles"] == [] end)
      assert eventually(fn -> Applied.get(store, @home, id) == {:ok, nil} end)
      assert [%{refused: []}] = Sync.status(config)
    end

    test "a role above the bot's is left and reported, until it is below", %{sim: sim, user: user} do
      high = role!(sim, "High", position: 9)
      start!(sim, [[id: @home, roles: [{:linked, {:named, "high"}}], create_roles: true]])
      TestDirectory.link!(sim, user, "bob")
      assert Sync.sync(user, :linked) == {:ok, %{@home => :unchanged}}
      {:ok, %{config: config}} = Runtime.fetch()
      assert [%{state: :troubled, problems: [problem]}] = Sync.status(config)
      assert problem =~ "not below the bot's"
      change_roles!(sim, [%{role: "High", position: 1}])
      assert eventually(fn -> member(sim, "bob")["roles"] == [high] end)
    end

    test "an outage is waited for", %{sim: sim, user: user} do
      linked = role!(sim, "Linked")
      start!(sim, [[id: @home, roles: [{:linked, linked}]]])
      TestDirectory.link!(sim, user, "bob")

      for fault <- [%{status: 502}, %{drop: "before_answer"}],
          do:
            DiscordSim.post(sim, "/faults", [Map.merge(%{method: "PUT", route: "/guilds/*/members/*/roles/*"}, fault)])

      assert {:ok, %{@home => {:changed, _}}} = Sync.sync(user, :linked)
      assert linked in member(sim, "bob")["roles"]
    end
  end

  describe "roles that are made" do
    test "are made once, however many need them, and not beside one of that name in another case", %{
      sim: sim,
      user: user
    } do
      role!(sim, "builder")
      managed = role!(sim, "Boost", managed: true)
      rules = [{:linked, {:named, "Builder"}}, {:linked, {:named, "Boost"}}, {:linked, {:named, "New"}}]
      start!(sim, [[id: @home, roles: rules, create_roles: true]])
      people = for member <- act!(sim, "join", "dana", count: 9), do: member["user"]["id"]
      {:ok, %{store: store}} = Runtime.fetch()

      users =
        for {id, n} <- Enum.with_index(people) do
          TestDirectory.put("#{user}-#{n}", display_name: "P#{n}")
          {:ok, :new, _link} = Links.put(store, "#{user}-#{n}", id, "@p")
          "#{user}-#{n}"
        end

      results = users |> Enum.map(&Task.async(fn -> Sync.sync(&1, :linked) end)) |> Task.await_many(30_000)
      # A new role is a reason to look at all, which may be quicker than the sync of some.
      assert Enum.all?(
               results,
               &match?({:ok, %{@home => done}} when done == :unchanged or elem(done, 0) == :changed, &1)
             )

      roles = DiscordSim.get(sim, "/guild")["roles"]
      names = for role <- roles, do: role["name"]
      assert Enum.sort(names -- ["@everyone", "Uro", "Staff"]) == ["Boost", "Boost", "New", "builder"]
      assert [made] = for(%{"name" => "Boost", "id" => id} <- roles, id != managed, do: id)
      assert %{"permissions" => "0"} = Enum.find(roles, &(&1["id"] == made))
      for id <- people, do: assert(length(member(sim, id)["roles"]) == 3 and managed not in member(sim, id)["roles"])
    end

    test "are made again when somebody deletes them, and given to all who are to have them", %{sim: sim, user: user} do
      start!(sim, [[id: @home, roles: [{:linked, {:named, "New"}}], create_roles: true]])
      TestDirectory.link!(sim, user, "bob")
      assert {:ok, %{@home => {:changed, %{add: [first]}}}} = Sync.sync(user, :linked)
      change_roles!(sim, [%{role: first, delete: true}])
      assert eventually(fn -> match?([other] when other != first, member(sim, "bob")["roles"]) end)
      assert ["New"] = for(%{"name" => "New" = name} <- DiscordSim.get(sim, "/guild")["roles"], do: name)
    end

    test "are not, where the server has as many as it can; the other roles are given all the same", %{
      sim: sim,
      user: user
    } do
      linked = role!(sim, "Linked")
      there = length(DiscordSim.get(sim, "/guild")["roles"])
      change_roles!(sim, for(n <- 1..(250 - there), do: %{role: "filler #{n}"}))
      start!(sim, [[id: @home, roles: [{:linked, linked}, {:linked, {:named, "One more"}}], create_roles: true]])
      TestDirectory.link!(sim, user, "bob")
      assert {:ok, %{@home => {:changed, plan}}} = Sync.sync(user, :linked)
      assert {plan.add, plan.skipped} == {[linked], [{:role, {:named, "One more"}, :missing}]}
      {_result, requests} = requests(sim, fn -> Sync.sync(user, "again") end)
      refute "POST/roles" in requests
      {:ok, %{config: config}} = Runtime.fetch()
      assert [%{refused: [%{what: {:role, "One more"}, reason: reason}]}] = Sync.status(config)
      assert reason =~ "250 roles"

      change_roles!(sim, [%{role: "filler 1", delete: true}])

      assert eventually(fn ->
               match?({:ok, _}, Sync.sync(user, "again")) and length(member(sim, "bob")["roles"]) == 2
             end)

      # That there is a new role has the server looked at again.
      assert eventually(fn -> match?([%{state: :well, refused: []}], Sync.status(config)) end)
    end
  end

  describe "drift" do
    test "what somebody changes is put back, and what is not ours is left", %{sim: sim, user: user} do
      [linked, other] = for name <- ["Linked", "Other"], do: role!(sim, name)
      start!(sim, [[id: @home, roles: [{:linked, linked}], nickname: "{display_name}"]])
      TestDirectory.link!(sim, user, "bob")
      {:ok, %{@home => {:changed, _}}} = Sync.sync(user, :linked)

      act!(sim, "roles", "bob", roles: [other])
      assert eventually(fn -> Enum.sort(member(sim, "bob")["roles"]) == Enum.sort([linked, other]) end)
      act!(sim, "rename", "bob", nick: "Somebody")
      assert eventually(fn -> member(sim, "bob")["nick"] == "Bob the Builder" end)
    end

    test "what is new in Uro is no quarrel with another bot", %{sim: sim, user: user} do
      [linked, builder, other] = for name <- ["Linked", "Builder", "Other"], do: role!(sim, name)
      start!(sim, [[id: @home, roles: [{:linked, linked}, {{:group, "b"}, builder}]]])
      TestDirectory.link!(sim, user, "bob")
      {:ok, %{@home => {:changed, _}}} = Sync.sync(user, :linked)
      TestDirectory.put(user, groups: ["b"])
      act!(sim, "roles", "bob", roles: [linked, other])
      assert eventually(fn -> Enum.sort(member(sim, "bob")["roles"]) == Enum.sort([linked, builder, other]) end)
      assert eventually(&idle?/0)
      assert :sys.get_state(UroDiscord.Accounts.Drift).repairs == %{}
    end

    test "a nickname that somebody changed is left where that is configured", %{sim: sim, user: user} do
      linked = role!(sim, "Linked")
      start!(sim, [[id: @home, roles: [{:linked, linked}], nickname: "{display_name}", nickname_changed: :leave]])
      TestDirectory.link!(sim, user, "bob")
      {:ok, %{@home => {:changed, _}}} = Sync.sync(user, :linked)
      # The role shows that the look has been.
      act!(sim, "rename", "bob", nick: "Somebody")
      act!(sim, "roles", "bob", roles: [])
      assert eventually(fn -> member(sim, "bob")["roles"] == [linked] end)
      assert member(sim, "bob")["nick"] == "Somebody"
    end

    test "who is fought over by another bot is left for a while", %{sim: sim, user: user} do
      linked = role!(sim, "Linked")
      start!(sim, [[id: @home, roles: [{:linked, linked}]]])
      TestDirectory.link!(sim, user, "bob")
      {:ok, %{@home => {:changed, _}}} = Sync.sync(user, :linked)

      log =
        capture_log(fn ->
          for _ <- 1..5 do
            act!(sim, "roles", "bob", roles: [], by: "peer")
            assert eventually(fn -> member(sim, "bob")["roles"] == [linked] end)
          end

          # The last repair is counted when its look is over.
          assert eventually(fn ->
                   :sys.get_state(UroDiscord.Accounts.Drift).repairs |> Map.values() |> Enum.any?(&match?({5, _}, &1))
                 end)
        end)

      assert log =~ "another bot wants it otherwise"
      act!(sim, "roles", "bob", roles: [], by: "peer")
      id = bob(sim)
      assert eventually(fn -> match?([{_key, %{roles: []}}], :ets.lookup(UroDiscord.Accounts.Seen, {@home, id})) end)
      # Nobody is to be looked at any more.
      assert eventually(fn ->
               match?(%{look: nil, members: members} when members == %{}, :sys.get_state(UroDiscord.Accounts.Drift))
             end)

      assert member(sim, "bob")["roles"] == []

      # Ten minutes later.
      :sys.replace_state(UroDiscord.Accounts.Drift, fn state ->
        %{state | repairs: Map.new(state.repairs, fn {who, {times, since}} -> {who, {times, since - 600_001}} end)}
      end)

      send(UroDiscord.Accounts.Drift, :sweep)
      assert eventually(fn -> member(sim, "bob")["roles"] == [linked] end)
    end
  end

  defmodule Away do
    @moduledoc false
    @behaviour UroDiscord.Accounts.Directory

    @impl true
    def get(id), do: if(:persistent_term.get(__MODULE__, false), do: {:error, :away}, else: TestDirectory.get(id))

    @impl true
    defdelegate get_many(ids), to: TestDirectory
  end

  describe "what cannot be done now" do
    setup do
      on_exit(fn -> :persistent_term.erase(Away) end)
    end

    defmodule Poison do
      @moduledoc false
      @behaviour UroDiscord.Accounts.Directory

      @impl true
      def get("poison"), do: raise("of one user")
      def get(id), do: TestDirectory.get(id)

      @impl true
      def get_many(ids), do: if("poison" in ids, do: raise("of one user"), else: TestDirectory.get_many(ids))
    end

    test "of one whom the directory cannot read is in nobody else's way", %{sim: sim, user: user} do
      linked = role!(sim, "Linked")
      guilds = [[id: @home, roles: [{:linked, linked}], nickname: "{display_name}"]]
      start!(sim, guilds, accounts: [directory: Poison, poll: 1_000])
      TestDirectory.link!(sim, "poison", "alice")
      TestDirectory.link!(sim, user, "bob")
      assert {:error, %Error{message: message}} = UroDiscord.Accounts.Reconcile.run(@home, "test")
      assert message =~ "1 of 2 could not be changed"
      assert %{"nick" => "Bob the Builder", "roles" => [^linked]} = member(sim, "bob")
      assert eventually(fn -> is_map_key(:sys.get_state(UroDiscord.Accounts.Changes).known, user) end)
      TestDirectory.put(user, display_name: "Robert")
      assert eventually(fn -> member(sim, "bob")["nick"] == "Robert" end)
      assert %{polled_at: %DateTime{}, unread: 1, error: nil} = elem(UroDiscord.status(), 1).accounts.changes

      DiscordSim.post(sim, "/members", %{
        action: "roles",
        users: [bob(sim), sim.info["users"]["alice"]["id"]],
        roles: []
      })

      assert eventually(fn -> member(sim, "bob")["roles"] == [linked] end)
    end

    test "because the whole server refuses it is one refusal", %{sim: sim, user: user} do
      linked = role!(sim, "Linked")
      start!(sim, [[id: @home, roles: [{:linked, linked}]]])
      fault = %{method: "PUT", route: "/guilds/*/members/*/roles/*", status: 403, times: 100}
      DiscordSim.post(sim, "/faults", [Map.put(fault, :body, %{code: 60_003, message: "Two factor is required"})])

      for {id, who} <- [{user, "bob"}, {"#{user}-2", "alice"}] do
        TestDirectory.put(id)
        TestDirectory.link!(sim, id, who)
      end

      log =
        capture_log(fn ->
          {_results, requests} = requests(sim, fn -> for id <- [user, "#{user}-2"], do: Sync.sync(id, :linked) end)
          assert Enum.count(requests, &(&1 == @give)) == 1
        end)

      assert log =~ "switch it on"
      {:ok, %{config: config}} = Runtime.fetch()
      assert [%{state: :unreachable, refused: [%{what: :server, reason: reason}]}] = Sync.status(config)
      assert reason =~ "two-factor"
    end

    test "of many members in a row is the server's: the others are not asked for until it is otherwise", %{sim: sim} do
      DiscordSim.post(sim, "/settings", %{rate_limit_factor: 100})
      linked = role!(sim, "Linked")
      people = for member <- act!(sim, "join", "bob", count: 60), do: member["user"]["id"]
      start!(sim, [[id: @home, roles: [{:linked, linked}]]])
      refusal = %{code: 50_013, message: "Missing Permissions"}
      fault = %{method: "PUT", route: "/guilds/*/members/*/roles/*", status: 403, times: 1_000, body: refusal}
      DiscordSim.post(sim, "/faults", [fault])

      for id <- people do
        TestDirectory.put(id)
        TestDirectory.link!(sim, id, id)
      end

      {log, requests} =
        requests(sim, fn ->
          capture_log(fn ->
            for id <- people, do: :ok = UroDiscord.Accounts.sync(id)
            # Those who came first are told as theirs.
            assert eventually(fn -> match?(%{users: users} when users in 40..60, Queue.status()) end)

            assert eventually(fn ->
                     Enum.all?(:sys.get_state(Queue).users, &match?({_id, %{failures: n}} when n > 0, &1))
                   end)
          end)
        end)

      # Of several at the same moment each may say it.
      assert length(String.split(log, "refuses all changes of members")) in 2..9
      # Each of the first twice, and those who were under way.
      assert Enum.count(requests, &(&1 == @give)) in 20..40
      assert length(String.split(log, "refuses what is to be done of the member")) == 11
      {:ok, %{config: config}} = Runtime.fetch()
      assert [%{state: :unreachable, problems: [problem]}] = Sync.status(config)
      assert problem =~ "more than 10 members in a row"
      assert problem =~ "time-out"

      # Something is changed there.
      DiscordSim.delete(sim, "/faults")
      role!(sim, "Another")
      assert eventually(fn -> Enum.all?(people, &(member(sim, &1)["roles"] == [linked])) end)
      assert [%{state: :well}] = Sync.status(config)
    end

    test "of a member who was changed by hand is done later", %{sim: sim, user: user} do
      linked = role!(sim, "Linked")
      start!(sim, [[id: @home, roles: [{:linked, linked}]]], accounts: [directory: Away])
      TestDirectory.link!(sim, user, "bob")
      {:ok, %{@home => {:changed, _}}} = Sync.sync(user, :linked)
      :persistent_term.put(Away, true)
      act!(sim, "roles", "bob", roles: [])

      assert eventually(fn ->
               match?(%{users: %{^user => %{failures: 1}}}, :sys.get_state(UroDiscord.Accounts.Queue))
             end)

      assert member(sim, "bob")["roles"] == []
      :persistent_term.put(Away, false)
      assert eventually(fn -> member(sim, "bob")["roles"] == [linked] end)
    end

    test "is not taken for members who left, where Discord's list of them is not whole", %{sim: sim, user: user} do
      linked = role!(sim, "Linked")
      start!(sim, [[id: @home, roles: [{:linked, linked}], nickname: "{display_name}"]])
      TestDirectory.link!(sim, user, "bob")
      {:ok, %{@home => {:changed, _}}} = Sync.sync(user, :linked)
      {:ok, %{store: store}} = Runtime.fetch()
      noted = Applied.get(store, @home, bob(sim))
      DiscordSim.post(sim, "/faults", [%{method: "GET", route: "/guilds/*/members", status: 200, body: []}])
      assert {:error, %Error{message: message}} = UroDiscord.Accounts.Reconcile.run(@home, "test")
      assert message =~ "not whole"
      assert Applied.get(store, @home, bob(sim)) == noted
      assert {:ok, %{linked: 1, failed: 0}} = UroDiscord.Accounts.Reconcile.run(@home, "test")
    end

    test "of all members is tried again, told in the status, and said once", %{sim: sim, user: user} do
      linked = role!(sim, "Linked")
      start!(sim, [[id: @home, roles: [{:linked, linked}]]], accounts: [directory: Away])
      TestDirectory.link!(sim, user, "bob")
      {:ok, %{config: config}} = Runtime.fetch()
      :persistent_term.put(Away, true)

      log =
        capture_log(fn ->
          Events.publish(:accounts_queue, :began)
          assert eventually(fn -> :sys.get_state(UroDiscord.Accounts.Drift).failures == %{@home => 1} end)
          send(UroDiscord.Accounts.Drift, {:again, @home})
          assert eventually(fn -> :sys.get_state(UroDiscord.Accounts.Drift).failures == %{@home => 2} end)
        end)

      assert [_, _] = String.split(log, "are looked at again later")
      assert [%{state: :troubled, problems: [problem]}] = Sync.status(config)
      assert problem =~ "1 of 1 could not be changed"
      :persistent_term.put(Away, false)
      send(UroDiscord.Accounts.Drift, {:again, @home})
      assert eventually(fn -> member(sim, "bob")["roles"] == [linked] end)
      assert eventually(fn -> match?([%{state: :well, problems: []}], Sync.status(config)) end)

      # A node without the gateway does not say how they are.
      :ok = Guilds.put_behind(@home, Error.invalid(nil, "late"))
      Events.publish(:status, {:lease, :lost})
      assert eventually(fn -> Guilds.behind(@home) == nil end)
    end

    test "because the server cannot be asked for its roles is done when it can", %{sim: sim, user: user} do
      linked = role!(sim, "Linked", position: 9)
      start!(sim, [[id: @home, roles: [{:linked, linked}]]])
      TestDirectory.link!(sim, user, "bob")
      assert {:ok, %{@home => :unchanged}} = Sync.sync(user, :linked)
      # What nobody understands.
      DiscordSim.post(sim, "/faults", [%{method: "GET", route: "/guilds/*", status: 200, body: %{}, times: 100}])
      change_roles!(sim, [%{role: "Linked", position: 1}])
      assert eventually(fn -> :sys.get_state(UroDiscord.Accounts.Drift).roles_failures != %{} end)
      DiscordSim.delete(sim, "/faults")
      # It would be asked again half a minute later.
      Guilds.forget(@home)
      assert eventually(fn -> member(sim, "bob")["roles"] == [linked] end)
    end

    test "because those who do it end is done by their successors, and the queue is what it was", %{
      sim: sim,
      user: user
    } do
      linked = role!(sim, "Linked")
      start!(sim, [[id: @home, roles: [{:linked, linked}]]])
      TestDirectory.link!(sim, user, "bob")

      DiscordSim.post(sim, "/faults", [
        %{method: "GET", route: "/guilds/*/members/*", answer_delay_ms: 2_000, times: 1}
      ])

      queue = Process.whereis(UroDiscord.Accounts.Queue)
      :ok = UroDiscord.Accounts.sync(user)
      assert eventually(fn -> match?(%{users: %{^user => %{state: :running}}}, :sys.get_state(queue)) end)

      capture_log(fn ->
        UroDiscord.Accounts.TaskSupervisor |> Process.whereis() |> Process.exit(:kill)
        assert eventually(fn -> member(sim, "bob")["roles"] == [linked] end)
      end)

      assert Process.whereis(UroDiscord.Accounts.Queue) == queue
      # And while there is none.
      assert eventually(fn -> :sys.get_state(queue).users == %{} end)
    end
  end

  describe "Discord's limits" do
    test "are not waited for with what was known before; and who is locked does not wait behind others", %{
      sim: sim,
      user: user
    } do
      [linked, builder, other] = for name <- ["Linked", "Builder", "Other"], do: role!(sim, name)
      ids = for member <- act!(sim, "join", "dana", count: 14), do: member["user"]["id"]
      start!(sim, [[id: @home, roles: [{:linked, linked}, {:linked, builder}]]])
      TestDirectory.link!(sim, user, "bob")
      {:ok, %{@home => {:changed, _}}} = Sync.sync(user, :linked)
      assert eventually(&idle?/0)
      {:ok, %{store: store}} = Runtime.fetch()

      for {id, n} <- Enum.with_index(ids) do
        TestDirectory.put("#{user}-#{n}")
        {:ok, :new, _link} = Links.put(store, "#{user}-#{n}", id, "@p")
        :ok = UroDiscord.Accounts.sync("#{user}-#{n}")
      end

      has? = &(linked in member(sim, &1)["roles"])
      # With bob ten in ten seconds.
      assert eventually(fn -> Enum.count(ids, has?) == 9 end)
      late = Enum.reject(ids, has?)
      for id <- late, do: act!(sim, "roles", id, roles: [other])

      TestDirectory.put(user, locked?: true)
      wrote(~s|UPDATE "users" SET "locked_at" = $1 WHERE "id" = $2|, "users", [1, user])
      assert eventually(fn -> member(sim, "bob")["roles"] == [] or Enum.any?(late, has?) end)
      assert member(sim, "bob")["roles"] == []

      # As they were given it meanwhile, they have it.
      assert eventually(fn -> Enum.all?(late, has?) end)
      for id <- late, do: assert(Enum.sort(member(sim, id)["roles"]) == Enum.sort([linked, builder, other]))
    end
  end

  describe "changes in Uro" do
    test "show at once where Ecto tells of them; a locked user has no roles at once", %{sim: sim, user: user} do
      [linked, admin] = for name <- ["Linked", "Admin"], do: role!(sim, name)

      start!(sim, [
        [id: @home, roles: [{:linked, linked}, {{:attribute, "is_admin"}, admin}], nickname: "{display_name}"]
      ])

      TestDirectory.link!(sim, user, "bob")
      {:ok, %{@home => {:changed, _}}} = Sync.sync(user, :linked)

      TestDirectory.put(user, display_name: "Robert", attributes: %{"is_admin" => true})

      wrote(
        ~s|INSERT INTO "user_privilege_rulesets" ("is_admin","user_id") VALUES ($1,$2)|,
        "user_privilege_rulesets",
        [true, user]
      )

      assert eventually(fn -> member(sim, "bob")["nick"] == "Robert" end)
      assert admin in member(sim, "bob")["roles"]

      TestDirectory.put(user, display_name: "Robert", locked?: true)
      wrote(~s|UPDATE "users" SET "locked_at" = $1 WHERE "id" = $2|, "users", [1, user])
      assert eventually(fn -> member(sim, "bob")["roles"] == [] end)
      # So that people know whom they saw.
      assert member(sim, "bob")["nick"] == "Robert"

      # A write that does not say whom it is about is a look at all.
      TestDirectory.put(user, display_name: "Rob")

      wrote(~s|UPDATE "user_privilege_rulesets" SET "is_admin" = $1 WHERE "id" = $2|, "user_privilege_rulesets", [
        true,
        5
      ])

      assert eventually(fn -> member(sim, "bob")["nick"] == "Rob" end)
    end

    test "show by asking, where nothing tells of them; and what could not be taken back is", %{sim: sim, user: user} do
      linked = role!(sim, "Linked")
      guilds = [[id: @home, roles: [{:linked, linked}], nickname: "{display_name}"]]
      start!(sim, guilds, accounts: [poll: 1_000])
      link = TestDirectory.link!(sim, user, "bob")
      {:ok, %{@home => {:changed, _}}} = Sync.sync(user, :linked)
      # Twice: the first answer says what he is like.
      assert eventually(fn -> is_map_key(:sys.get_state(UroDiscord.Accounts.Changes).known, user) end)
      TestDirectory.put(user, display_name: "Robert")
      assert eventually(fn -> member(sim, "bob")["nick"] == "Robert" end)

      # As if Discord had been away when it ended.
      {:ok, %{store: store}} = Runtime.fetch()
      {:ok, true} = Links.delete(store, link)
      assert eventually(fn -> member(sim, "bob")["roles"] == [] end)
      assert eventually(fn -> Applied.get(store, @home, link.discord_id) == {:ok, nil} end)
      assert member(sim, "bob")["nick"] == nil
    end

    test "of one who is named do not wait for the answer about all", %{sim: sim, user: user} do
      linked = role!(sim, "Linked")
      start!(sim, [[id: @home, roles: [{:linked, linked}]]], accounts: [directory: SlowForAll])
      TestDirectory.put("another", display_name: "Another")
      TestDirectory.link!(sim, "another", "1300000000000009999")
      TestDirectory.link!(sim, user, "bob")
      {:ok, %{@home => {:changed, _}}} = Sync.sync(user, :linked)
      # What the gateway told of him is looked at.
      assert eventually(fn -> member(sim, "bob")["roles"] == [linked] and idle?() end)
      Process.register(self(), __MODULE__)
      send(UroDiscord.Accounts.Changes, :poll)
      assert_receive {:asked_for_all, asking}
      TestDirectory.put(user, locked?: true)
      wrote(~s|UPDATE "users" SET "locked_at" = $1 WHERE "id" = $2|, "users", [1, user])
      assert eventually(fn -> member(sim, "bob")["roles"] == [] end)
      send(asking, :answer)
    end

    test "show of one who has just been linked, too", %{sim: sim, user: user} do
      linked = role!(sim, "Linked")
      start!(sim, [[id: @home, roles: [{:linked, linked}]]])

      asked? = fn ->
        match?(
          %{polled_at: at, tasks: tasks} when at != nil and tasks == %{},
          :sys.get_state(UroDiscord.Accounts.Changes)
        )
      end

      assert eventually(asked?)
      TestDirectory.link!(sim, user, "bob")
      {:ok, %{@home => {:changed, _}}} = Sync.sync(user, :linked)
      # What the gateway told of him is looked at.
      assert eventually(fn -> member(sim, "bob")["roles"] == [linked] and idle?() end)
      TestDirectory.put(user, locked?: true)
      send(UroDiscord.Accounts.Changes, :poll)
      assert eventually(fn -> member(sim, "bob")["roles"] == [] end)
    end

    test "are found again when the queue took nobody", %{sim: sim, user: user} do
      start!(sim, [[id: @home, roles: [], nickname: "{display_name}"]], accounts: [poll: 1_000])
      TestDirectory.link!(sim, user, "bob")
      assert_receive {:uro_discord, :accounts, {:changed, %{user_id: ^user}}}, 5_000
      assert eventually(fn -> :sys.get_state(UroDiscord.Accounts.Queue).users == %{} end)
      waits = %{reason: :test, failures: 0, state: :paused}
      full = Map.new(1..100_000, &{"full-#{&1}", waits})
      :sys.replace_state(UroDiscord.Accounts.Queue, &%{&1 | users: full})

      log =
        capture_log(fn ->
          TestDirectory.put(user, display_name: "Robert")
          assert eventually(fn -> :sys.get_state(UroDiscord.Accounts.Changes).polled_at > now() - 500 end)
          assert_receive {:uro_discord, :accounts, {:changed, %{user_id: ^user}}}, 5_000
          :sys.get_state(UroDiscord.Accounts.Changes)
        end)

      assert log =~ "does not show yet"
      :sys.replace_state(UroDiscord.Accounts.Queue, &%{&1 | users: %{}})
      assert eventually(fn -> member(sim, "bob")["nick"] == "Robert" end)
    end

    test "of what its source did not know are looked at when it does", %{sim: sim, user: user} do
      linked = role!(sim, "Host")
      act!(sim, "roles", "bob", roles: [linked])
      start!(sim, [[id: @home, roles: [{{:attribute, "hosts_shard"}, linked}]]])
      TestDirectory.put(user, attributes: %{"hosts_shard" => :unknown})
      TestDirectory.link!(sim, user, "bob")
      assert {:ok, %{@home => :unchanged}} = Sync.sync(user, :linked)
      TestDirectory.put(user, attributes: %{"hosts_shard" => false})
      Events.publish(:status, {:shards, :reachable})
      assert eventually(fn -> member(sim, "bob")["roles"] == [] end)
    end

    test "show while much is to be taken back", %{sim: sim, user: user} do
      linked = role!(sim, "Linked")
      start!(sim, [[id: @home, roles: [{:linked, linked}]]], accounts: [poll: 1_000])
      TestDirectory.link!(sim, user, "bob")
      {:ok, %{@home => {:changed, _}}} = Sync.sync(user, :linked)
      {:ok, %{store: store}} = Runtime.fetch()
      DiscordSim.post(sim, "/faults", [%{method: "GET", route: "/guilds/*/members/*", delay_ms: 500, times: 60}])
      for n <- 100..150, do: :ok = Applied.ensure(store, @home, "1300000000000009#{n}")
      assert eventually(fn -> length(elem(Applied.orphans(store), 1)) < 51 end)
      TestDirectory.put(user, locked?: true)
      wrote(~s|UPDATE "users" SET "locked_at" = $1 WHERE "id" = $2|, "users", [1, user])
      assert eventually(fn -> member(sim, "bob")["roles"] == [] end)
      assert {:ok, [_ | _]} = Applied.orphans(store)
    end

    defp wrote(sql, table, params),
      do:
        :telemetry.execute([:uro, :repo, :query], %{query_time: 1}, %{
          type: :ecto_sql_query,
          source: table,
          query: sql,
          params: params
        })
  end

  describe "many" do
    test "cost a page for each thousand, where nothing is to be changed, and one request each where it is", %{
      sim: sim,
      user: user
    } do
      linked = role!(sim, "Linked")
      joined = act!(sim, "join", "dana", count: 1_009)
      ids = for member <- joined, do: member["user"]["id"]
      few = Enum.take(ids, 12)
      DiscordSim.post(sim, "/members", %{action: "roles", users: Enum.take(few, 10), roles: [linked]})
      start!(sim, [[id: @home, roles: [{:linked, linked}]]])
      {:ok, %{store: store, config: config}} = Runtime.fetch()

      for {id, n} <- Enum.with_index(few) do
        TestDirectory.put("#{user}-#{n}")
        {:ok, :new, _} = Links.put(store, "#{user}-#{n}", id, "@p")
      end

      {{:ok, summary}, requests} = requests(sim, fn -> UroDiscord.Accounts.Reconcile.run(@home, "test") end)
      # With alice, bob, peer, and the bot.
      assert summary == %{members: 1_014, linked: 12, changed: 2, failed: 0}
      assert Enum.sort(requests) == Enum.sort(["GET/members", "GET/members", @give, @give])
      assert [%{state: :well}] = Sync.status(config)

      # Who left while nobody heard of it: those of whom we have set something.
      {:ok, [gone | _]} = Applied.ids(store, @home)
      # A subscriber ends with it.
      Process.flag(:trap_exit, true)
      stop_supervised!(UroDiscord)
      act!(sim, "leave", gone)
      start!(sim, [[id: @home, roles: [{:linked, linked}]]], database: config.database)
      assert Applied.get(Runtime.fetch() |> elem(1) |> Map.fetch!(:store), @home, gone) == {:ok, nil}
    end

    test "who was read a while ago does not lose what others gave him since", %{sim: sim, user: user} do
      [one, two, theirs] = for name <- ["One", "Two", "Theirs"], do: role!(sim, name)
      start!(sim, [[id: @home, roles: [{:linked, one}, {:linked, two}]]])
      link = TestDirectory.link!(sim, user, "bob")
      {:ok, member} = Members.fetch(@home, bob(sim))
      act!(sim, "roles", "bob", roles: [theirs])
      {:ok, uro_user} = TestDirectory.get(user)
      old = %Member{member | read_at: System.monotonic_time(:millisecond) - 60_000}
      # What the gateway told is another reason to look at him, which may be quicker.
      assert [{_entry, done}] = [{uro_user, link, old}] |> Sync.sync_members(@home) |> Enum.to_list()
      assert done == :unchanged or elem(done, 0) == :changed
      assert Enum.sort(member(sim, "bob")["roles"]) == Enum.sort([one, two, theirs])

      assert [{_, {:error, %Error{kind: :invalid}}}] =
               Enum.to_list(Sync.sync_members([{uro_user, link, old}], "1300000000000000999"))
    end

    test "a rule that raises leaves its role as it is, and is told", %{sim: sim, user: user} do
      [picky, linked] = for name <- ["Picky", "Linked"], do: role!(sim, name)
      act!(sim, "roles", "alice", roles: [picky])
      rules = [{{__MODULE__, :picky}, picky}, {:linked, linked}]
      start!(sim, [[id: @home, roles: rules]])
      TestDirectory.put(user, display_name: "crash")
      link = TestDirectory.link!(sim, user, "alice")
      TestDirectory.put("#{user}-b", display_name: "well")
      other = TestDirectory.link!(sim, "#{user}-b", "bob")

      entries =
        for %{user_id: id, discord_id: discord_id} = link <- [link, other] do
          {:ok, uro_user} = TestDirectory.get(id)
          {:ok, member} = Members.fetch(@home, discord_id)
          {uro_user, link, member}
        end

      log =
        capture_log(fn ->
          outcomes =
            for {{_user, link, _member}, outcome} <- Sync.sync_members(entries, @home),
                into: %{},
                do: {link.user_id, outcome}

          silent = {:silent, {:raised, FunctionClauseError}}
          assert {:changed, %{add: [^linked], remove: [], skipped: [{:role, ^picky, ^silent}]}} = outcomes[user]
          assert {:changed, %{skipped: []}} = outcomes["#{user}-b"]
        end)

      assert log =~ "the rule of the role #{picky} raised FunctionClauseError"
      for name <- ["alice", "bob"], do: assert(Enum.sort(member(sim, name)["roles"]) == Enum.sort([picky, linked]))
      {:ok, %{config: config}} = Runtime.fetch()
      assert [%{skipped: [%{reason: "the rule of the role" <> _}]}] = Sync.status(config)
      # So does what is shown before, and what somebody joins with.
      assert capture_io(fn -> assert Preview.print() == 0 end) =~ "raised FunctionClauseError"
      {:ok, uro_user} = TestDirectory.get(user)
      assert Sync.joining(uro_user, hd(config.accounts.guilds)) == %{roles: [linked], nick: nil}
      # Whoever is locked loses all, whatever rules say.
      TestDirectory.put(user, display_name: "crash", locked?: true)
      assert {:ok, %{@home => {:changed, _}}} = Sync.sync(user, "locked")
      assert member(sim, "alice")["roles"] == []
    end

    @doc false
    def picky(%{display_name: "well"}), do: true

    test "of two servers each has its own rules, and one that throws the bot out costs the other nothing", %{
      sim: sim,
      user: user
    } do
      [%{"id" => second}] = DiscordSim.post(sim, "/guilds", %{count: 1})
      here = role!(sim, "Here")
      there = role!(sim, "There", %{}, second)
      people = for member <- act!(sim, "join", "bob", guild: second, count: 7), do: member["user"]["id"]

      start!(sim, [
        [id: @home, roles: [{:linked, here}]],
        [id: second, roles: [{:linked, there}], nickname: "{display_name}"]
      ])

      TestDirectory.link!(sim, user, "bob")
      assert {:ok, %{@home => {:changed, _}, ^second => {:changed, _}}} = Sync.sync(user, :linked)
      assert {[here], [there]} == {member(sim, "bob")["roles"], member(sim, "bob", second)["roles"]}
      assert {nil, "Bob the Builder"} == {member(sim, "bob")["nick"], member(sim, "bob", second)["nick"]}

      {:ok, %{store: store}} = Runtime.fetch()

      for {id, n} <- people |> List.delete(bob(sim)) |> Enum.with_index() do
        TestDirectory.put("#{user}-#{n}", display_name: "P #{n}")
        {:ok, :new, _} = Links.put(store, "#{user}-#{n}", id, "@p")
      end

      # In the middle of it.
      {:ok, members} = Members.page(second, nil)
      {:ok, entries, []} = UroDiscord.Accounts.Reconcile.entries(Runtime.lookup(:runtime).config, store, members)

      {outcomes, requests} =
        requests(sim, fn ->
          entries
          |> Sync.sync_members(second, max_concurrency: 1)
          |> Stream.with_index()
          |> Enum.map(fn {{_entry, outcome}, n} ->
            if n == 2, do: act!(sim, "kick", "uro", guild: second)
            outcome
          end)
        end)

      assert Enum.count(outcomes, &match?({:changed, _}, &1)) in 2..4
      assert Enum.any?(outcomes, &match?({:error, %Error{code: code}} when code in [10_004, 50_001], &1))
      # Not one for each of them.
      assert length(requests) <= 8

      {:ok, %{config: config}} = Runtime.fetch()
      TestDirectory.put(user, locked?: true)
      assert {:ok, %{@home => {:changed, %{remove: [^here]}}, ^second => {:error, _}}} = Sync.sync(user, "locked")
      assert eventually(fn -> match?([%{state: :well}, %{state: :unreachable, problems: [_]}], Sync.status(config)) end)

      # Taken back, with a role of its own below all others, which somebody moves: all is made up for.
      act!(sim, "join", "uro", guild: second)
      change_roles!(sim, [%{role: "Uro", position: 9}], second)
      others = List.delete(people, bob(sim))
      assert eventually(fn -> Enum.all?(others, &(member(sim, &1, second)["roles"] == [there])) end)
      assert member(sim, "bob", second)["roles"] == []
    end
  end

  describe "what would be done" do
    setup %{sim: sim} do
      linked = role!(sim, "Linked")
      rules = [{:linked, linked}, {:linked, {:named, "Builder"}}]
      %{guilds: [[id: @home, roles: rules, nickname: "{display_name}", create_roles: true]]}
    end

    test "is shown as a table, and nothing is done", %{sim: sim, user: user, guilds: guilds} do
      start!(sim, guilds)
      TestDirectory.link!(sim, user, "bob")
      {output, requests} = requests(sim, fn -> capture_io(fn -> assert Preview.print() == 0 end) end)
      assert output =~ "V-Sekai (#{@home}): 4 members, 1 linked, 1 to be changed; roles to be made: Builder"
      assert output =~ ~r/MEMBER +USER IN URO +GETS +LOSES +NICKNAME +LEFT ALONE/
      assert output =~ ~r/@bob +Bob the Builder \(#{user}\) +Linked, Builder \(new\) +Bob the Builder/
      assert Enum.all?(requests, &String.starts_with?(&1, "GET"))
      assert member(sim, "bob")["roles"] == []
    end

    test "is told by the task, which needs no UroDiscord that runs", %{sim: sim, user: user, guilds: guilds} do
      options =
        DiscordSim.config(sim) ++
          [intents: [:guilds, :guild_members]] ++ TestDirectory.accounts(guilds: guilds)

      start_supervised!({UroDiscord, options})
      TestDirectory.link!(sim, user, "bob")
      stop_supervised!(UroDiscord)
      for {key, value} <- options, do: Application.put_env(:uro_discord, key, value)
      on_exit(fn -> for {key, _value} <- options, do: Application.delete_env(:uro_discord, key) end)

      output = capture_io(fn -> Mix.Tasks.UroDiscord.Roles.Plan.run([]) end)
      assert output =~ ~r/@bob +Bob the Builder \(#{user}\) +Linked, Builder \(new\) +Bob the Builder/
      assert_raise Mix.Error, ~r/usage/, fn -> Mix.Tasks.UroDiscord.Roles.Plan.run(["x"]) end

      act!(sim, "kick", "uro")
      said = capture_io(fn -> assert catch_exit(Mix.Tasks.UroDiscord.Roles.Plan.run([])) == {:shutdown, 1} end)
      assert said =~ "could not be looked at"
      assert said =~ "the bot is not in the server"
    end
  end
end

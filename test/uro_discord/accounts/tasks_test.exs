defmodule UroDiscord.Accounts.TasksTest do
  use UroDiscord.Case
  import ExUnit.CaptureIO

  alias UroDiscord.Accounts.{Applied, Links, Member, Plan, Tasks}
  alias UroDiscord.{Apart, Error, Peer, Store, Stores, TestDirectory}

  # Its users: most have no attributes; it raises for whom it cannot read.
  defmodule Directory do
    @moduledoc false
    @behaviour UroDiscord.Accounts.Directory
    @impl true
    def get("poison"), do: raise("s3cret of a query")
    def get(id), do: TestDirectory.get(id)

    @impl true
    def get_many(ids) do
      if "poison" in ids, do: raise("s3cret of a query"), else: TestDirectory.get_many(ids)
    end
  end

  setup context do
    sim = start_sim!()
    # What Discord's limits cost is measured by bin/bench.
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 1_000_000})
    [%{"id" => guild}] = DiscordSim.post(sim, "/guilds", %{count: 1, people: Map.get(context, :people, 40)})
    where = Stores.options!(Map.get(context, :store, :sqlite))
    config = DiscordSim.config(sim) ++ [intents: [:guilds, :guild_members]] ++ where
    {:ok, store} = Store.open(if(where == [], do: {:sqlite, config[:database]}, else: {:repo, where[:repo]}))
    %{sim: sim, guild: guild, config: config, store: store}
  end

  @role "Builder"

  defp rules(guild, more \\ []) do
    rule = {{:attribute, "builder"}, {:named, @role}}
    Keyword.merge([id: guild, roles: [rule], nickname: "{display_name}", create_roles: true], more)
  end

  defp options(%{config: config, guild: guild}, more \\ []) do
    defaults = [
      directory: Directory,
      guilds: [rules(guild)],
      tasks: [max_retries: 2, retry_pause: 0, schedule: []]
    ]

    config ++ TestDirectory.accounts(Keyword.merge(defaults, more))
  end

  # As a Mix task has it: a node that serves would itself put right what these tests change.
  defp start!(context, more \\ []) do
    context |> options(more) |> configure!()
    :ok = Apart.start()
    on_exit(fn -> true = eventually(fn -> Process.whereis(Apart) == nil and Process.whereis(UroDiscord) == nil end) end)
  end

  defp configure!(options) do
    for {key, value} <- options, do: Application.put_env(:uro_discord, key, value)
    on_exit(fn -> for key <- [:enabled | Keyword.keys(options)], do: Application.delete_env(:uro_discord, key) end)
  end

  # The people of the server, linked, in the order of their ids: "u<n>" is the nth.
  defp link!(%{sim: sim, guild: guild, store: store}, fields \\ fn _n -> [] end) do
    people = people(sim, guild)

    for {member, n} <- Enum.with_index(people, 1) do
      TestDirectory.put("u#{n}", [display_name: member.nick] ++ fields.(n))
      {:ok, :new, _link} = Links.put(store, "u#{n}", member.id, member.username)
    end

    people
  end

  defp people(sim, guild) do
    members =
      for json <- DiscordSim.get(sim, "/members?guild=#{guild}"),
          json["user"]["bot"] != true,
          do: Member.read(json, guild)

    Enum.sort_by(for({:ok, member} <- members, do: member), &String.to_integer(&1.id))
  end

  # Somebody who was linked and is in no server.
  defp ghost!(store) do
    TestDirectory.put("ghost")
    {:ok, :new, _link} = Links.put(store, "ghost", "1300000000099999999", "@ghost")
  end

  defp builder(_n), do: [attributes: %{"builder" => true}]

  defp with_role(sim, guild) do
    role = role_id(sim, guild)
    for member <- people(sim, guild), role in member.roles, do: member.id
  end

  defp role_id(sim, guild),
    do: Enum.find_value(DiscordSim.get(sim, "/guild?id=#{guild}")["roles"], &(&1["name"] == @role && &1["id"]))

  # The requests that are made meanwhile, by their routes.
  defp requests(sim, fun) do
    before = length(DiscordSim.get(sim, "/requests"))
    result = fun.()
    made = sim |> DiscordSim.get("/requests") |> Enum.drop(before)
    {result, Enum.frequencies_by(made, &"#{&1["method"]} #{&1["route"]}")}
  end

  @members "GET /guilds/{guild_id}/members"
  @member "GET /guilds/{guild_id}/members/{user_id}"

  @tag people: 2_400
  test "who is as he should be costs a page for a thousand, and no request more", %{sim: sim} = context do
    start!(context)
    people = link!(context)
    {result, requests} = requests(sim, fn -> Tasks.run(:groups) end)
    assert {:ok, %{looked: looked, changed: 0, left: 0, skipped: skipped, failed: failed, went_on?: false}} = result
    assert {looked, skipped, failed} == {length(people), %{}, %{}}
    pages = div(looked, 1_000) + 1
    # The server and the bot itself, once.
    assert requests == %{@members => pages, "GET /guilds/{guild_id}" => 1, @member => 1}
    {{:ok, _}, requests} = requests(sim, fn -> Tasks.run(:usernames) end)
    assert requests == %{@members => pages}
  end

  test "whoever needs it is changed, the second time nobody", %{sim: sim, guild: guild} = context do
    start!(context)
    people = link!(context, fn n -> if(rem(n, 2) == 0, do: builder(n), else: []) end)
    half = div(length(people), 2)
    assert {:ok, %{changed: ^half, failed: failed}} = Tasks.run(:groups)
    assert failed == %{}
    assert length(with_role(sim, guild)) == half
    assert {:ok, %{changed: 0}} = Tasks.run(:groups)

    for n <- 1..5, do: TestDirectory.put("u#{n}", [display_name: "Name #{n}"] ++ builder(n))
    # Nicknames alone; one is the owner's.
    assert {:ok, %{changed: renamed, skipped: skipped}} = Tasks.run(:nicknames)
    assert renamed + (skipped["nobody but himself can rename the server's owner"] || 0) == 5
    assert length(with_role(sim, guild)) == half
    # Of these two had the role.
    assert {:ok, %{changed: 3}} = Tasks.run(:all)
    assert length(with_role(sim, guild)) == half + 3
    assert "Name 5" in for(member <- people(sim, guild), do: member.nick)
  end

  test "names of accounts are stored as Discord shows them", %{store: store} = context do
    start!(context)
    [first, second | _] = link!(context)
    :ok = Links.put_usernames(store, [{first.id, "@old"}, {second.id, "Old#0001"}])
    assert {:ok, %{changed: 2}} = Tasks.run(:usernames)
    assert {:ok, %{username: name}} = Links.by_discord(store, first.id)
    assert name == first.username
  end

  test "one who is locked, one who is deleted and one who cannot be read end no run", context do
    %{sim: sim, guild: guild, store: store} = context
    start!(context)
    people = link!(context, &builder/1)
    all = length(people)
    assert {:ok, %{changed: ^all}} = Tasks.run(:groups)

    TestDirectory.put("u1", [locked?: true] ++ builder(1))
    :persistent_term.erase({TestDirectory, "u2"})
    {:ok, link} = Links.get(store, "u3")
    {:ok, true} = Links.delete(store, link)
    {:ok, :new, _} = Links.put(store, "poison", link.discord_id, link.username)

    assert {:ok, summary} = Tasks.run(:groups)
    assert {summary.looked, summary.changed} == {all, 2}
    assert summary.skipped == %{"no longer in Uro" => 1}
    assert [{"poison", reason}] = summary.who
    assert reason =~ "raised" and not (inspect(summary) =~ "s3cret")
    assert length(with_role(sim, guild)) == all - 2
  end

  test "of several servers each is seen to, and who is in one of them has not left", context do
    %{sim: sim, guild: guild, store: store} = context
    [%{"id" => other}] = DiscordSim.post(sim, "/guilds", %{count: 1, people: 5})
    start!(context, guilds: [rules(guild), rules(other)])
    link!(context, &builder/1)
    both = for member <- people(sim, other), {:ok, _link} <- [Links.by_discord(store, member.id)], do: member.id
    assert both != []
    assert {:ok, %{left: 0, looked: looked, changed: looked, failed: failed}} = Tasks.run(:groups)
    assert failed == %{}
    assert {length(with_role(sim, guild)), with_role(sim, other)} == {looked, both}
    ghost!(store)
    assert {:ok, %{left: 1, changed: 0}} = Tasks.run(:groups)
  end

  @unknown "1100000000000099999"

  test "nobody is unlinked while a server cannot be read, and the others are done", context do
    %{sim: sim, guild: guild, store: store} = context
    start!(context, guilds: [rules(guild), rules(@unknown)])
    people = link!(context, &builder/1)
    ghost!(store)

    assert {:ok, %{left: 0, guilds: %{@unknown => _reason}} = summary} = Tasks.run(:groups)
    assert summary.skipped == %{"not found, and not all servers could be read" => 1}
    assert {summary.looked, summary.changed} == {length(people) + 1, length(people)}
    assert {:ok, _link} = Links.get(store, "ghost")
    assert length(with_role(sim, guild)) == length(people)
  end

  test "who has left all servers is unlinked, when Discord has said so of him", %{sim: sim, store: store} = context do
    start!(context)
    people = link!(context)
    ghost!(store)
    {result, requests} = requests(sim, fn -> Tasks.run(:usernames) end)
    assert {:ok, %{left: 1, looked: looked}} = result
    assert looked == length(people) + 1
    # Whether he is there, and what is to be taken back from him.
    assert requests[@member] in 1..3
    assert :error = Links.get(store, "ghost")
    assert {:ok, %{left: 0}} = Tasks.run(:usernames)
  end

  @roles "/guilds/*/members/*/roles/*"

  test "connections that are cut, errors of the moment and a role that was deleted are got over", context do
    %{sim: sim, guild: guild} = context
    start!(context)
    all = context |> link!(&builder/1) |> length()

    DiscordSim.post(sim, "/faults", [
      %{method: "GET", route: "/guilds/*/members", drop: "before_answer"},
      %{method: "PUT", route: @roles, drop: "before_answer"},
      %{method: "PUT", route: @roles, drop: "mid_answer"},
      %{method: "PUT", route: @roles, status: 503},
      # Of something on the way: Discord's have a code.
      %{method: "PUT", route: @roles, status: 403, body: "<h1>later</h1>", times: 2}
    ])

    assert {:ok, %{changed: ^all, failed: failed}} = Tasks.run(:groups)
    assert failed == %{}
    assert length(with_role(sim, guild)) == all

    DiscordSim.post(sim, "/guild", %{guild: guild, roles: [%{role: @role, delete: true}]})
    assert {:ok, %{changed: ^all, failed: failed}} = Tasks.run(:groups)
    assert failed == %{}
    assert length(with_role(sim, guild)) == all
  end

  test "what Discord refuses is not tried again, and is told with whom it concerns", %{sim: sim} = context do
    start!(context)
    all = context |> link!(&builder/1) |> length()
    refused = %{method: "PUT", route: @roles, status: 403, body: %{code: 50_101, message: "Not today"}, times: 3}
    DiscordSim.post(sim, "/faults", [refused])
    assert {:ok, %{failed: failed, who: who} = summary} = Tasks.run(:groups)
    assert [{reason, 3}] = Map.to_list(failed)
    assert reason =~ "Not today"
    assert {length(who), summary.changed, summary.looked} == {3, all - 3, all}
  end

  test "where a role cannot be made everybody who lacks it is told of", %{sim: sim} = context do
    start!(context)
    all = context |> link!(&builder/1) |> length()
    full = %{code: 30_005, message: "Maximum number of server roles reached (250)"}

    DiscordSim.post(sim, "/faults", [%{method: "POST", route: "/guilds/*/roles", status: 400, body: full, times: 1_000}])

    {result, requests} = requests(sim, fn -> Tasks.run(:groups) end)
    assert {:ok, %{looked: ^all, changed: 0, failed: failed, skipped: skipped}} = result
    assert [{reason, ^all}] = Map.to_list(skipped)
    assert failed == %{} and reason =~ ~s(there is no role "Builder")
    assert requests["POST /guilds/{guild_id}/roles"] == 1
  end

  @tag people: 120
  test "thrown out of a server in the middle, the run asks for nothing more there, ends, and says so", context do
    %{sim: sim, store: store} = context
    start!(context)
    all = context |> link!(&builder/1) |> length()

    DiscordSim.post(sim, "/faults", [
      %{method: "PUT", route: @roles, status: 403, body: %{code: 50_001, message: "Missing Access"}, times: 100_000}
    ])

    {result, requests} = requests(sim, fn -> Tasks.run(:groups) end)
    assert {:ok, %{looked: ^all, changed: 0, left: 0, failed: failed}} = result
    assert [{reason, ^all}] = Map.to_list(failed)
    assert reason =~ "Missing Access"
    # Those that were under way.
    assert requests["PUT /guilds/{guild_id}/members/{user_id}/roles/{role_id}"] in 1..16
    assert {:ok, ^all} = Links.count(store)
  end

  # Slow enough to be interrupted.
  defp slow(sim), do: DiscordSim.post(sim, "/faults", [%{method: "PUT", route: @roles, delay_ms: 500, times: 100_000}])
  defp given(sim), do: sim |> DiscordSim.get("/requests") |> Enum.count(&(&1["method"] == "PUT"))

  @tag people: 120
  test "a run that was killed is gone on with, nobody is passed over or counted twice", context do
    %{sim: sim, guild: guild} = context
    start!(context)
    all = context |> link!(&builder/1) |> length()
    slow(sim)
    {:ok, pid} = Task.start(fn -> Tasks.run(:groups) end)
    assert eventually(fn -> given(sim) > 50 end)
    assert {:error, %Error{kind: :busy} = error} = Tasks.run(:groups)
    assert Exception.message(error) =~ "here"
    ref = Process.monitor(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^ref, :process, _, _}
    assert eventually(fn -> Process.whereis(Tasks.Run.Groups) == nil end)
    assert [%{task: :groups, state: :interrupted, total: ^all}] = Tasks.Run.status()

    DiscordSim.delete(sim, "/faults")
    before = given(sim)
    assert {:ok, %{looked: ^all, went_on?: true, failed: failed}} = Tasks.run(:groups)
    assert failed == %{}
    assert length(with_role(sim, guild)) == all
    # Whom the first run had done were done.
    assert given(sim) - before < all - 20
    assert {:ok, %{looked: ^all, changed: 0, went_on?: false}} = Tasks.run(:groups)
    assert [%{state: :done, done: ^all, changed: 0, failed: 0, waiting: 0}] = Tasks.Run.status()
  end

  @tag people: 120
  test "SIGKILL of the VM in the middle: the next one goes on at once", %{sim: sim, guild: guild} = context do
    options = options(context, directory: TestDirectory)
    all = context |> link!(&builder/1) |> length()
    slow(sim)
    peer = Peer.start!()
    for n <- 1..all, do: :ok = Peer.call(peer, TestDirectory, :put, ["u#{n}", builder(n)])
    :ok = Peer.call(peer, Application, :put_all_env, [[uro_discord: options]])
    Peer.cast(peer, Apart, :task, [:groups, [progress: false]])
    assert eventually(fn -> given(sim) > 50 end)

    start!(context, directory: TestDirectory)
    assert {:error, %Error{kind: :busy} = error} = Tasks.run(:groups, wait: false)
    assert Exception.message(error) =~ "another node"
    Peer.kill!(peer)
    DiscordSim.delete(sim, "/faults")
    said = capture_io(fn -> assert {:ok, %{looked: ^all, went_on?: true}} = Tasks.run(:groups, progress: true) end)
    assert said =~ ~r/groups: goes on after \d+ of #{all}/
    assert length(with_role(sim, guild)) == all
  end

  @tag store: :postgres
  test "with PostgreSQL it is the same", %{sim: sim, guild: guild} = context do
    start!(context)
    all = context |> link!(&builder/1) |> length()
    assert {:ok, %{looked: ^all, changed: ^all}} = Tasks.run(:groups)
    assert {:ok, %{looked: ^all, changed: 0}} = Tasks.run(:all)
    assert length(with_role(sim, guild)) == all
  end

  describe "from the command line" do
    setup context do
      context |> options() |> configure!()

      on_exit(fn ->
        true = eventually(fn -> Process.whereis(Apart) == nil and Process.whereis(UroDiscord) == nil end)
      end)

      %{all: context |> link!(&builder/1) |> length()}
    end

    test "it says what it does, and exits with 0", %{sim: sim, guild: guild, all: all} do
      said = capture_io(fn -> assert :ok = Mix.Tasks.UroDiscord.UpdateAllGroups.run([]) end)
      assert said =~ "groups: begins with #{all} linked users"
      assert said =~ "groups: looked at #{all}, changed #{all}, left 0, skipped 0, failed 0; it took"
      assert length(with_role(sim, guild)) == all
      # It was no node: it had no gateway.
      assert DiscordSim.get(sim, "/events?types=identify")["events"] == []
    end

    test "it exits with 1 where somebody was not done, and names him", %{sim: sim} do
      refused = %{method: "PUT", route: @roles, status: 403, body: %{code: 50_101, message: "Not today"}}
      DiscordSim.post(sim, "/faults", [refused])

      said =
        capture_io(fn -> assert catch_exit(Mix.Tasks.UroDiscord.UpdateAll.run(["--restart"])) == {:shutdown, 1} end)

      assert said =~ ~r/failed 1: .*Not today.* \(u\d+\)/
      assert_raise Mix.Error, ~r/usage/, fn -> Mix.Tasks.UroDiscord.UpdateAll.run(["everybody"]) end
    end

    test "without accounts it says what to do" do
      Application.put_env(:uro_discord, :accounts, [])
      said = capture_io(:stderr, fn -> assert Apart.task(:groups) == 1 end)
      assert said =~ "accounts: [directory: …]"
    end
  end

  test "what is asked wrongly is refused", context do
    assert {:error, %Error{kind: :not_started}} = Tasks.run(:groups)
    start!(context, guilds: [])
    assert {:error, %Error{kind: :invalid, field: "accounts.guilds"}} = Tasks.run(:groups)
    assert {:error, %Error{kind: :invalid, field: "task"}} = Tasks.run(:everything)
    assert {:error, %Error{kind: :invalid, field: "options"}} = Tasks.run(:groups, fast: true)
  end

  test "where no server has what a task is for, that is an error", %{store: store} = context do
    start!(context, guilds: [[id: context.guild]])
    assert {:error, %Error{field: "accounts.guilds", message: message}} = Tasks.run(:nicknames)
    assert message == "no server of guilds: has nickname:"
    assert {:error, %Error{message: "no server of guilds: has roles:"}} = Tasks.run(:groups)
    assert {:ok, %{changed: 0}} = Tasks.run(:usernames)

    # What a rule gave that is not there any more is to be taken back.
    :ok = Applied.put(store, context.guild, "1300000000000000888", %{Plan.nothing_applied() | roles_set: ["7"]})
    assert {:ok, _} = Tasks.run(:groups)
  end

  describe "on a schedule" do
    setup %{store: store} = context do
      start_supervised!({UroDiscord, options(context, tasks: [schedule: [usernames: 600_000]])})
      [first | _] = link!(context)
      :ok = Links.put_usernames(store, [{first.id, "@old"}])
      %{first: first}
    end

    defp look, do: send(Tasks.Schedule, :look)

    defp ended(store, ms_ago) do
      sql = "UPDATE uro_discord_task_cursors SET finished_at = $1"
      {:ok, _} = Store.run(store, [{sql, [ms_ago && System.os_time(:millisecond) - ms_ago]}], :write)
    end

    defp at(store) do
      {:ok, %{finished_at: at}} = Tasks.Cursor.last(store, :usernames)
      at
    end

    test "it runs when its time has come, and not before", %{sim: sim, store: store, first: first} do
      assert eventually(fn -> at(store) end)
      # What it starts is not waited for: its state says whether it did.
      {%{running: running}, requests} = requests(sim, fn -> look() && :sys.get_state(Tasks.Schedule) end)
      assert {running, requests[@members]} == {%{}, nil}
      ended(store, 600_000)
      before = at(store)
      look()
      assert eventually(fn -> at(store) > before end)
      assert {:ok, %{username: name}} = Links.by_discord(store, first.id)
      assert name == first.username
      assert {:ok, %{accounts: %{tasks: [%{task: :usernames}]}}} = UroDiscord.status()
    end

    test "one that was interrupted is gone on with", %{store: store, first: first} do
      assert eventually(fn -> at(store) end)
      ended(store, nil)
      look()
      assert eventually(fn -> at(store) end)
      assert {:ok, %{username: name}} = Links.by_discord(store, first.id)
      assert name == first.username
    end
  end
end

defmodule UroDiscord.DomainsTest do
  # Whatever is killed, or cannot start: it costs what it is a part of, and the host nothing.
  use UroDiscord.Case
  import ExUnit.CaptureLog

  alias UroDiscord.{Accounts, Delivery, Domain, Error, Feeds, RestartableRegistry, Shards, Tree, Voice, Web, Whole}

  @subscriptions [UroDiscord.Events]

  # A host as it is: one supervisor, which gives up after three restarts in five seconds, and something else in it.
  defp start_host!(config) do
    children = [{Agent, fn -> :endpoint end}, {UroDiscord, config}]
    host = start_supervised!(%{id: :host, start: {Supervisor, :start_link, [children, [strategy: :one_for_one]]}})
    %{host: host, children: host |> Supervisor.which_children() |> Map.new(&{elem(&1, 0), elem(&1, 1)})}
  end

  defp host_lives!(%{host: host, children: children}) do
    assert Process.alive?(host)
    assert host |> Supervisor.which_children() |> Map.new(&{elem(&1, 0), elem(&1, 1)}) == children
  end

  # Processes that come and go by themselves: channels, polls, tasks.
  defp lasting(sim) do
    tree = Tree.processes(UroDiscord)
    assert eventually(fn -> Whole.well?(sim, []) end)
    for {path, _process} <- tree, not Enum.any?(path, &is_integer/1), do: path
  end

  @tag timeout: 300_000
  test "each process that is killed is there again, and the other domains go on as they were" do
    sim = start_sim!()
    host = start_host!(Whole.config(sim))
    assert eventually(fn -> Whole.well?(sim, []) end)
    guild = sim.info["guild_id"]
    assert :ok = Voice.join(guild, :world, wait: 20_000)
    assert :ok = Voice.play(guild, Path.expand("../fixtures/tone.opus", __DIR__), loop: true)
    paths = sim |> lasting() |> Enum.sort()
    assert length(paths) > 30
    # Those of options that are off by default are among them.
    for module <- [Accounts.LinkedRoles.Keeper, Accounts.Tasks.Schedule, Feeds],
        do: assert(Enum.any?(paths, &(List.last(&1) == module)), "#{inspect(module)} is not there")

    for path <- paths do
      before = Tree.processes(UroDiscord)
      {pid, _modules} = before[path]
      Process.exit(pid, :kill)

      assert eventually(fn -> not Process.alive?(pid) and Whole.well?(sim, paths) end),
             "not well after #{inspect(path)} was killed"

      assert eventually(fn -> match?({:ok, %{state: :joined}}, Voice.status(guild)) end),
             "not in voice after #{inspect(path)} was killed: #{inspect(Voice.status(guild))}"

      # A subscription ends with the registry that has it, and its process with that; their supervisors do not.
      now = Tree.processes(UroDiscord)

      for {[domain | _] = other, {pid, _}} <- before, domain != hd(path), other in paths do
        if hd(path) not in @subscriptions or match?([_domain, _supervisor], other) or match?([_domain], other),
          do: assert(elem(now[other], 0) == pid, "#{inspect(path)} was killed, and #{inspect(other)} is another one")
      end

      assert {:ok, delivery} = UroDiscord.notify(:general, "after #{inspect(path)}")
      assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivery)
      host_lives!(host)
    end

    assert length(DiscordSim.messages(sim, "general")) == length(paths)
  end

  test "the subscriptions that are killed again and again cost no domain" do
    sim = start_sim!()
    start_host!(Whole.config(sim))
    assert eventually(fn -> Whole.well?(sim, []) end)

    keepers = fn ->
      for {[name], {pid, _}} <- Tree.processes(UroDiscord), name not in @subscriptions, do: {name, pid}
    end

    before = keepers.()
    top = Process.whereis(UroDiscord)

    for _time <- 1..5 do
      %{[UroDiscord.Events] => {pid, _}} = Tree.processes(UroDiscord)
      Process.exit(pid, :kill)

      another? = fn ->
        with %{[UroDiscord.Events] => {now, _}} <- Tree.processes(UroDiscord),
             do: now != pid,
             else: (_restarting -> false)
      end

      assert eventually(another?)
      assert eventually(fn -> Whole.well?(sim, []) end)
    end

    assert Process.whereis(UroDiscord) == top
    assert keepers.() == before
  end

  test "a registry that is killed, and takes its time to end, costs no supervisor" do
    sim = start_sim!()
    start_host!(Whole.config(sim))
    assert eventually(fn -> Whole.well?(sim, []) end)

    for registry <- [UroDiscord.Events, UroDiscord.Notify.Registry, Shards.Board.Registry, Web.Waits] do
      supervisors =
        for name <- [UroDiscord, UroDiscord.Notify, Shards.Board, Domain.supervisor(:web)], do: Process.whereis(name)

      pid = Process.whereis(registry)
      partition = registry |> RestartableRegistry.partition() |> Process.whereis()
      :erlang.suspend_process(partition)
      ref = Process.monitor(pid)
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^ref, :process, ^pid, :killed}
      # Its supervisor has tried to start it again, and waits or has given up.
      assert eventually(fn -> Process.whereis(registry) == nil end)
      Process.send_after(self(), :resume, 100)
      assert_receive :resume
      :erlang.resume_process(partition)
      assert eventually(fn -> Process.whereis(registry) != nil and Whole.well?(sim, []) end)
      for supervisor <- supervisors, do: assert(Process.alive?(supervisor), "#{inspect(registry)} cost a supervisor")
    end
  end

  test "what is asked while a table or a registry is not there is a quiet value or a refusal, and no crash" do
    # Nothing runs: as in the moment between a crash and the new start.
    assert Shards.Board.status() == []
    assert Web.Waits.wait(:outcome, "key", fn -> :waited end) == :many
    assert Web.RateLimit.take("key", 60) == :unavailable
    assert Feeds.Status.all() == %{}
  end

  # Nobody sends a webhook of GitHub's again, so what is polled may not cost one.
  test "a poller that crashes at each start costs no webhook of another feed" do
    sim = start_sim!()
    # Nobody is there: it is asked at each start, and then waits.
    polled = [source: :github, poll: ["V-Sekai/uro"], url: "http://127.0.0.1:1", rules: [[channel: :builds]]]
    start_connected!(sim, feeds: UroDiscord.Hooks.github() ++ [polled: polled])
    feeds = Process.whereis(Feeds)

    capture_log(fn ->
      assert eventually(fn ->
               for {_id, pid, _type, [Feeds.Poller]} when is_pid(pid) <- children(Domain.supervisor(:polling)),
                   do: Process.exit(pid, :kill)

               match?({:ok, %{domains: %{polling: %{state: :waiting}}}}, UroDiscord.status())
             end)

      assert {202, _, _} = UroDiscord.Hooks.send_hook(UroDiscord.Hooks.run())
      assert Process.whereis(Feeds) == feeds

      assert eventually(fn -> match?({:ok, %{domains: %{polling: %{state: :up, restarts: 1}}}}, UroDiscord.status()) end)
    end)
  end

  defp children(supervisor) do
    Supervisor.which_children(supervisor)
  catch
    :exit, _not_there -> []
  end

  test "a part that crashes too often begins anew after a pause, and says so once" do
    start_sim!() |> start_connected!()

    log =
      capture_log(fn ->
        %{[:voice] => {voice, _}} = Tree.processes(UroDiscord)
        domain = Process.whereis(Domain.supervisor(:voice))

        crash = fn crash ->
          with pid when is_pid(pid) <- Process.whereis(Voice.Calls), do: Process.exit(pid, :kill)
          if Process.alive?(domain), do: crash.(crash)
        end

        crash.(crash)
        waiting? = fn -> match?({:ok, %{domains: %{voice: %{state: :waiting}}}}, UroDiscord.status()) end
        assert eventually(waiting?)
        assert {:ok, %{domains: %{voice: %{reason: reason}, core: %{state: :up}}}} = UroDiscord.status()
        assert reason =~ "had more than 10 crashes in 10 s"
        assert {:error, %Error{kind: :unavailable}} = Voice.status("1100000000000000000")

        assert eventually(fn -> match?({:ok, %{domains: %{voice: %{state: :up, restarts: 1}}}}, UroDiscord.status()) end)

        assert %{[:voice] => {^voice, _}} = Tree.processes(UroDiscord)
      end)

    assert [_, _] = String.split(log, "the part voice had more than 10 crashes")
  end

  describe "what cannot start" do
    @doc false
    def start_when(allowed),
      do: if(Agent.get(allowed, & &1), do: Agent.start_link(fn -> :up end), else: {:error, :not_yet})

    test "is in status/0, is logged once, and starts when it can" do
      start_supervised!({UroDiscord, enabled: false})
      {:ok, allowed} = Agent.start_link(fn -> false end)
      child = %{id: :late, start: {__MODULE__, :start_when, [allowed]}}

      log =
        capture_log(fn ->
          {:ok, keeper} = Domain.start_link(%Domain{name: :late, children: [child]})
          assert %{late: %{state: :waiting, reason: "cannot be started: :late: :not_yet"}} = Domain.status()
          # Tried again, in vain.
          assert eventually(fn -> :sys.get_state(keeper).backoff.failures >= 3 end)
          Agent.update(allowed, fn false -> true end)
          assert eventually(fn -> match?(%{late: %{state: :up}}, Domain.status()) end)
          assert :ok = Domain.stop(:late)
          # Its pause ended just then.
          send(keeper, :start)
          assert {:error, %Error{}} = GenServer.call(keeper, :is_it_through?)
          assert Process.whereis(Domain.supervisor(:late)) == nil
        end)

      assert [_, _] = String.split(log, "the part late cannot be started")
    end

    test "a store that cannot be opened: everything else is there, notifications are refused and not lost" do
      sim = start_sim!()
      File.mkdir_p!(DiscordSim.scratch())
      folder = Path.join(DiscordSim.scratch(), "later-#{System.unique_integer([:positive])}")
      # No folder can be made where a file is.
      File.write!(folder, "")

      log =
        capture_log(fn ->
          config = DiscordSim.config(sim) |> Keyword.put(:database, Path.join(folder, "uro.sqlite3"))
          host = start_host!(config)

          assert {:ok, %{store: %{state: :opening, error: %Error{}}, notifications: %{error: %Error{}}}} =
                   UroDiscord.status()

          assert {:error, %Error{kind: :unavailable} = error} = UroDiscord.notify(:general, "too early")
          assert Exception.message(error) =~ "not open yet"
          assert :ok = Shards.put(id: 7, name: "Plaza")

          File.rm!(folder)
          assert eventually(fn -> match?({:ok, %{store: %{state: :open}}}, UroDiscord.status()) end)
          assert {:ok, delivery} = UroDiscord.notify(:general, "now")
          assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivery)
          assert eventually(fn -> Whole.well?(sim, []) or DiscordSim.presence_text(sim) != nil end)
          host_lives!(host)
        end)

      assert [_, _] = String.split(log, "nothing is accepted before")
    end
  end
end

defmodule UroDiscord.BridgeTest do
  use UroDiscord.Case
  import ExUnit.CaptureLog
  alias UroDiscord.{Bridge, Desired, Error, Native, Shards}

  # Quick, so that a hundred restarts take seconds.
  @quick [bridge_restart: {10, 40}]

  defp kill(os_pid), do: :ok = Native.kill(os_pid)

  def tell(event, measurements, metadata, test), do: send(test, {:telemetry, event, measurements, metadata})

  defp os_pid do
    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    os_pid
  end

  describe "with discord-sim" do
    setup do
      %{sim: start_sim!()}
    end

    test "connects, and status/0 tells what is up and since when", %{sim: sim} do
      before = DateTime.utc_now()
      fact = start_connected!(sim)
      assert fact.session
      assert fact.resumed == false

      assert {:ok, %{enabled: true, bridge: bridge, gateway: gateway, rest: rest}} = UroDiscord.status()

      assert %{state: :up, restarts: 0, last_end: nil, panics: %{room: 0, shard: 0, portal: 0, connection: 0}} = bridge
      assert %{shards: %{0 => %{state: :active}}, held_back: nil} = gateway

      assert DateTime.compare(bridge.since, before) == :gt
      assert File.exists?("/proc/#{bridge.os_pid}")
      assert is_map(rest)
    end

    test "only subscribed dispatches cross, with their shard, session and sequence", %{sim: sim} do
      %{session: session} = start_connected!(sim, intents: [:guilds, :guild_messages])
      UroDiscord.subscribe({:gateway, "CHANNEL_UPDATE"})
      # A ping returns after everything before it was read, so the subscription is in force.
      {:ok, _} = Bridge.ping(:settled)

      for n <- 1..3 do
        DiscordSim.post(sim, "/dispatch", %{type: "CHANNEL_CREATE", data: %{n: n}})
        DiscordSim.post(sim, "/dispatch", %{type: "CHANNEL_UPDATE", data: %{n: n}})
      end

      events =
        for _ <- 1..3,
            do: assert_receive({:uro_discord, {:gateway, "CHANNEL_UPDATE"}, event}, 5_000) && event

      assert Enum.map(events, & &1.data["n"]) == [1, 2, 3]

      assert Enum.all?(
               events,
               &match?(%{shard: 0, session: ^session, type: "CHANNEL_UPDATE"}, &1)
             )

      assert events
             |> Enum.map(& &1.seq)
             |> Enum.chunk_every(2, 1, :discard)
             |> Enum.all?(fn [a, b] -> a < b end)

      refute_received {:uro_discord, {:gateway, "CHANNEL_CREATE"}, _}
    end

    test "10,000 events are more than the credit, and all arrive in order", %{sim: sim} do
      start_connected!(sim)
      UroDiscord.subscribe({:gateway, "CHANNEL_UPDATE"})
      {:ok, _} = Bridge.ping(:settled)
      DiscordSim.post(sim, "/dispatch", %{type: "CHANNEL_UPDATE", data: %{}, times: 10_000})
      assert_receive {:uro_discord, {:gateway, "CHANNEL_UPDATE"}, %{seq: first}}, 5_000

      for seq <- (first + 1)..(first + 9_999) do
        assert_receive {:uro_discord, {:gateway, "CHANNEL_UPDATE"}, %{seq: seen}}, 5_000
        assert seen == seq
      end
    end

    test "the presence follows the players, and is stated again to a bridge that was killed", %{
      sim: sim
    } do
      start_connected!(sim, @quick)
      :ok = Shards.put(id: 1, name: "Plaza", players: 1)
      DiscordSim.wait_for_presence(sim, "1 player in 1 world")

      before = DiscordSim.now(sim)
      kill(os_pid())
      wait_for(&match?({:gateway, 0, %{state: :active, resumed: true}}, &1))
      DiscordSim.wait_for_presence(sim, "1 player in 1 world", after: before)

      :ok = Shards.put(id: 1, name: "Plaza", players: 5)
      DiscordSim.wait_for_presence(sim, "5 players in 1 world")
      assert DiscordSim.presence_text(sim) == "5 players in 1 world"

      gateway = DiscordSim.get(sim, "/gateway")
      assert gateway["identifies"] == 1
      assert gateway["resumes"] == 1
    end

    test "a hundred SIGKILLs leave nothing behind, and the right presence at the end", %{sim: sim} do
      start_connected!(sim, @quick)
      :ok = Shards.put(id: 1, name: "Plaza", players: 0)
      DiscordSim.wait_for_presence(sim, "0 players in 1 world")
      before = leftovers()

      for n <- 1..100 do
        :ok = Shards.put(id: 1, name: "Plaza", players: n)
        kill(os_pid())
        wait_for(&match?({:bridge, :up, _}, &1))
      end

      DiscordSim.wait_for_presence(sim, "100 players in 1 world", timeout: 30_000)
      assert DiscordSim.presence_text(sim) == "100 players in 1 world"

      assert {:ok, %{bridge: %{state: :up, restarts: 100, last_end: last_end}}} = UroDiscord.status()
      # The exit status is lost when something was written to it before the VM had seen its end.
      assert last_end =~ ~r/^(killed by signal 9|was gone when it was written to)/

      assert eventually(fn -> nothing_more?(leftovers(), before) end),
             "before: #{inspect(before)}, after: #{inspect(leftovers())}"
    end

    test "a bridge that hangs is noticed and replaced", %{sim: sim} do
      start_connected!(sim, @quick)
      hung = os_pid()
      {_, 0} = System.cmd("kill", ["-STOP", "#{hung}"])

      wait_for(
        &match?({:bridge, :waiting, %{last_end: "the bridge has answered nothing" <> _}}, &1),
        30_000
      )

      wait_for(&match?({:gateway, 0, %{state: :active}}, &1))
      assert eventually(fn -> not File.exists?("/proc/#{hung}") end)
    end

    test "the bridge ends before its owner does, and leaves its session to be resumed", %{sim: sim} do
      start_connected!(sim)
      bridge = os_pid()
      # A subscriber is linked to what it subscribed to.
      Process.flag(:trap_exit, true)
      stop_supervised!(UroDiscord)
      refute File.exists?("/proc/#{bridge}")
      assert [%{"id" => _}] = DiscordSim.get(sim, "/gateway")["sessions"]
    end

    test "a bridge that hangs is no reason to hang at the end", %{sim: sim} do
      start_connected!(sim)
      hung = os_pid()
      {_, 0} = System.cmd("kill", ["-STOP", "#{hung}"])
      Process.flag(:trap_exit, true)
      stop_supervised!(UroDiscord)
      assert eventually(fn -> not File.exists?("/proc/#{hung}") end)
    end

    test "the bridge ends when its owner is killed", %{sim: sim} do
      start_connected!(sim)
      bridge = os_pid()
      Process.exit(Process.whereis(Bridge), :kill)
      assert eventually(fn -> not File.exists?("/proc/#{bridge}") end)
    end

    test "the desired state outlives its process and the bridge's owner", %{sim: sim} do
      start_connected!(sim, @quick)
      :ok = Shards.put(id: 1, name: "Plaza", players: 1)
      DiscordSim.wait_for_presence(sim, "1 player in 1 world")

      before = DiscordSim.now(sim)
      kill_and_wait(Desired)
      kill_and_wait(Bridge)
      wait_for(&match?({:gateway, 0, %{state: :active}}, &1))
      DiscordSim.wait_for_presence(sim, "1 player in 1 world", after: before)

      # Who follows is not forgotten either.
      kill_and_wait(Desired)
      :ok = Shards.put(id: 1, name: "Plaza", players: 2)
      DiscordSim.wait_for_presence(sim, "2 players in 1 world")
    end

    defp kill_and_wait(name) do
      pid = Process.whereis(name)
      Process.exit(pid, :kill)
      assert eventually(fn -> Process.whereis(name) not in [pid, nil] end)
    end

    test "what is too large to be told is said, and ends no bridge", %{sim: sim} do
      start_connected!(sim)
      os_pid = os_pid()

      log =
        capture_log(fn ->
          :ok = Desired.follow(["after"])
          Desired.put({"portals", :local}, %{"open" => [String.duplicate("x", Bridge.Protocol.max_frame())]})
          Desired.put("after", nil)
          assert_receive {:desired, "after"}, 5_000
          assert {:ok, :said} = Bridge.ping(:said)
          Desired.put({"portals", :local}, nil)
        end)

      assert log =~ "the bridge is not told desired: a message of"
      assert os_pid() == os_pid
    end

    test "names that are written alike are names of two", %{sim: _sim} do
      names = [:local, :local@h, :"media1@10.0.0.5", :"Media1@10.0.0.5", :"media_1@10.0.0.5", :"media.1@10.0.0.5"]
      assert names |> Enum.map(&Bridge.server/1) |> Enum.uniq() |> length() == length(names)
    end

    test "another bridge beside it has a life of its own", %{sim: sim} do
      start_connected!(sim, @quick)
      local = os_pid()
      {:ok, %{config: config}} = UroDiscord.Runtime.fetch()
      start_supervised!({Bridge.Owner, {config, name: :second, roles: []}})
      assert eventually(fn -> match?(%{bridge: %{state: :up}}, Bridge.status(:second)) end)
      assert Bridge.ping(:second, {:any, "term"}) == {:ok, {:any, "term"}}

      %{bridge: %{os_pid: second}, gateway: gateway} = Bridge.status(:second)
      assert second != local
      # It has no part in the gateway.
      assert gateway.shards == %{}
      assert DiscordSim.get(sim, "/gateway")["identifies"] == 1

      kill(second)
      assert eventually(fn -> match?(%{bridge: %{state: :up, restarts: 1}}, Bridge.status(:second)) end)
      assert {:ok, %{bridge: %{os_pid: ^local, restarts: 0}}} = UroDiscord.status()
    end

    test "what its owner does not know, it survives, and says so", %{sim: sim} do
      start_connected!(sim)
      owner = Process.whereis(Bridge)

      log =
        capture_log(fn ->
          send(owner, {:nobody_knows, "a secret"})
          send(owner, {:EXIT, self(), :nothing})
          GenServer.cast(owner, :nobody_knows)
          assert {:error, %Error{}} = GenServer.call(owner, :nobody_knows)
        end)

      # Each kind once.
      assert [_, _, _] = Regex.scan(~r/that it does not know/, log)
      refute log =~ "a secret"
      assert {:ok, :still_here} = Bridge.ping(:still_here)
      assert Process.whereis(Bridge) == owner
    end

    test "the bridge gets nothing of our environment but what it needs", %{sim: sim} do
      for {name, value} <- [{"DATABASE_URL", "ecto://secret"}, {"URO_DISCORD_LOG", "info"}], do: put_env(name, value)
      start_connected!(sim)
      environment = File.read!("/proc/#{os_pid()}/environ") |> String.split("\0", trim: true)
      assert "URO_DISCORD_LOG=info" in environment
      names = for variable <- environment, do: variable |> String.split("=") |> hd()
      assert names -- ~w(URO_DISCORD_LOG RUST_BACKTRACE SSL_CERT_FILE SSL_CERT_DIR TZ LANG LC_ALL) == []
    end

    test "media has as many workers as are configured", %{sim: sim} do
      start_connected!(sim, bridge_media_workers: 3)
      threads = for comm <- Path.wildcard("/proc/#{os_pid()}/task/*/comm"), do: String.trim(File.read!(comm))
      assert Enum.count(threads, &(&1 == "media")) == 3
    end

    defp put_env(name, value) do
      before = System.get_env(name)
      System.put_env(name, value)
      on_exit(fn -> if before, do: System.put_env(name, before), else: System.delete_env(name) end)
    end

    test "the bridge's log lines are Logger events with level and fields", %{sim: sim} do
      :ok = :logger.add_handler(__MODULE__, __MODULE__, %{config: self()})
      on_exit(fn -> :logger.remove_handler(__MODULE__) end)
      start_connected!(sim)
      assert_receive {:logged, :info, %{target: "uro_discord_bridge" <> _, fields: %{"resumed" => false}}}, 5_000
    end

    # A handler of Erlang's logger that tells the test.
    def log(%{level: level, meta: %{bridge: bridge}}, %{config: test}), do: send(test, {:logged, level, bridge})
    def log(_event, _config), do: :ok
  end

  describe "a bridge that misbehaves" do
    setup do
      %{sim: start_sim!()}
    end

    # A script in the place of the bridge: it says what it is given and then reads on, as a live bridge would.
    defp misbehaving(says) do
      path = Path.join(System.tmp_dir!(), "misbehaving-#{System.unique_integer([:positive])}")
      File.write!(path <> ".out", says)
      File.write!(path, "#!/bin/sh\ncat #{path}.out\nexec cat >/dev/null\n")
      File.chmod!(path, 0o700)
      on_exit(fn -> for file <- [path, path <> ".out"], do: File.rm(file) end)
      path
    end

    defp frame(term), do: :erlang.term_to_binary(term) |> then(&<<byte_size(&1)::32, &1::binary>>)

    for {name, says, reason} <- [
          {"text on stdout", "Segmentation fault\n", "announced a frame of"},
          {"a frame that is not a term", <<0, 0, 0, 3, "abc">>, "are not a term"},
          {"a frame over the limit", <<0xFFFF_FFFF::32>>, "announced a frame of 4294967295 bytes"}
        ] do
      test "#{name}: one clear error and another bridge", %{sim: sim} do
        bridge = misbehaving(unquote(says))

        log =
          capture_log(fn ->
            start_uro_discord!(sim, bridge_executable: bridge, bridge_restart: {10, 40})
            for _ <- 1..3, do: wait_for(&match?({:bridge, :waiting, _}, &1))
          end)

        assert log =~ unquote(reason)
        {:ok, %{bridge: %{last_end: last_end}}} = UroDiscord.status()
        assert last_end =~ unquote(reason)
      end
    end

    test "a frame that breaks off: told as such", %{sim: sim} do
      path = misbehaving(<<0, 0, 1, 0, "begun">>)
      File.write!(path, "#!/bin/sh\ncat #{path}.out\nexit 3\n")
      start_uro_discord!(sim, bridge_executable: path, bridge_restart: {10, 40})

      assert {:bridge, :waiting, %{last_end: last_end}} = wait_for(&match?({:bridge, :waiting, _}, &1))

      assert last_end == "exited with status 3, in the middle of a frame (9 bytes of it)"
    end

    # A tuple with an atom that nobody has: it is written by hand.
    @of_no_version <<131, 104, 2, 119, 13, "somethng_newr", 97, 1>>

    test "a bridge of the next version may say what is not known here, which is told once", %{sim: sim} do
      unknown = [<<byte_size(@of_no_version)::32>>, @of_no_version]
      new = frame({:gateway, 0, :error, %{"new" => 1}})
      hello = frame({:hello, Bridge.Protocol.version() + 1, %{"bridge" => "9.9.9", "new" => %{}}})
      bridge = misbehaving([hello, unknown, new, unknown, new, frame({:panic, :shard, 3})])

      log =
        capture_log(fn ->
          start_uro_discord!(sim, bridge_executable: bridge)
          assert eventually(fn -> match?({:ok, %{bridge: %{panics: %{shard: 1}}}}, UroDiscord.status()) end)
        end)

      assert {:ok, %{bridge: %{state: :up, restarts: 0}}} = UroDiscord.status()
      version = Bridge.Protocol.version()

      assert log =~
               "speaks version #{version + 1} of the protocol, and this library #{version}: they understand each other"

      assert [_, _] = Regex.scan(~r/which only its version knows/, log)
      assert log =~ "said :gateway, which only"
    end

    test "one of the version before is served, and may not", %{sim: sim} do
      hello = frame({:hello, Bridge.Protocol.version() - 1, %{"bridge" => "0.0.9"}})
      start_uro_discord!(sim, bridge_executable: misbehaving([hello, frame({:panic, :shard, 3})]))
      assert eventually(fn -> match?({:ok, %{bridge: %{state: :up, panics: %{shard: 1}}}}, UroDiscord.status()) end)
      # A subscriber is linked to what it subscribed to.
      Process.flag(:trap_exit, true)
      stop_supervised!(UroDiscord)

      bridge = misbehaving([hello, frame({:gateway, 0, :error, %{"new" => 1}})])
      start_uro_discord!(sim, bridge_executable: bridge, bridge_restart: {10, 40})
      assert {:bridge, :waiting, %{last_end: last_end}} = wait_for(&match?({:bridge, :waiting, _}, &1))
      assert last_end =~ "not in the protocol: {:gateway, 0, :error"
    end

    test "another version of the protocol: one clear error and no other try", %{sim: sim} do
      bridge = misbehaving(frame({:hello, Bridge.Protocol.version() + 2, %{"bridge" => "9.9.9"}}))

      log =
        capture_log(fn ->
          start_uro_discord!(sim, bridge_executable: bridge, bridge_restart: {10, 40})
          # It may be so before anybody could subscribe.
          assert eventually(fn -> match?({:ok, %{bridge: %{state: :incompatible}}}, UroDiscord.status()) end)
        end)

      assert log =~ "different versions of their protocol (ours is #{Bridge.Protocol.version()})"
      # The one start that there was is in the mailbox if the subscription came before it.
      receive do: ({:uro_discord, :status, {:bridge, :starting, _}} -> :ok), after: (0 -> :ok)
      refute_receive {:uro_discord, :status, {:bridge, :starting, _}}, 300
      assert {:ok, %{bridge: %{state: :incompatible, restarts: 0}}} = UroDiscord.status()
    end

    test "panics of rooms and shards are counted, and told to :telemetry", %{sim: sim} do
      panics = [
        {:room, "1300000000000000100"},
        {:shard, 3},
        {:portal, "lobby"},
        {:room, "1300000000000000101"},
        {:connection, nil}
      ]

      hello = frame({:hello, Bridge.Protocol.version(), %{"bridge" => "9.9.9"}})
      bridge = misbehaving([hello | for({what, which} <- panics, do: frame({:panic, what, which}))])
      :ok = :telemetry.attach(:panics, [:uro_discord, :bridge, :panic], &__MODULE__.tell/4, self())
      on_exit(fn -> :telemetry.detach(:panics) end)
      start_uro_discord!(sim, bridge_executable: bridge)

      for {what, which} <- panics,
          do: assert_receive({:telemetry, _event, %{count: 1}, %{bridge: :local, what: ^what, which: ^which}}, 10_000)

      assert {:ok, %{bridge: %{state: :up, panics: %{room: 2, shard: 1, portal: 1, connection: 1}}}} =
               UroDiscord.status()
    end

    test "a program that is not there", %{sim: sim} do
      path = misbehaving("")
      File.write!(path, "#!/bin/sh\nexit 3\n")
      start_uro_discord!(sim, bridge_executable: path, bridge_restart: {10, 40})
      owner = Process.whereis(Bridge)
      File.rm!(path)

      log =
        capture_log(fn ->
          # More often than a supervisor would have it.
          for _ <- 1..10 do
            assert {:bridge, :waiting, %{last_end: last_end}} =
                     wait_for(&match?({:bridge, :waiting, %{last_end: "/" <> _}}, &1))

            assert last_end == "#{path}: no such file or directory"
          end
        end)

      assert length(String.split(log, "the bridge cannot be started")) <= 2
      assert Process.whereis(Bridge) == owner
    end
  end

  # What tests before this one have left to end in its own time may be gone meanwhile.
  defp nothing_more?(after_all, before) do
    Enum.all?([:ports, :files], &(after_all[&1] <= before[&1])) and
      after_all.processes -- before.processes == []
  end

  defp leftovers do
    %{
      ports: length(:erlang.ports()),
      files: length(File.ls!("/proc/#{System.pid()}/fd")),
      processes: processes()
    }
  end

  # What the VM's forker has started, zombies too: name and state.
  defp processes do
    all = for stat <- Path.wildcard("/proc/[0-9]*/stat"), {:ok, line} <- [File.read(stat)], do: stat_fields(line)
    [forker] = for %{name: "erl_child_setup", parent: parent, pid: pid} <- all, parent == System.pid(), do: pid
    Enum.sort(for %{parent: ^forker} = process <- all, do: {process.name, process.state})
  end

  # pid (name) state ppid …
  defp stat_fields(line) do
    [_, pid, name, state, parent] = Regex.run(~r/^(\d+) \((.*)\) (.) (\d+)/s, line)
    %{pid: pid, name: name, state: if(state == "Z", do: :zombie, else: :alive), parent: parent}
  end
end

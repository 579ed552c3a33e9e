defmodule UroDiscord.GatewayTest do
  use UroDiscord.Case
  import ExUnit.CaptureLog
  alias UroDiscord.Bridge
  alias UroDiscord.Gateway.{Leader, Sessions}

  @update {:gateway, "CHANNEL_UPDATE"}
  @create {:gateway, "CHANNEL_CREATE"}
  # Restarts take no time, and these events are kept.
  @options [bridge_restart: {10, 40}, gateway: [events: ["CHANNEL_UPDATE", "CHANNEL_CREATE"]]]

  setup do
    sim = start_sim!()
    # A subscriber is linked to what it subscribed to.
    Process.flag(:trap_exit, true)
    %{sim: sim, options: Keyword.take(DiscordSim.config(sim), [:database]) ++ @options}
  end

  defp status do
    {:ok, %{gateway: gateway}} = UroDiscord.status()
    gateway
  end

  defp dispatch(sim, numbers, type \\ "CHANNEL_UPDATE"),
    do: for(n <- numbers, do: DiscordSim.post(sim, "/dispatch", %{type: type, data: %{n: n}}))

  defp act(sim, action), do: DiscordSim.post(sim, "/gateway", action)
  defp identifies(sim), do: DiscordSim.get(sim, "/gateway")["identifies"]

  # Subscribed and in force: a ping returns after everything before it was read.
  defp subscribe(topic, options \\ []) do
    UroDiscord.subscribe(topic, options)
    {:ok, _} = Bridge.ping(:settled)
  end

  defp next(topic \\ @update) do
    assert_receive {:uro_discord, ^topic, event}, 10_000
    event
  end

  defp numbers(count, topic \\ @update), do: for(_ <- 1..count, do: next(topic).data["n"])

  defp kill_bridge do
    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    {_, 0} = System.cmd("kill", ["-KILL", "#{os_pid}"])
  end

  defp resumed, do: wait_for(&match?({:gateway, 0, %{state: :active, resumed: true}}, &1))

  # Another one with the same store, as after a deployment.
  defp restart!(sim, options) do
    stop_supervised!(UroDiscord)
    start_connected!(sim, options)
  end

  # A process that does what it is told.
  defp spawn_subscriber(topic, options) do
    test = self()

    pid =
      spawn(fn ->
        UroDiscord.subscribe(topic, options)
        send(test, {self(), :subscribed})
        obey(test)
      end)

    assert_receive {^pid, :subscribed}, 5_000
    pid
  end

  defp obey(test) do
    receive do
      {:call, fun} -> send(test, {self(), fun.()})
    end

    obey(test)
  end

  defp call(pid, fun) do
    send(pid, {:call, fun})
    assert_receive {^pid, result}, 10_000
    result
  end

  # Received by a process that is told to.
  defp receive_event(topic) do
    receive do
      {:uro_discord, ^topic, event} -> event
    end
  end

  describe "the lease" do
    test "is held by the only node, and given back", %{sim: sim, options: options} do
      refute Leader.held?()
      start_connected!(sim, options)
      assert Leader.held?()
      assert %{lease: %{held: true, holder: holder}, identifies: identifies, held_back: nil} = status()
      assert {:ok, %{owner: ^holder}} = UroDiscord.Runtime.fetch()
      # Discord was asked before the one that we used.
      assert %{state: :ok, remaining: 999, waiting: []} = identifies
      assert DateTime.compare(identifies.reset_at, DateTime.utc_now()) == :gt
      stop_supervised!(UroDiscord)
      refute Leader.held?()
    end

    test "goes on when its process crashes, and so do the sessions", %{sim: sim, options: options} do
      %{session: session} = start_connected!(sim, options)
      %{fence: fence} = Leader.lease()
      # The store has it.
      assert eventually(fn -> map_size(Sessions.all(fence)) == 1 and Sessions.changes(fence) == %{} end)
      Process.exit(Process.whereis(Leader), :kill)
      wait_for(&(&1 == {:lease, :held}))
      assert {:gateway, 0, %{session: ^session}} = resumed()
      assert identifies(sim) == 1
    end
  end

  describe "a restart" do
    test "resumes, and brings what came meanwhile to who subscribes later", %{sim: sim, options: options} do
      %{session: session} = start_connected!(sim, options)
      stop_supervised!(UroDiscord)
      dispatch(sim, 1..3)
      assert %{resumed: true, session: ^session} = start_connected!(sim, options)
      dispatch(sim, 4..5)
      # They are here, and wait.
      assert eventually(fn -> map_size(:sys.get_state(Bridge).gateway.flow.open) == 5 end)
      subscribe(@update)
      assert numbers(5) == [1, 2, 3, 4, 5]
      dispatch(sim, [6])
      assert numbers(1) == [6]
      assert identifies(sim) == 1
    end

    test "brings again what was not acknowledged, and from there on", %{sim: sim, options: options} do
      start_connected!(sim, options)
      subscribe(@update, ack: true)
      dispatch(sim, 1..5)
      events = for _ <- 1..5, do: next()
      for event <- events, event.data["n"] in [1, 2, 4], do: UroDiscord.ack(event)
      {:ok, _} = Bridge.ping(:settled)

      restart!(sim, options)
      subscribe(@update, ack: true)
      again = for _ <- 1..3, do: next()
      # A repeat is known by its session and sequence.
      place = &Map.take(&1, [:shard, :session, :seq, :data])
      assert Enum.map(again, place) == events |> Enum.drop(2) |> Enum.map(place)
      Enum.each(again, &UroDiscord.ack/1)
      {:ok, _} = Bridge.ping(:settled)

      restart!(sim, options)
      subscribe(@update, ack: true)
      dispatch(sim, [6])
      assert numbers(1) == [6]
      assert identifies(sim) == 1
    end

    test "does not resume for other intents, or another number of shards", %{sim: sim, options: options} do
      DiscordSim.post(sim, "/settings", %{identify_interval_ms: 0})
      start_connected!(sim, options)
      assert %{resumed: false} = restart!(sim, [intents: [:guilds, :guild_messages]] ++ options)
      assert identifies(sim) == 2
    end
  end

  describe "a killed bridge" do
    test "repeats nothing and misses nothing", %{sim: sim, options: options} do
      start_connected!(sim, options)
      subscribe(@update, ack: true)
      dispatch(sim, 1..3)
      events = for _ <- 1..3, do: next()
      kill_bridge()
      dispatch(sim, 4..6)
      resumed()
      assert numbers(3) == [4, 5, 6]
      refute_received {:uro_discord, @update, _}
      # What was not acknowledged is still with its subscriber.
      Enum.each(events, &UroDiscord.ack/1)
      {:ok, _} = Bridge.ping(:settled)
      assert [{_place, %{event: %{data: %{"n" => 4}}}} | _] = open()
      assert identifies(sim) == 1
    end

    defp open, do: Bridge |> :sys.get_state() |> then(& &1.gateway.flow.open) |> Enum.sort()
  end

  describe "subscribers" do
    test "acknowledge only what is kept for them", %{sim: sim, options: options} do
      start_connected!(sim, options)

      assert {:error, %UroDiscord.Error{kind: :invalid, field: "ack"} = error} =
               UroDiscord.subscribe({:gateway, "CHANNEL_DELETE"}, ack: true)

      assert Exception.message(error) =~ ~s(gateway: [events: ["CHANNEL_CREATE", "CHANNEL_DELETE", "CHANNEL_UPDATE"]])
      assert {:error, error} = UroDiscord.subscribe(:shards, ack: true)
      assert Exception.message(error) =~ ":shards is not one"
    end

    test "that die leave what they did not acknowledge to the next one, in order", %{sim: sim, options: options} do
      start_connected!(sim, options)
      first = spawn_subscriber(@update, ack: true)
      dispatch(sim, 1..3)
      event = call(first, fn -> receive_event(@update) end)
      # From another process than the subscriber.
      UroDiscord.ack(event)
      call(first, fn -> receive_event(@update) end)
      Process.exit(first, :kill)
      dispatch(sim, [4])
      subscribe(@update, ack: true)
      assert numbers(3) == [2, 3, 4]
    end

    test "that die twice of an event are not sent it again, and are of the next", %{sim: sim, options: options} do
      start_connected!(sim, options)
      dispatch(sim, 1..2)

      log =
        capture_log(fn ->
          for _ <- 1..2 do
            subscriber = spawn_subscriber(@update, ack: true)
            assert %{data: %{"n" => 1}} = call(subscriber, fn -> receive_event(@update) end)
            ref = Process.monitor(subscriber)
            send(subscriber, {:call, fn -> exit(:poison) end})
            assert_receive {:DOWN, ^ref, :process, _, :poison}, 5_000
          end

          subscribe(@update, ack: true)
          assert numbers(1) == [2]
        end)

      assert log =~ "CHANNEL_UPDATE (shard 0, sequence"
      assert log =~ "is given up: subscribers have died twice before they acknowledged it, the last one of :poison"
    end

    test "that unsubscribe let go of what they did not acknowledge", %{sim: sim, options: options} do
      start_connected!(sim, options)
      subscribe(@update, ack: true)
      dispatch(sim, 1..2)
      assert numbers(2) == [1, 2]
      UroDiscord.unsubscribe(@update)
      assert eventually(fn -> open() == [] end)
    end

    test "each handle an event before it is handled", %{sim: sim, options: options} do
      start_connected!(sim, options)
      other = spawn_subscriber(@update, ack: true)
      subscribe(@update, ack: true)
      dispatch(sim, [1])
      UroDiscord.ack(next())
      {:ok, _} = Bridge.ping(:settled)
      assert [_] = open()
      call(other, fn -> UroDiscord.ack(receive_event(@update)) end)
      assert eventually(fn -> open() == [] end)
    end

    test "to one type do not wait for those to another", %{sim: sim, options: options} do
      start_connected!(sim, options)
      dispatch(sim, [1, 2], "CHANNEL_CREATE")
      subscribe(@update)
      dispatch(sim, [3])
      assert numbers(1) == [3]
      refute_received {:uro_discord, @create, _}
      subscribe(@create)
      assert numbers(2, @create) == [1, 2]
    end
  end

  describe "a slow subscriber" do
    @many 20_000

    defp mailbox(pid), do: pid |> Process.info(:message_queue_len) |> elem(1)

    test "costs bounded memory and no event, and is named", %{sim: sim, options: options} do
      start_connected!(sim, options)
      # It sleeps, without acknowledging.
      sleeper = spawn_subscriber(@update, [])
      true = Process.register(sleeper, :sleeper)
      :erlang.suspend_process(sleeper)

      log =
        capture_log(fn ->
          DiscordSim.post(sim, "/dispatch", %{type: "CHANNEL_UPDATE", data: %{}, times: @many})
          assert eventually(fn -> match?(%{held_back: %{by: [_]}}, status()) end, 200)
          assert %{held_back: %{by: [%{pid: ^sleeper, name: :sleeper, mailbox: length}]}} = status()
          assert length in 1_000..3_000
          # The warning comes within 10 s, and the next look at it.
          assert eventually(fn -> :sys.get_state(Bridge).gateway.flow.told? end, 400)
          assert mailbox(sleeper) == length
        end)

      assert log =~
               ~r/for 1\d s no event could be taken from Discord's gateway: #PID<[\d.]+> :sleeper in .* has \d+ messages/

      :erlang.resume_process(sleeper)
      seqs = call(sleeper, fn -> for _ <- 1..@many, do: receive_event(@update).seq end)
      assert seqs == Enum.to_list(hd(seqs)..(hd(seqs) + @many - 1))
      assert eventually(fn -> status().held_back == nil end)
      assert identifies(sim) == 1
    end

    test "that acknowledges has at most so many before it", %{sim: sim, options: options} do
      start_connected!(sim, options)
      subscribe(@update, ack: true)
      DiscordSim.post(sim, "/dispatch", %{type: "CHANNEL_UPDATE", data: %{}, times: 3_000})
      assert eventually(fn -> status().held_back != nil end, 200)
      test = self()
      assert %{held_back: %{by: [%{pid: ^test, unacknowledged: 1_024}]}} = status()

      seqs =
        for _ <- 1..3_000 do
          event = next()
          UroDiscord.ack(event)
          event.seq
        end

      assert seqs == Enum.to_list(hd(seqs)..(hd(seqs) + 2_999))
    end

    test "that is not there at all holds back as much", %{sim: sim, options: options} do
      start_connected!(sim, options)
      DiscordSim.post(sim, "/dispatch", %{type: "CHANNEL_UPDATE", data: %{}, times: 3_000})

      assert eventually(
               fn -> match?(%{held_back: %{by: [%{type: "CHANNEL_UPDATE", unsubscribed: 1_024}]}}, status()) end,
               200
             )

      subscribe(@update)
      seqs = for _ <- 1..3_000, do: next().seq
      assert seqs == Enum.to_list(hd(seqs)..(hd(seqs) + 2_999))
    end
  end

  describe "identifies" do
    test "wait and say so when too few are left, and go on after the reset", %{sim: sim, options: options} do
      DiscordSim.post(sim, "/settings", %{identify_budget: 50})

      log =
        capture_log(fn ->
          start_uro_discord!(sim, options)
          assert {:identifies, %{state: :refused, remaining: 50}} = wait_for(&match?({:identifies, _}, &1))
        end)

      assert log =~ "50 identifies are left, and gateway: [identify_floor:] is 50"
      assert %{identifies: %{state: :refused, waiting: [0]}, shards: %{0 => %{state: :waiting}}} = status()
      assert identifies(sim) == 0

      # It is past the reset.
      DiscordSim.post(sim, "/settings", %{identify_budget: 1_000})
      :sys.replace_state(Leader, fn state -> update_in(state.identify.budget, &%{&1 | limit: nil}) end)
      send(Leader, :identify)
      wait_for(&match?({:gateway, 0, %{state: :active}}, &1))
      assert %{identifies: %{state: :ok, remaining: 999}} = status()
    end

    test "of a session that Discord does not take back are spaced, and counted", %{sim: sim, options: options} do
      start_connected!(sim, options)

      for _ <- 1..2 do
        before = DiscordSim.now(sim)
        act(sim, %{action: "invalid_session", resumable: false})
        DiscordSim.wait_for(sim, "identify", fn _ -> true end, after: before, timeout: 30_000)
        wait_for(&match?({:gateway, 0, %{state: :active}}, &1))
      end

      identifies = for %{"type" => "identify", "time" => time} <- DiscordSim.get(sim, "/events")["events"], do: time
      assert [first, second, third] = identifies
      assert second - first >= 5_000
      assert third - second >= 10_000
      assert DiscordSim.get(sim, "/gateway")["violations"] == %{}
    end

    test "need a token that Discord knows: that is told once, with what to do", %{sim: sim, options: options} do
      wrong = "MTIzNDU2Nzg5MDEyMzQ1Njc.AAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaa"

      log =
        capture_log(fn ->
          start_uro_discord!(sim, [token: wrong] ++ options)
          # Discord may have answered before this process could subscribe to anything.
          assert eventually(fn -> match?(%{identifies: %{state: :unauthorized}}, status()) end)
        end)

      assert log =~ "Discord does not accept the bot's token (401), so the gateway is not connected. Set :token"
      refute log =~ wrong
      assert identifies(sim) == 0
    end
  end

  describe "what Discord closes for good" do
    test "is told with what to do, and not tried again by another bridge", %{sim: sim, options: options} do
      DiscordSim.post(sim, "/settings", %{privileged_intents: 0})

      log =
        capture_log(fn ->
          start_uro_discord!(sim, [intents: [:guilds, :guild_members, :message_content]] ++ options)
          assert {:gateway, 0, %{code: 4014, advice: advice}} = wait_for(&match?({:gateway, 0, %{state: :fatal}}, &1))
          assert advice =~ "Server Members Intent (:guild_members of :intents) and Message Content Intent"
          kill_bridge()
          wait_for(&match?({:bridge, :up, _}, &1))
          # Nor because somebody wants other events.
          subscribe({:gateway, "TYPING_START"})
          refute_receive {:uro_discord, :status, {:gateway, 0, _}}, 500
        end)

      assert log =~ "closed shard 0 for good: 4014 Disallowed intent(s). Turn on Server Members Intent"
      assert %{shards: %{0 => %{state: :fatal, code: 4014}}} = status()
      assert [_] = for(%{"type" => "connect"} = connect <- DiscordSim.get(sim, "/events")["events"], do: connect)
    end

    test "by a token that was changed: the session's resume is refused", %{sim: sim, options: options} do
      start_connected!(sim, options)
      stop_supervised!(UroDiscord)
      # The same bot's, as after a reset.
      [id, _time, _hmac] = String.split(sim.info["token"], ".")

      log =
        capture_log(fn ->
          start_uro_discord!(sim, [token: "#{id}.AAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaa"] ++ options)
          wait_for(&match?({:gateway, 0, %{state: :fatal, code: 4004}}, &1))
        end)

      assert log =~ "The token is not valid: set :token to the one on the Bot page of the developer portal, and restart"
    end
  end

  describe "shards" do
    defp settings(sim, settings), do: DiscordSim.post(sim, "/settings", settings)

    defp all_active(shards) do
      numbers = Enum.to_list(0..(shards - 1))

      assert eventually(
               fn -> for({n, %{state: :active}} <- status().shards, do: n) |> Enum.sort() == numbers end,
               600
             )
    end

    test "each have their connection, presence and session, and events their number", %{sim: sim, options: options} do
      settings(sim, %{max_concurrency: 2})
      options = Keyword.put(options, :gateway, events: ["CHANNEL_UPDATE"], shards: 2)
      start_uro_discord!(sim, options)
      all_active(2)
      subscribe(@update)
      dispatch(sim, [1])
      assert Enum.sort([next().shard, next().shard]) == [0, 1]
      assert %{0 => %{session: first}, 1 => %{session: second}} = status().shards
      assert first != second

      stop_supervised!(UroDiscord)
      start_uro_discord!(sim, options)
      all_active(2)
      assert %{0 => %{resumed: true, session: ^first}, 1 => %{resumed: true, session: ^second}} = status().shards
      assert identifies(sim) == 2

      :ok = UroDiscord.Shards.put(id: 1, name: "Plaza", players: 3)

      assert eventually(
               fn ->
                 sessions = DiscordSim.get(sim, "/gateway")["sessions"]

                 Enum.count(sessions, &match?([%{"state" => "3 players in 1 world"}], &1["presence"]["activities"])) ==
                   2
               end,
               600
             )
    end

    test "are as many as Discord recommends, and stay so many while there are sessions", %{sim: sim, options: options} do
      settings(sim, %{recommended_shards: 2, max_concurrency: 2})
      start_uro_discord!(sim, options)
      all_active(2)
      stop_supervised!(UroDiscord)
      settings(sim, %{recommended_shards: 3})
      start_uro_discord!(sim, options)
      all_active(2)
      assert identifies(sim) == 2
    end

    test "identify in their order, as many at a time as Discord allows", %{sim: sim, options: options} do
      settings(sim, %{recommended_shards: 4, max_concurrency: 2})
      start_uro_discord!(sim, options)
      all_active(4)
      times = for %{"type" => "identify", "time" => time} <- DiscordSim.get(sim, "/events")["events"], do: time
      assert [first, second, third, _fourth] = times
      assert second - first < 5_000
      assert third - first >= 5_000
      assert DiscordSim.get(sim, "/gateway")["violations"] == %{}
    end

    test "that have become too few are as many as Discord recommends by then", %{sim: sim, options: options} do
      start_connected!(sim, options)
      settings(sim, %{required_shards: 2, recommended_shards: 2, max_concurrency: 2})
      act(sim, %{action: "invalid_session", resumable: false})

      assert {:gateway, 0, %{code: 4011, asks_again: true}} =
               wait_for(&match?({:gateway, 0, %{state: :fatal}}, &1), 30_000)

      all_active(2)
      assert DiscordSim.get(sim, "/gateway")["violations"] == %{}
    end

    test "that are too few are told with what to do", %{sim: sim, options: options} do
      settings(sim, %{required_shards: 2})
      start_uro_discord!(sim, Keyword.put(options, :gateway, shards: 1))
      assert {:gateway, 0, %{code: 4011, advice: advice}} = wait_for(&match?({:gateway, 0, %{state: :fatal}}, &1))
      assert advice =~ "set gateway: [shards: :auto]"
    end
  end
end

defmodule UroDiscordTest do
  use UroDiscord.Case
  import ExUnit.CaptureLog
  alias UroDiscord.{Delivery, Error}

  doctest UroDiscord.Notify.Message
  doctest UroDiscord.Snowflake

  describe "notify/2" do
    setup do
      sim = start_sim!()
      start_uro_discord!(sim)
      %{sim: sim}
    end

    defp contents(sim, channel),
      do: sim |> DiscordSim.messages(channel) |> Enum.map(& &1["content"])

    test "delivers to an alias and to an id, and await/2 gives the message", %{sim: sim} do
      assert {:ok, %Delivery{status: :queued} = delivery} = UroDiscord.notify(:announcements, "hello")

      assert {:ok, %Delivery{status: :delivered, message_id: id}} = UroDiscord.await(delivery)

      assert [%{"id" => ^id, "content" => "hello", "nonce" => nonce}] = DiscordSim.messages(sim, "announcements")

      assert nonce == delivery.id

      assert {:ok, delivery} =
               UroDiscord.notify(sim.info["channels"]["builds"],
                 content: "by id",
                 embeds: [%{title: "An embed"}]
               )

      assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivery)
      assert contents(sim, "builds") == ["by id"]
    end

    test "keeps the order within a channel, limits or not", %{sim: sim} do
      sent = for n <- 1..12, do: "message #{n}"

      deliveries = for content <- sent, do: elem({:ok, _} = UroDiscord.notify(:builds, content), 1)

      for delivery <- deliveries,
          do: assert({:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivery, 60_000))

      assert contents(sim, "builds") == sent
    end

    test "pings nobody unless told so", %{sim: sim} do
      {:ok, delivery} = UroDiscord.notify(:announcements, "@everyone")
      {:ok, _} = UroDiscord.await(delivery)

      assert [%{"mention_everyone" => false}] = DiscordSim.messages(sim, "announcements")
    end

    test "what Discord refuses fails with its code, is a dead letter, and the next one goes on", %{sim: sim} do
      errors = %{"embeds" => %{"0" => %{"title" => %{"_errors" => [%{"code" => "BASE_TYPE_MAX_LENGTH"}]}}}}
      body = %{code: 50_035, message: "Invalid Form Body", errors: errors}
      DiscordSim.post(sim, "/faults", [%{method: "POST", route: "/channels/*/messages", status: 400, body: body}])

      {:ok, bad} = UroDiscord.notify(:announcements, "bad")
      {:ok, good} = UroDiscord.notify(:announcements, "good")
      assert {:ok, %Delivery{status: :failed, error: error} = failed} = UroDiscord.await(bad)
      assert %Error{kind: :api, status: 400, code: 50_035, errors: ^errors} = error
      assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(good)
      assert contents(sim, "announcements") == ["good"]

      assert {:ok, [^failed]} = UroDiscord.dead_letters()
      assert {:ok, %{notifications: %{queued: 0, failed: 1}}} = UroDiscord.status()
      assert {:ok, again} = UroDiscord.retry(failed)
      assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(again)
      assert contents(sim, "announcements") == ["good", "bad"]
      assert {:ok, []} = UroDiscord.dead_letters()
      assert {:error, %Error{kind: :unknown}} = UroDiscord.retry(failed)
    end

    test "edits and deletes what it delivered", %{sim: sim} do
      {:ok, delivery} = UroDiscord.notify(:announcements, "building …")
      assert {:ok, %Delivery{status: :delivered} = delivered} = UroDiscord.edit(delivery, "built")
      assert contents(sim, "announcements") == ["built"]

      assert {:ok, ^delivered} =
               UroDiscord.edit(delivered, components: [%{type: 10, content: "built, with components"}])

      assert [%{"content" => "", "components" => [%{"type" => 10}]}] = DiscordSim.messages(sim, "announcements")
      assert {:ok, ^delivered} = UroDiscord.delete(delivered)
      assert contents(sim, "announcements") == []
      # It is gone, which is what was wanted.
      assert {:ok, ^delivered} = UroDiscord.delete(delivered)
      assert {:error, %Error{kind: :api, code: 10_008}} = UroDiscord.edit(delivered, "too late")
    end

    test "sends files, splits what is too long, and publishes", %{sim: sim} do
      {:ok, delivery} = UroDiscord.notify(:builds, content: "log", files: [{"build.log", "all well"}])
      {:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivery)
      assert [%{"attachments" => [%{"filename" => "build.log", "size" => 8}]}] = DiscordSim.messages(sim, "builds")

      {:ok, last} = UroDiscord.notify(:general, content: String.duplicate("word ", 900), overflow: :split)
      assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(last)
      assert [_, _, _] = contents(sim, "general")

      {:ok, delivery} = UroDiscord.notify(:announcements, content: "news", crosspost: true)
      assert {:ok, %Delivery{status: :delivered, error: nil}} = UroDiscord.await(delivery)
      assert eventually(fn -> match?([%{"flags" => 1}], DiscordSim.messages(sim, "announcements")) end)
    end

    test "what is not delivered in its time fails", %{sim: sim} do
      DiscordSim.post(sim, "/faults", [%{method: "POST", route: "/channels/*/messages", delay_ms: 1_500, status: 500}])
      {:ok, delivery} = UroDiscord.notify(:announcements, content: "short-lived", expires_in: 100)
      assert {:ok, %Delivery{status: :failed, error: %Error{kind: :expired}}} = UroDiscord.await(delivery)
    end

    test "refuses at once what cannot be sent", %{sim: sim} do
      for {channel, message, field} <- [
            {:nowhere, "hello", "channel"},
            {"general", "hello", "channel"},
            {:builds, "", "content"},
            {:builds, <<0xFF>>, "content"},
            {:builds, String.duplicate("a", 2001), "content"},
            {:builds, [contents: "typo"], "contents"},
            {:builds, [content: 5], "content"},
            {:builds, [embeds: %{}], "embeds"}
          ] do
        assert {:error, %Error{kind: :invalid, field: ^field} = error} = UroDiscord.notify(channel, message)

        assert Exception.message(error) =~ field
      end

      assert [] = for(%{"method" => "POST"} = request <- DiscordSim.get(sim, "/requests"), do: request)
    end

    test "dead_letters/1 and await/2 refuse at once what is none of theirs" do
      for {options, says} <- [
            {[limit: 0], "limit: is 0"},
            {[limit: "x"], ~s(limit: is "x")},
            {[limt: 1], ":limt is not an option"},
            {:all, "options: is :all"}
          ] do
        assert {:error, %Error{kind: :invalid} = error} = UroDiscord.dead_letters(options)
        assert Exception.message(error) =~ says
      end

      none = %Delivery{id: <<255>>, channel_id: "1100000000000000001", status: :queued}
      assert {:error, %Error{kind: :unknown}} = UroDiscord.await(none)
    end

    test "await/2 says when the outcome is not known yet", %{sim: sim} do
      DiscordSim.post(sim, "/faults", [
        %{method: "POST", route: "/channels/*/messages", delay_ms: 1_000}
      ])

      {:ok, delivery} = UroDiscord.notify(:announcements, "late")
      assert {:error, %Error{kind: :timeout}} = UroDiscord.await(delivery, 50)
      assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivery)
    end
  end

  test "await/2 leaves who calls it alive, and his mailbox empty, when the subscriptions end, and when UroDiscord stops" do
    sim = start_sim!()
    DiscordSim.post(sim, "/faults", [%{method: "POST", route: "/channels/*/messages", delay_ms: 1_000, times: 2}])
    start_supervised!({UroDiscord, DiscordSim.config(sim)})
    {:ok, first} = UroDiscord.notify(:general, "first")
    {:ok, second} = UroDiscord.notify(:general, "second")
    mailbox = fn -> elem(Process.info(self(), :messages), 1) end
    callers = for delivery <- [first, second], do: Task.async(fn -> {UroDiscord.await(delivery, 5_000), mailbox.()} end)
    topics = for %{id: id} <- [first, second], do: {:delivery, id}
    assert eventually(fn -> Enum.all?(topics, &UroDiscord.Events.subscribed?/1) end)
    Process.exit(Process.whereis(UroDiscord.Events), :kill)
    assert [{{:ok, %Delivery{status: :delivered}}, []}, _second] = Task.await_many(callers, 15_000)

    # What is under way is finished.
    DiscordSim.post(sim, "/faults", [%{method: "POST", route: "/channels/*/messages", delay_ms: 1_000, times: 1}])
    {:ok, third} = UroDiscord.notify(:general, "third")
    caller = Task.async(fn -> {UroDiscord.await(third, 5_000), mailbox.()} end)
    assert eventually(fn -> UroDiscord.Events.subscribed?({:delivery, third.id}) end)
    stop_supervised!(UroDiscord)
    assert {{:ok, %Delivery{status: :delivered}}, []} = Task.await(caller, 15_000)
  end

  test "what is under way when it stops is finished, and what waits is sent after the next start" do
    Process.flag(:trap_exit, true)
    sim = start_sim!()
    database = [database: DiscordSim.config(sim)[:database]]
    start_uro_discord!(sim, database)
    DiscordSim.post(sim, "/faults", [%{method: "POST", route: "/channels/*/messages", delay_ms: 1_000}])
    {:ok, first} = UroDiscord.notify(:builds, "under way")
    {:ok, second} = UroDiscord.notify(:builds, "waiting")
    DiscordSim.wait_for(sim, "fault")
    stop_supervised!(UroDiscord)
    assert ["under way"] = for(message <- DiscordSim.messages(sim, "builds"), do: message["content"])

    start_uro_discord!(sim, database)
    assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(first)
    assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(second)
    assert [_, _] = DiscordSim.messages(sim, "builds")
    # Its outcome was stored before the stop: it is not sent again.
    assert 2 == Enum.count(DiscordSim.get(sim, "/requests"), &(&1["method"] == "POST"))
  end

  test "the token does not show in the state of any process, in its crash report, or in the log" do
    sim = start_sim!()
    token = sim.info["token"]

    log =
      capture_log(fn ->
        start_connected!(sim)
        {:ok, delivery} = UroDiscord.notify(:announcements, "hello")
        {:ok, _} = UroDiscord.await(delivery)

        for pid <- processes(UroDiscord) do
          state = :sys.get_state(pid)

          refute inspect(state, limit: :infinity, printable_limit: :infinity, structs: false) =~
                   token

          refute :io_lib.format("~p", [state]) |> IO.iodata_to_binary() =~ token
          refute :io_lib.format("~p", [:sys.get_status(pid)]) |> IO.iodata_to_binary() =~ token
        end

        {:ok, status} = UroDiscord.status()
        refute inspect(status, limit: :infinity) =~ token

        # A crash, with the report that OTP writes of it.
        bridge = Process.whereis(UroDiscord.Bridge)
        ref = Process.monitor(bridge)
        :sys.terminate(bridge, :out_of_order)
        assert_receive {:DOWN, ^ref, :process, _, _}, 5_000
        wait_for(&match?({:gateway, 0, %{state: :active}}, &1))
      end)

    assert log =~ "GenServer UroDiscord.Bridge terminating"
    refute log =~ token
  end

  defp processes(supervisor) do
    for {_id, pid, type, _modules} <- Supervisor.which_children(supervisor),
        is_pid(pid),
        reduce: [] do
      pids -> if(type == :supervisor, do: processes(pid), else: [pid]) ++ pids
    end
  end

  test "a wrong configuration stops the boot, and says what to change" do
    Process.flag(:trap_exit, true)

    assert {:error, reason} =
             Supervisor.start_link([{UroDiscord, enabled: true, token: "hunter2"}], strategy: :one_for_one)

    message = Exception.format_exit(reason)
    assert message =~ "token: has not the shape of a bot token (7 bytes, not shown)"
    assert message =~ ~s|example: token: System.get_env("DISCORD_BOT_TOKEN")|
    refute message =~ "hunter2"
  end

  test "disabled: nothing is started that needs a token, and notifications are accepted and dropped" do
    start_supervised!({UroDiscord, enabled: false, channels: [builds: "1100000000000000001"]})
    assert {:ok, %Delivery{status: :dropped} = delivery} = UroDiscord.notify(:builds, "hello")
    assert UroDiscord.await(delivery) == {:ok, delivery}
    assert {:error, %Error{kind: :invalid}} = UroDiscord.notify(:builds, "")
    assert UroDiscord.status() == {:ok, %{enabled: false}}
    assert Process.whereis(UroDiscord.Bridge) == nil
  end

  test "before it is started, every call says so" do
    assert {:error, %Error{kind: :not_started}} = UroDiscord.notify(:builds, "hello")
    assert {:error, %Error{kind: :not_started}} = UroDiscord.status()
  end
end

defmodule UroDiscord.InteractionsTest do
  # Commands from discord-sim, by the gateway and by HTTP, which must look the same to those who use them.
  use UroDiscord.WebCase
  import ExUnit.CaptureLog
  alias UroDiscord.{Interaction, Rest, Runtime, Shards, TestCommands}
  alias UroDiscord.Interactions.Commands.Uro
  alias UroDiscord.TestCommands.{Plain, Slow}

  setup context do
    sim = start_sim!()
    Process.register(self(), TestCommands)
    options = [commands: [Plain, Slow]] ++ (context[:options] || [])

    case context[:via] do
      :http ->
        key = [interactions: :http, public_key: sim.info["public_key"], web: [port: 0]]
        start_connected!(sim, options ++ key)
        url = web_url!()
        register_endpoints!(url)

      _gateway ->
        start_connected!(sim, options)
    end

    DiscordSim.wait_for(sim, "commands")
    %{sim: sim, via: to_string(context[:via] || :gateway)}
  end

  # As an admin does in the developer portal. Discord tries whether signatures are checked.
  defp register_endpoints!(url) do
    {:ok, %{rest: rest}} = Runtime.fetch()
    urls = %{interactions_endpoint_url: url <> "/interactions", event_webhooks_url: url <> "/webhook-events"}
    {:ok, %{status: 200}} = Rest.call(rest, {:raw, :patch, nil, "applications/@me"}, json: urls)
  end

  defp use_command(sim, path, options \\ %{}, user \\ "bob") do
    %{"id" => id} = DiscordSim.post(sim, "/interactions", %{user: user, command: path, options: options})
    id
  end

  defp press(sim, message, custom_id, values \\ nil) do
    component = %{message: message, custom_id: custom_id, values: values}
    %{"id" => id} = DiscordSim.post(sim, "/interactions", %{user: "bob", component: component})
    id
  end

  defp submit(sim, answer_to, values) do
    %{"id" => id} =
      DiscordSim.post(sim, "/interactions", %{user: "bob", modal: %{answer_to: answer_to, values: values}})

    id
  end

  defp interaction(sim, id), do: sim |> DiscordSim.get("/interactions") |> Enum.find(&(&1["id"] == id))

  # The answer as its user sees it.
  defp answer(sim, id) do
    true = eventually(fn -> answered?(interaction(sim, id)) end, 200)
    interaction(sim, id)
  end

  defp answered?(%{"response" => %{"waiting" => false}}), do: true
  defp answered?(%{"failure" => failure}) when failure != nil, do: true
  defp answered?(_waiting), do: false

  defp content(sim, id), do: get_in(answer(sim, id), ["response", "message", "content"])

  defp token(interaction), do: UroDiscord.Secret.reveal(interaction.token)

  # Eight users who have eight handlers at work each, which is as many as there are.
  defp busy!(sim) do
    for n <- 1..8 do
      DiscordSim.post(sim, "/members", %{action: "join", user: "busy-#{n}"})
      slow!(sim, "busy-#{n}")
    end
    |> List.flatten()
  end

  defp slow!(sim, user) do
    for _ <- 1..8 do
      use_command(sim, ["slow"], %{}, user)
      assert_receive {:slow, handler, _}, 10_000
      handler
    end
  end

  for via <- [:gateway, :http] do
    describe "by #{via}" do
      @describetag via: via

      test "an answer is for its user, unless it is public; nobody is pinged", %{sim: sim, via: via} do
        id = use_command(sim, ["plain"], %{say: "hello @everyone"})
        assert %{"via" => ^via, "response" => %{"type" => 4, "private" => true, "message" => message}} = answer(sim, id)
        assert %{"content" => "hello @everyone", "mention_everyone" => false} = message

        id = use_command(sim, ["plain"], %{say: "public"})
        assert %{"response" => %{"private" => false}} = answer(sim, id)
        assert [%{"content" => "public"}] = DiscordSim.messages(sim, "general")
      end

      test "a handler that refuses says why, to its user alone", %{sim: sim} do
        id = use_command(sim, ["plain"], %{say: "refuse"})
        assert %{"response" => %{"private" => true, "message" => %{"content" => "No."}}} = answer(sim, id)
      end

      test "a handler that crashes, or answers nonsense, leaves a kind word and the reason in the log", %{sim: sim} do
        for {say, reason} <- [
              {"crash", "a crash"},
              {"exit", "crashed, as reported above"},
              {"answers crash", "crashed in answers/1"},
              {"nonsense", "handle/1 returned :nonsense"},
              {"too long", "content: has 2001 characters"}
            ] do
          log =
            capture_log(fn ->
              id = use_command(sim, ["plain"], %{say: say})
              assert %{"response" => %{"private" => true, "message" => %{"content" => content}}} = answer(sim, id)
              assert content == "Something went wrong here. It was noted; please try again later."
            end)

          assert log =~ "/plain"
          assert log =~ reason
        end
      end

      test "more time is asked for after two seconds, and the answer comes later", %{sim: sim} do
        Task.start(fn -> use_command(sim, ["slow"]) end)
        assert_receive {:slow, handler, %Interaction{user: %{name: "Bob"}} = slow}, 10_000
        DiscordSim.wait_for(sim, "interaction_response", & &1["interaction"]["response"]["waiting"])
        assert %{"response" => %{"type" => 5, "after_ms" => after_ms, "private" => true}} = interaction(sim, slow.id)
        assert after_ms in 1_900..2_999
        send(handler, {:go, {:ok, "at last"}})
        assert content(sim, slow.id) == "at last"
        assert Interaction.edit(slow, "or later") == :ok
        assert content(sim, slow.id) == "or later"
      end

      test "a late crash is told too", %{sim: sim} do
        Task.start(fn -> use_command(sim, ["slow"]) end)
        assert_receive {:slow, handler, slow}, 10_000
        DiscordSim.wait_for(sim, "interaction_response", & &1["interaction"]["response"]["waiting"])
        log = capture_log(fn -> send(handler, :crash) && assert(content(sim, slow.id) =~ "Something went wrong") end)
        assert log =~ "a late crash"
      end

      test "files come with an answer", %{sim: sim} do
        id = use_command(sim, ["plain"], %{say: "a file"})
        assert %{"response" => %{"type" => 5, "message" => message}} = answer(sim, id)
        assert %{"content" => "here", "attachments" => [%{"filename" => "a.txt", "size" => 6}]} = message
      end

      test "a button and a menu change the message that they are on, at once or later", %{sim: sim} do
        id = use_command(sim, ["plain"], %{say: "public button"})
        message = answer(sim, id)["response"]["message"]["id"]
        assert content(sim, press(sim, message, "plain:pressed")) == "pressed"
        assert [%{"id" => ^message, "content" => "pressed"}] = DiscordSim.messages(sim, "general")

        Task.start(fn -> press(sim, message, "slow:pressed") end)
        assert_receive {:slow, handler, slow}, 10_000
        DiscordSim.wait_for(sim, "interaction_response", &(&1["interaction"]["response"]["type"] == 6))
        send(handler, {:go, {:ok, "later"}})

        assert eventually(fn ->
                 match?([%{"id" => ^message, "content" => "later"}], DiscordSim.messages(sim, "general"))
               end)

        assert %{"response" => %{"private" => false}, "followups" => []} = interaction(sim, slow.id)

        # What goes wrong is for the user alone.
        Task.start(fn -> press(sim, message, "slow:pressed") end)
        assert_receive {:slow, handler, slow}, 10_000
        DiscordSim.wait_for(sim, "interaction_response", &(&1["interaction"]["id"] == slow.id))
        send(handler, {:go, {:error, "not now"}})
        assert eventually(fn -> match?([%{"content" => "not now"}], interaction(sim, slow.id)["followups"]) end)
      end

      test "a menu says what was chosen", %{sim: sim} do
        message = answer(sim, use_command(sim, ["plain"], %{say: "public button"}))["response"]["message"]["id"]
        assert content(sim, press(sim, message, "plain:chosen", ["b"])) == "chosen b"
      end

      test "a command answers with a form, and gets what is entered", %{sim: sim} do
        id = use_command(sim, ["plain"], %{say: "a form"})
        assert %{"response" => %{"type" => 9, "data" => %{"custom_id" => "plain:new"}}} = answer(sim, id)
        submitted = submit(sim, id, %{text: "hi", menu: ["a", "b"], sure: true})

        # No message was there to be replaced.
        assert %{"response" => %{"type" => 4, "private" => true, "message" => %{"content" => content}}} =
                 answer(sim, submitted)

        assert content == inspect(%{"text" => "hi", "menu" => ["a", "b"], "one" => nil, "sure" => true})
      end

      test "a button opens a form, which replaces the message that the button is on", %{sim: sim} do
        message = answer(sim, use_command(sim, ["plain"], %{say: "public button"}))["response"]["message"]["id"]
        id = press(sim, message, "plain:form")
        assert %{"response" => %{"type" => 9}} = answer(sim, id)
        assert %{"response" => %{"type" => 7}} = answer(sim, submit(sim, id, %{text: "new", menu: ["b"], one: "a"}))
        assert [%{"id" => ^message, "content" => content}] = DiscordSim.messages(sim, "general")
        assert content == inspect(%{"text" => "new", "menu" => ["b"], "one" => "a", "sure" => false})
      end

      test "a form that is none, or comes too late, or to a form, is told kindly, and the log says why", %{sim: sim} do
        kindly = "Something went wrong here. It was noted; please try again later."

        for {say, reason} <- [
              {"a bad form", "title: is blank"},
              {"nobody's form", ~s(custom_id: "plan:new" begins with no command's component/0)}
            ] do
          log = capture_log(fn -> assert content(sim, use_command(sim, ["plain"], %{say: say})) == kindly end)
          assert log =~ reason
        end

        id = use_command(sim, ["plain"], %{say: "a form, again"})
        answer(sim, id)
        log = capture_log(fn -> assert content(sim, submit(sim, id, %{text: "x", menu: ["a"]})) == kindly end)
        assert log =~ "a modal cannot be answered with another one"

        Task.start(fn -> use_command(sim, ["slow"]) end)
        assert_receive {:slow, handler, slow}, 10_000
        DiscordSim.wait_for(sim, "interaction_response", & &1["interaction"]["response"]["waiting"])
        log = capture_log(fn -> send(handler, {:go, :launch_activity}) && assert(content(sim, slow.id) == kindly) end)
        assert log =~ "can only be answered with within 2000 ms"
      end

      test "a command opens the Activity", %{sim: sim} do
        assert %{"response" => %{"type" => 12}} = answer(sim, use_command(sim, ["plain"], %{say: "launch"}))
      end

      test "/worlds, /who and /uro status", %{sim: sim} do
        assert content(sim, use_command(sim, ["worlds"])) == "No world is open just now."
        :ok = Shards.put(id: 1, name: "Plaza *of* @everyone", map: "plaza", players: 3, max_players: 16)
        :ok = Shards.put(id: 2, name: "Garden", players: 1)
        assert %{"response" => %{"message" => %{"embeds" => [embed]}}} = answer(sim, use_command(sim, ["worlds"]))
        assert [plaza, "**Garden**: 1 player"] = String.split(embed["description"], "\n")
        assert plaza =~ ~S"**Plaza \*of\* \@"
        assert plaza =~ "(plaza): 3 of 16 players"

        assert content(sim, use_command(sim, ["who"])) == "4 players online, in 2 open worlds."
        assert content(sim, use_command(sim, ["who"], %{world: "garden"})) == "**Garden**: 1 player"
        assert content(sim, use_command(sim, ["who"], %{world: "2"})) == "**Garden**: 1 player"
        assert content(sim, use_command(sim, ["who"], %{world: "nowhere"})) =~ "No such world"

        typing = %{user: "bob", command: ["who"], options: %{world: "gar"}, focused: "world"}
        %{"id" => id} = DiscordSim.post(sim, "/interactions", typing)
        assert %{"response" => %{"type" => 8, "data" => data}} = answer(sim, id)
        assert data["choices"] == [%{"name" => "Garden", "value" => "2"}]

        assert %{"response" => %{"private" => true, "message" => message}} =
                 answer(sim, use_command(sim, ["uro", "status"], %{}, "alice"))

        assert %{"embeds" => [%{"fields" => fields}]} = message
        assert %{"value" => "up since " <> _} = Enum.find(fields, &(&1["name"] == "Bridge"))

        assert %{"value" => "2 known, 2 shown; their source is reachable"} =
                 Enum.find(fields, &(&1["name"] == "Worlds"))
      end

      test "neither the log nor a crash shows a token", %{sim: sim} do
        log =
          capture_log([level: :debug], fn ->
            Task.start(fn -> use_command(sim, ["slow"]) end)
            assert_receive {:slow, handler, slow}, 10_000
            refute inspect(slow, structs: false, limit: :infinity) =~ token(slow)
            DiscordSim.wait_for(sim, "interaction_response", & &1["interaction"]["response"]["waiting"])
            DiscordSim.post(sim, "/settings", %{interaction_token_ms: 0})
            send(handler, :crash)
            assert eventually(fn -> Task.Supervisor.children(UroDiscord.Interactions.Responders) == [] end, 200)
            send(self(), {:token, token(slow)})
          end)

        assert_received {:token, token}
        assert log =~ "a late crash"
        assert log =~ "the answer to /slow did not reach Discord: "
        refute log =~ token
      end
    end
  end

  describe "the gateway" do
    test "an interaction that comes twice is answered once", %{sim: sim} do
      log =
        capture_log(fn ->
          payload = fn -> %{type: "INTERACTION_CREATE", data: forged("1300000000000000999", "plain", "x"), times: 3} end
          DiscordSim.post(sim, "/dispatch", payload.())
          assert eventually(fn -> callbacks(sim) == 1 end)
          use_command(sim, ["plain"], %{say: "after"}) |> then(&answer(sim, &1))
          assert callbacks(sim) == 2
        end)

      # There is no such interaction, and Discord says so.
      assert log =~ "the answer to /plain did not reach Discord: "
      assert log =~ "Unknown interaction"
    end

    test "what is no interaction is passed over", %{sim: sim} do
      log =
        capture_log(fn ->
          for data <- [nil, 5, %{}, %{type: 2}, %{forged("1300000000000000998", "plain", "x") | token: "../../x"}],
              do: DiscordSim.post(sim, "/dispatch", %{type: "INTERACTION_CREATE", data: data})

          assert content(sim, use_command(sim, ["plain"], %{say: "still here"})) == "still here"
        end)

      assert log =~ "an interaction from the gateway was passed over"
    end

    test "a command and a component that nobody has any more", %{sim: sim} do
      component = %{type: 2, style: 1, label: "Old", custom_id: "gone:1"}
      {:ok, delivery} = UroDiscord.notify(:general, content: "x", components: [%{type: 1, components: [component]}])
      {:ok, %{message_id: message}} = UroDiscord.await(delivery)
      id = press(sim, message, "gone:1")

      assert %{"response" => %{"private" => true, "message" => %{"content" => "I do not know this any more" <> _}}} =
               answer(sim, id)
    end

    test "of sixty-five at once one is put off, kindly", %{sim: sim} do
      log =
        capture_log(fn ->
          handlers = busy!(sim)

          assert content(sim, use_command(sim, ["plain"], %{say: "x"})) ==
                   "I am busy just now. Please try again in a moment."

          for handler <- handlers, do: send(handler, {:go, {:ok, "done"}})
          assert eventually(fn -> Task.Supervisor.children(UroDiscord.Interactions.Responders) == [] end, 400)
          assert content(sim, use_command(sim, ["plain"], %{say: "again"})) == "again"
        end)

      assert log =~ "64 interactions are being answered already"
    end

    test "of one user there are eight, and others are answered", %{sim: sim} do
      handlers = slow!(sim, "bob")
      assert content(sim, use_command(sim, ["plain"], %{say: "x"})) =~ "busy with what you asked for before"
      assert content(sim, use_command(sim, ["plain"], %{say: "x"}, "alice")) == "x"
      for handler <- handlers, do: send(handler, {:go, {:ok, "done"}})
      assert eventually(fn -> content(sim, use_command(sim, ["plain"], %{say: "again"})) == "again" end)
    end

    test "whoever is put off waits for nobody else who is", %{sim: sim} do
      handlers = busy!(sim)

      DiscordSim.post(sim, "/faults", [
        %{method: "POST", route: "/interactions/*/*/callback", delay_ms: 1_500, times: 20}
      ])

      capture_log(fn ->
        ids = for _ <- 1..20, do: use_command(sim, ["plain"], %{say: "x"})

        for id <- ids do
          assert %{"response" => %{"message" => %{"content" => "I am busy just now." <> _}}} = answer(sim, id)
        end

        for handler <- handlers, do: send(handler, {:go, {:ok, "done"}})
        assert eventually(fn -> Task.Supervisor.children(UroDiscord.Interactions.Responders) == [] end, 400)
      end)
    end

    test "a command that cannot say what it is leaves the others alone, and no token in the log", %{sim: sim} do
      Process.flag(:trap_exit, true)
      stop_supervised!(UroDiscord)

      log =
        capture_log([level: :debug], fn ->
          start_connected!(sim, commands: [UroDiscord.TestCommands.Broken, Plain])
          forged = forged("1300000000000000996", "plain", "x")
          DiscordSim.post(sim, "/dispatch", %{type: "INTERACTION_CREATE", data: forged})
          assert eventually(fn -> callbacks(sim) == 1 end)
          assert content(sim, use_command(sim, ["plain"], %{say: "still here"})) == "still here"
        end)

      assert [_, _] = String.split(log, "UroDiscord.TestCommands.Broken.command/0 crashed, and is left out")
      assert log =~ "this command is broken"
      refute log =~ forged("1300000000000000996", "plain", "x").token
    end

    test "/uro status is for those who manage the server, and told in ours only", %{sim: sim} do
      status = fn guild, permissions ->
        given = forged("1300000000000000997", "uro", "x") |> Map.put(:guild_id, guild)
        {:ok, interaction} = given |> stringified() |> Interaction.new()
        Uro.handle(%{interaction | command: ["uro", "status"], permissions: permissions})
      end

      assert {:ok, _embeds} = status.(sim.info["guild_id"], 0x20)
      assert {:ok, _embeds} = status.(sim.info["guild_id"], 0x08)
      assert {:error, "This is for those who may manage" <> _} = status.(sim.info["guild_id"], 0x400)
      assert {:error, "This is for the server of Uro only" <> _} = status.("1100000000000000000", 0x20)
      assert {:error, "This is for the server of Uro only" <> _} = status.(nil, 0x20)
    end

    defp stringified(term) do
      {:ok, json} = UroDiscord.JSON.encode(term)
      {:ok, term} = UroDiscord.JSON.decode(json)
      term
    end

    test "what is under way is finished when UroDiscord stops", %{sim: sim} do
      Process.flag(:trap_exit, true)
      id = use_command(sim, ["slow"])
      assert_receive {:slow, handler, _}, 10_000

      # What is stopped before it is gone by then.
      Task.start(fn ->
        eventually(fn -> Process.whereis(UroDiscord.Web.RateLimit) == nil end)
        send(handler, {:go, {:ok, "last words"}})
      end)

      stop_supervised!(UroDiscord)
      assert content(sim, id) == "last words"
    end

    defp callbacks(sim) do
      sim
      |> DiscordSim.get("/requests")
      |> Enum.count(&(&1["route"] == "/interactions/{interaction_id}/{token}/callback"))
    end

    defp forged(id, name, say) do
      %{
        type: 2,
        id: id,
        application_id: "1300000000000000001",
        token: "aW50ZXJhY3Rpb24",
        member: %{user: %{id: "1300000000000000003", username: "bob"}, permissions: "0"},
        data: %{name: name, type: 1, options: [%{name: "say", type: 3, value: say}]}
      }
    end
  end

  describe "by HTTP, webhook events" do
    @describetag via: :http

    test "are told to subscribers, once each", %{sim: sim} do
      UroDiscord.subscribe({:webhook, "APPLICATION_DEAUTHORIZED"})
      event = %{type: "APPLICATION_DEAUTHORIZED", data: %{user: %{id: "1300000000000000003"}}, times: 3}
      assert %{"statuses" => [204, 204, 204]} = DiscordSim.post(sim, "/webhook-events", event)

      assert_receive {:uro_discord, {:webhook, "APPLICATION_DEAUTHORIZED"},
                      %{data: %{"user" => %{"id" => id}}, timestamp: time}}

      assert id == "1300000000000000003" and is_binary(time)
      refute_received {:uro_discord, {:webhook, _}, _}
    end
  end

  describe "registration" do
    defp puts(sim) do
      for %{"method" => "PUT", "route" => "/applications/{application_id}/commands"} = request <-
            DiscordSim.get(sim, "/requests"),
          do: request
    end

    test "is done when the commands have changed, and only then", %{sim: sim} do
      assert sim |> DiscordSim.get("/commands") |> Enum.map(& &1["name"]) |> Enum.sort() == [
               "plain",
               "slow",
               "uro",
               "who",
               "worlds"
             ]

      {:ok, %{config: config}} = Runtime.fetch()
      assert length(puts(sim)) == 1

      # What opens an Activity is Discord's own making, and stays.
      {:ok, %{rest: rest}} = Runtime.fetch()
      entry = %{type: 4, name: "launch", handler: 2}
      commands = "applications/#{sim.info["application_id"]}/commands"
      {:ok, _} = Rest.call(rest, {:raw, :post, nil, commands}, json: entry)

      restart(sim, config, [Plain, Slow])
      assert eventually(fn -> registered?() end)
      assert length(puts(sim)) == 1

      mark = DiscordSim.now(sim)
      restart(sim, config, [Plain])
      DiscordSim.wait_for(sim, "commands", fn _ -> true end, after: mark)

      assert sim |> DiscordSim.get("/commands") |> Enum.map(& &1["name"]) |> Enum.sort() == [
               "launch",
               "plain",
               "uro",
               "who",
               "worlds"
             ]
    end

    test "is not asked for without commands", %{sim: sim} do
      {:ok, %{config: config}} = Runtime.fetch()
      mark = DiscordSim.now(sim)
      restart(sim, config, nil)
      assert Process.whereis(UroDiscord.Interactions.GatewayListener) == nil
      assert %{"events" => []} = DiscordSim.get(sim, "/events?types=commands&after=#{mark}")
    end

    test "that Discord refuses is in the log, with the place", %{sim: sim} do
      defmodule Wrong do
        @behaviour UroDiscord.Command
        @impl true
        def command, do: %{name: "Not A Name", description: "x"}
        @impl true
        def handle(_), do: {:ok, "x"}
      end

      {:ok, %{config: config}} = Runtime.fetch()

      log =
        capture_log(fn ->
          restart(sim, config, [Wrong])
          assert eventually(fn -> registered?() end)
        end)

      assert log =~ "Discord does not take the commands"
      assert log =~ "APPLICATION_COMMAND_INVALID_NAME"
    end

    test "is tried again when Discord cannot be reached", %{sim: sim} do
      {:ok, %{config: config}} = Runtime.fetch()
      DiscordSim.post(sim, "/faults", [%{route: "/applications/@me", method: "GET", status: 503, times: 5}])
      mark = DiscordSim.now(sim)

      log =
        capture_log(fn ->
          restart(sim, config, [Plain])
          DiscordSim.wait_for(sim, "commands", fn _ -> true end, after: mark, timeout: 30_000)
        end)

      assert log =~ "will be tried again"
    end

    test "is tried again when it crashes", %{sim: sim} do
      {:ok, %{config: config}} = Runtime.fetch()
      DiscordSim.post(sim, "/faults", [%{route: "/applications/@me", method: "GET", delay_ms: 30_000}])
      mark = DiscordSim.now(sim)
      restart(sim, config, [Plain])
      Process.exit(registration(), :kill)
      DiscordSim.wait_for(sim, "commands", fn _ -> true end, after: mark)
      assert eventually(fn -> registered?() end)
    end

    defp restart(sim, config, commands) do
      # This test subscribes, and would end with it.
      Process.flag(:trap_exit, true)
      stop_supervised!(UroDiscord)
      start_connected!(sim, commands: commands, database: config.database)
    end

    # The task ends when it is done, well or not.
    defp registered?, do: registration() == :undefined

    defp registration do
      [{_id, pid, :worker, _modules}] = Supervisor.which_children(UroDiscord.Domain.supervisor(:commands))
      pid
    end
  end

  describe "while nobody takes the events that are kept" do
    @describetag options: [gateway: [events: ["CHANNEL_UPDATE"]]]

    test "commands are answered all the same", %{sim: sim} do
      DiscordSim.post(sim, "/dispatch", %{type: "CHANNEL_UPDATE", data: %{name: "x"}, times: 3_000})

      held_back? = fn ->
        {:ok, %{gateway: %{held_back: held_back}}} = UroDiscord.status()
        match?(%{by: [%{type: "CHANNEL_UPDATE"} | _]}, held_back)
      end

      # More than the bridge has credit for wait, and nothing but a subscriber lets it have more.
      assert eventually(fn -> UroDiscord.Bridge.ping(:flushed) == {:ok, :flushed} and held_back?.() end, 200)
      assert content(sim, use_command(sim, ["plain"], %{say: "hello"})) == "hello"
    end
  end
end

defmodule UroDiscord.Portal.ShownTest do
  # What people see of a portal in Discord: answers to /portal, the status board, and the voice channel's status.
  use UroDiscord.Case, async: false

  alias UroDiscord.{HttpClient, Portal, Runtime, Shards}
  alias UroDiscord.Notify.Kept
  alias UroDiscord.Portal.Notices

  setup context do
    sim = start_sim!()
    database = Path.join(DiscordSim.scratch(), "shown-#{System.unique_integer([:positive])}.sqlite3")
    context = Map.put(context, :database, database)
    start!(sim, context)
    %{sim: sim, world: sim.info["channels"]["world"], guild: sim.info["guild_id"], database: database}
  end

  defp start!(sim, context) do
    start_connected!(
      sim,
      Keyword.merge(
        [
          intents: [:guilds, :guild_voice_states],
          web: [port: 0],
          portal: [key: String.duplicate("key", 11), udp: [ip: "127.0.0.1", port: 0]],
          board: [channels: [:status], interval: 1_000],
          database: context.database
        ],
        context[:options] || []
      )
    )

    # Commands are registered at Discord once the gateway is ready.
    assert eventually(fn -> DiscordSim.get(sim, "/commands") != [] end)
  end

  defp use_command(sim, path, options \\ %{}, user \\ "alice") do
    %{"id" => id} = DiscordSim.post(sim, "/interactions", %{user: user, command: ["portal" | path], options: options})

    true = eventually(fn -> match?(%{"response" => %{"waiting" => false}}, interaction(sim, id)) end)

    %{"response" => %{"private" => true, "message" => message}} = interaction(sim, id)
    assert message["mention_everyone"] == false and message["mentions"] == []
    message["content"]
  end

  defp choices(sim, path, options, focused) do
    complete = %{user: "alice", command: ["portal" | path], options: options, focused: focused}
    %{"id" => id} = DiscordSim.post(sim, "/interactions", complete)
    true = eventually(fn -> interaction(sim, id)["response"] != nil end)
    for choice <- interaction(sim, id)["response"]["data"]["choices"], do: {choice["name"], choice["value"]}
  end

  defp interaction(sim, id), do: sim |> DiscordSim.get("/interactions") |> Enum.find(&(&1["id"] == id))

  defp open?(id), do: match?({:ok, %{state: :open}}, Portal.status(id))

  # As the bridge says it.
  defp peer(number, who, name) do
    %{"peer" => number, "name" => name, "role" => "peer", "subject" => who, "kind" => "peer"}
  end

  defp joins(id, number, who, name), do: Portal.heard(:local, {:portal, id, :peer_joined, peer(number, who, name)})

  defp speaks(id, fact, number, who, name) do
    Portal.heard(
      :local,
      {:portal, id, fact, %{"side" => "world", "id" => "world:#{who}", "peer" => number, "name" => name}}
    )
  end

  # These show a picture, and one sees that of `number`.
  defp shows(id, cameras, number) do
    cameras = for {peer, who, name} <- cameras, do: %{"id" => "world:#{who}", "peer" => peer, "name" => name}
    viewer = %{"id" => "world:eve", "peer" => 9, "name" => "Eve", "camera" => number}
    Portal.heard(:local, {:portal, id, :on_air, %{"peer" => number}})
    # World TV by WebRTC has a WebSocket beside it, by which no picture goes.
    beside = %{viewer | "peer" => 10, "camera" => nil}
    Portal.heard(:local, {:portal, id, :stats, %{"cameras" => cameras, "viewers" => [viewer, beside]}})
  end

  describe "/portal" do
    test "opens, tells who is there, mutes and closes", %{sim: sim, world: world} do
      :ok = Shards.put(id: 7, name: "Plaza *", players: 3)
      assert use_command(sim, ["who"]) == "No portal is open here. `/portal open` opens one."
      assert choices(sim, ["open"], %{world: "pla"}, "world") == [{"Plaza *", "7"}]

      assert use_command(sim, ["open"], %{channel: world, world: "plaza *"}) ==
               "A portal is open between <##{world}> and **Plaza \\*** (`world`). `/portal who` tells who is there."

      assert eventually(fn -> open?("world") end)
      assert {:ok, [%{id: "world", channel_id: ^world, world: "7", origin: :host}]} = Portal.list()
      assert use_command(sim, ["who"]) =~ ~r/<##{world}>: open since <t:\d+:R>\nWorld: nobody\nDiscord: nobody\z/

      joins("world", 0, "ada", "Ada @everyone")
      joins("world", 1, "bob", "Bob")
      watcher = %{peer(3, "eve", "Eve") | "role" => "watch", "kind" => "whep"}
      Portal.heard(:local, {:portal, "world", :peer_joined, watcher})
      assert use_command(sim, ["who"]) =~ "World: Ada \\@\u200Beveryone, Bob\n"
      assert choices(sim, ["mute"], %{who: "b"}, "who") == [{"Bob (world)", "world:bob"}]
      assert use_command(sim, ["mute"], %{who: "bob"}) == "**Bob** is not heard on the other side any more."
      assert {:ok, %{settings: [%{participant: "world:bob", muted: true}]}} = Portal.status("world")
      assert use_command(sim, ["who"]) =~ "Not heard on the other side: Bob"
      assert use_command(sim, ["mute"], %{who: "nobody"}) == "Nobody of that name is there. `/portal who` tells who is."

      assert use_command(sim, ["camera"], %{camera: "bob"}) == "Viewers see **Bob** as soon as that picture comes."
      assert {:ok, %{camera: "world:bob"}} = Portal.status("world")
      # The bridge tells the same of a room without cameras, now and then.
      cameras = fn -> shows("world", [{0, "ada", "Ada"}, {1, "bob", "Bob"}], 1) end
      on_air = fn -> cameras.() && use_command(sim, ["who"]) =~ "On air: Bob, of 2 cameras, seen by 1" end
      assert eventually(on_air)
      offered = fn -> cameras.() && choices(sim, ["camera"], %{camera: "b"}, "camera") end
      assert eventually(fn -> offered.() == [{"Bob (world)", "world:bob"}] end)
      assert use_command(sim, ["camera"]) == "Viewers see whoever came first with a picture."
      assert {:ok, %{camera: nil}} = Portal.status("world")
      assert use_command(sim, ["camera"], %{camera: "nobody"}) =~ "Nobody of that name is there."

      joins("world", 2, "eve", "bob")
      assert use_command(sim, ["mute"], %{who: "Bob"}) =~ "Several are called that."
      assert {"bob (world, eve)", "world:eve"} in choices(sim, ["mute"], %{who: "bob"}, "who")
      Portal.heard(:local, {:portal, "world", :peer_left, %{"peer" => 2, "reason" => "gone"}})

      # Also of one who has gone.
      Portal.heard(:local, {:portal, "world", :peer_left, %{"peer" => 1, "reason" => "gone"}})
      assert use_command(sim, ["mute"], %{who: "world:bob", off: true}) =~ "is heard on the other side again"
      assert {:ok, %{settings: []}} = Portal.status("world")

      assert use_command(sim, ["close"], %{portal: "other"}) == "No such portal is open here; there is `world`."
      assert use_command(sim, ["close"]) == "The portal `world` to <##{world}> is closed."
      assert Portal.list() == {:ok, []}
    end

    test "is in /uro status", %{sim: sim} do
      {:ok, "world"} = Portal.open(:world)
      assert eventually(fn -> open?("world") end)
      %{"id" => id} = DiscordSim.post(sim, "/interactions", %{user: "alice", command: ["uro", "status"]})
      true = eventually(fn -> match?(%{"response" => %{"waiting" => false}}, interaction(sim, id)) end)
      %{"response" => %{"message" => %{"embeds" => [%{"fields" => fields}]}}} = interaction(sim, id)
      assert %{"value" => "1 open; their UDP port: listening"} = Enum.find(fields, &(&1["name"] == "Portals"))
    end

    test "says what is wrong, and what to do", %{sim: sim, guild: guild} do
      text = sim.info["channels"]["general"]
      assert use_command(sim, ["open"]) == "I see no voice channel here. Say which one: `/portal open channel:`"
      # Discord lets nobody choose one; it is shown by its name.
      assert use_command(sim, ["open"], %{channel: text}) ==
               "<##{text}> is neither a voice channel nor a stage of a server"

      assert use_command(sim, ["open"], %{world: "nowhere"}) =~ "No such world is open."
      :ok = UroDiscord.Voice.join(guild, :lobby, wait: 20_000)
      assert use_command(sim, ["open"], %{channel: sim.info["channels"]["world"]}) =~ "UroDiscord.Voice.leave/1"
      assert Portal.list() == {:ok, []}
    end

    test "is for those who may manage channels, and for the server of Uro only", %{sim: sim, world: world} do
      interaction = fn permissions, guild_id ->
        %UroDiscord.Interaction{
          id: world,
          application_id: world,
          token: UroDiscord.Secret.wrap("t"),
          kind: :command,
          user: %{id: world, name: "bob"},
          data: %{},
          command: ["portal", "open"],
          options: %{"channel" => world},
          guild_id: guild_id,
          channel_id: world,
          permissions: permissions
        }
      end

      handle = &UroDiscord.Interactions.Commands.Portal.handle/1

      assert handle.(interaction.(0x800, sim.info["guild_id"])) ==
               {:error, "This is for those who may manage channels."}

      assert {:error, "This is for the server of Uro only" <> _} = handle.(interaction.(0x10, "1100000000000000999"))

      assert handle.(%{interaction.(0, nil) | kind: :autocomplete, focused: "world"}) == {:choices, []}
      assert Portal.list() == {:ok, []}
      assert {:ok, _} = handle.(interaction.(0x10, sim.info["guild_id"]))
    end
  end

  # What the chat of a channel says, the oldest message first.
  defp chat(sim, channel) do
    for message <- DiscordSim.get(sim, "/messages?channel=#{channel}"),
        do: {message["id"], message["content"], message["components"]}
  end

  defp says?(sim, channel, text), do: eventually(fn -> match?([{_id, ^text, _}], chat(sim, channel)) end)

  @heard "who speaks here is heard there, and who speaks there is heard here."
  @closed "This channel is not open to a world any more: who speaks here is heard here only."

  describe "the message in the chat of the voice channel" do
    test "is one, however often the portal opens, and says that it is closed", %{sim: sim, world: world} do
      :ok = Shards.put(id: 7, name: "Plaza *", players: 3)
      assert use_command(sim, ["open"], %{channel: world}) =~ "A portal is open"
      assert says?(sim, world, "This channel is open to the worlds: " <> @heard)
      assert use_command(sim, ["open"], %{channel: world, world: "plaza *"}) =~ "A portal is open"
      assert says?(sim, world, "This channel is open to **Plaza \\*\**: " <> @heard)
      assert [{id, _text, [%{"components" => [_watch]}]}] = chat(sim, world)
      :ok = Portal.close("world")
      assert says?(sim, world, @closed)
      assert [{^id, _text, []}] = chat(sim, world)
      # What is opened another time is said where people see it now.
      {:ok, "world"} = Portal.open(:world)

      assert eventually(fn ->
               match?([{^id, @closed, []}, {_new, "This channel is open" <> _, [_]}], chat(sim, world))
             end)
    end

    test "follows the portal into another channel", %{sim: sim, world: world} do
      {:ok, "p"} = Portal.open(:world, id: "p")
      assert says?(sim, world, "This channel is open to the worlds: " <> @heard)
      :ok = Portal.close("p")
      {:ok, "p"} = Portal.open(:lobby, id: "p")
      lobby = sim.info["channels"]["lobby"]
      assert says?(sim, lobby, "This channel is open to the worlds: " <> @heard)
      assert eventually(fn -> Enum.all?(chat(sim, world), &match?({_id, @closed, []}, &1)) end)
    end

    test "is looked for when it is to say something else, and not when somebody in the portal is muted", context do
      %{sim: sim, world: world} = context
      {:ok, "world"} = Portal.open(:world)
      assert says?(sim, world, "This channel is open to the worlds: " <> @heard)
      # Which message it is, is stored.
      assert eventually(fn -> match?(%{failing: failing, timer: nil} when failing == %{}, :sys.get_state(Notices)) end)
      :erlang.trace(Process.whereis(Notices), true, [:call])
      :erlang.trace_pattern({Kept, :keep, 3}, true, [])
      :ok = Portal.mute("world", "world:ada")
      # It has heard of it.
      :sys.get_state(Notices)
      refute_received {:trace, _pid, :call, _keep}
      {:ok, "world"} = Portal.open(:world, world: 7)
      assert_receive {:trace, _pid, :call, {Kept, :keep, _arguments}}, 15_000
    end

    test "that somebody deleted is posted when the portal is opened anew", %{sim: sim, world: world} do
      {:ok, "world"} = Portal.open(:world)
      assert eventually(fn -> match?([_], chat(sim, world)) end)
      [{id, _text, _components}] = chat(sim, world)
      {:ok, %{rest: rest}} = UroDiscord.Runtime.fetch()
      {:ok, _} = UroDiscord.Rest.call(rest, {:delete_message, world, id})
      assert eventually(fn -> chat(sim, world) == [] end)
      {:ok, "world"} = Portal.open(:world)
      assert says?(sim, world, "This channel is open to the worlds: " <> @heard)
    end

    @tag options: [
           portal: [
             key: String.duplicate("key", 11),
             udp: [ip: "127.0.0.1", port: 0],
             open: [[id: "round", channel: :world, when: :people]],
             close_after: 0
           ],
           board: [channels: []]
         ]
    test "is there for portals of the configuration, and is the same when they open again and after a restart",
         context do
      %{sim: sim, world: world} = context
      :ok = Shards.put(id: 7, name: "Plaza", players: 3)
      enters(sim, "alice")
      assert says?(sim, world, "This channel is open to the worlds: " <> @heard)
      [{id, _text, _components}] = chat(sim, world)
      enters(sim, "alice", nil)
      assert says?(sim, world, @closed)
      enters(sim, "alice")
      assert says?(sim, world, "This channel is open to the worlds: " <> @heard)

      UroDiscord.unsubscribe(:status)
      :ok = stop_supervised(UroDiscord)
      start!(sim, context)
      # Who played before is not known any more, so it closes.
      assert says?(sim, world, @closed)
      assert [{^id, _text, []}] = chat(sim, world)
    end

    @tag options: [
           portal: [key: String.duplicate("key", 11), udp: [ip: "127.0.0.1", port: 0], message: false]
         ]
    test "is none where it is turned off, and the one before is taken away", %{sim: sim, world: world} do
      {:ok, %{store: store}} = UroDiscord.Runtime.fetch()
      {:ok, delivery} = UroDiscord.notify(world, "This channel is open to the worlds")
      {:ok, %{message_id: message_id}} = UroDiscord.await(delivery)

      # As a UroDiscord without the option has left it.
      kept = "INSERT INTO uro_discord_kept_messages VALUES ('portal', 'world', $1, $2, $3, 'hash')"
      {:ok, _} = UroDiscord.Store.run(store, [{kept, [world, delivery.id, message_id]}], :write)
      {:ok, "world"} = Portal.open(:world)
      assert eventually(fn -> open?("world") end)
      assert eventually(fn -> chat(sim, world) == [] end)
      assert {:ok, []} = UroDiscord.Notify.Kept.all(store, "portal")
    end
  end

  describe "without a key" do
    @describetag options: [portal: []]

    test "there is no /portal", %{sim: sim} do
      DiscordSim.wait_for(sim, "commands")
      {:ok, %{rest: rest}} = UroDiscord.Runtime.fetch()
      route = {:get_global_commands, sim.info["application_id"]}
      {:ok, %{body: commands}} = UroDiscord.Rest.call(rest, route)
      assert commands |> Enum.map(& &1["name"]) |> Enum.sort() == ["uro", "who", "worlds"]
      assert {:ok, %{portal: nil}} = UroDiscord.status()
    end
  end

  defp wait_for_status(sim, channel, text, after_number),
    do:
      DiscordSim.wait_for(sim, "voice_channel_status", &(&1["id"] == channel and &1["status"] == text),
        after: after_number
      )

  test "who of the world speaks is the voice channel's status, until the portal closes", %{sim: sim, world: world} do
    {:ok, "world"} = Portal.open(:world)
    assert eventually(fn -> open?("world") end)
    joins("world", 0, "ada", "Ada")
    joins("world", 1, "bob", "Bob")
    speaks("world", :speaking, 0, "ada", "Ada")
    %{"number" => ada} = wait_for_status(sim, world, "speaking: Ada", 0)
    speaks("world", :speaking, 1, "bob", "Bob")
    %{"number" => both} = wait_for_status(sim, world, "speaking: Ada, Bob", ada)

    # A pause for breath is none, and is not written.
    for _time <- 1..20, fact <- [:silent, :speaking], do: speaks("world", fact, 1, "bob", "Bob")
    speaks("world", :silent, 0, "ada", "Ada")
    %{"number" => bob} = wait_for_status(sim, world, "speaking: Bob", both)
    speaks("world", :silent, 1, "bob", "Bob")
    %{"number" => none} = wait_for_status(sim, world, nil, bob)

    written =
      for %{"method" => "PUT", "path" => path} <- DiscordSim.get(sim, "/requests"), path =~ "voice-status", do: path

    assert length(written) == 4
    assert {:ok, %{board: boards}} = UroDiscord.status()
    assert Enum.any?(boards, &match?(%{kind: :voice_status, channel_id: ^world}, &1))

    # Of two peers with one token each speaks for itself, and both are one name.
    joins("world", 2, "ada", "Ada")
    for number <- [0, 2], do: speaks("world", :speaking, number, "ada", "Ada")
    %{"number" => again} = wait_for_status(sim, world, "speaking: Ada", none)
    Portal.heard(:local, {:portal, "world", :peer_left, %{"peer" => 0, "reason" => "gone"}})
    assert {:ok, %{peers: [_bob, %{peer: 2}]}} = Portal.status("world")
    assert {:ok, %{portal: %{open: [%{speakers: ["Ada"]}]}}} = UroDiscord.status()
    :ok = Portal.close("world")
    wait_for_status(sim, world, nil, again)
    assert eventually(fn -> not Enum.any?(boards(), &match?(%{kind: :voice_status}, &1)) end)
  end

  test "who came or went while what keeps that crashed is known again" do
    {:ok, "world"} = Portal.open(:world)
    assert eventually(fn -> open?("world") end)
    joins("world", 0, "ada", "Ada")
    joins("world", 1, "bob", "Bob")
    there = fn -> with({:ok, %{peers: peers}} <- Portal.status("world"), do: for(%{who: who} <- peers, do: who)) end
    assert there.() == ["ada", "bob"]
    rooms = Process.whereis(Portal.Rooms)
    :ok = :sys.suspend(rooms)
    Portal.heard(:local, {:portal, "world", :peer_left, %{"peer" => 0, "reason" => "gone"}})
    joins("world", 2, "eve", "Eve")
    Process.exit(rooms, :kill)
    assert eventually(fn -> there.() == ["ada", "bob"] end)
    :ok = UroDiscord.subscribe(:portal)
    # The next stats.
    Portal.heard(:local, {:portal, "world", :stats, %{"peers" => [peer(1, "bob", "Bob"), peer(2, "eve", "Eve")]}})
    assert there.() == ["bob", "eve"]
    assert_received {:uro_discord, :portal, {"world", {:peer_left, %{who: "ada"}, _reason}}}
    assert_received {:uro_discord, :portal, {"world", {:peer_joined, %{who: "eve"}}}}
  end

  # Who speaks, as all who look are told.
  defp speakers do
    {:ok, %{portal: %{open: [%{speakers: speakers}]}}} = UroDiscord.status()
    speakers
  end

  test "who speaks again before he has faded fades as long after that" do
    {:ok, "world"} = Portal.open(:world)
    assert eventually(fn -> open?("world") end)
    joins("world", 0, "ada", "Ada")
    for fact <- [:speaking, :silent], do: speaks("world", fact, 0, "ada", "Ada")
    assert eventually(fn -> speakers() == ["Ada"] end)
    first = System.monotonic_time(:millisecond)
    # Time is what this is about: most of the three seconds.
    receive do
    after
      2_000 -> :ok
    end

    for fact <- [:speaking, :silent], do: speaks("world", fact, 0, "ada", "Ada")
    assert eventually(fn -> speakers() == [] end)
    assert System.monotonic_time(:millisecond) - first >= 4_900
  end

  test "of several bridges the one is shown whose UDP port is not there" do
    {:ok, %{config: config} = runtime} = Runtime.fetch()
    other = %{hd(config.bridges) | name: :"media2@10.0.0.6"}
    assert eventually(fn -> match?(%{media: %{state: :listening}}, Portal.overview()) end)
    :ok = Runtime.put(:runtime, %{runtime | config: %{config | bridges: config.bridges ++ [other]}})
    taken = %{state: :waiting, since: DateTime.utc_now(), addresses: [], reason: "UDP 0.0.0.0:7882 cannot be had"}
    :ok = Runtime.put({:media, other.name}, taken)
    assert %{media: %{state: :waiting, bridge: :"media2@10.0.0.6", reason: "UDP" <> _}} = Portal.overview()
    :ok = Runtime.put({:media, other.name}, %{taken | state: :listening})
    assert %{media: %{state: :listening}} = Portal.overview()
  end

  defp boards do
    {:ok, %{board: boards}} = UroDiscord.status()
    boards
  end

  test "who is there is on the status board", %{sim: sim, world: world} do
    :ok = Shards.put(id: 7, name: "Plaza", players: 3)
    says = fn text, options -> DiscordSim.wait_for(sim, "message_update", &(described(&1) =~ text), options) end
    DiscordSim.wait_for(sim, "message_create", &(described(&1) =~ "updated"))
    {:ok, "world"} = Portal.open(:world, world: 7)
    assert eventually(fn -> open?("world") end)
    says.("Voices between Plaza (nobody) and <##{world}> (nobody)", [])
    joins("world", 0, "ada", "*Ada*")
    says.("Voices between Plaza (\\*Ada\\*) and <##{world}> (nobody)", [])
    mark = DiscordSim.now(sim)
    :ok = Portal.close("world")
    DiscordSim.wait_for(sim, "message_update", &(not (described(&1) =~ "Voices between")), after: mark)
  end

  @tag options: [board: [channels: [:status], interval: 1_000, picture: 5_000]]
  test "the picture that a portal has on air is on the status board, and the one before is not any more", %{sim: sim} do
    {:ok, "world"} = Portal.open(:world)
    assert eventually(fn -> open?("world") end)
    DiscordSim.wait_for(sim, "message_create", &(described(&1) =~ "updated"))

    for jpeg <- ["one picture", "another picture"] do
      mark = DiscordSim.now(sim)
      # As the bridge says it.
      Portal.heard(:local, {:still, "world", jpeg})
      pictured? = &match?(%{"message" => %{"attachments" => [_]}}, &1)
      %{"message" => message} = DiscordSim.wait_for(sim, "message_update", pictured?, after: mark)
      assert [%{"filename" => "portal.jpg", "url" => url, "content_type" => "image/jpeg"}] = message["attachments"]
      assert [%{"image" => %{"url" => "attachment://portal.jpg"}}] = message["embeds"]
      assert {200, _headers, ^jpeg} = HttpClient.call(url, "GET", URI.parse(url).path)
    end

    mark = DiscordSim.now(sim)
    :ok = Portal.close("world")
    board? = &match?(%{"message" => %{"embeds" => [_]}}, &1)
    %{"message" => message} = DiscordSim.wait_for(sim, "message_update", board?, after: mark)
    assert message["attachments"] == []
    refute Map.has_key?(hd(message["embeds"]), "image")
  end

  defp described(%{"message" => %{"embeds" => [embed | _]}}), do: embed["description"]
  defp described(_other), do: ""
end

defmodule UroDiscord.PortalTest do
  use UroDiscord.Case, async: false

  import ExUnit.CaptureLog

  alias UroDiscord.{Error, Portal, Runtime, Shards, Store, Voice}

  @key "a key that only this test knows, of this length"

  setup context do
    sim = start_sim!()
    database = Path.join(DiscordSim.scratch(), "portal-#{System.unique_integer([:positive])}.sqlite3")
    context = Map.merge(context, %{sim: sim, database: database})
    start!(context)
    %{sim: sim, database: database, guild: sim.info["guild_id"], stage: sim.info["channels"]["stage"]}
  end

  defp start!(%{sim: sim, database: database} = context) do
    portal = Keyword.merge([key: @key, udp: [ip: "127.0.0.1", port: 0]], context[:portal] || [])

    start_connected!(
      sim,
      [intents: [:guilds, :guild_voice_states], web: [port: 0], database: database, portal: portal] ++
        (context[:options] || [])
    )

    :ok = UroDiscord.subscribe(:portal)
    :ok = UroDiscord.subscribe(:voice)
  end

  # A subscriber ends with UroDiscord.
  defp stop! do
    for topic <- [:status, :portal, :voice], do: UroDiscord.unsubscribe(topic)
    stop_supervised!(UroDiscord)
  end

  # The next event of a portal of this shape; those before it are passed over.
  defp heard(matches?, id \\ nil, timeout \\ 20_000) do
    receive do
      {:uro_discord, :portal, {of, event}} ->
        if id in [nil, of] and matches?.(event), do: event, else: heard(matches?, id, timeout)
    after
      timeout -> flunk("no such event of a portal came: #{inspect(UroDiscord.status())}")
    end
  end

  defp open!(id), do: assert({:state, :open, nil} = heard(&match?({:state, :open, _}, &1), id))

  defp in_voice(sim) do
    voice = DiscordSim.get(sim, "/voice")
    users = for channel <- voice["channels"], user <- channel["users"], do: Map.put(user, "channel", channel["id"])
    Enum.find(users, &(&1["user_id"] == sim.info["application_id"]))
  end

  defp says(answer, kind, text) do
    assert {:error, %Error{kind: ^kind} = error} = answer
    assert Exception.message(error) =~ text
  end

  test "is open until it is closed, and says so", %{sim: sim, guild: guild, stage: stage} do
    assert Portal.list() == {:ok, []}
    assert Portal.open(:stage, world: 7, bots: true) == {:ok, "stage"}
    assert {:ok, %{id: "stage", guild_id: ^guild, channel_id: ^stage, world: "7"}} = Portal.status("stage")
    open!("stage")
    assert in_voice(sim)["channel"] == stage
    assert {:ok, [%{state: :open, reason: nil, bots: true, origin: :host, peers: [], settings: []}]} = Portal.list()

    assert {:ok, %{portal: %{media: media, open: [%{id: "stage", state: :open}]}}} = UroDiscord.status()
    assert %{state: :listening, addresses: ["127.0.0.1:" <> _]} = media

    assert :ok = Portal.close("stage")
    assert :closed = heard(&(&1 == :closed))
    assert Portal.list() == {:ok, []}
    assert eventually(fn -> in_voice(sim) == nil end)
    says(Portal.close("stage"), :unknown, ~s(there is no portal "stage" that is open))
    says(Portal.status("stage"), :unknown, "no portal")
  end

  test "is open again after the end of the VM, of the bridge, and of each of its processes", context do
    %{sim: sim, stage: stage} = context
    {:ok, "lobby"} = Portal.open(:stage, id: "lobby")
    open!("lobby")
    :ok = Portal.mute("lobby", "world:ada")

    # As far as the store is concerned, this is what it is for a VM to end.
    stop!()
    start!(context)
    open!("lobby")
    assert in_voice(sim)["channel"] == stage
    assert {:ok, %{settings: [%{participant: "world:ada", muted: true, gain: 1.0}]}} = Portal.status("lobby")

    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    {"", 0} = System.cmd("kill", ["-KILL", Integer.to_string(os_pid)])
    assert {:state, :opening, nil} = heard(&match?({:state, _, _}, &1))
    open!("lobby")

    for process <- [Portal.Rooms, Portal.Rows, Portal.Members, Portal.Automatic, Voice.Calls] do
      pid = Process.whereis(process)
      Process.exit(pid, :kill)
      assert eventually(fn -> Process.whereis(process) not in [nil, pid] end)
      assert eventually(fn -> match?({:ok, %{state: :open}}, Portal.status("lobby")) end), "#{inspect(process)}"
      assert {:ok, %{portal: %{media: %{state: :listening}}}} = UroDiscord.status()
    end

    assert in_voice(sim)["channel"] == stage
  end

  test "waits for the gateway while another node has it, and its UDP port stays", %{sim: sim, stage: stage} do
    {:ok, "stage"} = Portal.open(:stage)
    open!("stage")
    {:ok, %{store: store, bot_id: bot_id}} = Runtime.fetch()
    # One that takes the lease and gives it back at once.
    taken = "UPDATE uro_discord_gateway SET fence = fence + 1, owner = '', lease_until = 0 WHERE bot_id = $1"
    {:ok, _} = Store.run(store, [{taken, [bot_id]}], :write)
    assert {:state, :down, "another node holds" <> _} = heard(&match?({:state, :down, _}, &1))
    open!("stage")
    assert in_voice(sim)["channel"] == stage
    assert {:ok, %{portal: %{media: %{state: :listening}}}} = UroDiscord.status()
  end

  test "goes where people move the bot, and waits when they throw it out", %{sim: sim, guild: guild} do
    lobby = sim.info["channels"]["lobby"]
    {:ok, "world"} = Portal.open(:world)
    open!("world")
    DiscordSim.post(sim, "/voice", %{action: "move", user: "uro", channel: "lobby"})
    assert eventually(fn -> match?({:ok, %{channel_id: ^lobby, state: :open}}, Portal.status("world")) end)

    DiscordSim.post(sim, "/voice", %{action: "disconnect", user: "uro"})
    assert {:state, :waiting, reason} = heard(&match?({:state, :waiting, "the bot was disconnected" <> _}, &1))
    assert {:ok, %{state: :waiting, reason: ^reason}} = Portal.status("world")
    assert {:ok, %{state: :ended}} = Voice.status(guild)

    # Whoever opens it anew wants it heard, where it was first.
    {:ok, "world"} = Portal.open(:world)
    open!("world")
    assert in_voice(sim)["channel"] == sim.info["channels"]["world"]
  end

  describe "with the host in the same server" do
    test "one channel is shared, and kept until both have left it", %{sim: sim, guild: guild, stage: stage} do
      tone = Path.expand("../fixtures/tone.opus", __DIR__)
      :ok = Voice.join(guild, :stage, wait: 20_000)
      :ok = Voice.play(guild, tone, loop: true)
      {:ok, "stage"} = Portal.open(:stage)
      assert_receive {:uro_discord, :voice, {^guild, {:played, ^tone, "a portal was opened" <> _}}}, 10_000
      says(Voice.play(guild, tone), :conflict, "a portal is open there")
      open!("stage")
      :ok = Voice.leave(guild)
      assert {:ok, %{state: :open, channel_id: ^stage}} = Portal.status("stage")
      :ok = Voice.join(guild, :stage)
      :ok = Portal.close("stage")
      heard(&(&1 == :closed))
      assert {:ok, %{state: :joined, channel_id: ^stage}} = Voice.status(guild)
      :ok = Voice.leave(guild)
      assert eventually(fn -> in_voice(sim) == nil end)
    end

    test "who comes second is told what to close or leave", %{guild: guild, stage: stage} do
      :ok = Voice.join(guild, :world, wait: 20_000)
      says(Portal.open(:stage), :conflict, "UroDiscord.Voice.leave/1")
      :ok = Voice.leave(guild)
      {:ok, "stage"} = Portal.open(:stage)
      says(Voice.join(guild, :world), :conflict, "portal stage holds the bot in channel #{stage}")
      says(Portal.open(:world), :conflict, "portal stage is open in this server")
      says(Portal.open(:world, id: "stage"), :conflict, "is open to another channel")
      open!("stage")
    end

    # Both were asked at the same time, or the portal is one of the store, and the host was quicker at a start.
    test "a portal that finds the bot elsewhere waits until it is free", %{guild: guild, stage: stage} do
      :ok = Voice.join(guild, :world, wait: 20_000)
      {:ok, %{store: store}} = Runtime.fetch()
      portal = %{id: "late", guild_id: guild, channel_id: stage, world: nil, bots: false, origin: :host}
      # As another node does it.
      :ok = Portal.Store.open(store, portal)
      assert {:state, :waiting, "the host has the bot in channel " <> _} = heard(&match?({:state, _, _}, &1), "late")
      :ok = Voice.leave(guild)
      open!("late")
    end
  end

  test "gain and mute are told, kept, and taken back" do
    {:ok, "stage"} = Portal.open(:stage)
    user = "1100000000000000099"
    :ok = Portal.gain("stage", "discord:#{user}", 1.5)
    :ok = Portal.mute("stage", "discord:#{user}")
    :ok = Portal.mute("stage", "world:ada/7", true)
    settings = fn -> with {:ok, %{settings: settings}} <- Portal.status("stage"), do: settings end

    assert settings.() == [
             %{participant: "discord:#{user}", gain: 1.5, muted: true},
             %{participant: "world:ada/7", gain: 1.0, muted: true}
           ]

    :ok = Portal.mute("stage", "world:ada/7", false)
    :ok = Portal.mute("stage", "discord:#{user}", false)
    assert settings.() == [%{participant: "discord:#{user}", gain: 1.5, muted: false}]
    part = {"portals", :local}
    %{^part => %{"open" => [%{"settings" => told}]}} = UroDiscord.Desired.fetch([part])
    assert told == [%{"participant" => "discord:#{user}", "gain" => 1.5, "muted" => false}]
  end

  test "an address and a link", %{sim: sim} do
    assert {:ok, url} = eventually(fn -> match?({:ok, _}, Portal.url("lobby", :peer)) && Portal.url("lobby", :peer) end)
    assert url =~ ~r{^http://127\.0\.0\.1:\d+/portal/lobby/peer$}
    {:ok, token} = Portal.token("lobby", role: :peer, who: "ada")
    {:ok, page} = Portal.url("lobby", {:page, token})
    assert page == String.replace_suffix(url, "peer", "#" <> token)
    assert Portal.url("lobby", :still) == {:ok, String.replace_suffix(url, "peer", "still.jpg")}
    refute inspect(DiscordSim.get(sim, "/events"), limit: :infinity, printable_limit: :infinity) =~ token
  end

  test "what happens there is told, to subscribers and to :telemetry", %{sim: sim} do
    events = [:open, :closed, :peer_joined, :peer_left, :stats]

    for event <- events,
        do: :ok = :telemetry.attach({:portal, event}, [:uro_discord, :portal, event], &__MODULE__.tell/4, self())

    on_exit(fn -> for event <- events, do: :telemetry.detach({:portal, event}) end)
    {:ok, "stage"} = Portal.open(:stage)
    open!("stage")
    assert_receive {:telemetry, [_, :portal, :open], %{count: 1, peers: 0}, %{portal: "stage"}}

    # As the bridge says it.
    say = fn fact, info -> Portal.heard(:local, {:portal, "stage", fact, info}) end
    say.(:peer_joined, %{"peer" => 3, "name" => "Ada", "role" => "publish", "subject" => "ada", "kind" => "whip"})
    ada = %{peer: 3, name: "Ada", who: "ada", role: :publish, kind: :whip, world?: false}
    assert {:peer_joined, ^ada} = heard(&match?({:peer_joined, _}, &1))
    assert_receive {:telemetry, [_, :portal, :peer_joined], %{peers: 1}, %{portal: "stage"}}
    who = %{"side" => "world", "id" => "world:ada", "peer" => 3, "name" => "Ada"}
    say.(:speaking, who)
    assert {:speaking, %{id: "world:ada", side: :world, peer: 3, name: "Ada"}} = heard(&match?({:speaking, _}, &1))
    assert {:ok, %{portal: %{open: [%{speakers: ["Ada"], peers: ["Ada"]}]}}} = UroDiscord.status()
    say.(:silent, who)
    assert {:silent, %{id: "world:ada"}} = heard(&match?({:silent, _}, &1))

    health = %{
      "level" => -20.5,
      "speaking" => false,
      "packets" => 50,
      "lost" => 1,
      "concealed_ms" => 20,
      "delay_ms" => 40,
      "jitter_ms" => 2,
      "drift_ppm" => -3,
      "path" => "passthrough",
      "dropped" => 0
    }

    stats = %{"participants" => [Map.merge(health, who)], "to_discord" => 49, "from_discord" => 0, "dropped" => 0}
    say.(:stats, stats)
    assert_receive {:telemetry, [_, :portal, :stats], %{participants: 1, to_discord: 49}, %{portal: "stage"}}
    assert {:ok, %{peers: [^ada], participants: [participant], to_discord: 49}} = Portal.status("stage")

    assert participant == %{
             id: "world:ada",
             side: :world,
             peer: 3,
             name: "Ada",
             level: -20.5,
             speaking: false,
             packets: 50,
             lost: 1,
             concealed_ms: 20,
             delay_ms: 40,
             jitter_ms: 2,
             drift_ppm: -3,
             path: :passthrough,
             dropped: 0
           }

    # Who has left is in no list, whenever the next stats come.
    bob = %{"peer" => 4, "name" => "Bob", "role" => "peer", "subject" => "bob", "kind" => "peer"}
    say.(:peer_joined, bob)
    say.(:stats, %{stats | "participants" => [Map.merge(health, %{who | "peer" => 4, "id" => "world:bob"})]})
    say.(:peer_left, %{"peer" => 4, "reason" => "vanished"})
    assert {:peer_left, %{who: "bob"}, "vanished"} = heard(&match?({:peer_left, _, _}, &1))
    assert_receive {:telemetry, [_, :portal, :peer_left], %{count: 1, peers: 1}, %{portal: "stage"}}
    assert {:ok, %{peers: [^ada], participants: []}} = Portal.status("stage")

    # The next bridge knows none of them.
    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    {"", 0} = System.cmd("kill", ["-KILL", Integer.to_string(os_pid)])
    assert {:peer_left, ^ada, "the bridge has ended"} = heard(&match?({:peer_left, _, _}, &1))
    open!("stage")
    assert {:ok, %{peers: [], participants: []}} = Portal.status("stage")
    assert_receive {:telemetry, [_, :portal, :peer_left], %{count: 1, peers: 0}, %{portal: "stage"}}
    assert_receive {:telemetry, [_, :portal, :closed], %{count: 1, peers: 0}, %{portal: "stage"}}
    assert_receive {:telemetry, [_, :portal, :open], %{count: 1, peers: 0}, %{portal: "stage"}}
    assert in_voice(sim)

    say.(:peer_joined, bob)
    :ok = Portal.close("stage")
    assert_receive {:telemetry, [_, :portal, :peer_left], %{count: 1, peers: 0}, %{portal: "stage"}}
    assert_receive {:telemetry, [_, :portal, :closed], %{count: 1, peers: 0}, %{portal: "stage"}}
  end

  test "an admin reads in the log what becomes of it, and why it waits", %{sim: sim} do
    log =
      capture_log(fn ->
        {:ok, "stage"} = Portal.open(:stage)
        open!("stage")
        DiscordSim.post(sim, "/voice", %{action: "disconnect", user: "uro"})
        heard(&match?({:state, :waiting, _}, &1))
        :ok = Portal.close("stage")
        heard(&(&1 == :closed))
      end)

    assert log =~ "portal stage is open\n"
    assert log =~ "portal stage waits: the bot was disconnected"
    assert log =~ "portal stage is closed\n"
    # That it joins is no trouble.
    refute log =~ "waits: the bot is joining"
  end

  # crates/bridge/tests/portal_clients.rs has who sees it.
  test "the picture on air is sent to Discord's voice server where that is wanted, and it is said that nobody sees it",
       context do
    %{sim: sim, guild: guild} = context
    {:ok, "stage"} = Portal.open(:stage)
    open!("stage")
    assert in_voice(sim)["video"] == nil
    assert {:ok, %{discord_video: nil}} = Portal.status("stage")
    stop!()

    log =
      capture_log(fn ->
        start!(Map.put(context, :portal, discord_video: true))
        open!("stage")
      end)

    assert log =~ "portal: [discord_video: true] is on. Discord itself does not show bots' video today"
    assert {:ok, %{discord_video: %{note: note, reason: "no picture is on air"}}} = Portal.status("stage")
    assert note =~ "Discord itself does not show bots' video today"
    part = {"voice", :local}
    assert %{^part => %{"channels" => [%{"guild" => ^guild, "video" => true}]}} = UroDiscord.Desired.fetch([part])
    # The bot's session has said that it can, and sends none.
    assert %{"sending" => false} = in_voice(sim)["video"]
  end

  @doc false
  def tell(event, measurements, metadata, test), do: send(test, {:telemetry, event, measurements, metadata})

  test "what is asked wrongly is said", %{sim: sim} do
    text = sim.info["channels"]["general"]

    for {answer, says} <- [
          {Portal.open(:nowhere), "channel: is :nowhere; it may be a name of `channels:` (there: :announcements, "},
          {Portal.open(text), "channel: channel #{text} is neither a voice channel nor a stage"},
          {Portal.open("1100000000000009999"), "channel: the bot cannot see channel 1100000000000009999"},
          {Portal.open(:stage, id: "The Stage"), ~s(id: is "The Stage"; it may be 1 to 64 of a to z)},
          {Portal.open(:stage, world: ""), ~s(world: is ""; it may be the id of a shard)},
          {Portal.open(:stage, bots: 1), "bots: is 1; it may be true or false"},
          {Portal.open(:stage, name: "x"), "options: :name is not an option: there are id, world, shard and bots"},
          {Portal.open(:stage, :lobby), "options: is :lobby; it may be a keyword list"},
          {Portal.close("Stage"), ~s(id: is "Stage")},
          {Portal.mute("stage", "ada"), ~s(participant: is "ada"; it may be "discord:")},
          {Portal.mute("stage", "discord:7"), ~s(participant: is "discord:7")},
          {Portal.mute("stage", "world:ada", :yes), "muted: is :yes; it may be true or false"},
          {Portal.gain("stage", "world:ada", 11), "gain: is 11; it may be a number from 0 to 10"},
          {Portal.url("stage", :tv), "kind: is :tv; it may be :whip"}
        ] do
      says(answer, :invalid, says)
    end

    says(Portal.mute("stage", "world:ada"), :unknown, "there is no portal")
    assert Portal.list() == {:ok, []}
  end

  test "its keys are in no state and no report" do
    {:ok, "stage"} = Portal.open(:stage)
    open!("stage")

    for process <- [Portal.Rooms, Portal.Rows, Portal.Automatic, UroDiscord.Bridge, UroDiscord.Desired] do
      refute inspect(:sys.get_status(process), limit: :infinity, printable_limit: :infinity) =~ @key
    end

    refute :io_lib.format("~p", [:ets.tab2list(Runtime)]) |> IO.iodata_to_binary() =~ @key
    {:ok, status} = UroDiscord.status()
    refute inspect(status, limit: :infinity, printable_limit: :infinity) =~ @key
  end

  describe "what the configuration opens" do
    @describetag portal: [open: [[id: "round", channel: :stage]]]

    test "is open from the start on, unless somebody closes it", %{sim: sim} = context do
      open!("round")
      assert {:ok, %{origin: :config}} = Portal.status("round")
      :ok = Portal.close("round")
      heard(&(&1 == :closed))
      :ok = Shards.put(id: 7, name: "Plaza", players: 3)
      assert eventually(fn -> in_voice(sim) == nil end)
      assert Portal.list() == {:ok, []}

      # It is the configuration's word again, and what it does not name any more is gone.
      stop!()
      start!(context)
      open!("round")
      stop!()
      start!(%{context | portal: [open: [[id: "other", channel: :world]]]})
      open!("other")
      assert {:ok, [%{id: "other"}]} = Portal.list()

      # Or to another channel.
      stop!()
      start!(%{context | portal: [open: [[id: "other", channel: :stage]]]})
      stage = context.stage
      there? = fn -> match?({:ok, [%{id: "other", channel_id: ^stage, state: :open}]}, Portal.list()) end
      assert eventually(there?)
      assert eventually(fn -> in_voice(sim)["channel"] == stage end)
    end
  end

  describe "what the configuration opens, to a channel that the bot cannot see" do
    @describetag portal: [open: [[id: "round", channel: "1100000000000009999"]]]

    test "is tried again in its time, whatever happens meanwhile", %{sim: sim} do
      asked = fn ->
        Enum.count(DiscordSim.get(sim, "/requests"), &String.ends_with?(&1["path"], "/channels/1100000000000009999"))
      end

      assert eventually(fn -> asked.() == 1 end)

      # At every change there may be a look.
      for players <- 1..12 do
        :ok = Shards.put(id: 7, name: "Plaza", players: players)
        refute_receive {:uro_discord, :portal, _event}, 120
      end

      assert asked.() in 2..4
    end
  end

  describe "what the configuration opens for people" do
    @describetag portal: [open: [[id: "round", channel: :stage, world: 7, when: :people]], close_after: 300]

    defp voice_state(sim, person, channel) do
      user = sim.info["users"][person]["id"]

      data = %{
        guild_id: sim.info["guild_id"],
        channel_id: channel,
        user_id: user,
        session_id: "of #{person}",
        member: %{
          user: %{id: user, username: person, global_name: nil, bot: person == "peer"},
          nick: "Nick of #{person}",
          roles: []
        }
      }

      DiscordSim.post(sim, "/dispatch", %{type: "VOICE_STATE_UPDATE", data: data})
    end

    test "opens when there is somebody on both sides, and closes when one is empty", %{sim: sim, stage: stage} do
      :ok = Shards.put(id: 7, name: "Plaza", players: 3)
      # Bots are nobody, and neither is who is elsewhere.
      voice_state(sim, "peer", stage)
      voice_state(sim, "bob", sim.info["channels"]["world"])
      refute_receive {:uro_discord, :portal, _}, 500
      voice_state(sim, "alice", stage)
      open!("round")

      :ok = Shards.put(id: 7, name: "Plaza", players: 0)
      :ok = Shards.put(id: 8, name: "Garden", players: 9)
      assert :closed = heard(&(&1 == :closed))
      assert eventually(fn -> in_voice(sim) == nil end)

      # A moment without players is none.
      :ok = Shards.put(id: 7, name: "Plaza", players: 2)
      open!("round")
      :ok = Shards.put(id: 7, name: "Plaza", players: 0)
      :ok = Shards.put(id: 7, name: "Plaza", players: 1)
      refute_receive {:uro_discord, :portal, {"round", :closed}}, 600
      voice_state(sim, "alice", nil)
      assert :closed = heard(&(&1 == :closed))
    end

    test "whoever is in it by browser is of the world, and a world without players is nobody", %{sim: sim, stage: stage} do
      peer = &%{"peer" => &1, "name" => "Ada", "role" => "peer", "subject" => "ada", "kind" => "peer", "world" => &2}
      :ok = Shards.put(id: 7, name: "Plaza", players: 3)
      voice_state(sim, "alice", stage)
      open!("round")
      # As the bridge says it.
      Portal.heard(:local, {:portal, "round", :peer_joined, peer.(1, true)})
      Portal.heard(:local, {:portal, "round", :peer_joined, peer.(2, false)})
      assert {:peer_joined, %{peer: 2, world?: false}} = heard(&match?({:peer_joined, %{peer: 2}}, &1))
      :ok = Shards.put(id: 7, name: "Plaza", players: 0)
      refute_receive {:uro_discord, :portal, {"round", :closed}}, 600
      Portal.heard(:local, {:portal, "round", :peer_left, %{"peer" => 2, "reason" => "left"}})
      assert :closed = heard(&(&1 == :closed))
    end

    test "stays closed for those during whom somebody closed it, and keeps who is muted", %{sim: sim, stage: stage} do
      :ok = Shards.put(id: 7, name: "Plaza", players: 3)
      voice_state(sim, "alice", stage)
      open!("round")
      :ok = Portal.close("round")
      heard(&(&1 == :closed))
      :ok = Shards.put(id: 7, name: "Plaza", players: 4)
      refute_receive {:uro_discord, :portal, _}, 600
      voice_state(sim, "alice", nil)
      assert eventually(fn -> match?(%{"round" => %{phase: :idle}}, Runtime.lookup(:portal_automatic)) end)
      voice_state(sim, "alice", stage)
      open!("round")
      :ok = Portal.mute("round", "world:ada")
      :ok = Shards.delete(7)
      heard(&(&1 == :closed))
      :ok = Shards.put(id: 7, name: "Plaza", players: 4)
      open!("round")
      assert {:ok, %{settings: [%{participant: "world:ada", muted: true}]}} = Portal.status("round")
    end
  end
end

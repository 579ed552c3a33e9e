defmodule UroDiscord.BridgesTest do
  # Calls and portals on bridges that run elsewhere and have no gateway: UroDiscord runs in a VM of its own, with a process of its own for the gateway.
  use ExUnit.Case, async: true

  import UroDiscord.Case, only: [start_sim!: 1, eventually: 1, eventually: 2]
  import UroDiscord.FreePort
  import UroDiscord.NodeCase

  alias UroDiscord.{
    Bridge,
    Bridges,
    DiscordSim,
    HttpClient,
    NodeCase,
    Peer,
    Portal,
    PortalClient,
    RemoteBridge,
    VoiceClient
  }

  doctest UroDiscord.Bridges.Choice

  @hertz 550

  setup context do
    sim = start_sim!(context[:sim] || [])
    File.mkdir_p!(DiscordSim.scratch())
    %{sim: sim, port: free_port()}
  end

  # A bridge for media, and where its peers come.
  defp media(alive, options \\ []) do
    port = free_port()
    url = "http://127.0.0.1:#{port}"
    name = name(alive)
    options = [roles: [:media], url: url, web: [port: port], udp: [ip: "127.0.0.1", port: 0]] ++ options
    %{name: name, url: url, entry: {:node, name, options}}
  end

  defp configured(sim, port, media) do
    local = {:local, roles: [:gateway, :http]}

    options = [
      bridges: [local | Enum.map(media, & &1.entry)],
      intents: [:guilds, :guild_voice_states],
      web: [port: free_port()],
      portal: [key: String.duplicate("key", 11)]
    ]

    {port, UroDiscord.NodeCase.config(sim, nil, options)}
  end

  # Guilds beside the first, each with a voice channel.
  defp channels(sim, count) do
    for guild <- DiscordSim.post(sim, "/guilds", %{count: count, voice_channels: 1}),
        do: {guild["id"], hd(guild["voice_channels"])}
  end

  defp open!(uro, channel) do
    {:ok, id} = Peer.call(uro, Portal, :open, [channel])
    id
  end

  defp open?(uro, id, tries \\ 100),
    do:
      assert(
        eventually(fn -> match?({:ok, %{state: :open}}, Peer.call(uro, Portal, :status, [id])) end, tries),
        inspect(Peer.call(uro, Portal, :status, [id]))
      )

  # What is on each, as UroDiscord says.
  defp placed(uro) do
    {:ok, bridges} = Peer.call(uro, Bridges, :status, [])
    for %{roles: [:media]} = bridge <- bridges, into: %{}, do: {bridge.name, bridge.calls}
  end

  # Until a bridge may get more.
  defp takes(uro, name) do
    takes? = fn ->
      {:ok, bridges} = Peer.call(uro, Bridges, :status, [])
      Enum.find(bridges, &(&1.name == name)).takes
    end

    assert eventually(takes?, 400)
  end

  # In which channels the bot is, as Discord says, with a session of the voice gateway.
  defp in_voice(sim) do
    voice = DiscordSim.get(sim, "/voice")

    for channel <- voice["channels"],
        %{"user_id" => user, "connected" => true} <- channel["users"],
        user == sim.info["application_id"],
        do: channel["id"]
  end

  defp joined?(sim, channels), do: eventually(fn -> Enum.sort(in_voice(sim)) == Enum.sort(channels) end, 200)

  # Whom a portal's page is had from, of several: the others say where that is.
  defp page(url, id) do
    {status, headers, _body} = HttpClient.call(url, "GET", "/portal/#{id}/?a=b")
    if status == 307, do: {307, Map.new(headers)["location"]}, else: status
  end

  @tag sim: ["--tls-beside", "--bots", "1"], needs: :clients
  test "a bridge without the gateway has a portal, through which both sides are heard", %{sim: sim, port: port} do
    media = media("media")
    {port, config} = configured(sim, port, [media])
    member = VoiceClient.start!(sim, "bot-1")
    on_exit(fn -> VoiceClient.stop(member) end)
    uro = uro!(port, config)
    active(uro)
    VoiceClient.join(member, sim.info["channels"]["world"])
    id = open!(uro, :world)
    assert {:ok, %{state: :opening, reason: nil}} = Peer.call(uro, Portal, :status, [id])

    bridge = bridge!(port, media.name)
    open?(uro, id)
    assert [%{name: :local, calls: []}, %{state: :up, calls: [guild]}] = elem(Peer.call(uro, Bridges, :status, []), 1)
    assert guild == sim.info["guild_id"]
    assert {:ok, url} = Peer.call(uro, Portal, :url, [id, :peer])
    assert url == "#{media.url}/portal/#{id}/peer"
    assert page(media.url, id) == 200
    assert {307, to} = page("http://127.0.0.1:#{config[:web][:port]}", id)
    assert to == "#{media.url}/portal/#{id}/?a=b"
    # What Elixir answers, the other listener has.
    assert {404, _headers, body} = HttpClient.call(media.url, "GET", "/discord/interactions")
    assert body =~ "there is nothing here"

    {:ok, token} = Peer.call(uro, Portal, :token, [id, [role: :peer, who: "ada"]])
    guest = PortalClient.start!(token)
    PortalClient.stay(guest, url, @hertz)
    bot = sim.info["application_id"]
    VoiceClient.hears(member, bot, 20)
    assert VoiceClient.share(member, VoiceClient.heard(member, bot), @hertz) > 0.5
    VoiceClient.speak(member, 880, 3_000)

    assert eventually(
             fn -> match?({:ok, %{from_discord: frames}} when frames > 50, Peer.call(uro, Portal, :status, [id])) end,
             400
           )

    VoiceClient.spoken(member)

    # It is killed, and comes again by whoever runs it.
    RemoteBridge.kill!(bridge)
    bridge!(port, media.name)
    VoiceClient.hears(member, bot, 20)
    open?(uro, id)
    assert DiscordSim.get(sim, "/voice")["violations"] == %{}
    # That of each of the two bots.
    assert %{"identifies" => 2, "resumes" => 0} = DiscordSim.get(sim, "/gateway")

    assert :ok = Peer.call(uro, Portal, :close, [id])
    assert eventually(fn -> in_voice(sim) == [] end)
    assert placed(uro) == %{media.name => []}
  end

  test "a bridge for portals and HTTP serves the Uro that has the gateway", %{sim: sim, port: port} do
    %{name: name, entry: {:node, name, options}} = media("web")
    bridges = [{:local, roles: [:gateway]}, {:node, name, Keyword.put(options, :roles, [:media, :http])}]

    config =
      NodeCase.config(sim, nil, bridges: bridges, intents: [:guilds, :guild_voice_states], web: [port: free_port()])

    first = uro!(free_port(), config, "uro-first")
    active(first)
    second = uro!(port, config, "uro-second")
    bridge!(port, name)
    state = fn -> Peer.call(second, Bridge, :status, [name]).bridge end
    assert eventually(fn -> name in Peer.call(second, Node, :list, [:connected]) end)
    assert eventually(fn -> state.().last_end =~ "has not the gateway" end), inspect(state.())
    assert state.().state == :absent
    :ok = Peer.call(first, Supervisor, :stop, [UroDiscord])
    assert eventually(fn -> state.().state == :up end)
    active(second)
  end

  test "a bridge that has the gateway too goes on with its calls while the lease is gone", %{sim: sim, port: port} do
    %{name: name, entry: {:node, name, options}} = media("all")
    {port, config} = configured(sim, port, [])
    uro = uro!(port, Keyword.put(config, :bridges, [{:node, name, Keyword.delete(options, :roles)}]))
    bridge!(port, name)
    active(uro)
    [{_guild, channel}] = channels(sim, 1)
    id = open!(uro, channel)
    open?(uro, id)
    assert joined?(sim, [channel])

    began = DiscordSim.now(sim)
    :ok = Peer.call(uro, NodeCase, :lose_lease, [])
    assert eventually(fn -> not status(uro).gateway.lease.held end)
    active(uro)
    assert interruptions(sim, began) == []
    open?(uro, id)
    assert joined?(sim, [channel])
  end

  describe "two bridges for media" do
    setup %{sim: sim, port: port} do
      [a, b] = [media("a", weight: 2), media("b")]
      {port, config} = configured(sim, port, [a, b])
      uro = uro!(port, config)
      active(uro)
      # Another Uro may come.
      next_port = free_port()
      bridges = for %{name: name} <- [a, b], into: %{}, do: {name, bridge!([port, next_port], name)}
      for %{name: name} <- [a, b], do: takes(uro, name)
      channels = channels(sim, 6)
      ids = for {_guild, channel} <- channels, do: open!(uro, channel)
      for id <- ids, do: open?(uro, id)
      assert joined?(sim, for({_guild, channel} <- channels, do: channel))

      %{
        a: a,
        b: b,
        uro: uro,
        config: config,
        next_port: next_port,
        bridges: bridges,
        channels: for({_guild, channel} <- channels, do: channel),
        ids: ids
      }
    end

    defp counts(uro), do: Map.new(placed(uro), fn {name, calls} -> {name, length(calls)} end)

    test "have portals by their weights, and one that drains has none any more", context do
      %{uro: uro, sim: sim, a: a, b: b, channels: channels, ids: ids} = context
      assert counts(uro) == %{a.name => 4, b.name => 2}
      # Each is found at either bridge.
      for id <- ids do
        {:ok, url} = Peer.call(uro, Portal, :url, [id, :peer])
        [there, elsewhere] = if String.starts_with?(url, a.url), do: [a, b], else: [b, a]
        assert page(there.url, id) == 200
        assert page(elsewhere.url, id) == {307, "#{there.url}/portal/#{id}/?a=b"}
      end

      assert {:error, %{kind: :invalid} = error} = Peer.call(uro, Bridges, :drain, [:local])
      assert Exception.message(error) =~ "one with the role :media: #{a.name}, #{b.name}"
      assert :ok = Peer.call(uro, Bridges, :drain, ["#{a.name}"])
      assert counts(uro) == %{a.name => 0, b.name => 6}
      for id <- ids, do: open?(uro, id)
      assert joined?(sim, channels)
      for id <- ids, do: assert(eventually(fn -> page(a.url, id) == {307, "#{b.url}/portal/#{id}/?a=b"} end))
      assert DiscordSim.get(sim, "/voice")["violations"] == %{}

      # Where all drain, everything stays, and what is new is nowhere; what is there when one takes again stays too.
      assert :ok = Peer.call(uro, Bridges, :drain, [b.name])
      assert counts(uro) == %{a.name => 0, b.name => 6}
      {:ok, bridges} = Peer.call(uro, Bridges, :status, [])

      assert [{true, false}, {true, false}] =
               for(%{roles: [:media]} = bridge <- bridges, do: {bridge.draining, bridge.takes})

      [{_guild, channel}] = channels(sim, 1)
      id = open!(uro, channel)

      assert {:ok, %{state: :down, reason: "every bridge" <> _ = reason}} = Peer.call(uro, Portal, :status, [id])
      [first, second] = Enum.sort([a.name, b.name])
      assert reason =~ "drains (#{first}, #{second}): `mix uro_discord.bridges undrain #{first}`"

      assert :ok = Peer.call(uro, Bridges, :undrain, [b.name])
      open?(uro, id)
      assert :ok = Peer.call(uro, Bridges, :undrain, [a.name])
      assert counts(uro) == %{a.name => 0, b.name => 7}
    end

    # Discord itself says who is in voice, and with how many sessions.
    defp moved_within(context, ms, end_it) do
      %{uro: uro, sim: sim, a: a, b: b, channels: channels} = context
      assert counts(uro) == %{a.name => 4, b.name => 2}
      mark = DiscordSim.now(sim)
      before = System.monotonic_time(:millisecond)
      end_it.(context.bridges[a.name])
      assert eventually(fn -> counts(uro) == %{a.name => 0, b.name => 6} end)
      for id <- context.ids, do: open?(uro, id)
      took = System.monotonic_time(:millisecond) - before
      assert joined?(sim, channels)
      IO.puts("portals of a bridge that is gone are open on another one after #{took} ms")
      assert took <= ms
      mark
    end

    test "one that is killed: what it had is on the other within 3 s", context do
      moved_within(context, 3_000, &RemoteBridge.kill!/1)
      %{uro: uro, a: a, b: b, port: port, sim: sim} = context
      # It comes again, and has what is new.
      bridge!(port, a.name)
      takes(uro, a.name)
      [{_guild, channel}] = channels(sim, 1)
      open?(uro, open!(uro, channel))
      assert counts(uro) == %{a.name => 1, b.name => 6}
    end

    test "one that hangs: what it had is on the other within 3 s, and when it goes on it acts for nothing", context do
      moved_within(context, 3_000, &RemoteBridge.signal(&1, "STOP"))
      %{uro: uro, a: a, sim: sim, channels: channels} = context
      bridge = context.bridges[a.name]
      RemoteBridge.signal(bridge, "CONT")
      assert RemoteBridge.said!(bridge, ~r/another bridge may have them|could be held: they are closed/)
      takes(uro, a.name)
      assert joined?(sim, channels)
      for id <- context.ids, do: open?(uro, id)
      assert DiscordSim.get(sim, "/voice")["violations"] == %{}
    end

    test "a Uro that is stopped is followed by one that finds everything where it was", context do
      %{uro: uro, port: port, config: config, sim: sim, channels: channels, ids: ids} = context
      before = placed(uro)
      began = DiscordSim.now(sim)
      :ok = Peer.call(uro, Supervisor, :stop, [UroDiscord])
      Process.sleep(3_000)
      Peer.kill!(uro)
      next = uro!(port, config)
      active(next)
      for id <- ids, do: open?(next, id, 400)
      assert placed(next) == before
      assert joined?(sim, channels)
      assert interruptions(sim, began) == []
    end

    # What Discord and its voice servers have seen of calls that ended or began. The gateway's process is another one now, and they did not notice.
    defp interruptions(sim, since) do
      types = "voice_state,voice_identify,voice_disconnect"
      DiscordSim.get(sim, "/events?types=#{types}&after=#{since}&timeout_ms=0")["events"]
    end

    # It has its own process for the gateway, and both other bridges have found it; it waits for longer than a Uro waits for bridges that are missing.
    defp waiting_uro!(%{config: config, next_port: port, a: a, b: b}) do
      next = uro!(port, Keyword.put(config, :web, port: free_port()), "uro-next")
      assert eventually(fn -> [a.name, b.name] -- Peer.call(next, Node, :list, [:connected]) == [] end, 500)
      Process.sleep(5_500)
      next
    end

    test "a Uro that waits for its turn leaves them where they are", context do
      %{uro: uro, sim: sim, channels: channels, ids: ids} = context
      before = placed(uro)
      next = waiting_uro!(context)
      began = DiscordSim.now(sim)
      :ok = Peer.call(uro, Supervisor, :stop, [UroDiscord])
      for id <- ids, do: open?(next, id, 400)
      assert placed(next) == before
      assert joined?(sim, channels)
      assert interruptions(sim, began) == []
    end

    test "a Uro that waits for its turn has both bridges again after one that was killed", context do
      %{uro: uro, sim: sim, channels: channels, ids: ids, a: a, b: b} = context
      next = waiting_uro!(context)
      Peer.kill!(uro)
      for id <- ids, do: open?(next, id, 400)
      # Bridges have no call for longer than 2 s without a word from Uro: these are placed as if they began.
      assert counts(next) == %{a.name => 4, b.name => 2}
      assert joined?(sim, channels)
    end

    test "a Uro that has lost the lease for a while finds them where they were", context do
      %{uro: uro, sim: sim, channels: channels, ids: ids} = context
      before = placed(uro)
      :ok = Peer.call(uro, NodeCase, :lose_lease, [])
      assert eventually(fn -> not status(uro).gateway.lease.held end)
      active(uro)
      for id <- ids, do: open?(uro, id, 400)
      assert placed(uro) == before
      assert joined?(sim, channels)
    end

    defp owner(uro, name), do: Peer.call(uro, Process, :whereis, [Bridge.server(name)])
    defp kill(uro, process), do: Peer.call(uro, Process, :exit, [Peer.call(uro, Process, :whereis, [process]), :kill])

    test "one that hangs while the lease is lost does not cost its owner", context do
      %{uro: uro, a: a, b: b} = context
      owners = for %{name: name} <- [a, b], do: owner(uro, name)
      RemoteBridge.signal(context.bridges[a.name], "STOP")
      # Before it is missed, which takes 3 s.
      :ok = Peer.call(uro, UroDiscord.Events, :publish, [:status, {:lease, :lost}])
      assert eventually(fn -> Peer.call(uro, Bridge, :status, [a.name]).bridge.state == :absent end)
      RemoteBridge.signal(context.bridges[a.name], "CONT")
      for %{name: name} <- [a, b], do: takes(uro, name)
      assert for(%{name: name} <- [a, b], do: owner(uro, name)) == owners
    end

    test "an owner that is killed as its bridge is gone: what the bridge had is elsewhere when it holds nothing for sure",
         context do
      %{uro: uro, a: a, b: b, sim: sim, channels: channels, ids: ids} = context
      RemoteBridge.signal(context.bridges[a.name], "STOP")
      before = owner(uro, a.name)
      kill(uro, Bridge.server(a.name))
      assert eventually(fn -> owner(uro, a.name) not in [nil, before] end)
      # So long the owner before may have allowed it.
      assert Peer.call(uro, NodeCase, :fence_ms, [Bridge.server(a.name)]) in 100_000..120_000
      assert counts(uro) == %{a.name => 4, b.name => 2}
      :ok = Peer.call(uro, NodeCase, :pass_fence, [Bridge.server(a.name)])
      assert eventually(fn -> counts(uro) == %{a.name => 0, b.name => 6} end)
      for id <- ids, do: open?(uro, id)
      assert joined?(sim, channels)
    end

    test "nothing is lost of what happens while whoever places is started again", context do
      %{uro: uro, a: a, b: b, ids: ids, port: port} = context
      :ok = Peer.call(uro, :sys, :suspend, [Bridges.Placement])
      RemoteBridge.kill!(context.bridges[a.name])
      # Its owner has said that it holds nothing any more.
      assert eventually(fn -> Peer.call(uro, NodeCase, :fence_ms, [Bridge.server(a.name)]) == false end)
      kill(uro, Bridges.Placement)
      assert eventually(fn -> counts(uro) == %{a.name => 0, b.name => 6} end)
      for id <- ids, do: open?(uro, id)

      # And it comes again.
      :ok = Peer.call(uro, :sys, :suspend, [Bridges.Placement])
      bridge!(port, a.name)
      assert eventually(fn -> is_integer(Peer.call(uro, NodeCase, :fence_ms, [Bridge.server(a.name)])) end)
      assert {:ok, _} = Peer.call(uro, Bridge, :ping, [a.name, :said])
      kill(uro, Bridges.Placement)
      takes(uro, a.name)

      :ok = Peer.call(uro, :sys, :suspend, [Bridges.Placement])
      Peer.cast(uro, Bridges, :drain, [b.name])
      waits? = fn -> match?({:message_queue_len, n} when n > 0, queue(uro, Bridges.Placement)) end
      assert eventually(waits?)
      kill(uro, Bridges.Placement)
      assert eventually(fn -> counts(uro) == %{a.name => 6, b.name => 0} end)
      for id <- ids, do: open?(uro, id)
    end

    defp queue(uro, process),
      do: Peer.call(uro, Process, :info, [Peer.call(uro, Process, :whereis, [process]), :message_queue_len])
  end
end

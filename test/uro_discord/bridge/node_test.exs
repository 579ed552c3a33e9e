defmodule UroDiscord.Bridge.NodeTest do
  # UroDiscord runs in VMs of its own here, which are nodes.
  use ExUnit.Case, async: true
  import UroDiscord.Case, only: [start_sim!: 0, eventually: 1]
  import UroDiscord.FreePort
  import UroDiscord.NodeCase
  alias UroDiscord.{Bridge, DiscordSim, HttpClient, NodeCase, Peer, RemoteBridge, Shards}

  describe "a bridge on another machine" do
    setup do
      %{sim: start_sim!(), port: free_port(), bridge: name("media")}
    end

    test "is absent until it dials, and then has the gateway and HTTP", %{sim: sim, port: port, bridge: name} do
      web = free_port()
      uro = uro!(port, config(sim, name, web: [port: web]))
      assert %{state: :absent, last_end: reason} = status(uro).bridge
      assert reason == "#{name} has not connected yet"
      assert %{^name => %{state: :absent, roles: [:gateway, :media, :http]}} = status(uro).bridges

      bridge = bridge!(port, name)
      assert %{os_pid: nil, restarts: 0} = up(uro)
      active(uro)
      assert RemoteBridge.said!(bridge, ~r/connected to Uro/) =~ "uro@127.0.0.1"
      assert Peer.call(uro, Node, :list, [:hidden]) == [name]
      assert Peer.call(uro, Node, :list, []) == []
      # What would dial it, or ask it what nodes are asked, is answered.
      assert Peer.call(uro, Node, :ping, [name]) == :pong

      :ok = Peer.call(uro, Shards, :put, [[id: 1, name: "Plaza", players: 3]])
      DiscordSim.wait_for_presence(sim, "3 players in 1 world")
      assert eventually(fn -> match?(%{state: :listening}, status(uro).web) end)
      assert {404, _headers, _body} = HttpClient.call("http://127.0.0.1:#{web}", "GET", "/discord/nothing")
      # What is larger than a message crosses as several.
      large = String.duplicate("x", 2_000_000)
      assert {:ok, back} = Peer.call(uro, Bridge, :ping, [large])
      assert back == large, "#{byte_size(back)} bytes came back"

      # What it is to play is on its machine.
      play = fn path -> Peer.call(uro, UroDiscord.Voice, :play, ["1300000000000000100", path]) end
      assert {:error, %{kind: :unknown}} = play.("/on/the/bridges/machine.opus")
      assert {:error, %{kind: :invalid} = error} = play.("relative.opus")
      assert Exception.message(error) =~ "an absolute path, on the machine of the bridge"
    end

    test "is told everything anew when it returns, and resumes", %{sim: sim, port: port, bridge: name} do
      uro = uro!(port, config(sim, name))
      bridge = bridge!(port, name)
      up(uro)
      active(uro)
      :ok = Peer.call(uro, Shards, :put, [[id: 1, name: "Plaza", players: 1]])
      DiscordSim.wait_for_presence(sim, "1 player in 1 world")

      RemoteBridge.kill!(bridge)
      assert %{last_end: said} = bridge_is(uro, &(&1.state == :absent))
      # Without the rest where the VM tells it to the link before.
      assert said in ["lost its connection: it ended, or the network broke", "lost its connection"]
      :ok = Peer.call(uro, Shards, :put, [[id: 1, name: "Plaza", players: 2]])
      bridge!(port, name)
      assert %{restarts: restarts} = up(uro)
      assert restarts > 0
      DiscordSim.wait_for_presence(sim, "2 players in 1 world")
      assert %{"identifies" => 1, "resumes" => 1} = DiscordSim.get(sim, "/gateway")
    end

    test "may have the gateway while a process of ours has HTTP", %{sim: sim, port: port, bridge: name} do
      bridges = [{:local, roles: [:http]}, {:node, name, roles: [:gateway]}]
      uro = uro!(port, config(sim, name, bridges: bridges, web: [port: free_port()]))
      bridge = bridge!(port, name)
      active(uro)
      assert eventually(fn -> match?(%{state: :listening}, status(uro).web) end)
      assert %{:local => %{state: :up, roles: [:http]}, ^name => %{state: :up}} = status(uro).bridges
      # What ends with one is not said to have ended with the other.
      RemoteBridge.kill!(bridge)
      bridge_is(uro, &(&1.state == :absent))
      assert %{state: :listening} = status(uro).web
    end

    test "waits for a Uro that is started again", %{sim: sim, port: port, bridge: name} do
      config = config(sim, name)
      uro = uro!(port, config)
      bridge = bridge!(port, name)
      active(uro)
      Peer.kill!(uro)
      RemoteBridge.said!(bridge, ~r/the connection to Uro ended/)
      uro = uro!(port, config)
      up(uro)
      active(uro)
      # The session is one that the new VM found in the store.
      assert %{"identifies" => 1} = DiscordSim.get(sim, "/gateway")
    end

    test "that hangs is absent within seconds, and comes back", %{sim: sim, port: port, bridge: name} do
      uro = uro!(port, config(sim, name))
      bridge = bridge!(port, name)
      up(uro)
      RemoteBridge.signal(bridge, "STOP")
      before = System.monotonic_time(:millisecond)
      assert %{last_end: "has answered nothing for 3000 ms"} = bridge_is(uro, &(&1.state == :absent))
      assert System.monotonic_time(:millisecond) - before < 10_000
      RemoteBridge.signal(bridge, "CONT")
      up(uro)
    end

    test "that is reached slowly is not taken for one that hangs", %{sim: sim, port: port, bridge: name} do
      uro = uro!(port, config(sim, name))
      bridge!(slow!(port, 12_000_000), name)
      %{restarts: restarts} = up(uro)
      :ok = Peer.call(uro, NodeCase, :flood, ["#{name}", 1, 12_000_000])
      assert_receive :carried, 20_000
      assert %{state: :up, restarts: ^restarts} = status(uro).bridges[name]
    end

    test "a Uro that hangs does not keep what it had", %{sim: sim, port: port, bridge: name} do
      uro = uro!(port, config(sim, name))
      bridge = bridge!(port, name)
      active(uro)
      {_, 0} = System.cmd("kill", ["-STOP", uro.os_pid])
      assert RemoteBridge.said!(bridge, ~r/the connection to Uro ended/) =~ "nothing was heard for 5s"
      {_, 0} = System.cmd("kill", ["-CONT", uro.os_pid])
      up(uro)
      active(uro)
    end

    test "the end of UroDiscord is the end of its session, which can be resumed", %{sim: sim, port: port, bridge: name} do
      uro = uro!(port, config(sim, name))
      bridge = bridge!(port, name)
      active(uro)
      :ok = Peer.call(uro, Supervisor, :stop, [UroDiscord])
      assert [%{"id" => _}] = DiscordSim.get(sim, "/gateway")["sessions"]
      # The connection stays, and who comes next attaches.
      start!(uro, config(sim, name))
      up(uro)
      assert File.exists?("/proc/#{bridge.os_pid}")
    end

    test "SIGTERM has it leave the gateway, and end", %{sim: sim, port: port, bridge: name} do
      uro = uro!(port, config(sim, name))
      bridge = bridge!(port, name)
      active(uro)
      RemoteBridge.signal(bridge, "TERM")
      assert eventually(fn -> not File.exists?("/proc/#{bridge.os_pid}") end)
      assert [%{"id" => _}] = DiscordSim.get(sim, "/gateway")["sessions"]
      bridge_is(uro, &(&1.state == :absent))
    end

    test "another cookie, another name than may be dialled, and a name that is taken: both sides say so",
         %{sim: sim, port: port, bridge: name} do
      uro = uro!(port, config(sim, name))
      wrong = bridge!(port, name, cookie: "another")
      assert RemoteBridge.said!(wrong, ~r/could not be reached/) =~ "another cookie"
      assert %{state: :absent} = status(uro).bridge
      RemoteBridge.stop(wrong)

      bridge!(port, name)
      up(uro)
      second = bridge!(port, name)
      assert RemoteBridge.said!(second, ~r/could not be reached/) =~ "two bridges have one name"
      assert %{state: :up, restarts: 0} = status(uro).bridge

      arguments = ["--node", "#{name("other")}", "--uro", "127.0.0.1:#{port}", "--uro-node", "uro@10.*"]
      third = RemoteBridge.start!("of_these_tests", arguments)
      assert RemoteBridge.said!(third, ~r/could not be reached/) =~ "only uro@10.* may"
    end
  end
end

defmodule UroDiscord.Bridge.HostileNodeTest do
  # A node that has the cookie, and is hostile. UroDiscord runs in VMs of its own here, which are nodes.
  use ExUnit.Case, async: true
  import UroDiscord.Case, only: [start_sim!: 0, eventually: 1]
  import UroDiscord.FreePort
  import UroDiscord.NodeCase
  alias UroDiscord.{Bridge, FakeNode, NodeCase, Peer}
  alias UroDiscord.Bridge.Protocol

  setup_all do
    {sim, port, name} = {start_sim!(), free_port(), name("evil")}
    %{sim: sim, port: port, uro: uro!(port, config(sim, name)), name: "#{name}"}
  end

  defp frame(term), do: :erlang.term_to_binary(term) |> then(&<<byte_size(&1)::32, &1::binary>>)

  defp hello(version \\ Protocol.version()),
    do: frame({:hello, version, %{"bridge" => "9.9.9", "os_pid" => 1}})

  defp attached!(%{port: port, name: name}), do: port |> FakeNode.connect!(name, cookie()) |> FakeNode.attached!()

  # The owner of the bridge has ended it for this reason, and goes on; the BEAM holds no more memory than before.
  defp ended(uro, like) do
    owner = owner(uro)
    assert %{last_end: said} = bridge_is(uro, &(is_binary(&1.last_end) and &1.last_end =~ like))
    unharmed(uro, owner)
    said
  end

  defp unharmed(uro, owner) do
    assert Peer.call(uro, Process, :alive?, [owner])
    assert Peer.call(uro, :erlang, :memory, [:total]) < 300_000_000
  end

  defp owner(uro), do: Peer.call(uro, Process, :whereis, [Bridge.server(hd(Map.keys(status(uro).bridges)))])

  test "says what is no frame, no term or no message, or more than a frame has", %{uro: uro} = context do
    for {said, like} <- [
          {"Segmentation fault\n", "announced a frame of"},
          {<<0, 0, 0, 3, "abc">>, "are not a term"},
          {<<0xFFFF_FFFF::32>>, "announced a frame of 4294967295 bytes"},
          {frame({:voice, 1}), ~r/not in the protocol: \{:voice, 1\}/},
          {frame([]), ~r/not in the protocol: \[\]/},
          # In the protocol, and not with this.
          {frame({:portal, "lobby", :peer_joined, %{}}), ~r/not in the protocol: \{:portal, "lobby", :peer_joined/},
          {frame({:portal, "lobby", :stats, %{"participants" => [%{} | 1]}}), "not in the protocol"},
          {frame({:voice, "1", :joined, %{}}), ~r/not in the protocol: \{:voice, "1", :joined/},
          {frame({:voice, "1", :ended, %{"reason" => %{}, "retry_ms" => nil}}), "not in the protocol"},
          {frame({:gateway, 0, :fatal, %{"code" => 4004, "reason" => 1}}),
           ~r/not in the protocol: \{:gateway, 0, :fatal/},
          {frame({:media, :listening, %{"addresses" => [%{}]}}), ~r/not in the protocol: \{:media/},
          {frame({:log, :info, "a", "b", %{%{} => 1}}), ~r/not in the protocol: \{:log/},
          {frame({:voice_update, "1", :server, %{"token" => {"s3cret"}}}),
           "a voice_update that is not in the protocol (not"},
          # An atom that no module here has: `:safe` makes none.
          {<<0, 0, 0, 12, 131, 119, 9, "zzqqxxyy7">>, "unknown atom"}
        ] do
      node = attached!(context)
      FakeNode.bytes(node, hello() <> said)
      ended(uro, like)
      assert FakeNode.closed?(node)
    end
  end

  test "says a hello that is none", %{uro: uro} = context do
    for info <- [%{"bridge" => %{}}, %{"bridge" => "9.9.9", "knows" => ["clip" | 1]}] do
      node = attached!(context)
      FakeNode.bytes(node, frame({:hello, Protocol.version(), info}))
      ended(uro, ~r/not in the protocol: \{:hello/)
      assert FakeNode.closed?(node)
    end
  end

  test "breaks off in a frame", %{uro: uro} = context do
    node = attached!(context)
    FakeNode.bytes(node, hello() <> <<0, 0, 1, 0, "begun">>)
    assert eventually(fn -> status(uro).bridge.state == :up end)
    FakeNode.close(node)
    assert ended(uro, "lost its connection") =~ "in the middle of a frame (9 bytes of it)"
  end

  test "speaks another version: it is told, and tried again when there is another one", %{sim: sim} = context do
    {port, name} = {free_port(), name("evil")}
    uro = uro!(port, config(sim, name))
    node = attached!(%{context | port: port, name: "#{name}"})
    version = Protocol.version() + 2
    owner = owner(uro)
    # What follows is of no meaning, and does no harm.
    FakeNode.bytes(node, hello(version) <> frame({:renew, 1}) <> frame({:voice, 1}))
    assert %{last_end: said} = bridge_is(uro, &(&1.state == :incompatible))
    assert said == "speaks version #{version} of the protocol"
    assert FakeNode.closed?(node)
    unharmed(uro, owner)
  end

  test "of the next version is served, and what only that knows is passed over", %{uro: uro} = context do
    node = attached!(context)
    # One atom that nobody has, one message in another form, and one that is known.
    unknown = <<0, 0, 0, 20, 131, 104, 2, 119, 13, "somethng_newn", 97, 1>>
    shards = status(uro).bridge.panics.shard
    said = hello(Protocol.version() + 1) <> unknown <> frame({:voice, 1}) <> unknown <> frame({:panic, :shard, 1})
    FakeNode.bytes(node, said)
    assert %{state: :up} = bridge_is(uro, &(&1.panics.shard == shards + 1))
    # A frame is a frame.
    FakeNode.bytes(node, <<0xFFFF_FFFF::32>>)
    ended(uro, "announced a frame of 4294967295 bytes")
  end

  test "of the version before is served, and may say nothing unknown", %{uro: uro} = context do
    node = attached!(context)
    FakeNode.bytes(node, hello(Protocol.version() - 1))
    assert eventually(fn -> status(uro).bridge.state == :up end)
    FakeNode.bytes(node, frame({:voice, 2}))
    ended(uro, ~r/not in the protocol: \{:voice, 2\}/)
  end

  test "says garbage in the place of frames, half a frame, or claims gigabytes", %{uro: uro} = context do
    for raw <- [
          <<50::32, :crypto.strong_rand_bytes(50)::binary>>,
          <<4::32, 113, "abc">>,
          <<0xFFFF_FFFF::32>>,
          <<1_000::32, 112>>
        ] do
      node = attached!(context)
      FakeNode.bytes(node, hello())
      assert eventually(fn -> status(uro).bridge.state == :up end)
      owner = owner(uro)
      FakeNode.raw(node, raw)
      # Half a frame is cut by our heartbeat, the others by the BEAM itself.
      assert eventually(fn -> status(uro).bridge.state == :absent end)
      unharmed(uro, owner)
      assert FakeNode.closed?(node)
    end
  end

  test "never says hello, or never answers", %{uro: uro} = context do
    node = attached!(context)
    ended(uro, "has answered nothing for 3000 ms")
    assert FakeNode.closed?(node)
    silent = FakeNode.connect!(context.port, context.name, cookie())
    assert ended(uro, "does not answer as a bridge does") =~ context.name
    FakeNode.close(silent)
  end

  test "reads nothing, while much is to be said to it", %{uro: uro} = context do
    node = attached!(context)
    FakeNode.bytes(node, hello())
    assert eventually(fn -> status(uro).bridge.state == :up end)
    :ok = Peer.call(uro, NodeCase, :flood, [context.name, 12, 4_000_000])

    # Nobody waits meanwhile.
    {us, _status} = :timer.tc(fn -> status(uro) end)
    assert us < 2_000_000
    ended(uro, "does not read")
    assert FakeNode.closed?(node)
  end
end

defmodule UroDiscord.Bridge.OutliveTest do
  # A bridge that runs elsewhere goes on while one Uro follows another. What is said in a portal meanwhile is tested in crates/bridge/tests/outlive.rs.
  use ExUnit.Case, async: true
  import UroDiscord.Case, only: [start_sim!: 0, eventually: 1]
  import UroDiscord.FreePort
  import UroDiscord.NodeCase
  alias UroDiscord.{DiscordSim, HttpClient, Peer, Portal}

  setup do
    sim = start_sim!()
    File.mkdir_p!(DiscordSim.scratch())
    name = name("media")
    web = free_port()

    config =
      config(sim, name,
        intents: [:guilds, :guild_voice_states],
        web: [port: web],
        portal: [key: String.duplicate("key", 11), udp: [ip: "127.0.0.1", port: 0]]
      )

    %{sim: sim, bridge: name, config: config, web: web}
  end

  defp portal(uro), do: Peer.call(uro, Portal, :status, ["stage"])
  defp open?(uro), do: eventually(fn -> match?({:ok, %{state: :open}}, portal(uro)) end)

  # Uro's answer; where it is away, the bridge says so itself.
  defp answer(port) do
    case HttpClient.call("http://127.0.0.1:#{port}", "GET", "/discord/nothing") do
      {404, _headers, _body} -> :uro
      {503, _headers, body} -> if body =~ "Uro is away", do: :away, else: body
    end
  end

  # Where the bot's call and the peers' media are, and what Discord was told.
  defp place(sim, uro) do
    {:ok, status} = Peer.call(uro, UroDiscord, :status, [])
    gateway = DiscordSim.get(sim, "/gateway")
    {status.portal.media[:addresses], gateway["identifies"], gateway["commands"]["4"]}
  end

  test "the next Uro waits for its turn, and takes over the call and the portal as they are",
       %{sim: sim, bridge: name, config: config, web: web} do
    [port_a, port_b] = [free_port(), free_port()]
    a = uro!(port_a, config, "uro-a")
    bridge!([port_a, port_b], name)
    up(a)
    active(a)
    assert {:ok, "stage"} = Peer.call(a, Portal, :open, [:stage])
    assert open?(a)
    assert {[_udp], 1, 1} = before = place(sim, a)

    b = uro!(port_b, config, "uro-b")
    bridge_is(b, &(&1.last_end =~ "serves uro-a@127.0.0.1"))
    assert %{state: :absent} = status(b).bridge
    refute status(b).gateway.lease.held

    :ok = Peer.call(a, Supervisor, :stop, [UroDiscord])
    # Nobody else has an answer, until the next one has.
    assert answer(web) in [:away, :uro]
    up(b)
    active(b)
    assert open?(b)
    assert eventually(fn -> match?(%{state: :listening}, status(b).web) end)
    assert answer(web) == :uro
    assert place(sim, b) == before
    assert DiscordSim.get(sim, "/gateway")["resumes"] == 1
    # And it is as ever: what it closes is closed.
    assert :ok = Peer.call(b, Portal, :close, ["stage"])
    assert eventually(fn -> DiscordSim.get(sim, "/voice")["channels"] |> Enum.all?(&(&1["users"] == [])) end)
  end

  test "a Uro that is killed is followed by one that finds everything there",
       %{sim: sim, bridge: name, config: config, web: web} do
    port = free_port()
    a = uro!(port, config)
    bridge!(port, name)
    up(a)
    active(a)
    assert {:ok, "stage"} = Peer.call(a, Portal, :open, [:stage])
    assert open?(a)
    assert {[_udp], 1, 1} = before = place(sim, a)
    assert eventually(fn -> answer(web) == :uro end)
    Peer.kill!(a)
    assert eventually(fn -> answer(web) == :away end)
    b = uro!(port, config)
    up(b)
    # As soon as the lease of the one before is over.
    assert eventually(fn -> match?(%{0 => %{state: :active}}, status(b).gateway.shards) end)
    assert open?(b)
    assert place(sim, b) == before
  end
end

defmodule UroDiscord.Portal.NodesTest do
  @moduledoc false
  # Two BEAMs with one store: the one that holds the gateway has the portals.

  use UroDiscord.Case
  alias UroDiscord.{Peer, Portal}

  setup do
    sim = start_sim!()
    File.mkdir_p!(DiscordSim.scratch())

    config =
      Keyword.merge(DiscordSim.config(sim),
        intents: [:guilds, :guild_voice_states],
        web: [port: 0],
        portal: [key: String.duplicate("key", 11), udp: [ip: "127.0.0.1", port: 0]]
      )

    %{sim: sim, config: config}
  end

  defp node!(config) do
    node = Peer.start!()
    Peer.start_child!(node, {UroDiscord, config})
    node
  end

  defp portal(node), do: Peer.call(node, Portal, :status, ["stage"])

  test "whichever node opens one, the gateway's has it, and the next after that", %{sim: sim, config: config} do
    first = node!(config)
    DiscordSim.wait_for(sim, "identify")
    second = node!(config)

    assert {:ok, "stage"} = Peer.call(second, Portal, :open, [:stage])
    assert eventually(fn -> match?({:ok, %{state: :open}}, portal(first)) end)
    assert {:ok, %{state: :down, reason: "another node holds Discord's gateway" <> _}} = portal(second)
    assert :ok = Peer.call(second, Portal, :mute, ["stage", "world:ada"])
    muted? = fn -> match?({:ok, %{settings: [%{participant: "world:ada", muted: true}]}}, portal(first)) end
    assert eventually(muted?)

    :ok = Peer.call(first, Supervisor, :stop, [UroDiscord])
    assert eventually(fn -> match?({:ok, %{state: :open}}, portal(second)) end)
    bot = sim.info["application_id"]
    %{"channels" => channels} = DiscordSim.get(sim, "/voice")
    assert [stage] = for(%{"id" => id, "users" => users} <- channels, %{"user_id" => ^bot} <- users, do: id)
    assert stage == sim.info["channels"]["stage"]
    assert :ok = Peer.call(second, Portal, :close, ["stage"])
  end
end

defmodule UroDiscord.Notify.ClockTest do
  @moduledoc false
  # A machine whose clock is wrong: another BEAM, in which `UroDiscord.Clock` reads one.

  use UroDiscord.Case
  alias UroDiscord.{Clock, Delivery, Peer, Store}

  @ahead_ms 90_000

  setup do
    sim = start_sim!()
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 100})
    %{sim: sim, config: DiscordSim.config(sim)}
  end

  defp peer!(config) do
    peer = Peer.start!()
    Peer.call(peer, Code, :compiler_options, [[ignore_module_conflict: true]])
    Peer.call(peer, Code, :compile_string, [wrong_clock()])
    assert (Peer.call(peer, Clock, :local, []) - Clock.local()) in (@ahead_ms - 10_000)..(@ahead_ms + 10_000)
    Peer.start_child!(peer, {UroDiscord, config})
    peer
  end

  defp wrong_clock do
    clock = "System.os_time(:millisecond)"
    source = File.read!("lib/uro_discord/clock.ex")
    assert length(String.split(source, clock)) == 2
    String.replace(source, clock, "#{clock} + #{@ahead_ms}")
  end

  test "what was sent before a kill is found, though its time to live is over and Discord's clock is behind", context do
    %{sim: sim, config: config} = context
    peer = peer!(config)
    hold = [%{method: "POST", route: "/channels/*/messages", answer_delay_ms: 60_000}]
    DiscordSim.post(sim, "/faults", hold)
    {:ok, delivery} = Peer.call(peer, UroDiscord, :notify, [:builds, [content: "once", expires_in: 3_000]])
    DiscordSim.wait_for(sim, "message_create")
    Peer.kill!(peer)
    # Now only the channel itself tells.
    DiscordSim.post(sim, "/settings", %{nonce_memory_ms: 0})
    Process.sleep(3_000)

    assert {:ok, %Delivery{status: :delivered}} = Peer.call(peer!(config), UroDiscord, :await, [delivery])
    assert [%{"content" => "once"}] = DiscordSim.messages(sim, "builds")
  end

  test "a node learns Discord's clock from its answers", %{config: config} do
    peer = peer!(config)
    {:ok, delivery} = Peer.call(peer, UroDiscord, :notify, [:builds, "hello"])
    assert {:ok, %Delivery{status: :delivered}} = Peer.call(peer, UroDiscord, :await, [delivery])
    assert Peer.call(peer, Clock, :ahead, []) in (-@ahead_ms - 10_000)..(-@ahead_ms + 10_000)
    assert abs(Peer.call(peer, Clock, :discord, []) - Clock.local()) < 10_000
  end

  test "a channel of a node whose clock was three hours ahead, and which died elsewhere, waits half a minute",
       context do
    %{sim: sim, config: config} = context
    {:ok, store} = Store.open({:sqlite, config[:database]})

    lease =
      {"INSERT INTO uro_discord_channels (channel_id, owner, fence, lease_until) VALUES ($1, 'elsewhere/1/2', 7, $2)",
       [sim.info["channels"]["builds"], Clock.local() + 3 * 3_600_000]}

    {:ok, _} = Store.run(store, [lease], :write)
    start_supervised!({UroDiscord, config})
    {:ok, delivery} = UroDiscord.notify(:builds, "hello")
    assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivery, 60_000)
  end
end

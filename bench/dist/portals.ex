defmodule Bench.Dist.Portals do
  @moduledoc """
  What portals cost the VM that controls them while nobody is in them: their facts every 5 s, and a heartbeat a second of each bridge. Of UroDiscord one bridge has all portals
  today; so several bridges are spoken to by processes that do what the owner of a bridge does, without what UroDiscord makes of the facts.
  """

  alias Bench.{Elsewhere, Program}
  alias UroDiscord.Bridge.{Protocol, Transport}
  alias UroDiscord.{DiscordSim, Portal, RemoteBridge}

  @key "of-this-bench-and-long-enough-for-it"
  @portals Bench.size(100, 3)
  @bridges Bench.size(10, 2)
  @seconds Bench.size(20, 1)

  def run do
    Bench.title(
      "A bridge elsewhere: #{@portals} portals, and #{@bridges} bridges with as many each (#{@seconds} s, nobody in them)"
    )

    one()
    several()
  end

  defp one do
    sim = DiscordSim.start!()
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 1_000})
    guilds = DiscordSim.post(sim, "/guilds", %{count: @portals, voice_channels: 1})
    {name, bridge} = Elsewhere.start!()

    {:ok, _} =
      UroDiscord.start_link(
        DiscordSim.config(sim) ++
          [
            intents: [:guilds, :guild_voice_states],
            bridges: [{:node, name}],
            web: [port: 0],
            portal: [key: @key, udp: [ip: "127.0.0.1", port: 0]]
          ]
      )

    Connected.wait()
    {vm, bridges, _seconds, :ok} = Program.used([bridge.os_pid], &wait/0)

    Bench.row("UroDiscord, one bridge, no portal", [
      {"CPU of the VM", vm, "ms/s"},
      {"CPU of the bridge", bridges, "ms/s"}
    ])

    before = Elsewhere.memory()
    for %{"voice_channels" => [channel]} <- guilds, do: {:ok, _id} = Portal.open(channel)
    opened()
    row("the same, #{@portals} portals", @portals, before, [bridge.os_pid], &wait/0)
    Supervisor.stop(UroDiscord)
    RemoteBridge.stop(bridge)
    DiscordSim.stop(sim)
  end

  defp wait, do: Process.sleep(@seconds * 1_000)

  defp opened(tries \\ 1_200) do
    {:ok, portals} = Portal.list()

    if Enum.count(portals, &(&1.state == :open)) < @portals do
      if tries == 0, do: raise("not all portals are open after a minute: #{inspect(hd(portals))}")
      Process.sleep(50)
      opened(tries - 1)
    end
  end

  defp several do
    before = Elsewhere.memory()
    bridges = for _ <- 1..@bridges, do: Elsewhere.start!()
    bench = self()
    owners = for {name, _bridge} <- bridges, do: spawn_link(fn -> own(name, bench) end)
    for owner <- owners, do: receive(do: ({^owner, :open} -> :ok))
    os_pids = for {_name, bridge} <- bridges, do: bridge.os_pid

    said =
      row("the bare protocol, #{@bridges} bridges", @bridges * @portals, before, os_pids, fn ->
        for owner <- owners, do: send(owner, :count)
        wait()

        for owner <- owners do
          send(owner, :counted?)
          receive(do: ({^owner, :said, count} -> count))
        end
      end)

    Bench.row("  they said", [{"", Enum.sum(said) / @seconds, "messages/s"}])
    for owner <- owners, do: send(owner, :end)
    for {_name, bridge} <- bridges, do: RemoteBridge.stop(bridge)
  end

  defp row(name, portals, before, os_pids, fun) do
    {vm, bridges, _seconds, answer} = Program.used(os_pids, fun)

    Bench.row(name, [
      {"CPU of the VM", vm, "ms/s"},
      {"", vm * 1_000 / portals, "us/s a portal"},
      {"memory", max(Elsewhere.memory() - before, 0.0) / portals, "KiB a portal"},
      {"CPU of the bridges", bridges, "ms/s"}
    ])

    answer
  end

  ## What owns a bridge

  defp own(name, bench) do
    {:absent, transport, _reason} = Transport.Node.open(name)
    Elsewhere.greet(transport)
    ids = for n <- 1..@portals, do: "portal-#{n}"
    Elsewhere.say(transport, [{:desired, %{"media" => media(), "portals" => %{"open" => Enum.map(ids, &portal/1)}}}])
    own(transport, Protocol.empty(), MapSet.new(ids), 0, bench)
  end

  defp own(transport, buffer, missing, said, bench) do
    receive do
      :count ->
        own(transport, buffer, missing, 0, bench)

      :counted? ->
        send(bench, {self(), :said, said})
        own(transport, buffer, missing, said, bench)

      :end ->
        {:ok, stop} = Protocol.encode({:stop})
        Transport.finish(transport, stop)

      message ->
        {:data, bytes} = Transport.heard(transport, message)
        {:ok, buffer, {still, said}} = Protocol.decode(buffer, bytes, {missing, said}, &heard/2)
        if Enum.empty?(still) and not Enum.empty?(missing), do: send(bench, {self(), :open})
        own(transport, buffer, still, said, bench)
    end
  end

  defp heard({:portal, id, :open, _info}, {missing, said}), do: {MapSet.delete(missing, id), said + 1}
  defp heard(_message, {missing, said}), do: {missing, said + 1}

  defp media do
    %{
      "addresses" => ["127.0.0.1:0"],
      "public" => [],
      "keys" => [@key],
      "origins" => [],
      "limits" => %{"portal_peers" => 64, "token_peers" => 4, "address_peers" => 32}
    }
  end

  defp portal("portal-" <> number = id) do
    %{
      "id" => id,
      "guild" => "#{1_300_000_000_000_000_000 + String.to_integer(number)}",
      "channel" => "#{1_310_000_000_000_000_000 + String.to_integer(number)}",
      "bots" => false,
      "names" => %{},
      "bot_users" => [],
      "settings" => []
    }
  end
end

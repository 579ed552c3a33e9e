defmodule UroDiscord.Gateway.KillTest do
  @moduledoc false
  # SIGKILL of the bridge, and of the whole BEAM, at random moments while Discord dispatches numbered events. A subscriber writes
  # down what comes, and acknowledges it. `KILLS=100` for what issue 4 asks: 100,000 events, 100 kills of the bridge, 10 of the BEAM.

  use UroDiscord.Case
  alias UroDiscord.{Listener, Peer}

  @kills String.to_integer(System.get_env("KILLS", "20"))
  @beam_kills div(@kills, 10)
  # Dispatched while the bridge is killed once, this many a second.
  @per_kill 1_000
  @per_second 8_000
  @events @kills * @per_kill

  @tag timeout: 120_000 + @kills * 5_000
  test "no event is missing after #{@kills} kills of the bridge and #{@beam_kills} of the BEAM, and one identify is used" do
    :rand.seed(:exsss, ExUnit.configuration()[:seed])
    sim = start_sim!()
    options = [gateway: [events: ["CHANNEL_UPDATE"]], bridge_restart: {10, 100}]
    config = Keyword.merge(DiscordSim.config(sim), options)
    heard = config[:database] <> ".heard"
    File.mkdir_p!(DiscordSim.scratch())

    node = node!(config, heard)
    DiscordSim.wait_for(sim, "identify")

    {node, took} =
      Enum.reduce(1..@kills, {node, []}, fn kill, {node, took} ->
        # Discord keeps only so many for a session that falls behind.
        assert eventually(fn -> lines(heard) >= (kill - 2) * @per_kill end, 600)
        before = DiscordSim.now(sim)
        dispatch(sim, kill)
        Process.sleep(:rand.uniform(div(@per_kill * 1_000, @per_second)))
        ms = kill_bridge(sim, node)
        node = if rem(kill, 10) == 0, do: kill_beam(sim, node, config, heard), else: node
        DiscordSim.wait_for(sim, "dispatched", fn _ -> true end, after: before, timeout: 30_000)
        {node, [ms | took]}
      end)

    assert eventually(fn -> heard |> Listener.read() |> Enum.uniq() |> length() >= @events end, 1_200)
    entries = Listener.read(heard)
    uniq = Enum.uniq(entries)
    # Each of them is there, in the one session.
    assert [_session] = uniq |> Enum.map(& &1.session) |> Enum.uniq()
    assert Enum.frequencies_by(uniq, & &1.n) == for(n <- 1..@kills, into: %{}, do: {to_string(n), @per_kill})
    assert %{"identifies" => 1, "resumes_refused" => 0, "violations" => violations} = DiscordSim.get(sim, "/gateway")
    assert violations == %{}
    Peer.kill!(node)

    took = Enum.sort(took)

    IO.puts(
      "#{length(uniq)} events, #{@kills} kills of the bridge and #{@beam_kills} of the BEAM: none missing, " <>
        "#{length(entries) - length(uniq)} came twice; identifies: 1; from SIGKILL of the bridge to RESUMED: " <>
        "p50 #{Enum.at(took, div(@kills, 2))} ms, p99 #{Enum.at(took, div(@kills * 99, 100))} ms"
    )
  end

  defp node!(config, heard) do
    node = Peer.start!()
    Peer.start_child!(node, {UroDiscord, config})
    Peer.start_child!(node, {Listener, {heard, "CHANNEL_UPDATE"}})
    node
  end

  defp lines(path) do
    case File.read(path) do
      {:ok, text} -> text |> :binary.matches("\n") |> length()
      {:error, :enoent} -> 0
    end
  end

  defp dispatch(sim, kill) do
    body = %{type: "CHANNEL_UPDATE", data: %{n: kill}, times: @per_kill, per_second: @per_second}
    DiscordSim.post(sim, "/dispatch", body)
  end

  # When its session is resumed, in ms.
  defp kill_bridge(sim, node) do
    before = DiscordSim.now(sim)
    {_, 0} = System.cmd("kill", ["-KILL", os_pid(node)])
    killed = System.os_time(:millisecond)
    DiscordSim.wait_for(sim, "resume", fn _ -> true end, after: before, timeout: 30_000)["time"] - killed
  end

  # While it starts another one there is none to kill.
  defp os_pid(node) do
    case Peer.call(node, UroDiscord, :status, []) do
      {:ok, %{bridge: %{os_pid: os_pid}}} when os_pid != nil -> to_string(os_pid)
      _ -> os_pid(node)
    end
  end

  defp kill_beam(sim, node, config, heard) do
    before = DiscordSim.now(sim)
    Process.sleep(:rand.uniform(300))
    Peer.kill!(node)
    node = node!(config, heard)
    DiscordSim.wait_for(sim, "resume", fn _ -> true end, after: before, timeout: 30_000)
    node
  end
end

defmodule UroDiscord.Notify.KillTest do
  @moduledoc false
  # SIGKILL of the whole BEAM at random moments while notifications are accepted and sent. Then the next one goes on with the same
  # database; what the last one leaves behind is delivered in the end. `KILLS=200` for as many as issue 3 asks.

  use UroDiscord.Case
  alias UroDiscord.{Journal, Peer}

  @kills String.to_integer(System.get_env("KILLS", "40"))
  @accepted 25 * @kills
  @channels 20
  @longest_life_ms 1_200

  @tag timeout: 60_000 + @kills * 3_000
  test "what was accepted is there once and in order after #{@kills} kills" do
    :rand.seed(:exsss, ExUnit.configuration()[:seed])
    sim = start_sim!(["--channels", "#{@channels}"])
    # It knows nothing of the requests of the life before, and would otherwise wait for their windows.
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 100, identify_interval_ms: 0, identify_budget: 100_000})
    # So that there are always some that Discord has and of which it has not said so.
    late = %{method: "POST", route: "/channels/*/messages", answer_delay_ms: 30, times: 1_000_000}
    DiscordSim.post(sim, "/faults", [late])
    config = DiscordSim.config(sim)
    channels = for n <- 1..@channels, do: sim.info["channels"]["channel-#{n}"]
    journal = config[:database] <> ".journal"
    File.mkdir_p!(Path.dirname(journal))
    File.touch!(journal)

    lives = kill(Peer.start!(), journal, config, channels, 1)
    start_supervised!({UroDiscord, config})

    accepted = Journal.read(journal)

    for entry <- accepted,
        do: assert({:ok, %{status: :delivered}} = entry |> Journal.delivery() |> UroDiscord.await(60_000))

    # What was accepted and not written down is on its way, too.
    assert eventually(fn -> match?({:ok, %{notifications: %{queued: 0, failed: 0}}}, UroDiscord.status()) end, 1_200)

    for channel <- channels do
      messages = DiscordSim.get(sim, "/messages?channel=#{channel}")
      nonces = Enum.map(messages, & &1["nonce"])
      assert nonces == Enum.uniq(nonces)
      assert contents(messages) == Enum.uniq(contents(messages))
      assert contents(messages) == Enum.sort_by(contents(messages), &order/1)

      expected = for entry <- accepted, entry.channel == channel, do: entry.id
      assert Enum.filter(nonces, &(&1 in expected)) == expected
    end

    messages = sim |> DiscordSim.get("/messages") |> length()
    repeats = posts(sim) - messages
    assert length(accepted) >= @accepted
    assert repeats > 0

    IO.puts(
      "#{lives} kills, #{messages} messages: #{length(accepted)} known to be accepted, #{messages - length(accepted)} accepted " <>
        "and not known; #{repeats} were sent twice and shown once"
    )
  end

  # At least so many kills, and at least so many accepted. The next VM boots while this one lives.
  defp kill(peer, journal, config, channels, life) do
    before = File.stat!(journal).size
    Peer.cast(peer, Journal, :run, [journal, config, channels, life])
    next = Task.async(&Peer.start!/0)
    # One in ten ends while it starts. The others have begun to accept, however long that takes on a busy machine.
    if rem(life, 10) != 0, do: assert(eventually(fn -> File.stat!(journal).size > before end))
    Process.sleep(:rand.uniform(@longest_life_ms))
    Peer.kill!(peer)
    next = Task.await(next, 60_000)

    if life >= @kills and length(Journal.read(journal)) >= @accepted do
      Peer.kill!(next)
      life
    else
      kill(next, journal, config, channels, life + 1)
    end
  end

  # Of the newest 10,000 requests.
  defp posts(sim),
    do: sim |> DiscordSim.get("/requests") |> Enum.count(&(&1["method"] == "POST"))

  defp contents(messages), do: Enum.map(messages, & &1["content"])

  defp order(content), do: content |> String.split(".") |> Enum.map(&String.to_integer/1)
end

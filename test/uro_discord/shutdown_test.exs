defmodule UroDiscord.ShutdownTest do
  # A stop while Discord hangs and much is under way: Kubernetes kills after 30 s.
  use UroDiscord.Case
  alias UroDiscord.{Delivery, Whole}

  @channels [:announcements, :builds, :general, :status]

  test "a stop under load is over within 25 s, and what was accepted arrives after the next start, once" do
    Process.flag(:trap_exit, true)
    sim = start_sim!()
    config = Whole.config(sim)
    start_supervised!({UroDiscord, config})
    assert eventually(fn -> Whole.well?(sim, []) end)

    DiscordSim.post(sim, "/faults", [
      %{method: "POST", route: "/channels/*/messages", delay_ms: 60_000, status: 500, times: 4}
    ])

    deliveries =
      for number <- 1..5, channel <- @channels do
        {:ok, delivery} = UroDiscord.notify(channel, "#{number} for #{channel}")
        delivery
      end

    DiscordSim.wait_for(sim, "fault")
    began = System.monotonic_time(:millisecond)
    stop_supervised!(UroDiscord)
    assert System.monotonic_time(:millisecond) - began < 25_000

    DiscordSim.delete(sim, "/faults")
    start_supervised!({UroDiscord, config})
    for delivery <- deliveries, do: assert({:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivery, 60_000))

    for channel <- @channels do
      said =
        for %{"content" => text} <- DiscordSim.messages(sim, Atom.to_string(channel)),
            text =~ " for #{channel}",
            do: text

      assert said == for(number <- 1..5, do: "#{number} for #{channel}")
    end
  end
end

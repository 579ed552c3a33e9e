defmodule UroDiscord.TelemetryTest do
  use UroDiscord.Case

  def tell(event, measurements, metadata, test), do: send(test, {:telemetry, event, measurements, metadata})

  test "each step of a notification is told to :telemetry" do
    for step <- [:accepted, :retry, :delivered, :failed],
        do: :ok = :telemetry.attach({__MODULE__, step}, [:uro_discord, :notify, step], &__MODULE__.tell/4, self())

    on_exit(fn -> for step <- [:accepted, :retry, :delivered, :failed], do: :telemetry.detach({__MODULE__, step}) end)
    sim = start_sim!()
    start_uro_discord!(sim)
    channel = sim.info["channels"]["announcements"]

    DiscordSim.post(sim, "/faults", [%{method: "POST", route: "/channels/*/messages", drop: "before_answer", times: 20}])

    {:ok, %{id: id} = delivery} = UroDiscord.notify(:announcements, "hello")
    assert_receive {:telemetry, [:uro_discord, :notify, :accepted], %{count: 1}, %{channel_id: ^channel}}
    assert_receive {:telemetry, [:uro_discord, :notify, :retry], %{delay_ms: delay}, %{id: ^id, kind: kind}}, 30_000
    assert delay > 0 and is_atom(kind)
    DiscordSim.delete(sim, "/faults")

    {:ok, %{message_id: message_id}} = UroDiscord.await(delivery)

    assert_receive {:telemetry, [:uro_discord, :notify, :delivered], %{duration_ms: duration},
                    %{id: ^id, message_id: ^message_id}}

    assert duration > 0

    {:ok, %{id: id} = delivery} = UroDiscord.notify(sim.info["channels"]["rules"], "not allowed")
    {:ok, %{status: :failed}} = UroDiscord.await(delivery)
    assert_receive {:telemetry, [:uro_discord, :notify, :failed], %{duration_ms: _}, %{id: ^id, kind: :api}}
  end
end

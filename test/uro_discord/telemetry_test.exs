# The host's library, as far as we call it: it is not among Debian's packages.
defmodule :telemetry do
  def execute(event, measurements, metadata) do
    case Process.whereis(UroDiscord.TelemetryTest) do
      nil -> :ok
      test -> send(test, {:telemetry, event, measurements, metadata}) && :ok
    end
  end
end

defmodule UroDiscord.TelemetryTest do
  use UroDiscord.Case

  test "each step of a notification is told to :telemetry" do
    Process.register(self(), __MODULE__)
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

defmodule UroDiscord.Gateway.OutageTest do
  @moduledoc false
  # The store does not answer: the lease cannot be renewed, and nobody can know whether another node has it.

  use UroDiscord.Case
  import ExUnit.CaptureLog
  alias UroDiscord.{Postgres, TestRepo}
  alias UroDiscord.Gateway.Leader
  alias UroDiscord.Store.Schema

  setup do
    database = Postgres.database!()
    connection = Postgres.connect!(database)
    for sql <- Schema.up(:postgres, 0), do: [_] = Postgres.query(connection, sql)
    start_supervised!({TestRepo, database})
    sim = start_sim!()
    %{sim: sim, connection: connection, config: [repo: TestRepo, gateway: [events: ["CHANNEL_UPDATE"]]]}
  end

  test "the gateway is let go when the lease ends, and resumed when the store is back", context do
    %{sim: sim, connection: connection, config: config} = context
    %{session: session} = start_connected!(sim, config)
    UroDiscord.subscribe({:gateway, "CHANNEL_UPDATE"}, ack: true)
    before = DiscordSim.now(sim)

    log =
      capture_log(fn ->
        [_begin, _lock] = Postgres.query(connection, "BEGIN; LOCK TABLE uro_discord_gateway IN ACCESS EXCLUSIVE MODE")
        wait_for(&(&1 == {:lease, :lost}))
      end)

    assert log =~ "this node no longer holds the gateway: the store could not be asked in time"
    refute Leader.held?()
    assert %{"code" => 4000} = DiscordSim.wait_for(sim, "disconnect", fn _ -> true end, after: before)
    # It still answers.
    assert {:ok, %{gateway: %{lease: %{held: false}}}} = UroDiscord.status()

    DiscordSim.post(sim, "/dispatch", %{type: "CHANNEL_UPDATE", data: %{n: 1}})
    ["COMMIT"] = Postgres.query(connection, "COMMIT")
    wait_for(&(&1 == {:lease, :held}))

    assert {:gateway, 0, %{session: ^session}} = wait_for(&match?({:gateway, 0, %{state: :active, resumed: true}}, &1))

    assert_receive {:uro_discord, {:gateway, "CHANNEL_UPDATE"}, %{data: %{"n" => 1}}}, 10_000
    assert %{"identifies" => 1} = DiscordSim.get(sim, "/gateway")
  end
end

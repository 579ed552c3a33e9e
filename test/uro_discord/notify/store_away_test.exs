defmodule UroDiscord.Notify.StoreAwayTest do
  @moduledoc false
  # The store fails while notifications are under way: PostgreSQL, whose connections all end, or which refuses to write.

  use UroDiscord.Case
  alias UroDiscord.{Delivery, Error, Postgres, Store, TestRepo}
  alias UroDiscord.Store.Schema

  setup do
    database = Postgres.database!()
    start_supervised!({TestRepo, database})
    for sql <- Schema.up(:postgres, 0), do: {:ok, _} = TestRepo.query(sql, [])
    sim = start_sim!()
    start_uro_discord!(sim, repo: TestRepo)
    %{sim: sim, database: database}
  end

  defp posts(sim), do: for(%{"method" => "POST"} = request <- DiscordSim.get(sim, "/requests"), do: request)

  test "await/2 waits for as long as it was asked to, and nothing is sent anew", %{sim: sim, database: database} do
    late = %{method: "POST", route: "/channels/*/messages", answer_delay_ms: 2_000}
    DiscordSim.post(sim, "/faults", [late])
    {:ok, delivery} = UroDiscord.notify(:builds, "hello")
    DiscordSim.wait_for(sim, "message_create")
    waiting = Task.async(fn -> UroDiscord.await(delivery, 30_000) end)
    stop_supervised!(TestRepo)
    assert {:error, %Error{kind: :timeout, message: message}} = UroDiscord.await(delivery, 3_500)
    assert message =~ "the store could not be asked"
    start_supervised!({TestRepo, database})
    assert {:ok, %Delivery{status: :delivered}} = Task.await(waiting, 40_000)
    assert [_one] = posts(sim)
    assert [%{"content" => "hello"}] = DiscordSim.messages(sim, "builds")
  end

  test "an outcome that cannot be written is kept, and not brought about again", %{sim: sim} do
    refuse_writes!("uro_discord_outbox")
    {:ok, delivery} = UroDiscord.notify(:builds, "hello")
    DiscordSim.wait_for(sim, "message_create")
    # Some tries to write it.
    Process.sleep(4_000)
    assert [_one] = posts(sim)
    assert {:ok, %{notifications: %{queued: 1}}} = UroDiscord.status()
    allow_writes!("uro_discord_outbox")
    assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivery, 40_000)
    assert [_one] = posts(sim)
  end

  @tag timeout: 120_000
  test "nothing is begun under a lease that cannot be renewed", %{sim: sim} do
    # Each request fails, so that the channel pauses, and needs its lease for longer than it lasts.
    DiscordSim.post(sim, "/faults", [
      %{method: "POST", route: "/channels/*/messages", status: 403, body: "<html>blocked</html>", times: 100_000}
    ])

    {:ok, delivery} = UroDiscord.notify(:builds, "hello")
    DiscordSim.wait_for(sim, "fault")
    refuse_writes!("uro_discord_channels")
    refused = System.os_time(:millisecond)
    # A lease lasts 30 s, and a request that is begun under it must end before.
    Process.sleep(33_000)
    assert Enum.filter(posts(sim), &(&1["time"] > refused + 15_000)) == []
    allow_writes!("uro_discord_channels")
    DiscordSim.delete(sim, "/faults")
    assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivery, 60_000)
  end

  # Changes only: what is accepted is inserted.
  defp refuse_writes!(table) do
    function = """
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'no space left on device'; END $$ LANGUAGE plpgsql
    """

    {:ok, _} = TestRepo.query(function, [])

    {:ok, _} =
      TestRepo.query("CREATE TRIGGER refuse BEFORE UPDATE ON #{table} FOR EACH ROW EXECUTE FUNCTION refuse()", [])
  end

  defp allow_writes!(table), do: {:ok, _} = TestRepo.query("DROP TRIGGER refuse ON #{table}", [])

  test "what is queued again while old notifications are forgotten keeps its files" do
    {:ok, store} = Store.open({:repo, TestRepo})
    old = [{"UPDATE uro_discord_outbox SET status = 'failed', finished_at = 1", []}]
    {:ok, delivery} = UroDiscord.notify("1100000000000000001", content: "log", files: [{"a.txt", "a"}])
    assert {:ok, %Delivery{status: :failed}} = UroDiscord.await(delivery)
    {:ok, _} = Store.run(store, old, :write)
    test = self()

    again =
      Task.async(fn ->
        TestRepo.transaction(fn ->
          {:ok, _} = UroDiscord.Notify.Outbox.requeue(store, delivery.id, 1)
          send(test, :queued)
          receive do: (:commit -> :ok)
        end)
      end)

    assert_receive :queued, 5_000
    forgetting = Task.async(fn -> UroDiscord.Notify.Outbox.prune(store, 2, 2) end)
    # Until it waits for the row.
    waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    assert eventually(fn -> match?({:ok, %{rows: [[n]]}} when n > 0, TestRepo.query(waits, [])) end)
    send(again.pid, :commit)
    assert {:ok, :ok} = Task.await(again)
    assert :ok = Task.await(forgetting)
    assert {:ok, %{rows: [["a.txt"]]}} = TestRepo.query("SELECT name FROM uro_discord_files", [])
  end
end

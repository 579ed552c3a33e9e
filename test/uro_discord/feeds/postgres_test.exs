defmodule UroDiscord.Feeds.PostgresTest do
  @moduledoc false
  # Several requests at once, each with a step of the same run. PostgreSQL looks anew for each statement of a transaction.

  use UroDiscord.WebCase, async: false
  import UroDiscord.Hooks
  alias UroDiscord.{Postgres, TestRepo}
  alias UroDiscord.Store.Schema

  setup do
    database = Postgres.database!()
    connection = Postgres.connect!(database)
    for sql <- Schema.up(:postgres, 0), do: [_] = Postgres.query(connection, sql)
    start_supervised!({TestRepo, database})
    sim = start_sim!()
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 1_000})
    start_connected!(sim, repo: TestRepo, feeds: github([], per_hour: 10_000))
    %{sim: sim, connection: connection}
  end

  @runs 200
  @steps [{"queued", nil, 0}, {"in_progress", nil, 1}, {"completed", "success", 2}]

  test "steps of a run that come at once are all there: what is answered with 202 is shown", %{
    sim: sim,
    connection: connection
  } do
    # Between what looks for the message of a run and what tells whether there is one, others have time to insert it.
    ["CREATE FUNCTION", "CREATE TRIGGER"] =
      Postgres.query(connection, """
      CREATE FUNCTION dawdle() RETURNS trigger AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN NULL; END $$ LANGUAGE plpgsql;
      CREATE TRIGGER dawdle AFTER UPDATE ON uro_discord_cards FOR EACH STATEMENT EXECUTE FUNCTION dawdle();
      """)

    steps =
      for run <- 1..@runs, {status, conclusion, minute} <- Enum.shuffle(@steps) do
        run(%{
          "id" => run,
          "run_number" => run,
          "status" => status,
          "conclusion" => conclusion,
          "updated_at" => "2026-11-21T10:0#{minute}:00Z"
        })
      end

    statuses =
      steps
      |> Task.async_stream(&elem(send_hook(&1), 0), max_concurrency: 24, timeout: 60_000)
      |> Enum.map(fn {:ok, status} -> status end)

    assert Enum.uniq(statuses) == [202]
    ["DROP TRIGGER"] = Postgres.query(connection, "DROP TRIGGER dawdle ON uro_discord_cards")
    passed = "SELECT COUNT(*) FROM uro_discord_cards WHERE body LIKE '%passed%'"
    assert [{_, _, [[count]]}] = Postgres.query(connection, passed)
    assert to_string(count) == "#{@runs}"
    # Nothing of them was posted twice.
    assert eventually(fn -> length(titles(sim)) == @runs end, 1_200)
  end

  test "with a store that cannot be written each message is edited once, with one line in the log", %{
    sim: sim,
    connection: connection
  } do
    for id <- 1..25, do: assert({202, _, _} = send_hook(run(%{"id" => id, "run_number" => id})))
    wait_for_count(sim, 25)

    # What is told is stored, and what the editor writes is not. A sequence counts also what is undone.
    ["CREATE SEQUENCE", "CREATE FUNCTION", "CREATE TRIGGER"] =
      Postgres.query(connection, """
      CREATE SEQUENCE refused;
      CREATE FUNCTION out_of_room() RETURNS trigger AS $$ BEGIN
        IF NEW.body <> OLD.body THEN RETURN NEW; END IF;
        PERFORM nextval('refused');
        RAISE EXCEPTION 'out of room' USING ERRCODE = '55P03';
      END $$ LANGUAGE plpgsql;
      CREATE TRIGGER out_of_room BEFORE UPDATE ON uro_discord_cards FOR EACH ROW EXECUTE FUNCTION out_of_room();
      """)

    log =
      ExUnit.CaptureLog.capture_log(fn ->
        for id <- 1..25 do
          change = %{
            "id" => id,
            "run_number" => id,
            "status" => "completed",
            "conclusion" => "success",
            "updated_at" => "2026-11-21T10:05:00Z"
          }

          assert {202, _, _} = send_hook(run(change))
        end

        # The editor has looked three times at least, in vain.
        assert eventually(fn -> refused(connection) >= 3 * max(edits(sim), 1) end, 600)
        assert edits(sim) <= 25
        ["DROP TRIGGER"] = Postgres.query(connection, "DROP TRIGGER out_of_room ON uro_discord_cards")
        assert eventually(fn -> Enum.all?(titles(sim), &String.starts_with?(&1, "✅")) end, 1_200)
      end)

    assert edits(sim) == 25
    assert length(String.split(log, "messages are edited later, since the store fails: out of room")) == 2

    assert eventually(fn ->
             match?(
               [{_, _, [[_]]}],
               Postgres.query(connection, "SELECT 1 FROM uro_discord_cards WHERE version = shown LIMIT 1")
             )
           end)
  end

  defp refused(connection) do
    [{_, _, [[count]]}] = Postgres.query(connection, "SELECT last_value FROM refused")
    count |> to_string() |> String.to_integer()
  end

  defp edits(sim), do: Enum.count(DiscordSim.get(sim, "/requests"), &(&1["method"] == "PATCH"))
end

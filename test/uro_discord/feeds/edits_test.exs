defmodule UroDiscord.Feeds.EditsTest do
  @moduledoc false
  # Edits that Discord, or something on the way to it, refuses.

  use UroDiscord.WebCase, async: false
  import ExUnit.CaptureLog
  import UroDiscord.Hooks

  setup do
    sim = start_sim!()
    start_connected!(sim, feeds: github())
    assert {202, _, _} = send_hook(run())
    wait_for_count(sim, 1)
    %{sim: sim}
  end

  defp finish(at \\ "10:03:00") do
    change = %{"status" => "completed", "conclusion" => "failure", "updated_at" => "2026-11-21T#{at}Z"}
    assert {202, _, _} = send_hook(run(change))
  end

  defp fault(sim, fault) do
    fault = Map.merge(%{method: "PATCH", route: "/channels/*/messages/*"}, fault)
    DiscordSim.post(sim, "/faults", [fault])
  end

  for {what, fault} <- [
        {"a proxy's page", %{status: 403, body: "<html>Access denied</html>"}},
        {"no right, which is given back", %{status: 403, body: %{message: "Missing Access", code: 50_001}}},
        {"a timeout", %{status: 408, body: ""}},
        {"Cloudflare's challenge", %{status: 403, body: %{message: "internal network error", code: 40_333}}}
      ] do
    test "one that met #{what} is made later", %{sim: sim} do
      fault(sim, Map.put(unquote(Macro.escape(fault)), :times, 1))

      # What is weather to the REST client it tries again by itself, and the editor when that gave up.
      finish()
      wait_for_title(sim, "❌ CI \\#7 · failed")
      assert eventually(fn -> pending() == 0 end)
    end
  end

  test "one of a message that somebody deleted is given up, and told", %{sim: sim} do
    [%{"id" => id}] = DiscordSim.messages(sim, "builds")
    DiscordSim.delete_message(sim, "builds", id)
    log = capture_log(fn -> finish() && assert(eventually(fn -> pending() == 0 end)) end)
    assert log =~ "a message of feed hub cannot be edited: "
  end

  test "one that a clock that was hours ahead put off is made now", %{sim: sim} do
    {:ok, %{store: store}} = UroDiscord.Runtime.fetch()
    ahead = System.os_time(:millisecond) + 3 * 3_600_000
    sql = "UPDATE uro_discord_cards SET version = version + 1, body = REPLACE(body, 'CI ', 'Late CI '), retry_at = $1"
    {:ok, [%{num_rows: 1}]} = UroDiscord.Store.run(store, [{sql, [ahead]}], :write)
    assert eventually(fn -> pending() == 0 end)
    assert [title] = titles(sim)
    assert title =~ "Late CI"
  end

  defp pending do
    {:ok, %{store: store}} = UroDiscord.Runtime.fetch()
    sql = "SELECT COUNT(*) FROM uro_discord_cards WHERE version > shown"
    {:ok, [%{rows: [[count]]}]} = UroDiscord.Store.run(store, [{sql, []}], :read)
    count
  end
end

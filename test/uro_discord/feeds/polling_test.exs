defmodule UroDiscord.Feeds.PollingTest do
  use UroDiscord.WebCase, async: false

  import UroDiscord.Hooks
  alias UroDiscord.HTTPServer

  setup do
    %{sim: start_sim!()}
  end

  defp listing(runs), do: json!(%{"workflow_runs" => Enum.map(runs, & &1["workflow_run"])})

  test "tells what is new since the first look, with conditional requests", %{sim: sim} do
    runs = :counters.new(1, [])

    server =
      HTTPServer.start!(fn
        %{path: "/repos/V-Sekai/uro/releases"} ->
          {200, [], "[]"}

        %{path: "/repos/V-Sekai/uro/actions/runs", headers: headers} ->
          etag = ~s("#{:counters.get(runs, 1)}")

          case {:counters.get(runs, 1), headers["if-none-match"]} do
            {_, ^etag} ->
              {304, [{"ETag", etag}], ""}

            {0, _} ->
              {200, [{"ETag", etag}], listing([run()])}

            {1, _} ->
              {200, [{"ETag", etag}],
               listing([run(%{"id" => 2, "run_number" => 8, "updated_at" => "2026-11-21T11:00:00Z"}), run()])}

            {2, _} ->
              {200, [{"ETag", etag}],
               listing([
                 run(%{
                   "id" => 2,
                   "run_number" => 8,
                   "status" => "completed",
                   "conclusion" => "success",
                   "updated_at" => "2026-11-21T11:05:00Z"
                 })
               ])}
          end
      end)

    hub = [
      source: :github,
      poll: ["V-Sekai/uro"],
      url: server.url,
      token: "ghp_x",
      interval: 1_000,
      rules: [[channel: :builds]]
    ]

    start_connected!(sim, feeds: [hub: hub])
    # The first look, and one that found nothing new.
    assert eventually(
             fn -> Enum.any?(HTTPServer.requests(server), &(&1.headers["if-none-match"] == ~s("0"))) end,
             200
           )

    assert titles(sim) == []

    :counters.add(runs, 1, 1)
    DiscordSim.wait_for(sim, "message_create")
    assert titles(sim) == ["🕓 CI \\#8 · queued"]
    :counters.add(runs, 1, 1)
    wait_for_title(sim, "✅ CI \\#8 · passed")
    assert Enum.all?(HTTPServer.requests(server), &(&1.headers["authorization"] == "Bearer ghp_x"))
  end

  test "goes on where it was after a restart, and after errors", %{sim: sim} do
    broken = :counters.new(1, [])

    server =
      HTTPServer.start!(fn
        %{path: "/wharf/channels", query: %{"target" => "v-sekai/game"}} ->
          case :counters.get(broken, 1) do
            0 ->
              {200, [],
               json!(%{"channels" => %{"linux" => %{"head" => %{"id" => 1, "updated_at" => "2026-11-21T10:00:00Z"}}}})}

            1 ->
              {500, [], "oops"}

            2 ->
              {200, [],
               json!(%{
                 "channels" => %{
                   "linux" => %{
                     "head" => %{"id" => 2, "user_version" => "1.2", "updated_at" => "2026-11-21T11:00:00Z"}
                   }
                 }
               })}
          end
      end)

    feeds = [
      itch: [
        source: :itch,
        poll: ["v-sekai/game"],
        url: server.url,
        token: "key",
        interval: 1_000,
        rules: [[channel: :builds]]
      ]
    ]

    start_connected!(sim, feeds: feeds)
    assert eventually(fn -> length(HTTPServer.requests(server)) >= 2 end, 200)
    database = stop!()

    :counters.add(broken, 1, 1)
    before = length(HTTPServer.requests(server))

    log =
      ExUnit.CaptureLog.capture_log(fn ->
        start_connected!(sim, feeds: feeds, database: database)
        assert eventually(fn -> length(HTTPServer.requests(server)) > before end, 200)
        :counters.add(broken, 1, 1)
        DiscordSim.wait_for(sim, "message_create")
        # It says that all is well after it has handed over what is new, and before it looks again.
        looks = length(HTTPServer.requests(server))
        assert eventually(fn -> length(HTTPServer.requests(server)) > looks end, 200)
      end)

    assert titles(sim) == ["✅ Build 1\\.2 · passed"]
    assert log =~ "v-sekai/game cannot be asked: the server answered 500"
    assert log =~ "answers again"
    refute log =~ "key"
  end

  # A server whose answers are what is put there, and a feed that asks it: the URL comes from there.
  defp start_polled!(sim, answers, feed) do
    {:ok, now} = Agent.start_link(fn -> answers end)

    server =
      HTTPServer.start!(fn %{path: path} ->
        case Agent.get(now, & &1[path]) do
          {status, headers, body} -> {status, headers, body}
          nil -> {404, [], "{}"}
          answer -> {200, [], json!(answer)}
        end
      end)

    feed = Keyword.merge([url: server.url, interval: 1_000, rules: [[channel: :builds]]], feed)
    start_connected!(sim, feeds: [polled: feed])
    %{server: server, now: now, feed: feed}
  end

  defp answer!(polled, answers), do: Agent.update(polled.now, &Map.merge(&1, answers))

  # So many requests for a path more were answered.
  defp wait_for_looks(polled, path, more) do
    count = fn -> Enum.count(HTTPServer.requests(polled.server), &(&1.path == path)) end
    before = count.()
    assert eventually(fn -> count.() >= before + more end)
  end

  @runs "/repos/V-Sekai/uro/actions/runs"
  @releases "/repos/V-Sekai/uro/releases"

  defp run_of(change), do: run(change)["workflow_run"]

  test "an entry that is odd or not understood holds up no other, nor does a list that is closed", %{sim: sim} do
    log =
      ExUnit.CaptureLog.capture_log(fn ->
        polled = start_polled!(sim, %{@releases => []}, source: :github, poll: ["V-Sekai/uro"])
        wait_for_looks(polled, @releases, 1)
        marks = String.duplicate("a" <> String.duplicate("\u0301", 6), 900)

        release = %{
          "id" => 1,
          "tag_name" => "v1",
          "name" => marks,
          "body" => marks,
          "published_at" => "2026-11-21T10:00:00Z"
        }

        last = %{release | "id" => 2, "name" => "Two", "published_at" => "2026-11-21T11:00:00Z"}
        answer!(polled, %{@releases => [%{"id" => []}, release, last]})
        wait_for_title(sim, "📦 Two · published")
        wait_for_looks(polled, @releases, 2)
      end)

    assert length(titles(sim)) == 2
    assert log =~ "V-Sekai/uro cannot be asked: the server answered 404"
    # Once, and not at every look.
    assert length(String.split(log, "an entry of V-Sekai/uro/releases has no id, no tag; it is left out")) == 2
  end

  test "a server whose entity tag is no text is polled all the same", %{sim: sim} do
    answer = &{200, [{"ETag", <<34, 0xE9, 34>>}], json!(&1)}
    old = answer.(%{"workflow_runs" => [run_of(%{})]})
    polled = start_polled!(sim, %{@runs => old, @releases => []}, source: :github, poll: ["V-Sekai/uro"])
    wait_for_looks(polled, @releases, 1)
    new = run_of(%{"id" => 2, "run_number" => 8, "updated_at" => "2026-11-21T11:00:00Z"})
    answer!(polled, %{@runs => answer.(%{"workflow_runs" => [new, run_of(%{})]})})
    wait_for_title(sim, "🕓 CI \\#8 · queued")
    assert length(titles(sim)) == 1
  end

  test "runs of forks are left out", %{sim: sim} do
    polled =
      start_polled!(sim, %{@runs => %{"workflow_runs" => []}, @releases => []}, source: :github, poll: ["V-Sekai/uro"])

    wait_for_looks(polled, @releases, 1)
    fork = %{"head_repository" => %{"id" => 66}, "status" => "completed", "conclusion" => "action_required"}
    runs = for {id, change} <- [{3, %{}}, {2, fork}], do: run_of(Map.merge(change, %{"id" => id, "run_number" => id}))
    answer!(polled, %{@runs => %{"workflow_runs" => runs}})
    wait_for_title(sim, "🕓 CI \\#3 · queued")
    wait_for_looks(polled, @releases, 2)
    assert length(titles(sim)) == 1
  end

  test "a build on itch.io without a date is told by its id, once", %{sim: sim} do
    builds = fn id, change ->
      head = Map.merge(%{"id" => id, "user_version" => "1.#{id}", "updated_at" => "2026-11-21 10:00:00 or so"}, change)
      %{"/wharf/channels" => %{"channels" => %{"linux" => %{"head" => head}}}}
    end

    polled = start_polled!(sim, builds.(1, %{}), source: :itch, poll: ["v-sekai/game"], token: "key")
    wait_for_looks(polled, "/wharf/channels", 1)
    answer!(polled, builds.(2, %{"state" => "processing"}))
    wait_for_title(sim, "🔄 Build 1\\.2 · running")
    answer!(polled, builds.(2, %{}))
    wait_for_title(sim, "✅ Build 1\\.2 · passed")
    answer!(polled, builds.(3, %{"updated_at" => nil}))
    wait_for_title(sim, "✅ Build 1\\.3 · passed")
    wait_for_looks(polled, "/wharf/channels", 2)
    assert length(titles(sim)) == 2
  end

  test "what is over the feed's cap is told later, and status/0 says so", %{sim: sim} do
    feed = [source: :github, poll: ["V-Sekai/uro"], per_hour: 1]
    polled = start_polled!(sim, %{@runs => %{"workflow_runs" => []}, @releases => []}, feed)
    wait_for_looks(polled, @releases, 1)

    # It says so when it has looked at all of them.
    assert eventually(fn ->
             match?(
               {:ok, %{feeds: %{polled: %{polled: %{"V-Sekai/uro" => %{state: :well, error: nil}}}}}},
               UroDiscord.status()
             )
           end)

    runs = for id <- [2, 1], do: run_of(%{"id" => id, "run_number" => id, "updated_at" => "2026-11-21T10:0#{id}:00Z"})
    answer!(polled, %{@runs => %{"workflow_runs" => runs}})
    wait_for_title(sim, "🕓 CI \\#1 · queued")

    assert eventually(fn ->
             match?(
               {:ok,
                %{feeds: %{polled: %{left: 0, polled: %{"V-Sekai/uro" => %{state: :failing, error: %{kind: :full}}}}}}},
               UroDiscord.status()
             )
           end)

    database = stop!()
    start_connected!(sim, feeds: [polled: polled.feed], database: database)
    wait_for_title(sim, "🕓 CI \\#2 · queued")
    assert length(titles(sim)) == 2
  end

  test "a repository that was renamed is polled by its number, and its runs are its own", %{sim: sim} do
    moved = "/repositories/5"
    to = fn path -> {301, [{"Location", moved <> path}], json!(%{"message" => "Moved Permanently"})} end
    names = %{"id" => 5, "full_name" => "V-Sekai/uro-of-old"}
    old = run_of(%{"head_repository" => names, "repository" => names})

    polled =
      start_polled!(
        sim,
        %{
          @runs => to.("/actions/runs?per_page=50"),
          @releases => to.("/releases?per_page=20"),
          (moved <> "/actions/runs") => %{"workflow_runs" => [old]},
          (moved <> "/releases") => []
        },
        source: :github,
        poll: ["V-Sekai/uro"]
      )

    wait_for_looks(polled, moved <> "/releases", 1)
    new = Map.merge(old, %{"id" => 2, "run_number" => 8, "updated_at" => "2026-11-21T11:00:00Z"})
    answer!(polled, %{(moved <> "/actions/runs") => %{"workflow_runs" => [new, old]}})
    wait_for_title(sim, "🕓 CI \\#8 · queued")
    assert length(titles(sim)) == 1
  end

  test "a time to come again that no timer can take is cut short", %{sim: sim} do
    for header <- [{"Retry-After", "999999999999999999999999999999"}, {"Retry-After", "4095902930000"}] do
      polled = start_polled!(sim, %{@runs => {429, [header], ""}}, source: :github, poll: ["V-Sekai/uro"])

      found = fn ->
        with {:ok, status} <- UroDiscord.status(), do: get_in(status, [:feeds, :polled, :polled, "V-Sekai/uro"])
      end

      assert eventually(fn -> match?(%{state: :failing}, found.()) end)
      assert DateTime.diff(found.().next_at, DateTime.utc_now()) <= 86_400
      assert length(HTTPServer.requests(polled.server)) == 1
      stop!()
    end
  end
end

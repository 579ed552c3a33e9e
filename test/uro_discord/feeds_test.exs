defmodule UroDiscord.FeedsTest do
  use UroDiscord.WebCase, async: false

  import UroDiscord.Hooks

  doctest UroDiscord.Feeds.Event
  doctest UroDiscord.Feeds.Excerpt
  doctest UroDiscord.Feeds.Generic
  doctest UroDiscord.Feeds.Listing
  doctest UroDiscord.Feeds.Payload
  doctest UroDiscord.Feeds.Quota
  doctest UroDiscord.Feeds.Rule

  setup do
    %{sim: start_sim!()}
  end

  defp start!(sim, feeds), do: start_connected!(sim, feeds: feeds)

  test "the signature that GitHub documents" do
    # https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
    mac = :crypto.mac(:hmac, :sha256, secret(), "Hello, World!")
    assert Base.encode16(mac, case: :lower) == "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
  end

  test "one run is one message, edited as it goes", %{sim: sim} do
    start!(sim, github())

    assert {202, _, _} = send_hook(run())
    DiscordSim.wait_for(sim, "message_create")
    assert titles(sim) == ["🕓 CI \\#7 · queued"]

    assert {202, _, _} = send_hook(run(%{"status" => "in_progress", "updated_at" => "2026-11-21T10:00:05Z"}))
    wait_for_title(sim, "🔄 CI \\#7 · running")

    done = run(%{"status" => "completed", "conclusion" => "success", "updated_at" => "2026-11-21T10:03:00Z"})
    assert {202, _, _} = send_hook(done)
    wait_for_title(sim, "✅ CI \\#7 · passed")

    # A step that was delayed on its way changes nothing, whoever says it.
    assert {202, _, _} = send_hook(run(%{"status" => "in_progress", "updated_at" => "2026-11-21T10:00:06Z"}))
    assert {202, _, _} = send_hook(run(%{"id" => 2, "run_number" => 8}))
    wait_for_count(sim, 2)
    assert titles(sim) == ["✅ CI \\#7 · passed", "🕓 CI \\#8 · queued"]

    [message | _] = DiscordSim.messages(sim, "builds")
    assert [%{"description" => text, "footer" => %{"text" => "V-Sekai/uro @ main · fire"}}] = message["embeds"]
    refute text =~ "](" or text =~ "@everyone"
  end

  test "a delivery that comes twice is one", %{sim: sim} do
    start!(sim, github())

    push = %{
      "ref" => "refs/heads/main",
      "before" => "1",
      "after" => "2",
      "repository" => %{"full_name" => "V-Sekai/uro"}
    }

    assert {202, _, _} = send_hook(push, event: "push", delivery: "one")
    assert {200, %{"result" => "known"}, _} = send_hook(push, event: "push", delivery: "one")
    # The same by another name, as it is when a webhook is set up twice.
    assert {202, _, _} = send_hook(push, event: "push", delivery: "two")
    assert {202, _, _} = send_hook(run())
    wait_for_count(sim, 2)
    assert ["⬆️" <> _, "🕓" <> _] = titles(sim)
  end

  test "quiet successes are left out, and what failed is told to be mended", %{sim: sim} do
    start!(sim, github(states: [:failed]))

    for {status, conclusion, at} <- [{"queued", nil, "10:00:00"}, {"completed", "success", "10:01:00"}] do
      assert {202, _, _} =
               send_hook(
                 run(%{"id" => 5, "status" => status, "conclusion" => conclusion, "updated_at" => "2026-11-21T#{at}Z"})
               )
    end

    assert {202, _, _} =
             send_hook(
               run(%{"status" => "completed", "conclusion" => "failure", "updated_at" => "2026-11-21T10:03:00Z"})
             )

    DiscordSim.wait_for(sim, "message_create")
    assert titles(sim) == ["❌ CI \\#7 · failed"]

    again = %{
      "run_attempt" => 2,
      "status" => "completed",
      "conclusion" => "success",
      "updated_at" => "2026-11-21T11:00:00Z"
    }

    assert {202, _, _} = send_hook(run(again))
    wait_for_title(sim, "✅ CI \\#7 \\(attempt 2\\) · passed")
    assert length(titles(sim)) == 1
  end

  test "an edit that Discord did not take is made when it does, also by the next life", %{sim: sim} do
    start!(sim, github())
    assert {202, _, _} = send_hook(run())
    DiscordSim.wait_for(sim, "message_create")

    DiscordSim.post(sim, "/faults", [
      %{method: "PATCH", route: "/channels/{id}/messages/{id}", status: 503, times: 100_000}
    ])

    assert {202, _, _} =
             send_hook(
               run(%{"status" => "completed", "conclusion" => "failure", "updated_at" => "2026-11-21T10:03:00Z"})
             )

    DiscordSim.wait_for(sim, "fault")

    database = stop!()
    DiscordSim.delete(sim, "/faults")
    start_connected!(sim, feeds: github(), database: database)
    wait_for_title(sim, "❌ CI \\#7 · failed")
    assert length(titles(sim)) == 1
  end

  test "who does not know the secret, and what is no webhook", %{sim: sim} do
    start!(sim, github())
    assert {401, %{"error" => "unauthorized", "message" => message}, _} = send_hook(run(), secret: "wrong")
    assert message =~ "X-Hub-Signature-256"
    assert {401, _, _} = call("POST", "/feeds/hub", json: run())
    assert {404, %{"error" => "unknown_feed"}, _} = call("POST", "/feeds/none", json: run())
    assert {422, %{"message" => "the payload has no repository, no id, no status"}, _} = send_hook(%{})
    assert {200, %{"result" => "ignored"}, _} = send_hook(%{"zen" => "Keep it logically awesome."}, event: "ping")
    assert DiscordSim.messages(sim, "builds") == []
  end

  test "what comes from a fork is left out, whatever it calls its branch, unless a rule takes forks", %{sim: sim} do
    start!(sim,
      hub: [
        source: :github,
        secret: secret(),
        rules: [[channel: :builds, branch: "main"], [channel: :general, forks: true]]
      ]
    )

    strange = %{"head_repository" => %{"id" => 66, "full_name" => "stranger/uro"}, "status" => "completed"}

    for {id, conclusion} <- [{10, "action_required"}, {11, "failure"}, {12, "success"}] do
      assert {202, _, _} = send_hook(run(Map.merge(strange, %{"id" => id, "conclusion" => conclusion})))
    end

    assert {202, _, _} = send_hook(run())
    wait_for_count(sim, 1)
    assert titles(sim) == ["🕓 CI \\#7 · queued"]

    DiscordSim.wait_for(sim, "message_create", fn _ -> length(DiscordSim.messages(sim, "general")) == 4 end)
    all = for message <- DiscordSim.messages(sim, "general"), [embed] = message["embeds"], do: embed["title"]
    assert ["⏸️ CI \\#7 · waits for somebody", "❌" <> _, "✅" <> _, "🕓" <> _] = all
  end

  test "a release that is edited, promoted or deleted with its time of publication is told", %{sim: sim} do
    start!(sim, github())

    release = fn action, change ->
      release =
        Map.merge(
          %{
            "id" => 1,
            "tag_name" => "v1",
            "name" => "One",
            "published_at" => "2026-11-21T10:00:00Z",
            "prerelease" => true
          },
          change
        )

      payload = %{"action" => action, "release" => release, "repository" => %{"full_name" => "V-Sekai/uro"}}
      assert {202, _, _} = send_hook(payload, event: "release")
    end

    release.("prereleased", %{})
    wait_for_title(sim, "📦 One · published as a pre\\-release")
    release.("edited", %{"name" => "First"})
    wait_for_title(sim, "📦 First · published as a pre\\-release")
    release.("released", %{"name" => "First", "prerelease" => false})
    wait_for_title(sim, "📦 First · published")
    release.("deleted", %{"name" => "First", "prerelease" => false})
    wait_for_title(sim, "🗑️ First · deleted")
    # What comes late does not undo it; and what was never told is not told by an edit.
    release.("edited", %{})
    release.("edited", %{"id" => 2, "name" => "Old"})
    release.("published", %{"id" => 3, "name" => "Last"})
    wait_for_title(sim, "📦 Last · published as a pre\\-release")
    assert ["🗑️ First · deleted", "📦 Last" <> _] = titles(sim)
  end

  test "a feed has so many messages in an hour; what is over it is refused, and nothing of it is kept", %{sim: sim} do
    log =
      ExUnit.CaptureLog.capture_log(fn ->
        start!(sim, github([], per_hour: 2))
        assert {202, _, _} = send_hook(run(%{"id" => 1}))
        assert {202, _, _} = send_hook(run(%{"id" => 2}))
        third = run(%{"id" => 3})
        assert {429, %{"error" => "too_many", "message" => message}, headers} = send_hook(third, delivery: "third")
        assert message =~ "the feed hub has had its 2 new messages in an hour (`per_hour:` of the feed)"
        assert String.to_integer(headers["retry-after"]) in 1..1_800
        # What is there is edited all the same.
        assert {202, _, _} =
                 send_hook(run(%{"id" => 2, "status" => "in_progress", "updated_at" => "2026-11-21T10:01:00Z"}))

        wait_for_title(sim, "🔄 CI \\#7 · running")

        assert {:ok, %{feeds: %{hub: %{per_hour: 2, left: 0, refused: 1, refused_at: %DateTime{}}}}} =
                 UroDiscord.status()

        # It was not dealt with: sent again, it is not a known one.
        assert {429, _, _} = send_hook(third, delivery: "third")
        assert {:ok, %{feeds: %{hub: %{refused: 2}}}} = UroDiscord.status()
      end)

    assert length(String.split(log, "has had its 2 new messages")) == 2
    assert length(titles(sim)) == 2

    # It is accepted when there is room again.
    database = stop!()
    start_connected!(sim, feeds: github([], per_hour: 2), database: database)
    assert {202, _, _} = send_hook(run(%{"id" => 3}), delivery: "third")
    wait_for_count(sim, 3)
  end

  test "GitLab says its secret, and a generic feed too", %{sim: sim} do
    start!(sim,
      lab: [source: :gitlab, secret: "a secret of GitLab's", rules: [[channel: :builds]]],
      monitor: [
        source: :generic,
        secret: "a secret of a monitor",
        template: "{monitor.name} is {status}",
        key: "{monitor.id}",
        rules: [[channel: :builds]]
      ]
    )

    {:ok, pipeline} = UroDiscord.JSON.decode(File.read!("test/fixtures/gitlab/pipeline.json"))
    assert {401, _, _} = call("POST", "/feeds/lab", json: pipeline, headers: [{"x-gitlab-token", "wrong"}])

    assert {202, _, _} =
             call("POST", "/feeds/lab", json: pipeline, headers: [{"x-gitlab-token", "a secret of GitLab's"}])

    DiscordSim.wait_for(sim, "message_create")
    assert titles(sim) == ["✅ Pipeline for branch\\: master \\#31 · passed"]

    down = %{"monitor" => %{"id" => 3, "name" => "uro"}, "status" => "down"}
    assert {401, _, _} = call("POST", "/feeds/monitor", json: down, key: "wrong")
    assert {202, _, _} = call("POST", "/feeds/monitor", json: down, key: "a secret of a monitor")
    wait_for_count(sim, 2)
    assert {202, _, _} = call("POST", "/feeds/monitor", json: %{down | "status" => "up"}, key: "a secret of a monitor")
    wait_for_title(sim, "🔔 uro is up")

    # With the mark that programs on Windows begin JSON with; and as a clock of ours has been set back since by three hours.
    position = System.os_time(:microsecond) + 3 * 3_600_000_000
    {:ok, %{store: store}} = UroDiscord.Runtime.fetch()
    sql = "UPDATE uro_discord_cards SET position = $1 WHERE feed = 'monitor'"
    {:ok, [%{num_rows: 1}]} = UroDiscord.Store.run(store, [{sql, [position]}], :write)
    body = "\uFEFF" <> json!(%{down | "status" => "down again"})
    headers = [{"content-type", "application/json"}]
    assert {202, _, _} = call("POST", "/feeds/monitor", body: body, headers: headers, key: "a secret of a monitor")
    wait_for_title(sim, "🔔 uro is down again")
    assert length(titles(sim)) == 2
    assert {422, _, _} = call("POST", "/feeds/monitor", json: [1], key: "a secret of a monitor")
  end

  test "a channel that is not configured stops the boot" do
    options = [token: "MTMwMDAwMDAwMDAwMDAwMDAwMQ.a.b", feeds: github(channel: :nowhere)]
    assert {:error, error} = UroDiscord.Config.new(options)
    assert Exception.message(error) =~ "feeds.hub: a rule names :nowhere, which is not in `channels:`"
  end

  test "what is wrong with a feed is said, without its secret" do
    for {feed, says} <- [
          {[source: :gitea, secret: "a secret of mine ...", rules: [[channel: :builds]]],
           "hub: source is :gitea; it may be one of :github"},
          {[source: :github, secret: "short", rules: [[channel: :builds]]],
           "secret is not a string of at least 16 bytes (not shown)"},
          {[source: :github, rules: [[channel: :builds]]], "has neither a secret (for webhooks) nor poll"},
          {[source: :github, secret: "a secret of mine ..."], "has no rules"},
          {[source: :github, secret: "a secret of mine ...", rules: [[channel: :builds, states: [:broken]]]],
           ":broken is none of the states"},
          {[source: :generic, secret: "a secret of mine ...", rules: [[channel: :builds]]], "has no template"},
          {[source: :itch, poll: ["a/b"], rules: [[channel: :builds]]], "itch.io's API wants an API key"},
          {[source: :github, secret: "a secret of mine ...\n", rules: [[channel: :builds]]],
           "secret begins or ends with white space"},
          {[source: :github, poll: ["a/b"], token: "ghp_of mine\n", rules: [[channel: :builds]]],
           "token begins or ends with white space"},
          {[source: :github, poll: ["../etc"], rules: [[channel: :builds]]], "poll is"},
          {[source: :github, poll: ["a/b"], interval: 9_999_999_999, rules: [[channel: :builds]]],
           "interval is 9999999999; it may be a number of ms from 1000 to 86400000"},
          {[source: :github, secret: "a secret of mine ...", rules: [[channel: :builds, forks: "yes"]]],
           ~s(forks is "yes"; it may be true or false)},
          {[source: :github, secret: "a secret of mine ...", per_hour: 0, rules: [[channel: :builds]]],
           "per_hour is 0; it may be a number of messages from 1 to 10000"},
          {[
             source: :github,
             secret: "a secret of mine ...",
             per_hour: 1,
             rules: [[channel: :builds], [channel: 1_100_000_000_000_000_002]]
           ], "per_hour is 1, which is fewer than its 2 channels"}
        ] do
      assert {:error, error} =
               UroDiscord.Config.new(
                 token: "MTMwMDAwMDAwMDAwMDAwMDAwMQ.a.b",
                 channels: [builds: "1100000000000000001"],
                 feeds: [hub: feed]
               )

      assert Exception.message(error) =~ says
      refute Exception.message(error) =~ "of mine"
    end
  end
end

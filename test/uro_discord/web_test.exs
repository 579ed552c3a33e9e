defmodule UroDiscord.WebTest do
  use UroDiscord.WebCase
  import ExUnit.CaptureLog
  alias UroDiscord.{Keys, Web.RateLimit}

  doctest UroDiscord.Web.Request

  describe "without a server and without Discord" do
    test "there is nothing to be had while UroDiscord does not run, or is disabled" do
      assert {503, %{"error" => "unavailable"}, %{"retry-after" => _}} = call("POST", "/notify/builds", body: "hi")
      start_supervised!({UroDiscord, enabled: false})
      assert {503, %{"message" => message}, _} = call("POST", "/notify/builds", body: "hi")
      assert message =~ "disabled"
    end

    test "a path that is not there, and a method that is not taken" do
      assert {404, %{"error" => "not_found", "message" => message}, _} = call("GET", "/nowhere")
      assert message =~ "/notify/:channel"
      for path <- ["/", "/notify", "/notify/a/b"], do: assert({404, _, _} = call("POST", path))

      assert {405, %{"error" => "method_not_allowed"}, %{"allow" => "POST"}} = call("GET", "/notify/builds")
      assert {405, _, %{"allow" => "GET, HEAD"}} = call("DELETE", "/deliveries/1")
    end

    test "a body that is too large or of another type is refused by its head" do
      large = [headers: [{"content-length", "524289"}, {"content-type", "text/plain"}]]
      assert {413, %{"error" => "too_large"}, _} = call("POST", "/notify/builds", large)
      assert %Response{status: 413} = "POST" |> request("/notify/builds", large) |> Web.begin()

      for type <- ["multipart/form-data; boundary=x", "application/xml", "text/html"],
          do: assert({415, _, _} = call("POST", "/notify/builds", headers: [{"content-type", type}]))

      gzip = [body: :zlib.gzip("Build 7"), headers: [{"content-encoding", "gzip"}, {"content-type", "text/plain"}]]
      assert {415, %{"message" => message}, %{"accept-encoding" => "identity"}} = call("POST", "/notify/builds", gzip)
      assert message =~ "Content-Encoding"

      # Twice is as good as not at all, and what is meant by it is anybody's guess.
      twice = [{"authorization", "Bearer a"}, {"authorization", "Bearer b"}]
      assert Request.header(request("GET", "/", headers: twice), "authorization") == nil
    end

    test "a request does not show its headers or its body" do
      shown = inspect(request("POST", "/notify/builds", key: "hunter2", body: "hunter3"))
      assert shown =~ "builds"
      refute shown =~ "hunter"
    end
  end

  describe "a route that goes wrong" do
    setup do
      sim = start_sim!()
      start_uro_discord!(sim)
      :ok
    end

    test "tells the log where, and the client nothing" do
      {:ok, key} = Keys.new("ci", channels: ["*"])
      # What has no business to be in the store is.
      {:ok, %{store: store}} = UroDiscord.Runtime.fetch()
      sql = "UPDATE uro_discord_keys SET channels = 's3cret'"
      {:ok, [%{num_rows: 1}]} = UroDiscord.Store.run(store, [{sql, []}], :write)

      log =
        capture_log(fn ->
          assert {500, body, _} = call("POST", "/notify/builds", key: key, body: "s3cret")

          assert body == %{
                   "error" => "internal",
                   "message" => "something went wrong here; it is in the log of uro_discord"
                 }
        end)

      assert log =~ "MatchError in UroDiscord.Web.Notify"
      assert log =~ "lib/uro_discord/keys.ex:"
      refute log =~ "s3cret"
      refute log =~ key
    end
  end

  describe "POST /notify/:channel" do
    setup do
      sim = start_sim!()
      start_uro_discord!(sim)
      {:ok, key} = Keys.new("ci", channels: ["builds"])
      %{sim: sim, key: key}
    end

    test "posts a text, and tells what became of it", %{sim: sim, key: key} do
      assert {202, %{"id" => id, "status" => "queued"}, _} =
               call("POST", "/notify/builds", key: key, body: "Build 7 passed")

      wait_for_message(sim, "Build 7 passed")
      assert {200, %{"status" => "delivered", "message_id" => message_id}, _} = delivered(key, id)
      assert [%{"id" => ^message_id}] = DiscordSim.messages(sim, "builds")
    end

    test "takes what curl -d says is a form as the text that it is", %{sim: sim, key: key} do
      type = [{"content-type", "application/x-www-form-urlencoded"}]
      text = "100% passed & shipped=yes"

      assert {200, %{"status" => "delivered"}, _} =
               call("POST", "/notify/builds?wait=10", key: key, body: text, headers: type)

      assert [%{"content" => ^text}] = DiscordSim.messages(sim, "builds")
    end

    test "takes JSON as notify/2 takes a map, and nobody is pinged", %{sim: sim, key: key} do
      body = %{content: "@everyone look", embeds: [%{title: "Build 7", color: 0x00FF00}]}
      assert {200, _, _} = call("POST", "/notify/builds?wait=10", key: key, json: body)

      assert [%{"embeds" => [%{"title" => "Build 7"}], "mention_everyone" => false}] =
               DiscordSim.messages(sim, "builds")
    end

    test "reads no file of the server's", %{key: key} do
      for files <- [["/etc/passwd"], [%{path: "/etc/passwd"}], nil] do
        assert {422, %{"error" => "invalid", "field" => "files"}, _} =
                 call("POST", "/notify/builds", key: key, json: %{content: "x", files: files})
      end
    end

    test "refuses what is no message, with the field", %{key: key} do
      for {json, field} <- [
            {%{content: ""}, "content"},
            {%{content: String.duplicate("a", 2_001)}, "content"},
            {%{content: 5}, "content"},
            {%{contents: "x"}, "contents"},
            {%{embeds: [%{title: %{}}]}, "embeds.0.title"},
            {[1, 2], nil},
            {5, nil}
          ] do
        assert {422, %{"error" => "invalid", "field" => ^field}, _} =
                 call("POST", "/notify/builds", key: key, json: json)
      end

      assert {422, _, _} = call("POST", "/notify/builds", key: key, body: "")
      assert {422, _, _} = call("POST", "/notify/builds", key: key, body: <<0xFF, 0xFE>>)

      for body <- ["{", "", "nul", <<?", 0xFF, ?">>, String.duplicate("[", 10_000) <> String.duplicate("]", 10_000)] do
        assert {400, %{"error" => "invalid_json"}, _} =
                 call("POST", "/notify/builds", key: key, body: body, headers: [{"content-type", "application/json"}])
      end
    end

    test "each thing that can be wrong with a key is told apart, and what to do", %{key: key} do
      assert {401, %{"error" => "missing_key"}, %{"www-authenticate" => "Bearer" <> _}} =
               call("POST", "/notify/builds", body: "x")

      for scheme <- ["Basic #{key}", key, "Bearer", ""],
          do:
            assert(
              {401, %{"error" => "missing_key"}, _} =
                call("POST", "/notify/builds", headers: [{"authorization", scheme}])
            )

      for wrong <- ["x", String.replace(key, "_", "-"), String.slice(key, 0..-2//1) <> "!", key <> key],
          do: assert({401, %{"error" => "unknown_key"}, _} = call("POST", "/notify/builds", key: wrong, body: "x"))

      assert {202, _, _} = call("POST", "/notify/builds", headers: [{"authorization", "bearer  #{key}"}], body: "x")

      {:ok, new} = Keys.rotate("ci", overlap_ms: 0)
      assert {403, %{"error" => "expired_key"}, _} = call("POST", "/notify/builds", key: key, body: "x")
      assert {202, _, _} = call("POST", "/notify/builds", key: new, body: "x")
      :ok = Keys.revoke("ci")
      assert {403, %{"error" => "revoked_key"}, _} = call("POST", "/notify/builds", key: new, body: "x")
    end

    test "a channel out of scope and one that is not there are the same to a key", %{sim: sim, key: key} do
      answers =
        for channel <- ["announcements", sim.info["channels"]["announcements"], "nowhere", "1100000000000000009", "%00"],
            do: call("POST", "/notify/#{channel}", key: key, body: "x")

      assert [{404, %{"error" => "unknown_channel", "message" => "this key may post to: builds"}, _}] =
               Enum.uniq(answers)

      assert {202, _, _} = call("POST", "/notify/#{sim.info["channels"]["builds"]}", key: key, body: "by id")

      {:ok, every} = Keys.new("admin", channels: ["*"])
      assert {202, _, _} = call("POST", "/notify/announcements", key: every, body: "x")
      assert {404, %{"message" => message}, _} = call("POST", "/notify/nowhere", key: every, body: "x")
      assert message =~ "announcements"
    end

    test "a key that is too fast is told when to come back, and others are not held up", %{key: key} do
      {:ok, slow} = Keys.new("slow", channels: ["builds"], per_minute: 2)
      answers = for _ <- 1..6, do: call("POST", "/notify/builds", key: slow, body: "x")
      # The minute may end in between, once.
      assert {429, %{"error" => "too_fast", "retry_after" => seconds}, %{"retry-after" => header}} = List.last(answers)
      assert header == "#{seconds}" and seconds in 1..60
      assert {202, _, _} = call("POST", "/notify/builds", key: key, body: "x")
    end

    test "a text that is many messages counts as many, and one that is more than a minute's is refused" do
      {:ok, slow} = Keys.new("few", channels: ["builds"], per_minute: 5)
      text = fn count -> %{content: String.duplicate("a", 2_000 * count), overflow: "split"} end

      assert {422, %{"field" => "overflow", "message" => message}, _} =
               call("POST", "/notify/builds", key: slow, json: text.(6))

      assert message =~ "5 a minute"
      # The minute may end in between, once.
      answers = for _ <- 1..4, do: call("POST", "/notify/builds", key: slow, json: text.(3))
      assert Enum.any?(answers, &match?({202, _, _}, &1))
      assert {429, %{"error" => "too_fast", "retry_after" => _}, %{"retry-after" => _}} = List.last(answers)
    end

    test "a key whose messages wait for Discord is told to come later", %{sim: sim} do
      DiscordSim.post(sim, "/faults", [%{route: "/channels/*/messages", method: "POST", delay_ms: 30_000}])
      {:ok, busy} = Keys.new("busy", channels: ["builds"], per_minute: 10_000)
      text = %{content: String.duplicate("a", 2_000 * 45), overflow: "split"}
      answers = for _ <- 1..12, do: call("POST", "/notify/builds", key: busy, json: text)
      assert {202, _, _} = hd(answers)
      assert {429, %{"error" => "backlog_full", "message" => message}, %{"retry-after" => "60"}} = List.last(answers)
      assert message =~ "the key busy has 500 messages waiting"
    end

    test "an Idempotency-Key posts once, and belongs to its request and to its key", %{sim: sim, key: key} do
      again = [{"idempotency-key", "run 7"}]
      post = fn key, body -> call("POST", "/notify/builds?wait=10", key: key, body: body, headers: again) end
      assert {200, %{"id" => id} = first, _} = post.(key, "once")
      assert {200, ^first, _} = post.(key, "once")
      assert {422, %{"error" => "idempotency_key_reused"}, _} = post.(key, "twice")

      # A rotated key goes on where the old one was.
      {:ok, rotated} = Keys.rotate("ci")
      assert {200, ^first, _} = post.(rotated, "once")
      assert {200, %{"id" => ^id}, _} = call("GET", "/deliveries/#{id}", key: rotated)

      {:ok, other} = Keys.new("other", channels: ["builds"])
      assert {200, %{"id" => second}, _} = post.(other, "once")
      assert second != id
      assert [%{"content" => "once"}, %{"content" => "once"}] = DiscordSim.messages(sim, "builds")

      for wrong <- ["", String.duplicate("a", 256), "ü"],
          do:
            assert(
              {400, _, _} = call("POST", "/notify/builds", key: key, body: "x", headers: [{"idempotency-key", wrong}])
            )
    end

    test "sixteen at once with one Idempotency-Key post once", %{sim: sim, key: key} do
      post = fn ->
        call("POST", "/notify/builds?wait=20", key: key, body: "one", headers: [{"idempotency-key", "1"}])
      end

      answers = 1..16 |> Enum.map(fn _ -> Task.async(post) end) |> Task.await_many(30_000)

      assert [{200, %{"status" => "delivered"}}] =
               answers |> Enum.map(fn {status, body, _} -> {status, body} end) |> Enum.uniq()

      assert [%{"content" => "one"}] = DiscordSim.messages(sim, "builds")
    end

    test "?wait tells of a failure, with Discord's reason" do
      {:ok, key} = Keys.new("rules", channels: ["rules"])

      assert {502, %{"status" => "failed", "message" => message}, _} =
               call("POST", "/notify/rules?wait=10", key: key, body: "x")

      assert message =~ "Missing Permissions"
    end

    test "?wait ends when its time is over, and the message still comes", %{sim: sim, key: key} do
      DiscordSim.post(sim, "/faults", [%{route: "/channels/*/messages", method: "POST", delay_ms: 2_500}])

      assert {202, %{"id" => id, "status" => "queued"}, _} =
               call("POST", "/notify/builds?wait=1", key: key, body: "late")

      wait_for_message(sim, "late")
      assert {200, _, _} = delivered(key, id)

      for wait <- ["-1", "31", "soon", "1.5", ""],
          do: assert({400, _, _} = call("POST", "/notify/builds?wait=#{wait}", key: key))
    end

    # Each that waits takes a place in the listener.
    test "?wait is for so many requests of a key at once; others are told at once that it is queued", %{
      sim: sim,
      key: key
    } do
      DiscordSim.post(sim, "/faults", [%{route: "/channels/*/messages", method: "POST", delay_ms: 20_000}])
      post = fn key -> call("POST", "/notify/builds?wait=30", key: key, body: "slow") end
      waiting = for _ <- 1..32, do: Task.async(fn -> post.(key) end)
      assert eventually(fn -> Registry.count(Web.Waits) == 32 end)
      assert {microseconds, {202, %{"status" => "queued"}, _}} = :timer.tc(fn -> post.(key) end)
      assert microseconds < 10_000_000

      {:ok, other} = Keys.new("another", channels: ["*"])
      waits = Task.async(fn -> post.(other) end)
      assert eventually(fn -> Registry.count(Web.Waits) == 33 end)
      # Whose client goes waits no longer.
      for task <- [waits | waiting], do: Task.shutdown(task, :brutal_kill)
      assert eventually(fn -> Registry.count(Web.Waits) == 0 end)
    end

    test "a key sees what it posted, and nothing else", %{key: key} do
      {:ok, other} = Keys.new("other", channels: ["*"])
      assert {202, %{"id" => id}, _} = call("POST", "/notify/builds", key: key, body: "x")
      {:ok, %{id: unposted}} = UroDiscord.notify(:builds, "not by HTTP")
      assert {404, answer, _} = call("GET", "/deliveries/#{id}", key: other)
      assert {404, ^answer, _} = call("GET", "/deliveries/#{unposted}", key: key)

      for id <- ["x", "%00", String.duplicate("a", 22)],
          do: assert({404, ^answer, _} = call("GET", "/deliveries/#{id}", key: key))

      assert {401, _, _} = call("GET", "/deliveries/#{id}")
    end

    defp wait_for_message(sim, content) do
      unless eventually(fn -> Enum.any?(DiscordSim.messages(sim, "builds"), &(&1["content"] == content)) end, 200),
        do: flunk("#{content} was not posted")
    end

    # What Discord shows is there before the store says so.
    defp delivered(key, id) do
      eventually(fn -> match?({200, %{"status" => "delivered"}, _}, call("GET", "/deliveries/#{id}", key: key)) end)
      call("GET", "/deliveries/#{id}", key: key)
    end
  end

  describe "RateLimit" do
    setup do
      start_supervised!(RateLimit)
      :ok
    end

    test "counts by the minute of the clock, and forgets" do
      assert for(_ <- 1..3, do: RateLimit.take("a", 2, 1, 119)) == [:ok, :ok, {:error, 1}]
      assert RateLimit.take("b", 2, 1, 119) == :ok
      # What is refused is not counted.
      assert RateLimit.take("b", 2, 2, 119) == {:error, 1}
      assert RateLimit.take("b", 2, 1, 119) == :ok
      assert RateLimit.take("a", 2, 1, 120) == :ok
      # Of those who do not come again nothing stays; of the minute that runs everything.
      assert RateLimit.sweep(120) == 1
      assert RateLimit.sweep(120) == 0
      assert RateLimit.take("a", 1, 1, 120) == {:error, 60}
      assert RateLimit.take("a", 0, 1, 125) == {:error, 55}
      assert :ets.lookup(RateLimit, {"a", 1}) == []
    end
  end
end

defmodule UroDiscord.Portal.TvTest do
  # World TV: /watch, who may, and the page as people see it.
  use UroDiscord.Case, async: false

  alias UroDiscord.{Clients, HttpClient, JSON, Portal}

  setup context do
    sim = start_sim!()

    start_connected!(sim,
      intents: [:guilds, :guild_voice_states],
      web: [port: 0],
      portal: [
        key: String.duplicate("key", 11),
        udp: [ip: "127.0.0.1", port: 0],
        activity: Map.get(context, :activity, true),
        # Where tv.mjs has the simulator's page, which is where Discord's client would be.
        origins: ["http://localhost:3333"]
      ],
      accounts: [client_secret: Map.get(context, :client_secret, sim.info["client_secret"])]
    )

    {:ok, "world"} = Portal.open(:world)
    assert eventually(fn -> match?({:ok, %{state: :open}}, Portal.status("world")) end)
    {:ok, url} = eventually(fn -> with {:error, _} <- Portal.url("world", :whep), do: false end)
    %{sim: sim, base: String.replace_suffix(url, "/portal/world/whep", "")}
  end

  defp watch(sim, options \\ %{}) do
    %{"id" => id} = DiscordSim.post(sim, "/interactions", %{user: "alice", command: ["watch"], options: options})
    seen = fn -> sim |> DiscordSim.get("/interactions") |> Enum.find(&(&1["id"] == id)) end
    assert eventually(fn -> seen.()["response"] != nil end)
    seen.()["response"]
  end

  defp pass(sim, base, person, address \\ "198.51.100.7") do
    %{"code" => code} = DiscordSim.post(sim, "/oauth", %{user: person, action: "activity"})
    post(base, %{code: code}, address)
  end

  defp post(base, body, address \\ "198.51.100.7") do
    {:ok, json} = JSON.encode(body)
    headers = [{"content-type", "application/json"}, {"x-forwarded-for", address}]
    {status, _headers, body} = HttpClient.call(base, "POST", "/discord/activity", headers, json)
    {:ok, answer} = JSON.decode(body)
    {status, answer}
  end

  test "/watch opens the Activity for those in the call, or gives a link", %{sim: sim} do
    assert %{"type" => 4, "private" => true, "message" => %{"content" => content}} = watch(sim)
    assert content =~ "Join <##{sim.info["channels"]["world"]}> first"
    enters(sim, "alice")
    assert %{"type" => 12} = watch(sim)
    assert %{"type" => 4, "private" => true, "message" => %{"content" => content}} = watch(sim, %{link: true})
    assert content =~ "/portal/world/tv/#"
    :ok = Portal.close("world")
    assert eventually(fn -> watch(sim)["message"]["content"] =~ "No portal" end)
  end

  @tag activity: false
  test "without an Activity it is a link, and nobody gets a token by a code", %{sim: sim, base: base} do
    enters(sim, "alice")
    assert %{"type" => 4, "message" => %{"content" => content}} = watch(sim)
    assert content =~ "/portal/world/tv/#"
    assert {404, %{"error" => "not_configured"}} = pass(sim, base, "alice")
  end

  test "an Activity gets a token for who is in the call, and for nobody else", %{sim: sim, base: base} do
    assert {200, _, json} = HttpClient.call(base, "GET", "/discord/activity")
    {:ok, %{"client_id" => client_id}} = JSON.decode(json)
    assert client_id == sim.info["users"]["uro"]["id"]
    assert {403, %{"error" => "not_in_call"}} = pass(sim, base, "alice")
    enters(sim, "alice")
    assert {200, %{"portal" => "world", "token" => token, "expires_in" => 3600}} = pass(sim, base, "alice")
    [_header, claims, _signature] = String.split(token, ".")
    {:ok, claims} = claims |> Base.url_decode64!(padding: false) |> JSON.decode()
    who = "discord:" <> sim.info["users"]["alice"]["id"]
    assert %{"portal" => "world", "role" => "watch", "sub" => ^who, "name" => "alice"} = claims
    # A code is good once, and what is none is told so.
    %{"code" => code} = DiscordSim.post(sim, "/oauth", %{user: "alice", action: "activity"})
    assert {200, _} = post(base, %{code: code})
    assert {400, %{"error" => "bad_code"}} = post(base, %{code: code})
    assert {400, %{"error" => "bad_request"}} = post(base, %{code: String.duplicate("x", 600)})
    assert {400, %{"error" => "bad_request"}} = post(base, [])
    enters(sim, "alice", nil)
    assert {403, %{"error" => "not_in_call"}} = pass(sim, base, "alice")
  end

  @tag client_secret: "not-the-secret-of-this-application"
  test "a wrong secret is told as what it is, and is in no log", %{sim: sim, base: base} do
    enters(sim, "alice")

    log =
      ExUnit.CaptureLog.capture_log(fn ->
        for _twice <- 1..2,
            do:
              assert({500, %{"error" => "not_set_up", "message" => said}} = pass(sim, base, "alice")) &&
                assert(said =~ "Tell whoever runs the bot")
      end)

    assert log =~ "compare client_id and client_secret"
    refute log =~ "not-the-secret"
  end

  test "who brings no code locks out nobody else, and those who bring one are not counted", %{sim: sim, base: base} do
    enters(sim, "alice")
    for _ <- 1..70, do: assert({200, _} = pass(sim, base, "alice", "198.51.100.1"))

    # On the border of two minutes it takes twice as many.
    for {address, body} <- [{"198.51.100.2", []}, {"198.51.100.3", %{code: "of-nobody"}}] do
      statuses = for _ <- 1..130, do: elem(post(base, body, address), 0)
      assert statuses |> Enum.uniq() |> Enum.sort() == [400, 429]
      assert Enum.count(statuses, &(&1 == 400)) <= 120
    end

    assert {200, _} = pass(sim, base, "alice", "198.51.100.1")
  end

  test "heads whose bodies never come lock out nobody", %{sim: sim, base: base} do
    enters(sim, "alice")

    for n <- 1..640 do
      socket = HttpClient.connect!(base)
      headers = [{"content-type", "application/json"}, {"x-forwarded-for", "203.0.113.#{rem(n, 11)}"}]
      HttpClient.send!(socket, HttpClient.request("POST", "/discord/activity", [{"content-length", "20"} | headers]))
      :gen_tcp.close(socket)
    end

    assert {200, _} = pass(sim, base, "alice", "203.0.113.1")
  end

  test "codes at once, which Discord is slow to judge, hold up no other request", %{sim: sim, base: base} do
    enters(sim, "alice")
    # Longer than anybody waits for Discord.
    DiscordSim.post(sim, "/faults", [%{route: "/oauth2/token", method: "POST", delay_ms: 20_000, times: 1_000}])
    judged = codes(base, for(n <- 1..300, do: "203.0.113.#{rem(n, 60)}"))
    {time, {200, _, _}} = :timer.tc(fn -> HttpClient.call(base, "GET", "/discord/activity") end)
    # As long as Discord waits for an answer to an interaction.
    assert time < 3_000_000
    for _ <- 1..(300 - 32), do: assert_receive({:answered, 503, %{"retry-after" => "5"}}, 5_000)
    refute_received {:answered, _, _}
    # Whoever goes leaves his place to others.
    for pid <- judged, do: Process.exit(pid, :kill)
    DiscordSim.delete(sim, "/faults")
    assert eventually(fn -> match?({200, _}, pass(sim, base, "alice", "203.0.113.1")) end)
  end

  test "one address has half of the places, and who goes before Discord has answered is counted", %{
    sim: sim,
    base: base
  } do
    enters(sim, "alice")
    fault = %{route: "/oauth2/token", method: "POST", delay_ms: 20_000, times: 1_000}
    DiscordSim.post(sim, "/faults", [fault])
    judged = codes(base, List.duplicate("203.0.113.1", 40))
    # Of some that come in the same moment none may wait, as each counts the others.
    for _ <- 1..(40 - 16), do: assert_receive({:answered, 503, _}, 5_000)
    assert Registry.count(UroDiscord.Web.Waits) in 1..16
    for pid <- judged, do: Process.exit(pid, :kill)
    assert eventually(fn -> Registry.count(UroDiscord.Web.Waits) == 0 end)

    # Each time two are counted, so that a minute, and a second one at the border of two, has room for fewer than 60 times.
    assert Enum.any?(1..60, fn _ ->
             [one] = codes(base, ["203.0.113.2"])
             judged? = fn -> Registry.count(UroDiscord.Web.Waits) == 1 end
             # Who is answered ends.
             assert eventually(fn -> judged?.() or not Process.alive?(one) end)
             Process.exit(one, :kill)
             assert eventually(fn -> not judged?.() end)
             elem(post(base, [], "203.0.113.2"), 0) == 429
           end)

    DiscordSim.delete(sim, "/faults")
    assert {200, _} = pass(sim, base, "alice", "203.0.113.3")
  end

  # A code from each of these addresses, at once: who sends it tells of the answer. All are on their way when this returns.
  defp codes(base, addresses) do
    test = self()
    {:ok, json} = JSON.encode(%{code: "of-nobody"})

    pids =
      for address <- addresses do
        headers = [{"content-type", "application/json"}, {"x-forwarded-for", address}]

        spawn(fn ->
          socket = HttpClient.connect!(base)
          HttpClient.send!(socket, HttpClient.request("POST", "/discord/activity", headers, json))
          send(test, :sent)
          {status, headers, _body} = HttpClient.receive_response(socket)
          send(test, {:answered, status, headers})
        end)
      end

    for _ <- pids, do: assert_receive(:sent, 10_000)
    pids
  end

  @tag needs: :clients
  test "Chromium shows the world's picture, in Discord and elsewhere", %{sim: sim, base: base} do
    alias UroDiscord.PortalClient
    enters(sim, "alice")
    DiscordSim.post(sim, "/settings", %{activity_url: base <> "/portal/"})
    activity = sim.info["page"] <> "activity?user=alice"
    {:ok, peer} = Portal.url("world", :peer)
    {:ok, speak} = Portal.token("world", role: :peer, who: "lin", name: "Lin")
    speaker = PortalClient.start!(speak)
    :ok = PortalClient.join(speaker, peer, 440)
    {:ok, whip} = Portal.url("world", :whip)
    {:ok, publish} = Portal.token("world", role: :publish, who: "ada", name: "Ada")
    client = PortalClient.pictures!()
    :ok = PortalClient.show(client, whip, publish, "H264", [255, 0, 0])
    {:ok, token} = Portal.token("world", role: :watch, who: "eve")
    {:ok, page} = Portal.url("world", {:tv, token})
    socket = String.replace(page, "/#", "/?by=websocket#")

    {:ok, other} = Portal.token("kitchen", role: :watch, who: "eve")
    {:ok, refused} = Portal.url("world", {:tv, other})
    pages = [activity: activity, socket: socket, webrtc: page, refused: refused]
    seen = chromium(["255,0,0" | for({name, url} <- pages, do: "#{name}=#{url}")])
    for port <- [client, speaker], do: Port.close(port)

    assert [
             %{"name" => "activity"} = inside,
             %{"name" => "socket"} = socket,
             %{"name" => "webrtc"} = webrtc,
             refused
           ] = seen

    assert %{"good" => true, "error" => "This link is for another portal." <> _} = refused
    assert %{"good" => true, "pressed" => "true"} = socket["again"]

    for one <- [inside, socket, webrtc] do
      assert %{"good" => true, "wrong" => []} = one
      assert "Lin" in one["world"]
    end

    assert %{"way" => "canvas", "sound" => false} = inside
    assert %{"way" => "canvas", "sound" => true} = socket
    assert %{"way" => "video"} = webrtc
  end

  # What the browser says, line by line.
  defp chromium(arguments) do
    for line <- "tv.mjs" |> Clients.node!(arguments) |> String.split("\n", trim: true) do
      {:ok, term} = JSON.decode(line)
      term
    end
  end
end

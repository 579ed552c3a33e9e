defmodule UroDiscord.Web.ServerTest do
  use UroDiscord.WebCase
  import ExUnit.CaptureLog
  alias UroDiscord.{Config, ConfigError, HttpClient, Keys}

  setup do
    sim = start_sim!()
    start_uro_discord!(sim, web: [port: 0])
    {:ok, %{web: url}} = UroDiscord.status()
    {:ok, key} = Keys.new("ci", channels: ["builds"], per_minute: 1_000)
    %{sim: sim, url: url, key: key, auth: {"authorization", "Bearer #{key}"}}
  end

  defp get, do: HttpClient.request("GET", "/discord/deliveries/1")

  test "answers as the routes do", %{url: url, auth: auth} do
    for {method, path, headers, body} <- [
          {"POST", "/notify/builds", [], "x"},
          {"POST", "/notify/nowhere", [auth], "x"},
          {"POST", "/notify/builds", [auth, {"content-type", "application/json"}], "{"},
          {"PUT", "/notify/builds", [], ""},
          {"GET", "/deliveries/1", [auth], ""},
          {"GET", "/nowhere", [], ""}
        ] do
      {status, expected, expected_headers} = call(method, path, body: body, headers: headers)
      {seen_status, seen_headers, seen} = HttpClient.call(url, method, "/discord" <> path, headers, body)
      assert {seen_status, decoded(seen)} == {status, expected}
      assert Map.take(seen_headers, Map.keys(expected_headers)) == expected_headers
      assert seen_headers["date"] =~ ~r/^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/
    end
  end

  @tag skip: System.find_executable("curl") == nil and "curl is not installed"
  test "curl posts with one line, and sees what became of it", %{sim: sim, url: url, key: key} do
    arguments = [
      "-sS",
      "--fail-with-body",
      "-H",
      "Authorization: Bearer #{key}",
      "-d",
      "Build 7 passed",
      "#{url}/notify/builds?wait=10"
    ]

    assert {output, 0} = System.cmd("curl", arguments, stderr_to_stdout: true)
    assert %{"status" => "delivered", "message_id" => id} = decoded(output)
    assert [%{"id" => ^id, "content" => "Build 7 passed"}] = DiscordSim.messages(sim, "builds")
  end

  test "what is not under /discord is not there", %{url: url} do
    for path <- [
          "/",
          "/discord",
          "/discords/notify/builds",
          "//discord/notify/builds",
          "/discord//notify/builds",
          "/discord/%2e%2e"
        ],
        do: assert({404, _, _} = HttpClient.call(url, "POST", path))

    assert {400, _, _} = HttpClient.call(url, "POST", "/discord/notify/%FF")
    assert {400, _, _} = HttpClient.call(url, "POST", "/discord/notify/a?%zz")
  end

  test "a connection is for many requests, one after another or all at once", %{url: url, auth: auth} do
    socket = HttpClient.connect!(url)

    for _ <- 1..3 do
      HttpClient.send!(socket, HttpClient.request("POST", "/discord/notify/builds", [auth], "one by one"))
      assert {202, headers, _} = HttpClient.receive_response(socket)
      refute headers["connection"]
    end

    post = HttpClient.request("POST", "/discord/notify/builds", [auth], "all at once")
    HttpClient.send!(socket, [post, get(), post])
    assert [202, 401, 202] = for(_ <- 1..3, do: socket |> HttpClient.receive_response() |> elem(0))

    # HTTP/1.0, and who says so, is closed.
    HttpClient.send!(socket, "GET /discord HTTP/1.0\r\n\r\n")
    assert {404, %{"connection" => "close"}, _} = HttpClient.receive_response(socket)
    assert HttpClient.closed?(socket)
  end

  test "HEAD is GET without the body", %{url: url, auth: auth} do
    socket = HttpClient.connect!(url)
    HttpClient.send!(socket, HttpClient.request("HEAD", "/discord/deliveries/1", [auth]))
    assert {404, %{"content-length" => length, "content-type" => "application/json"}} = HttpClient.receive_head(socket)
    HttpClient.send!(socket, HttpClient.request("GET", "/discord/deliveries/1", [auth]))
    assert {404, %{"content-length" => ^length}, body} = HttpClient.receive_response(socket)
    assert byte_size(body) == String.to_integer(length)
  end

  test "100-continue is for whom may send", %{url: url, auth: auth} do
    expect = [{"expect", "100-continue"}, {"content-length", "5"}]
    socket = HttpClient.connect!(url)
    HttpClient.send!(socket, HttpClient.request("POST", "/discord/notify/builds", [auth | expect]))
    assert {100, _, _} = HttpClient.receive_response(socket)
    HttpClient.send!(socket, "hello")
    assert {202, _, _} = HttpClient.receive_response(socket)

    HttpClient.send!(socket, HttpClient.request("POST", "/discord/notify/builds", expect))
    assert {401, %{"connection" => "close"}, _} = HttpClient.receive_response(socket)
    assert HttpClient.closed?(socket)
  end

  test "a body that nobody wants is not read, and the client sees why", %{url: url, auth: auth} do
    socket = HttpClient.connect!(url)

    HttpClient.send!(
      socket,
      HttpClient.request("POST", "/discord/notify/builds", [auth, {"content-length", "1073741824"}])
    )

    # It sends on, as a client does that has not looked yet.
    for _ <- 1..16, do: HttpClient.send!(socket, :binary.copy("x", 65_536))
    assert {413, %{"connection" => "close"}, _} = HttpClient.receive_response(socket)
  end

  test "a client that goes in the middle is no trouble", %{url: url, auth: auth} do
    log =
      capture_log(fn ->
        for bytes <- [
              "",
              "POST",
              HttpClient.request("POST", "/discord/notify/builds", [auth, {"content-length", "9"}]) <> "half"
            ] do
          socket = HttpClient.connect!(url, linger: {true, 0})
          HttpClient.send!(socket, bytes)
          :gen_tcp.close(socket)
        end

        assert {401, _, _} = HttpClient.call(url, "GET", "/discord/deliveries/1")
        assert eventually(fn -> connections() == 0 end)
      end)

    refute log =~ "error"
  end

  test "a request under way is finished when UroDiscord stops, and who waits is not waited for", %{
    sim: sim,
    url: url,
    auth: auth
  } do
    # This test subscribes, and would end with it.
    Process.flag(:trap_exit, true)
    idle = HttpClient.connect!(url)
    socket = HttpClient.connect!(url)
    DiscordSim.post(sim, "/faults", [%{route: "/channels/*/messages", method: "POST", delay_ms: 1_000}])
    HttpClient.send!(socket, HttpClient.request("POST", "/discord/notify/builds?wait=10", [auth], "last words"))
    assert eventually(fn -> busy() == 1 end)
    stop_supervised!(UroDiscord)
    assert {200, _, body} = HttpClient.receive_response(socket)
    assert %{"status" => "delivered"} = decoded(body)
    assert HttpClient.closed?(socket)
    assert HttpClient.closed?(idle)
    assert Web.Server.url() == nil
  end

  test "who waits longest makes room, but nobody who has come just now" do
    now = System.monotonic_time(:millisecond)
    began = [now + 60_000, now - 60_000, now - 60_000]

    [new, old, last] =
      for began <- began do
        pid =
          start_supervised!({Task, fn -> Web.Server.Waiting.begin(0, began) && Process.sleep(:infinity) end},
            id: make_ref(),
            restart: :temporary
          )

        assert eventually(fn -> List.keymember?(waiting(), pid, 0) end)
        pid
      end

    assert Web.Server.Waiting.evict() == :ok
    assert for({pid, _began} <- waiting(), do: pid) == [new, last]
    refute Process.alive?(old)
    assert Web.Server.Waiting.evict() == :ok
    assert Web.Server.Waiting.evict() == :none
    assert waiting() == [{new, now + 60_000}]
  end

  defp waiting, do: for({{_answers, _since, pid}, began} <- :ets.tab2list(Web.Server.Waiting), do: {pid, began})

  test "a port that is taken stops the boot, and says so", %{url: url} do
    port = URI.parse(url).port
    config = Config.new!(enabled: false, web: [port: port])
    Process.flag(:trap_exit, true)
    assert {:error, {%ConfigError{} = error, _stack}} = Supervisor.start_link(Web.Server, config.web)
    assert Exception.message(error) =~ "web: 127.0.0.1 port #{port} cannot be listened on: address already in use"
  end

  defp connections, do: length(Task.Supervisor.children(Web.Server.Connection.Supervisor))
  defp busy, do: connections() - length(:ets.tab2list(Web.Server.Waiting))
end

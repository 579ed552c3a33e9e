defmodule UroDiscord.Web.ListenerTest do
  use UroDiscord.WebCase
  import ExUnit.CaptureLog
  alias UroDiscord.{HttpClient, Keys}

  setup do
    sim = start_sim!()
    start_uro_discord!(sim, web: [port: 0])
    url = web_url!()
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
    assert {:ok, "HTTP/1.0 404 " <> _} = :gen_tcp.recv(socket, 0, 5_000)
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
        assert eventually(fn -> requests() == [] end)
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
    assert eventually(fn -> length(requests()) == 1 end)
    stop_supervised!(UroDiscord)
    assert {200, _, body} = HttpClient.receive_response(socket)
    assert %{"status" => "delivered"} = decoded(body)
    assert HttpClient.closed?(socket)
    assert HttpClient.closed?(idle)
    assert UroDiscord.Runtime.lookup(:web) == nil
  end

  test "a port that is taken is shown and tried again, and the rest goes on", %{sim: sim} do
    {:ok, taken} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(taken)
    Process.flag(:trap_exit, true)
    stop_supervised!(UroDiscord)
    start_uro_discord!(sim, web: [port: port])
    assert {:web, %{reason: reason, url: nil}} = wait_for(&match?({:web, %{state: :waiting}}, &1))
    assert reason =~ "127.0.0.1 port #{port} cannot be listened on: Address already in use"
    assert {:ok, %{web: %{state: :waiting, reason: ^reason}}} = UroDiscord.status()
    :ok = :gen_tcp.close(taken)
    assert {:web, %{url: url}} = wait_for(&match?({:web, %{state: :listening}}, &1))
    assert url == "http://127.0.0.1:#{port}/discord"
    assert {401, _, _} = HttpClient.call(url, "GET", "/discord/deliveries/1")
  end

  test "another bridge listens again, and whoever asked the one before is cut off", %{url: url, auth: auth} do
    socket = HttpClient.connect!(url)
    HttpClient.send!(socket, HttpClient.request("POST", "/discord/notify/builds", [auth, {"content-length", "5"}]))
    assert eventually(fn -> length(requests()) == 1 end)
    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    {_, 0} = System.cmd("kill", ["-KILL", "#{os_pid}"])
    assert HttpClient.closed?(socket)
    # Another one takes another free port.
    assert eventually(fn ->
             match?({:ok, %{web: %{state: :listening, url: now}}} when now != url, UroDiscord.status())
           end)

    assert {401, _, _} = HttpClient.call(web_url!(), "GET", "/discord/deliveries/1")
    assert requests() == []
  end

  test "a request whose client goes is given up", %{url: url, auth: auth} do
    socket = HttpClient.connect!(url)
    HttpClient.send!(socket, HttpClient.request("POST", "/discord/notify/builds", [auth, {"content-length", "5"}]))
    assert eventually(fn -> length(requests()) == 1 end)
    [pid] = requests()
    monitor = Process.monitor(pid)
    :gen_tcp.close(socket)
    assert_receive {:DOWN, ^monitor, _, _, :killed}, 5_000
    # Nobody was answered, and the bridge has heard so: it hands over others.
    assert {401, _, _} = HttpClient.call(url, "GET", "/discord/deliveries/1")
  end

  test "a request that crashes here has an answer", %{url: url, auth: auth} do
    socket = HttpClient.connect!(url)
    post = HttpClient.request("POST", "/discord/notify/builds", [auth, {"content-length", "5"}])

    capture_log(fn ->
      HttpClient.send!(socket, post)
      assert eventually(fn -> length(requests()) == 1 end)
      [pid] = requests()
      Process.exit(pid, :kill)
      HttpClient.send!(socket, "hello")
      assert {500, _, body} = HttpClient.receive_response(socket)
      assert %{"error" => "internal"} = decoded(body)
    end)
  end

  test "one that has crashed and is answered before its body has come has that answer", %{url: url, auth: auth} do
    socket = HttpClient.connect!(url)
    HttpClient.send!(socket, HttpClient.request("POST", "/discord/notify/builds", [auth, {"content-length", "5"}]))

    capture_log(fn ->
      assert eventually(fn -> length(requests()) == 1 end)
      for pid <- requests(), do: Process.exit(pid, :kill)
      assert eventually(fn -> :sys.get_state(Web.Listener.Desk).requests == %{} end)
      # What the bridge was told before this it has heard.
      assert {:ok, "heard"} = UroDiscord.Bridge.ping("heard")
      HttpClient.send!(socket, "hello")
      assert {500, _, body} = HttpClient.receive_response(socket)
      assert %{"error" => "internal"} = decoded(body)
    end)
  end

  test "what is no request is refused as JSON, too", %{url: url} do
    long = String.duplicate("a", 20_000)

    for {bytes, status} <- [
          {"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 400},
          {"\x16\x03\x01\x02\x00\x01", 400},
          {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},
          {"GET / HTTP/1.1\r\n\r\n", 400},
          {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
          {"GET /#{long} HTTP/1.1\r\nHost: x\r\n\r\n", 431},
          {"GET / HTTP/1.1\r\nX: #{long}\r\n\r\n", 431},
          {["GET / HTTP/1.1\r\n", for(n <- 1..101, do: "X-#{n}: a\r\n"), "\r\n"], 431},
          {"POST /discord/notify/a HTTP/1.1\r\nX: \xFF\r\n\r\n", 400}
        ] do
      socket = HttpClient.connect!(url)
      HttpClient.send!(socket, bytes)
      assert {^status, %{"content-type" => "application/json"}, body} = HttpClient.receive_response(socket)
      assert %{"error" => _, "message" => _} = decoded(body)
      :gen_tcp.close(socket)
    end
  end

  describe "with a certificate" do
    setup %{sim: sim} do
      {:ok, _} = Application.ensure_all_started(:ssl)
      Process.flag(:trap_exit, true)
      stop_supervised!(UroDiscord)
      folder = Path.join(System.tmp_dir!(), "uro_discord_tls_#{System.unique_integer([:positive])}")
      File.mkdir_p!(folder)
      on_exit(fn -> File.rm_rf!(folder) end)
      authorities = certificate!(folder)
      tls = [certificate: Path.join(folder, "certificate.pem"), key: Path.join(folder, "key.pem")]
      start_uro_discord!(sim, web: [port: 0, tls: tls])
      %{url: web_url!(), authorities: authorities, folder: folder}
    end

    test "HTTPS is served, and plain HTTP is not", %{url: url, authorities: authorities} do
      assert %URI{scheme: "https", port: port} = URI.parse(url)

      options = [
        :binary,
        active: false,
        cacerts: authorities,
        verify: :verify_peer,
        server_name_indication: ~c"localhost"
      ]

      {:ok, socket} = :ssl.connect(~c"localhost", port, [{:alpn_advertised_protocols, ["http/1.1"]} | options], 5_000)
      assert {:ok, "http/1.1"} = :ssl.negotiated_protocol(socket)
      :ok = :ssl.send(socket, HttpClient.request("GET", "/discord/deliveries/1"))
      assert {:ok, "HTTP/1.1 401 " <> _} = :ssl.recv(socket, 0, 5_000)
      {:ok, socket} = :ssl.connect(~c"localhost", port, [{:alpn_advertised_protocols, ["h2"]} | options], 5_000)
      assert {:ok, "h2"} = :ssl.negotiated_protocol(socket)
      assert :closed = HttpClient.call(String.replace(url, "https", "http"), "GET", "/discord/deliveries/1")
    end

    test "a certificate that cannot be read is shown", %{sim: sim, folder: folder} do
      stop_supervised!(UroDiscord)
      File.write!(Path.join(folder, "key.pem"), "not a key")
      tls = [certificate: Path.join(folder, "certificate.pem"), key: Path.join(folder, "key.pem")]
      start_uro_discord!(sim, web: [port: 0, tls: tls])
      assert {:web, %{reason: reason}} = wait_for(&match?({:web, %{state: :waiting}}, &1))
      assert reason =~ "key.pem"
    end
  end

  # A certificate for localhost of an authority of its own.
  defp certificate!(folder) do
    name = {:Extension, {2, 5, 29, 17}, false, [dNSName: ~c"localhost"]}
    # Unasked it signs by SHA-1, which OTP 27 does not take any more.
    key = [key: {:namedCurve, :secp256r1}, digest: :sha256]
    chain = %{root: key, intermediates: [], peer: [{:extensions, [name]} | key]}
    data = :public_key.pkix_test_data(%{server_chain: chain, client_chain: %{chain | peer: key}})
    %{server_config: server, client_config: client} = data
    {kind, der} = server[:key]

    File.write!(
      Path.join(folder, "certificate.pem"),
      :public_key.pem_encode([{:Certificate, server[:cert], :not_encrypted}])
    )

    File.write!(Path.join(folder, "key.pem"), :public_key.pem_encode([{kind, der, :not_encrypted}]))
    client[:cacerts]
  end

  defp requests, do: Task.Supervisor.children(UroDiscord.Web.Listener.Requests)
end

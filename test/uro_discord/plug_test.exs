defmodule UroDiscord.PlugTest do
  # How Plug and Phoenix behave here (`forward`, an endpoint's script_name, Plug.Parsers) was tried with Plug 1.18 and read in Phoenix 1.8.
  use UroDiscord.WebCase
  import ExUnit.CaptureLog
  alias UroDiscord.{BodyReader, Keys}

  defmodule Adapter do
    # As Plug's adapters are: a body that is read in parts, and an answer.
    def read_req_body({:error, reason}, _options), do: {:error, reason}

    def read_req_body(body, options) do
      length = Keyword.get(options, :length, 8_000_000)

      case body do
        <<part::binary-size(length), rest::binary>> when rest != "" -> {:more, part, rest}
        _ -> {:ok, body, ""}
      end
    end

    def send_resp(state, _status, _headers, body), do: {:ok, body, state}
  end

  setup context do
    sim = start_sim!()
    start_uro_discord!(sim, Map.take(context, [:feeds]) |> Map.to_list())
    {:ok, key} = Keys.new("ci", channels: ["builds"], per_minute: 1_000)
    %{sim: sim, key: key}
  end

  # The head of a request as a server gives it to an endpoint.
  defp conn(method, path, options) do
    request = request(method, path, options)
    [path | query] = String.split(path, "?", parts: 2)

    struct!(Plug.Conn,
      adapter: {Adapter, request.body},
      method: method,
      path_info: String.split(path, "/", trim: true),
      query_string: Enum.join(query),
      req_headers: request.headers,
      request_path: path,
      remote_ip: {127, 0, 0, 1}
    )
  end

  # As `forward "/api/discord"` does.
  defp forwarded(conn, prefix) do
    {script, path} = Enum.split(conn.path_info, length(prefix))
    ^prefix = script
    %{conn | script_name: conn.script_name ++ script, path_info: path}
  end

  # As an endpoint of Phoenix does with `url: [path: …]`, before its plugs: it says what links begin with, and the path stays as it came.
  defp endpoint(conn, url_path), do: %{conn | script_name: String.split(url_path, "/", trim: true)}

  # As Plug.Parsers does with JSON and forms; other types it passes on.
  defp parsed(conn, reader \\ {Plug.Conn, :read_body, []}) do
    {module, function, arguments} = reader
    read = fn conn -> apply(module, function, [conn, [length: 8_000_000] | arguments]) end

    case List.keyfind(conn.req_headers, "content-type", 0) do
      {_, "application/json"} ->
        {:ok, json, conn} = read.(conn)
        term = decoded(json)
        %{conn | body_params: if(is_map(term), do: term, else: %{"_json" => term})}

      {_, "application/x-www-form-urlencoded"} ->
        {:ok, form, conn} = read.(conn)
        %{conn | body_params: URI.decode_query(form)}

      nil ->
        %{conn | body_params: %{}}

      _other ->
        conn
    end
  end

  defp run(conn, options \\ []), do: UroDiscord.Plug.call(conn, UroDiscord.Plug.init(options))
  defp answer(conn), do: {conn.status, decoded(conn.resp_body)}

  test "answers as the routes do, forwarded to or in an endpoint", %{key: key} do
    for {method, path, options} <- [
          {"POST", "/notify/nowhere", [key: key, body: "x"]},
          {"POST", "/notify/builds", [body: "x"]},
          {"POST", "/notify/builds", [key: key, json: %{content: ""}]},
          {"POST", "/notify/builds?wait=no", [key: key]},
          {"GET", "/deliveries/1", [key: key]},
          {"PUT", "/deliveries/1", []},
          {"GET", "/", []}
        ] do
      {status, body, headers} = call(method, path, options)
      conn = conn(method, "/api/discord" <> path, options)

      for answered <- [conn |> forwarded(["api", "discord"]) |> run(), run(conn, at: "/api/discord/")] do
        assert answer(answered) == {status, body}
        assert answered.halted and answered.state == :sent
        assert Map.take(Map.new(answered.resp_headers), Map.keys(headers)) == headers
      end
    end
  end

  test "leaves what is not for it alone" do
    for path <- ["/", "/discor", "/discords/notify/builds", "/other/discord/notify/builds"] do
      conn = conn("POST", path, body: "x")
      assert run(conn, at: "/discord") == conn
    end
  end

  test "posts, whatever has read the body before", %{sim: sim, key: key} do
    {:ok, _} = UroDiscord.notify(:builds, "first")
    at = "/discord/notify/builds?wait=10"
    text = [{"content-type", "text/plain"}]

    for {conn, n} <-
          Enum.with_index([
            conn("POST", at, key: key, body: "0"),
            conn("POST", at, key: key, json: %{content: "1"}),
            "POST" |> conn(at, key: key, json: %{content: "2"}) |> parsed(),
            "POST" |> conn(at, key: key, json: "3") |> parsed(),
            "POST" |> conn(at, key: key, body: "4", headers: text) |> parsed(),
            "POST" |> conn(at, key: key, body: "5") |> parsed(),
            "POST" |> conn(at, key: key, json: %{content: "6"}) |> parsed({BodyReader, :read_body, []})
          ]) do
      assert {200, %{"status" => "delivered"}} = conn |> run(at: "/discord") |> answer()
      assert %{"content" => content} = sim |> DiscordSim.messages("builds") |> List.last()
      assert content == "#{n}"
    end
  end

  test "a form that was parsed is no text any more, and says what to send", %{key: key} do
    form = [{"content-type", "application/x-www-form-urlencoded"}]
    conn = "POST" |> conn("/discord/notify/builds", key: key, body: "Build passed", headers: form) |> parsed()
    assert {415, %{"message" => message}} = conn |> run(at: "/discord") |> answer()
    assert message =~ "text/plain"
  end

  test "a body is read up to its limit", %{key: key} do
    large = String.duplicate("x", 524_289)
    assert {413, _} = "POST" |> conn("/notify/builds", key: key, body: large) |> run() |> answer()
    kept = [body: large, headers: [{"content-type", "application/json"}]]
    conn = conn("POST", "/discord/notify/builds", [key: key] ++ kept)
    {:more, _, conn} = BodyReader.read_body(conn, length: 300_000)
    {:ok, _, conn} = BodyReader.read_body(conn, length: 300_000)
    assert {413, _} = conn |> run(at: "/discord") |> answer()

    for {reason, status} <- [timeout: 408, closed: 400] do
      conn = %{conn("POST", "/notify/builds", key: key) | adapter: {Adapter, {:error, reason}}}
      assert {^status, _} = conn |> run() |> answer()
    end
  end

  # Uro behind a proxy that takes /api/v1 off; without a proxy; forks whose routes carry it, with and without `url:`.
  @mounts [{"/api/v1/", "", "/discord"}, {"", "", "/discord"}, {"", "/api/v1", "/api/v1/discord"}] ++
            [{"/api/v1/", "/api/v1", "/api/v1/discord"}]

  test "one path does in the endpoint and for the body reader, and a router needs none", %{key: key} do
    expected = {404, elem(call("POST", "/notify/nowhere", key: key, body: "x"), 1)}

    for {url, routes, at} <- @mounts do
      conn = "POST" |> conn(at <> "/notify/nowhere", key: key, body: "x") |> endpoint(url)
      assert conn |> run(at: at) |> answer() == expected
      assert conn |> forwarded(String.split(at, "/", trim: true)) |> run() |> answer() == expected
      other = "POST" |> conn(routes <> "/auth/discord/callback", body: "x") |> endpoint(url)
      assert run(other, at: at) == other

      for {path, kept} <- [{at <> "/feeds/hub", "body"}, {routes <> "/upload", nil}, {routes <> "/auth" <> at, nil}] do
        conn = "POST" |> conn(path, body: "body") |> endpoint(url)
        assert {:ok, "body", conn} = BodyReader.read_body(conn, [], at)
        assert {path, BodyReader.read(conn)} == {path, kept}
      end
    end

    failing = %{conn("POST", "/discord", []) | adapter: {Adapter, {:error, :timeout}}}
    assert BodyReader.read_body(failing, []) == {:error, :timeout}
  end

  @tag feeds: [hub: [source: :github, secret: "hunter2hunter2hunter2", rules: [[channel: :builds]]]]
  test "a signed request is checked as it came, or the log has the line that is missing" do
    body = ~s({"zen": "Design for failure."})
    mac = :crypto.mac(:hmac, :sha256, "hunter2hunter2hunter2", body) |> Base.encode16(case: :lower)

    headers = [
      {"content-type", "application/json"},
      {"x-github-event", "ping"},
      {"x-hub-signature-256", "sha256=#{mac}"}
    ]

    for {url, _routes, at} <- @mounts do
      conn = "POST" |> conn(at <> "/feeds/hub", body: body, headers: headers) |> endpoint(url)
      mounted = fn conn -> conn |> forwarded(String.split(at, "/", trim: true)) |> run() |> answer() end
      assert {200, %{"result" => "ignored"}} = conn |> run(at: at) |> answer()
      assert {200, %{"result" => "ignored"}} = conn |> parsed({BodyReader, :read_body, [at]}) |> mounted.()

      log = capture_log(fn -> assert {500, %{"error" => "misconfigured"}} = conn |> parsed() |> mounted.() end)

      assert log =~ ~s(plug UroDiscord.Plug, at: "#{at}")
      assert log =~ ~s(body_reader: {UroDiscord.BodyReader, :read_body, ["#{at}"]})
    end
  end

  test "README's line for a shell does behind README's line for a router" do
    {:ok, key} = Keys.new("readme", channels: ["announcements"])
    [line] = for "curl " <> _ = line <- "README.md" |> File.read!() |> String.split("\n"), do: line
    ["curl", "--fail-with-body" | arguments] = OptionParser.split(line)
    {headers, data} = arguments |> Enum.map(&String.replace(&1, "$UROD_KEY", key)) |> curl([], nil)
    %{path: path} = arguments |> List.last() |> URI.parse()
    "/api/v1/discord" <> _ = path

    conn = "POST" |> conn(path, body: data, headers: headers) |> parsed() |> forwarded(["api", "v1", "discord"])
    assert {202, %{"status" => "queued"}} = conn |> run() |> answer()
  end

  # As curl understands it.
  defp curl(["-H", header | rest], headers, data) do
    [name, value] = String.split(header, ": ", parts: 2)
    curl(rest, [{String.downcase(name), value} | headers], data)
  end

  defp curl(["-d", data | rest], headers, nil), do: curl(rest, headers, data)

  defp curl([_url], headers, data) do
    form = {"content-type", "application/x-www-form-urlencoded"}
    {if(List.keymember?(headers, "content-type", 0), do: headers, else: [form | headers]), data}
  end

  test "whoever comes through a Unix socket has no address", %{key: key} do
    for peer <- [{:local, ""}, {:local, "/run/uro.sock"}, nil] do
      conn = %{conn("GET", "/deliveries/1", key: key) | remote_ip: peer}
      assert {404, _} = conn |> run() |> answer()
    end
  end

  test "a path or a query that is not UTF-8 is a bad request" do
    conn = conn("POST", "/notify/builds", [])
    for path <- ["%FF", "%zz"], do: assert({400, _} = %{conn | path_info: ["notify", path]} |> run() |> answer())
    assert {400, _} = %{conn | query_string: "wait=%FF"} |> run() |> answer()
  end
end

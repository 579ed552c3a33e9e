defmodule UroDiscord.HTTPTest do
  # Not beside others: it measures the memory of the whole VM.
  use ExUnit.Case, async: false
  alias UroDiscord.{Error, HTTP, HTTPServer}

  test "JSON, and what has not changed" do
    server =
      HTTPServer.start!(fn
        %{headers: %{"if-none-match" => ~s("1")}} -> {304, [{"ETag", ~s("1")}], ""}
        %{path: "/runs"} -> {200, [{"ETag", ~s("1")}], ~s({"runs": []})}
      end)

    assert {:ok, %{"runs" => []}, %{"etag" => etag}} =
             HTTP.get_json(server.url <> "/runs", headers: [{"authorization", "x"}])

    assert {:unchanged, _headers} = HTTP.get_json(server.url <> "/runs", etag: etag)
    assert [%{headers: %{"authorization" => "x", "user-agent" => "uro_discord"}}, _] = HTTPServer.requests(server)
  end

  # It is stored as text, and sent back: such a one ended the poller each time, or had each later request refused.
  test "an entity tag that is no text or too long is as good as none" do
    tags = ["#{<<34, 0xE9, 34>>}", "a\tb", String.duplicate("x", 257)]

    server =
      HTTPServer.start!(fn %{query: %{"n" => n}} -> {200, [{"ETag", Enum.at(tags, String.to_integer(n))}], "[]"} end)

    for n <- 0..2 do
      assert {:ok, [], headers} = HTTP.get_json("#{server.url}/?n=#{n}")
      refute headers["etag"]
    end
  end

  test "what it cannot use is an error that says why" do
    server =
      HTTPServer.start!(fn
        %{path: "/junk"} -> {200, [], "<html>"}
        %{path: "/large"} -> {200, [], :binary.copy("1", 6 * 1024 * 1024)}
        %{path: "/moved"} -> {302, [{"Location", "http://127.0.0.1:1/"}], ""}
        %{path: "/limit"} -> {429, [{"Retry-After", "7"}], ""}
        %{path: "/never"} -> {429, [{"Retry-After", String.duplicate("9", 30)}], ""}
      end)

    assert {:error, %Error{kind: :response, message: "the answer is no JSON" <> _}} =
             HTTP.get_json(server.url <> "/junk")

    assert {:error, %Error{kind: :response, message: "the answer has more" <> _}} =
             HTTP.get_json(server.url <> "/large")

    assert {:error, %Error{kind: :http, status: 302}} = HTTP.get_json(server.url <> "/moved")
    assert {:error, %Error{status: 429, retry_after_ms: 7_000}} = HTTP.get_json(server.url <> "/limit")
    assert {:error, %Error{status: 429, retry_after_ms: 86_400_000}} = HTTP.get_json(server.url <> "/never")

    assert {:error, %Error{status: 429, retry_after_ms: 60_000}} =
             HTTP.get_json(server.url <> "/never", longest_wait: 60_000)

    assert {:error, %Error{kind: :connect, message: message}} = HTTP.get_json("http://127.0.0.1:1/")
    assert message =~ "refused"
    assert {:error, %Error{kind: :invalid}} = HTTP.get_json("example.com")
    assert {:error, %Error{kind: :invalid, message: message}} = HTTP.get_json(server.url, headers: [{"x", "s3cret\n"}])
    refute message =~ "s3cret"

    assert {:error, %Error{kind: :invalid, message: "ca_file" <> _}} =
             HTTP.get_json(server.url, ca_file: "/nowhere.pem")
  end

  test "a project that has moved on its server is found again, with the token" do
    server =
      HTTPServer.start!(fn
        %{path: "/repos/a/b/runs"} -> {301, [{"Location", "/repositories/7/runs?page=1"}], ""}
        %{path: "/repositories/7/runs", query: %{"page" => "1"}} -> {200, [], "[]"}
      end)

    assert {:ok, [], _headers} = HTTP.get_json(server.url <> "/repos/a/b/runs", headers: [{"authorization", "x"}])
    assert [_, %{headers: %{"authorization" => "x"}}] = HTTPServer.requests(server)
  end

  test "what a hostile server sends is neither held nor waited for" do
    line = :binary.copy("x", 65_536)

    floods = [
      {"HTTP/1.1 404 Not Found\r\n\r\n", line},
      {"HTTP/1.1 200 OK\r\n\r\n", line},
      {"HTTP/1.1 200 OK\r\n", :binary.copy("x: y\r\n", 10_000)},
      {"HTTP/1.1 200 OK\r\nx: ", line},
      {"", :binary.copy("HTTP/1.1 100 Continue\r\n\r\n", 1_000)}
    ]

    before = resident()

    for {head, piece} <- floods do
      url = flood!(head, piece)
      assert {:error, %Error{}} = HTTP.get_json(url, timeout_ms: 1_000)
      # It sees that nobody listens any more.
      assert_receive {:closed, ^url}, 5_000
    end

    assert resident() - before < 100_000_000
  end

  test "a connection ends with the process that asked" do
    {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, port} = :inet.port(listener)
    caller = spawn(fn -> HTTP.get_json("http://127.0.0.1:#{port}/") end)
    {:ok, socket} = :gen_tcp.accept(listener, 5_000)
    {:ok, "GET / HTTP/1.1\r\n" <> _} = :gen_tcp.recv(socket, 0, 5_000)
    Process.exit(caller, :kill)
    assert {:error, :closed} = :gen_tcp.recv(socket, 0, 5_000)
  end

  # Sends `head`, and then `piece` for as long as it is taken.
  defp flood!(head, piece) do
    {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, port} = :inet.port(listener)
    url = "http://127.0.0.1:#{port}/"
    test = self()

    spawn_link(fn ->
      {:ok, socket} = :gen_tcp.accept(listener)
      {:ok, _request} = :gen_tcp.recv(socket, 0)
      :ok = :gen_tcp.send(socket, head)
      Stream.repeatedly(fn -> :gen_tcp.send(socket, piece) end) |> Enum.find(&(&1 != :ok))
      send(test, {:closed, url})
    end)

    url
  end

  # What this operating system's process holds, in bytes.
  defp resident do
    [_, kib] = Regex.run(~r/VmRSS:\s+(\d+) kB/, File.read!("/proc/self/status"))
    String.to_integer(kib) * 1024
  end
end

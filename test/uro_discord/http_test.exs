defmodule UroDiscord.HTTPTest do
  use ExUnit.Case, async: true
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
    assert message =~ "econnrefused"
  end
end

defmodule UroDiscord.Web.HeadTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Web.Server.Head

  doctest Head

  defp head(lines, rest \\ ""), do: Enum.join(lines, "\r\n") <> "\r\n\r\n" <> rest
  defp post(headers), do: head(["POST /discord/notify/a HTTP/1.1", "Host: x" | headers])

  defp status(bytes) do
    case Head.parse(bytes) do
      {:error, status, reason} when is_binary(reason) -> status
      {:ok, head, _rest} -> head
      :more -> :more
    end
  end

  test "what is sent in pieces is the same, wherever it is cut" do
    whole = head(["GET /a?b=c HTTP/1.1", "Host: x", "X-Long: #{String.duplicate("y", 100)}"], "rest")
    {:ok, expected, "rest"} = Head.parse(whole)

    for cut <- 0..(byte_size(whole) - 5) do
      <<first::binary-size(cut), _::binary>> = whole
      assert Head.parse(first) == :more
      assert {:ok, ^expected, "rest"} = Head.parse(whole, cut)
    end
  end

  test "names are lower case, values are trimmed, an empty line may come first" do
    assert {:ok, head, ""} = Head.parse("\r\n" <> head(["GET / HTTP/1.1", "HOST:x", "X-A: \t a b \t"]))
    assert head.headers == [{"host", "x"}, {"x-a", "a b"}]
  end

  test "the absolute form is the path in it" do
    assert %{segments: ["a", "b"], query: "c"} = status(head(["GET http://h:80/a/b?c HTTP/1.1", "Host: h:80"]))
    assert %{segments: [""]} = status(head(["GET https://h HTTP/1.1", "Host: h"]))
  end

  test "a connection is kept unless somebody says otherwise" do
    for {version, headers, keep} <- [
          {"1.1", [], true},
          {"1.1", ["Connection: close"], false},
          {"1.1", ["Connection: Upgrade, CLOSE"], false},
          {"1.1", ["Connection: keep-alive"], true},
          {"1.0", [], false},
          {"1.0", ["Connection: keep-alive"], false}
        ] do
      assert %{keep_alive: ^keep} = status(head(["GET / HTTP/#{version}", "Host: x" | headers]))
    end
  end

  test "requests that two servers could read differently are refused" do
    for {headers, status} <- [
          {["Content-Length: 5", "Content-Length: 5"], 400},
          {["Content-Length: 5", "Content-Length: 6"], 400},
          {["Content-Length: 5, 5"], 400},
          {["Content-Length: +5"], 400},
          {["Content-Length: -5"], 400},
          {["Content-Length: 0x5"], 400},
          {["Content-Length: 5 6"], 400},
          {["Content-Length:"], 400},
          {["Content-Length: " <> String.duplicate("9", 19)], 400},
          {["Content-Length: 5", "Transfer-Encoding: chunked"], 400},
          {["Transfer-Encoding: chunked", "Content-Length: 5"], 400},
          {["Transfer-Encoding: chunked"], 411},
          {["Transfer-Encoding: identity, chunked"], 411},
          {["Transfer-Encoding: \vchunked"], 400},
          {["Content-Length : 5"], 400},
          {["Transfer-Encoding\t: chunked"], 400},
          {[" Content-Length: 5"], 400},
          {["X: a", "\tfolded: b"], 400},
          {["X: a\rTransfer-Encoding: chunked"], 400},
          {["X: a\nTransfer-Encoding: chunked"], 400},
          {["X: a\0b"], 400},
          {["X\0: a"], 400},
          {["no colon"], 400},
          {[": no name"], 400},
          {["Host: y"], 400}
        ] do
      assert {headers, status(post(headers))} == {headers, status}
    end
  end

  test "request lines that are none" do
    for {line, status} <- [
          {"GET /", 400},
          {"GET  / HTTP/1.1", 400},
          {"GET / HTTP/1.1 ", 400},
          {"GET / http/1.1", 400},
          {"G(T / HTTP/1.1", 400},
          {" / HTTP/1.1", 400},
          {"GET * HTTP/1.1", 400},
          {"GET a HTTP/1.1", 400},
          {"GET /\t HTTP/1.1", 400},
          {"GET /ü HTTP/1.1", 400},
          {"GET /\0 HTTP/1.1", 400},
          {"PRI * HTTP/2.0", 505},
          {"GET / HTTP/1.2", 505},
          {"\x16\x03\x01\x02", 400},
          {"", 400}
        ] do
      assert {line, status(head([line, "Host: x"]))} == {line, status}
    end
  end

  test "HTTP/1.1 has a Host, HTTP/1.0 need not" do
    assert status(head(["GET / HTTP/1.1"])) == 400
    assert %{keep_alive: false} = status(head(["GET / HTTP/1.0"]))
  end

  test "expectations" do
    assert %{continue: true} = status(post(["Content-Length: 5", "Expect: 100-Continue"]))
    assert %{continue: false} = status(post(["Expect: 100-continue"]))
    assert status(post(["Expect: 200-ok"])) == 417
  end

  test "a head has a size, and a number of headers" do
    assert status("GET /" <> String.duplicate("a", 17_000)) == 431
    assert status(post(["X: " <> String.duplicate("a", 17_000)])) == 431
    assert status(post(for n <- 1..99, do: "X-#{n}: a")) != 431
    assert status(post(for n <- 1..100, do: "X-#{n}: a")) == 431
  end

  test "random bytes, and heads with random bytes in them, are refused or understood" do
    :rand.seed(:exsss, {1, 2, 3})
    good = head(["POST /discord/a%20b?c=d HTTP/1.1", "Host: x", "Content-Length: 12", "Expect: 100-continue"], "body")

    for _ <- 1..20_000 do
      noise = :rand.bytes(:rand.uniform(8))
      at = :rand.uniform(byte_size(good)) - 1
      skip = :rand.uniform(9) - 1
      <<before::binary-size(at), rest::binary>> = good
      bytes = before <> noise <> binary_part(rest, min(skip, byte_size(rest)), max(byte_size(rest) - skip, 0))

      case Head.parse(bytes) do
        {:ok, %Head{length: length}, rest} -> assert length >= 0 and is_binary(rest)
        {:error, status, reason} -> assert status in 400..599 and String.printable?(reason)
        :more -> :ok
      end
    end
  end
end

defmodule UroDiscord.Web.Server.Head do
  @moduledoc false
  # The head of an HTTP/1.1 request, from bytes (RFC 9112). Strict where leniency is what request smuggling lives of: lines end
  # in CRLF, there is no folding and no space before a colon, lengths come once, and a body comes with a Content-Length.

  @max_bytes 16 * 1024
  @max_headers 100

  @enforce_keys [:method, :segments, :query, :headers, :length, :keep_alive, :continue]
  defstruct @enforce_keys

  @typedoc "`length` is the body's. `continue`: the client waits to be told that it may send the body."
  @type t :: %__MODULE__{
          method: String.t(),
          segments: [String.t()],
          query: String.t(),
          headers: [{String.t(), String.t()}],
          length: non_neg_integer(),
          keep_alive: boolean(),
          continue: boolean()
        }

  @typedoc "An HTTP status, and why. The connection is of no more use: nobody knows where the next request would begin."
  @type refusal :: {:error, 400..599, String.t()}

  @doc """
  The head at the beginning of `bytes`, and what follows it; `:more` while it is not all there. `seen` says how much of
  `bytes` was there the last time.

      iex> {:ok, head, "hi"} = UroDiscord.Web.Server.Head.parse("POST /a/b?c=d HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 2\\r\\n\\r\\nhi")
      iex> {head.method, head.segments, head.query, head.length, head.keep_alive}
      {"POST", ["a", "b"], "c=d", 2, true}

      iex> UroDiscord.Web.Server.Head.parse("GET / HTTP/1.1\\r\\nHost: x\\r\\n")
      :more

      iex> UroDiscord.Web.Server.Head.parse("GET / HTTP/1.1\\r\\nHost : x\\r\\n\\r\\n")
      {:error, 400, "a header is not a name, a colon and a value"}
  """
  @spec parse(binary(), non_neg_integer()) :: {:ok, t(), binary()} | :more | refusal()
  def parse(bytes, seen \\ 0)

  # A client may have sent one after the body before this (RFC 9112 §2.2).
  def parse("\r\n" <> bytes, seen), do: parse_head(bytes, max(seen - 2, 0))
  def parse(bytes, seen), do: parse_head(bytes, seen)

  defp parse_head(bytes, seen) do
    from = max(min(seen, byte_size(bytes)) - 3, 0)

    case :binary.match(bytes, "\r\n\r\n", scope: {from, byte_size(bytes) - from}) do
      {at, _length} when at <= @max_bytes ->
        <<head::binary-size(at), "\r\n\r\n", rest::binary>> = bytes
        with {:ok, head} <- head(head), do: {:ok, head, rest}

      :nomatch when byte_size(bytes) <= @max_bytes ->
        :more

      _too_long ->
        {:error, 431, "the head of the request is longer than #{@max_bytes} bytes"}
    end
  end

  defp head(bytes) do
    [request_line | lines] = :binary.split(bytes, "\r\n", [:global])

    with {:ok, method, target, version} <- request_line(request_line),
         {:ok, segments, query} <- target(target),
         {:ok, headers} <- headers(lines, [], 0),
         :ok <- host(headers, version),
         {:ok, length} <- body_length(headers),
         {:ok, continue} <- expectation(headers, version) do
      {:ok,
       %__MODULE__{
         method: method,
         segments: segments,
         query: query,
         headers: headers,
         length: length,
         keep_alive: version == 1 and not close?(headers),
         continue: continue and length > 0
       }}
    end
  end

  ## The request line

  defp request_line(line) do
    with [method, target, "HTTP/" <> version] <- :binary.split(line, " ", [:global]),
         true <- token?(method) and printable?(target) do
      case version do
        "1.1" -> {:ok, method, target, 1}
        "1.0" -> {:ok, method, target, 0}
        _ -> {:error, 505, "this server speaks HTTP/1.1"}
      end
    else
      _ -> {:error, 400, "the request line is not a method, a path and HTTP/1.1"}
    end
  end

  # The absolute form is for proxies, and every server must take it (RFC 9112 §3.2.2).
  defp target("http://" <> rest), do: absolute(rest)
  defp target("https://" <> rest), do: absolute(rest)

  defp target("/" <> path) do
    {path, query} = cut(path, "?")
    {:ok, :binary.split(path, "/", [:global]), query}
  end

  defp target(_other), do: {:error, 400, "the request is not for a path"}

  defp absolute(rest) do
    {_authority, path} = cut(rest, "/")
    target("/" <> path)
  end

  defp cut(text, mark) do
    case :binary.split(text, mark) do
      [left, right] -> {left, right}
      [left] -> {left, ""}
    end
  end

  ## Headers

  defp headers([], headers, _count), do: {:ok, Enum.reverse(headers)}
  defp headers(_lines, _headers, @max_headers), do: {:error, 431, "there are more than #{@max_headers} headers"}

  defp headers([line | lines], headers, count) do
    with [name, value] <- :binary.split(line, ":"),
         value = trim(value),
         true <- token?(name) and field?(value) do
      headers(lines, [{String.downcase(name, :ascii), value} | headers], count + 1)
    else
      _ -> {:error, 400, "a header is not a name, a colon and a value"}
    end
  end

  defp host(headers, version) do
    case values(headers, "host") do
      [_host] -> :ok
      [] when version == 0 -> :ok
      _ -> {:error, 400, "there must be one Host header"}
    end
  end

  defp body_length(headers) do
    case {values(headers, "content-length"), values(headers, "transfer-encoding")} do
      {[], []} -> {:ok, 0}
      {[length], []} -> content_length(length)
      {[], [_ | _]} -> {:error, 411, "send the body with a Content-Length, not in chunks"}
      {_many, []} -> {:error, 400, "there is more than one Content-Length"}
      {_both, _} -> {:error, 400, "there are a Content-Length and a Transfer-Encoding"}
    end
  end

  # Eighteen digits are more than anybody's body, and fit into a machine word.
  defp content_length(digits) do
    if digits != "" and byte_size(digits) <= 18 and digits?(digits),
      do: {:ok, String.to_integer(digits)},
      else: {:error, 400, "the Content-Length is not a number of bytes"}
  end

  defp expectation(headers, version) do
    case values(headers, "expect") do
      [] ->
        {:ok, false}

      [value] ->
        if String.downcase(value, :ascii) == "100-continue",
          do: {:ok, version == 1},
          else: {:error, 417, "the only expectation that can be met is 100-continue"}

      _ ->
        {:error, 417, "the only expectation that can be met is 100-continue"}
    end
  end

  defp close?(headers) do
    headers
    |> values("connection")
    |> Enum.flat_map(&:binary.split(&1, ",", [:global]))
    |> Enum.any?(&(&1 |> trim() |> String.downcase(:ascii) == "close"))
  end

  defp values(headers, name), do: for({^name, value} <- headers, do: value)

  ## Characters

  defp trim(value), do: value |> trim_leading() |> trim_trailing()

  defp trim_leading(<<c, rest::binary>>) when c in [?\s, ?\t], do: trim_leading(rest)
  defp trim_leading(value), do: value

  defp trim_trailing(value) do
    size = byte_size(value) - 1

    case value do
      <<rest::binary-size(size), c>> when c in [?\s, ?\t] -> trim_trailing(rest)
      _ -> value
    end
  end

  # RFC 9110 §5.6.2.
  defp token?(""), do: false
  defp token?(name), do: all?(name, &token_char?/1)

  defp token_char?(c),
    do: c in ?a..?z or c in ?A..?Z or c in ?0..?9 or c in [?!, ?#, ?$, ?%, ?&, ?', ?*, ?+, ?-, ?., ?^, ?_, ?`, ?|, ?~]

  # RFC 9110 §5.5: no control characters but tabs.
  defp field?(value), do: all?(value, fn c -> c == ?\t or (c >= 0x20 and c != 0x7F) end)

  defp printable?(target), do: all?(target, fn c -> c in 0x21..0x7E end)
  defp digits?(text), do: all?(text, fn c -> c in ?0..?9 end)

  defp all?(<<c, rest::binary>>, good?), do: good?.(c) and all?(rest, good?)
  defp all?("", _good?), do: true
end

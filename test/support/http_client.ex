defmodule UroDiscord.HttpClient do
  @moduledoc """
  HTTP by hand, over a socket: for what no proper client would send. `connect!/1` takes the URL of `UroDiscord.Web.Listener`.
  """

  @timeout 15_000

  def connect!(url, options \\ []) do
    %URI{host: host, port: port} = URI.parse(url)

    {:ok, socket} =
      :gen_tcp.connect(to_charlist(host), port, [:binary, active: false, packet: :raw] ++ options, @timeout)

    socket
  end

  @doc "Sends bytes; whether the other end still takes them shows later."
  def send!(socket, bytes), do: :gen_tcp.send(socket, bytes)

  @doc "A request as bytes."
  def request(method, path, headers \\ [], body \\ "") do
    length = if body == "", do: [], else: [{"content-length", "#{byte_size(body)}"}]
    host = if List.keymember?(headers, "host", 0), do: [], else: [{"host", "x"}]
    headers = for {name, value} <- host ++ length ++ headers, do: "#{name}: #{value}\r\n"
    IO.iodata_to_binary(["#{method} #{path} HTTP/1.1\r\n", headers, "\r\n", body])
  end

  @doc "The next answer: `{status, headers, body}`, or `:closed`. A 100 (Continue) has neither headers nor a body."
  def receive_response(socket, timeout \\ @timeout) do
    with {:ok, status} <- line(socket, timeout) do
      headers = headers(socket, timeout, [])
      length = Map.get(headers, "content-length", "0") |> String.to_integer()
      {status, headers, if(length > 0, do: body(socket, length, timeout), else: "")}
    end
  end

  @doc "As `receive_response/2`, of an answer to HEAD."
  def receive_head(socket, timeout \\ @timeout) do
    with {:ok, status} <- line(socket, timeout), do: {status, headers(socket, timeout, [])}
  end

  @doc "Whether the other end has closed the connection within the time."
  def closed?(socket, timeout \\ @timeout),
    do: :gen_tcp.recv(socket, 0, timeout) in [{:error, :closed}, {:error, :econnreset}]

  @doc "One request on a connection of its own."
  def call(url, method, path, headers \\ [], body \\ "") do
    socket = connect!(url)
    send!(socket, request(method, path, headers, body))
    answer = receive_response(socket)
    :gen_tcp.close(socket)
    answer
  end

  defp line(socket, timeout) do
    :inet.setopts(socket, packet: :line)

    case :gen_tcp.recv(socket, 0, timeout) do
      {:ok, "HTTP/1.1 " <> rest} -> {:ok, rest |> String.slice(0, 3) |> String.to_integer()}
      {:error, reason} when reason in [:closed, :econnreset] -> :closed
    end
  end

  defp headers(socket, timeout, headers) do
    case :gen_tcp.recv(socket, 0, timeout) do
      {:ok, "\r\n"} ->
        :inet.setopts(socket, packet: :raw)
        Map.new(headers)

      {:ok, line} ->
        [name, value] = String.split(line, ":", parts: 2)
        headers(socket, timeout, [{name, String.trim(value)} | headers])
    end
  end

  defp body(socket, length, timeout) do
    {:ok, body} = :gen_tcp.recv(socket, length, timeout)
    body
  end
end

defmodule UroDiscord.HTTPServer do
  @moduledoc """
  A little HTTP server on loopback, for what is somebody else's: it answers each request with what its function returns, and
  keeps the requests. It ends with the test.
  """

  @doc """
  `answer` takes `%{method:, path:, query:, headers:, body:}` and returns `{status, headers, body}`, or `:hang` to say nothing more.
  """
  def start!(answer) do
    {:ok, listener} =
      :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, packet: :http_bin, active: false, reuseaddr: true])

    {:ok, port} = :inet.port(listener)
    {:ok, requests} = Agent.start_link(fn -> [] end)
    pid = spawn_link(fn -> accept(listener, answer, requests) end)
    :ok = :gen_tcp.controlling_process(listener, pid)
    %{url: "http://127.0.0.1:#{port}", requests: requests}
  end

  def requests(server), do: server.requests |> Agent.get(& &1) |> Enum.reverse()

  defp accept(listener, answer, requests) do
    {:ok, socket} = :gen_tcp.accept(listener)
    pid = spawn(fn -> receive(do: (:go -> serve(socket, answer, requests))) end)
    :ok = :gen_tcp.controlling_process(socket, pid)
    send(pid, :go)
    accept(listener, answer, requests)
  end

  defp serve(socket, answer, requests) do
    with {:ok, {:http_request, method, {:abs_path, target}, _version}} <- :gen_tcp.recv(socket, 0) do
      uri = URI.parse(target)
      query = URI.decode_query(uri.query || "")
      headers = headers(socket, %{})

      request = %{
        method: to_string(method),
        path: uri.path,
        query: query,
        headers: headers,
        body: body(socket, headers)
      }

      Agent.update(requests, &[request | &1])

      case answer.(request) do
        {status, headers, body} -> respond(socket, status, headers, body)
        :hang -> :gen_tcp.recv(socket, 0)
      end
    end

    :gen_tcp.close(socket)
  end

  defp headers(socket, headers) do
    case :gen_tcp.recv(socket, 0) do
      {:ok, {:http_header, _, name, _, value}} ->
        headers(socket, Map.put(headers, String.downcase(to_string(name)), value))

      {:ok, :http_eoh} ->
        headers
    end
  end

  defp body(socket, %{"content-length" => length}) when length != "0" do
    :ok = :inet.setopts(socket, packet: :raw)
    {:ok, body} = :gen_tcp.recv(socket, String.to_integer(length))
    body
  end

  defp body(_socket, _headers), do: ""

  defp respond(socket, status, headers, body) do
    head = for {name, value} <- headers, do: [name, ": ", value, "\r\n"]
    length = Integer.to_string(IO.iodata_length(body))

    :gen_tcp.send(socket, [
      "HTTP/1.1 #{status} Reason\r\n",
      head,
      "connection: close\r\ncontent-length: ",
      length,
      "\r\n\r\n",
      body
    ])
  end
end

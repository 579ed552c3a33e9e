defmodule UroDiscord.Web.Server.Connection do
  @moduledoc false
  # One connection: requests one after another, until either side has had enough.

  alias UroDiscord.Web
  alias UroDiscord.Web.{Request, Response}
  alias UroDiscord.Web.Server.{Head, Waiting}

  # From the first byte of a request to the end of its head, and from there to the end of its body.
  @head_ms 10_000
  @body_ms 20_000
  # Between requests.
  @idle_ms 30_000
  # What is read of a body that nobody wants, so that the client sees the answer before the connection ends.
  @linger_ms 5_000
  @linger_bytes 4 * 1024 * 1024

  @doc false
  def serve(socket) do
    receive do
      {:yours, ^socket} ->
        with {:ok, {ip, _port}} <- :inet.peername(socket),
             do: next(%{socket: socket, peer: "#{:inet.ntoa(ip)}", answers: 0, began: now()}, "", @head_ms)
    after
      @head_ms -> :ok
    end

    :gen_tcp.close(socket)
  end

  defp next(client, buffer, idle_ms) do
    case read_head(client, buffer, idle_ms) do
      {:ok, head, rest} ->
        # From here on it is finished, also when we are to stop.
        Process.flag(:trap_exit, true)
        after_answer = request(client, head, rest)
        Process.flag(:trap_exit, false)

        case after_answer do
          {:keep, rest} -> if stopping?(), do: :ok, else: next(%{client | answers: client.answers + 1}, rest, @idle_ms)
          :linger -> linger(client)
          :close -> :ok
        end

      {:error, status, reason} ->
        send_response(client, Response.error(status, "bad_request", reason), close: true)
        linger(client)

      :timeout ->
        send_response(client, Response.timeout(), close: true)

      :closed ->
        :ok
    end
  end

  defp stopping? do
    receive do
      {:EXIT, pid, reason} when is_pid(pid) and reason != :normal -> true
    after
      0 -> false
    end
  end

  ## Reading

  defp read_head(client, "", idle_ms) do
    # Nothing was asked yet, so there is nothing to answer when nothing comes.
    case wait(client, now() + idle_ms) do
      {:ok, bytes} -> read_head(client, bytes, 0, now() + @head_ms)
      _ -> :closed
    end
  end

  defp read_head(client, buffer, _idle_ms), do: read_head(client, buffer, 0, now() + @head_ms)

  defp read_head(client, buffer, seen, deadline) do
    with :more <- Head.parse(buffer, seen),
         {:ok, bytes} <- wait(client, deadline),
         do: read_head(client, buffer <> bytes, byte_size(buffer), deadline)
  end

  defp read_body(_client, length, buffer, _deadline) when byte_size(buffer) >= length do
    <<body::binary-size(length), rest::binary>> = buffer
    # A copy, or all that came with it would be kept as long as the body.
    {:ok, :binary.copy(body), :binary.copy(rest)}
  end

  defp read_body(client, length, buffer, deadline) do
    with {:ok, bytes} <- wait(client, deadline), do: read_body(client, length, buffer <> bytes, deadline)
  end

  # What has come, at least a byte. Whoever waits here may have to make room.
  defp wait(client, deadline) do
    waiting = Waiting.begin(client.answers, client.began)
    answer = :gen_tcp.recv(client.socket, 0, max(deadline - now(), 0))
    Waiting.done(waiting)

    case answer do
      {:ok, bytes} -> {:ok, bytes}
      {:error, :timeout} -> :timeout
      {:error, _closed} -> :closed
    end
  end

  defp linger(client) do
    :gen_tcp.shutdown(client.socket, :write)
    linger(client, now() + @linger_ms, @linger_bytes)
  end

  defp linger(client, deadline, bytes) do
    with true <- bytes > 0,
         {:ok, unwanted} <- wait(client, deadline),
         do: linger(client, deadline, bytes - byte_size(unwanted))
  end

  ## Answering

  defp request(client, head, rest) do
    case begin(client.peer, head) do
      {:read, _body, answer} ->
        if head.continue, do: :gen_tcp.send(client.socket, "HTTP/1.1 100 \r\n\r\n")

        case read_body(client, head.length, rest, now() + @body_ms) do
          {:ok, body, rest} -> answered(client, head, answer.(body), {:keep, rest})
          :timeout -> answered(client, head, Response.timeout(), :linger)
          :closed -> :close
        end

      %Response{} = refusal ->
        # Where a body begins that was not read, no other request can.
        answered(client, head, refusal, if(head.length == 0, do: {:keep, rest}, else: :linger))
    end
  end

  defp begin(peer, head) do
    case head.segments do
      ["discord" | path] ->
        case Request.new(head.method, path, head.query, head.headers, peer) do
          {:ok, request} -> Web.begin(request)
          :error -> Response.bad_request("the path or the query is not percent-encoded UTF-8")
        end

      _ ->
        Response.error(404, "not_found", "there is nothing here; all paths begin with /discord/")
    end
  end

  defp answered(client, head, response, next) do
    close = next == :linger or not head.keep_alive

    case {send_response(client, response, close: close, head_only: head.method == "HEAD"), next} do
      {:ok, {:keep, _rest}} when close -> :close
      {:ok, next} -> next
      {{:error, _closed}, _next} -> :close
    end
  end

  defp send_response(client, response, options) do
    # https://www.rfc-editor.org/rfc/rfc9110#field.date
    date = Calendar.strftime(DateTime.utc_now(), "%a, %d %b %Y %H:%M:%S GMT")
    length = if response.status == 204, do: [], else: [{"content-length", "#{byte_size(response.body)}"}]
    connection = if options[:close], do: [{"connection", "close"}], else: []

    headers =
      for {name, value} <- [{"date", date} | length ++ connection ++ response.headers], do: [name, ": ", value, "\r\n"]

    body = if options[:head_only], do: "", else: response.body
    :gen_tcp.send(client.socket, ["HTTP/1.1 #{response.status} \r\n", headers, "\r\n", body])
  end

  defp now, do: System.monotonic_time(:millisecond)
end

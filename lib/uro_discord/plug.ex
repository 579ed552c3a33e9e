defmodule UroDiscord.Plug do
  @moduledoc """
  The HTTP side of UroDiscord in a Phoenix or Plug application. There are two places for it.

  In the router, which is enough for `curl` and for commands through the gateway (the default):

      forward "/discord", UroDiscord.Plug

  In the endpoint, above `Plug.Parsers`, which is needed for what is signed (interactions by HTTP, webhooks), as signatures
  are over the body as it came; other paths pass through it:

      plug UroDiscord.Plug, at: "/discord"
      plug Plug.Parsers, …

  Who cannot have it above the parsers has `UroDiscord.BodyReader`. What is there to be asked: `docs/http.md`.

  ## Paths

  `at:` here and the path of `UroDiscord.BodyReader` follow one rule: it is the path as this application gets it, which is what its log
  of requests shows (`POST /discord/notify/builds`). What a proxy has taken off before does not count, nor does `url: [path: …]` of a
  Phoenix endpoint, which is for the links that it makes. Where the routes themselves begin with `/api/v1`, it is `/api/v1/discord`. A
  `forward` needs none.
  """

  # The host's. It is called by name, so that UroDiscord compiles without it.
  @compile {:no_warn_undefined, [Plug.Conn]}

  require Logger

  alias UroDiscord.{BodyReader, JSON, Web}
  alias UroDiscord.Web.{Mount, Request, Response}

  @read_timeout_ms 20_000

  @doc "Option: `:at`, the path that it answers under, where it is mounted in an endpoint and not by `forward`."
  @spec init(keyword()) :: [String.t()]
  def init(options), do: options |> Keyword.get(:at, "/") |> Mount.segments()

  @doc "Answers a request that is for us, and halts; leaves others as they are."
  @spec call(struct(), [String.t()]) :: struct()
  def call(conn, []), do: conn |> answer(conn.path_info) |> Plug.Conn.halt()

  def call(conn, at) do
    case Mount.under(conn, at) do
      {:ok, path} -> conn |> answer(path) |> Plug.Conn.halt()
      :error -> conn
    end
  end

  defp answer(conn, path) do
    at = conn.request_path |> Mount.segments() |> Enum.drop(-length(path))

    case Request.new(conn.method, path, conn.query_string, conn.req_headers, peer(conn.remote_ip)) do
      {:ok, request} -> answer_request(conn, Web.begin(%{request | conn: conn}), Request.media_type(request), at)
      :error -> send_response(conn, Response.bad_request("the path or the query is not percent-encoded UTF-8"))
    end
  end

  # Behind a Unix socket there is none.
  defp peer(address) do
    case :inet.ntoa(address) do
      {:error, :einval} -> "local"
      text -> "#{text}"
    end
  end

  defp answer_request(conn, %Response{} = refusal, _type, _at), do: send_response(conn, refusal)
  defp answer_request(conn, {:read, %{limit: 0}, answer}, _type, _at), do: send_response(conn, answer.(""))

  defp answer_request(conn, {:read, %{limit: limit} = body, answer}, type, at) do
    case read_body(conn, body, type, at) do
      {:ok, body, conn} when byte_size(body) <= limit -> send_response(conn, answer.(body))
      {:ok, _too_long, conn} -> send_response(conn, Response.too_large(limit))
      {:more, _part, conn} -> send_response(conn, Response.too_large(limit))
      {:error, :timeout} -> send_response(conn, Response.timeout())
      {:error, _closed} -> send_response(conn, Response.bad_request("the body did not come whole"))
      %Response{} = refusal -> send_response(conn, refusal)
    end
  end

  # Three ways, by what was done with the body before.
  defp read_body(conn, body, type, at) do
    case {BodyReader.read(conn), conn.body_params} do
      {kept, _params} when is_binary(kept) -> {:ok, kept, conn}
      {nil, %{__struct__: Plug.Conn.Unfetched}} -> read(conn, body.limit)
      {nil, _params} when body.signed -> body_is_gone(at)
      {nil, params} -> parsed(conn, params, type, body.limit)
    end
  end

  defp read(conn, limit), do: Plug.Conn.read_body(conn, length: limit, read_timeout: @read_timeout_ms)

  defp body_is_gone(at) do
    at = Enum.join(at, "/")

    Logger.error(
      "Plug.Parsers has read the body of a signed request, whose signature can no longer be checked. In the endpoint, put " <>
        "`plug UroDiscord.Plug, at: \"/#{at}\"` above Plug.Parsers, or give Plug.Parsers " <>
        "`body_reader: {UroDiscord.BodyReader, :read_body, [\"/#{at}\"]}`"
    )

    Response.error(500, "misconfigured", "the signature cannot be checked here; the log of uro_discord says why")
  end

  # JSON is as good when it was parsed already; what is not an object is under _json. A text is passed on unread.
  defp parsed(conn, params, "application/json", _limit) do
    with {:error, _reason} <- encode(conn, Map.get(params, "_json", params)),
         do: Response.bad_request("the body is not JSON")
  end

  defp parsed(_conn, params, "application/x-www-form-urlencoded", _limit) when params != %{},
    do: Response.error(415, "unsupported_media_type", "send the text with the header Content-Type: text/plain")

  defp parsed(conn, _params, _type, limit), do: read(conn, limit)

  defp encode(conn, term) do
    with {:ok, json} <- JSON.encode(term), do: {:ok, json, conn}
  end

  defp send_response(conn, response) do
    response.headers
    |> Enum.reduce(conn, fn {name, value}, conn -> Plug.Conn.put_resp_header(conn, name, value) end)
    |> Plug.Conn.send_resp(response.status, response.body)
  end
end

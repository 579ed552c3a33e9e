defmodule UroDiscord.Web do
  @moduledoc false
  # The routes, as one function from a request to a response. `UroDiscord.Plug` and `UroDiscord.Web.Listener` are the ways to it.

  require Logger

  alias UroDiscord.{Error, Runtime, Telemetry}
  alias UroDiscord.Web.{Activity, Deliveries, Feeds, Interactions, Link, Notify, Request, Response, WebhookEvents}

  @json ["application/json"]
  # `curl -d` says it sends a form; what it sends is the text.
  @text ["text/plain", "application/x-www-form-urlencoded", nil]

  # A button's form without fields.
  @form ["application/x-www-form-urlencoded", nil]

  @typedoc "How a request goes on after its head: with a body of at most `limit` bytes, or not at all. A signed one is needed as it came."
  @type next :: {:read, %{limit: non_neg_integer(), signed: boolean()}, (binary() -> Response.t())} | Response.t()

  @doc "The answer to a whole request."
  @spec call(Request.t()) :: Response.t()
  def call(%Request{body: body} = request) do
    case begin(request) do
      {:read, %{limit: limit}, _answer} when byte_size(body) > limit -> Response.too_large(limit)
      {:read, _body, answer} -> answer.(body)
      %Response{} = refusal -> refusal
    end
  end

  @doc "What to do with a request of which only the head is there. A server answers a refusal without reading the body."
  @spec begin(Request.t()) :: next()
  def begin(request) do
    started = System.monotonic_time(:millisecond)

    with {:ok, route, params} <- route(request) do
      answered = fn response -> told(response, request, route, started) end

      case open(request, route, params) do
        {:ok, opened} ->
          {:read, %{limit: route.body, signed: Map.get(route, :signed, false)},
           fn body -> answered.(safely(route, fn -> route.to.handle(%{request | body: body}, opened) end)) end}

        %Response{} = refusal ->
          answered.(refusal)
      end
    end
  end

  defp open(request, route, params) do
    with :ok <- length_allowed(request, route),
         :ok <- type_allowed(request, route),
         :ok <- encoding_allowed(request),
         {:ok, runtime} <- runtime(),
         do: safely(route, fn -> route.to.open(request, params, runtime) end)
  end

  ## Finding the route

  # Further features put theirs here. A route that takes a body names its media types and the most bytes it may have, and
  # says `signed: true` if it checks a signature over the bytes.
  defp routes do
    [
      %{method: "POST", path: ["notify", :channel], to: Notify, types: @text ++ @json, body: 512 * 1024},
      # GitHub sends up to 25 MB, for a push of thousands of commits. The others have some 10 KB; and whether it is from GitHub
      # is known only when all of it is read.
      %{method: "POST", path: ["feeds", :name], to: Feeds, types: @json, body: 1024 * 1024, signed: true},
      %{method: "GET", path: ["deliveries", :id], to: Deliveries, types: nil, body: 0},
      %{method: "POST", path: ["interactions"], to: Interactions, types: @json, body: 128 * 1024, signed: true},
      %{method: "POST", path: ["webhook-events"], to: WebhookEvents, types: @json, body: 64 * 1024, signed: true},
      %{method: "GET", path: ["activity"], to: Activity, types: nil, body: 0},
      %{method: "POST", path: ["activity"], to: Activity, types: @json, body: 4 * 1024},
      %{method: "GET", path: ["link"], to: Link, types: nil, body: 0},
      %{method: "GET", path: ["link", "callback"], to: Link, types: nil, body: 0},
      %{method: "GET", path: ["link", "done"], to: Link, types: nil, body: 0},
      %{method: "GET", path: ["link", "bot"], to: Link, types: nil, body: 0},
      %{method: "POST", path: ["link", "delete"], to: Link, types: @form, body: 1024}
    ]
  end

  defp route(request) do
    case for(route <- routes(), params = match(route.path, request.path, %{}), do: {route, params}) do
      [] -> Response.error(404, "not_found", "there is nothing at this path; the paths are: #{paths()}")
      found -> by_method(found, request.method)
    end
  end

  defp by_method(found, method) do
    wanted = if method == "HEAD", do: "GET", else: method

    case Enum.find(found, fn {route, _params} -> route.method == wanted end) do
      {route, params} -> {:ok, route, params}
      nil -> not_allowed(for {route, _params} <- found, do: route.method)
    end
  end

  defp not_allowed(methods) do
    allow = Enum.map_join(methods, ", ", fn method -> if method == "GET", do: "GET, HEAD", else: method end)
    Response.error(405, "method_not_allowed", "this path takes #{allow}", headers: [{"allow", allow}])
  end

  defp match([], [], params), do: params

  defp match([name | pattern], [segment | path], params) when is_atom(name),
    do: match(pattern, path, Map.put(params, name, segment))

  defp match([same | pattern], [same | path], params), do: match(pattern, path, params)
  defp match(_pattern, _path, _params), do: nil

  defp paths do
    Enum.map_join(routes(), ", ", &template/1)
  end

  defp template(%{path: path}),
    do: Enum.map_join(path, fn part -> if is_atom(part), do: "/:#{part}", else: "/#{part}" end)

  ## The body, by its head

  defp length_allowed(request, %{body: limit}) do
    with length when is_binary(length) <- Request.header(request, "content-length"),
         {length, ""} when length > limit <- Integer.parse(length) do
      Response.too_large(limit)
    else
      _none_or_fits -> :ok
    end
  end

  defp type_allowed(_request, %{types: nil}), do: :ok

  defp type_allowed(request, %{types: types}) do
    if Request.media_type(request) in types do
      :ok
    else
      wanted = types |> Enum.reject(&(&1 in [nil, "application/x-www-form-urlencoded"])) |> Enum.join(" or ")
      Response.error(415, "unsupported_media_type", "send the body as #{wanted}, and say so in Content-Type")
    end
  end

  # Compressed bytes would be taken for the text, and a few may stand for any number.
  defp encoding_allowed(request) do
    if Enum.all?(request.headers, &(not match?({"content-encoding", _}, &1) or elem(&1, 1) in ["", "identity"])) do
      :ok
    else
      message = "send the body as it is, without Content-Encoding"
      Response.error(415, "unsupported_media_type", message, headers: [{"accept-encoding", "identity"}])
    end
  end

  defp runtime do
    case Runtime.fetch() do
      {:ok, %{store: nil}} -> Response.later("uro_discord is disabled here (enabled: false)")
      {:ok, runtime} -> {:ok, runtime}
      {:error, %Error{}} -> Response.later("uro_discord is not running")
    end
  end

  ## Answering

  # What goes wrong in a route is for the log alone. Neither the exception's message nor the arguments on the stack are
  # written: they may hold what came in, and with it secrets.
  defp safely(route, fun) do
    fun.()
  rescue
    exception -> failed(route, inspect(exception.__struct__), __STACKTRACE__)
  catch
    kind, _reason -> failed(route, "#{kind}", __STACKTRACE__)
  end

  defp failed(route, what, stack) do
    stack =
      for {module, function, arity, place} <- stack,
          do:
            {module, function, if(is_list(arity), do: length(arity), else: arity), Keyword.take(place, [:file, :line])}

    Logger.error("#{what} in #{inspect(route.to)}\n#{Exception.format_stacktrace(stack)}")
    Response.error(500, "internal", "something went wrong here; it is in the log of uro_discord")
  end

  defp told(response, request, route, started) do
    duration = System.monotonic_time(:millisecond) - started
    metadata = %{method: request.method, route: template(route), status: response.status}
    Telemetry.execute([:web, :request], %{duration_ms: duration}, metadata)
    response
  end
end

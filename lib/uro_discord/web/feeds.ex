defmodule UroDiscord.Web.Feeds do
  @moduledoc false
  # POST /feeds/:name: the webhooks of `UroDiscord.Feeds`. Whether the sender knows the feed's secret is seen from the head
  # (GitLab, generic) or with the body (GitHub, which signs it).

  @behaviour UroDiscord.Web.Route

  require Logger

  alias UroDiscord.{Error, JSON, Secret, Telemetry}
  alias UroDiscord.Feeds.{Generic, GitHub, GitLab, Publisher, Store}
  alias UroDiscord.Web.{Request, Response}

  @impl true
  def open(request, %{name: name}, runtime) do
    with {:ok, feed} <- feed(name, runtime.config),
         :ok <- secret_in_head(feed, request),
         do: {:ok, %{feed: feed, runtime: runtime}}
  end

  @impl true
  def handle(request, %{feed: feed, runtime: runtime}) do
    with :ok <- signature(feed, request),
         {:ok, payload} <- payload(request.body),
         delivery = delivery(feed, request) || anonymous(),
         {:ok, false} <- Store.delivered?(runtime.store, feed.name, delivery),
         {:ok, event} <- event(feed, request, payload, delivery),
         :ok <- Publisher.accept(feed, event, runtime),
         :ok <- Store.delivered(runtime.store, feed.name, delivery) do
      Telemetry.execute([:feeds, :event], %{count: 1}, %{feed: feed.name, kind: event.kind, state: event.state})
      Response.json(202, %{result: "accepted"})
    else
      {:ok, true} -> Response.json(200, %{result: "known", message: "this delivery was dealt with before"})
      :ignore -> Response.json(200, %{result: "ignored", message: "nothing of this kind is shown"})
      %Response{} = refusal -> refusal
      {:error, %Error{kind: :invalid} = error} -> Response.error(422, "invalid", Exception.message(error))
      {:error, %Error{kind: :full} = error} -> full(error)
      {:error, %Error{} = error} -> later(feed, error)
      {:error, problem} -> Response.error(422, "invalid", "the payload #{problem}")
    end
  end

  # What waits goes at about one message a second.
  @drained_ms 60_000

  # Nothing of it is kept, so that it is new when it is sent again.
  defp full(error) do
    seconds = div((error.retry_after_ms || @drained_ms) + 999, 1_000)
    Response.error(429, "too_many", Exception.message(error), headers: [{"retry-after", "#{seconds}"}])
  end

  # What the database says is for the log.
  defp later(feed, error) do
    Logger.warning("a webhook of feed #{feed.name} is answered with 503: #{Exception.message(error)}")
    Response.later("it could not be stored, or not all of it; send it again, which does not show it twice")
  end

  ## Who sends

  # What has no webhooks, and what is not there, look the same.
  defp feed(name, config) do
    case Enum.find(config.feeds, fn {known, feed} -> Atom.to_string(known) == name and feed.secret != nil end) do
      {_name, feed} -> {:ok, feed}
      nil -> Response.error(404, "unknown_feed", "there is no feed of this name that takes webhooks")
    end
  end

  defp secret_in_head(%{source: :github}, _request), do: :ok

  defp secret_in_head(%{source: :gitlab} = feed, request),
    do: same(feed, Request.header(request, "x-gitlab-token"), "the secret token of the webhook, X-Gitlab-Token,")

  defp secret_in_head(%{source: :generic} = feed, request) do
    given =
      case Request.header(request, "authorization") do
        <<scheme::binary-size(7), secret::binary>> -> if String.downcase(scheme) == "bearer ", do: secret
        _ -> nil
      end

    same(feed, given, "Authorization: Bearer <secret>")
  end

  defp same(feed, given, what) do
    if is_binary(given) and equal?(given, Secret.reveal(feed.secret)), do: :ok, else: unauthorized(what)
  end

  # https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
  defp signature(%{source: :github} = feed, request) do
    with "sha256=" <> hex <- Request.header(request, "x-hub-signature-256"),
         {:ok, given} <- Base.decode16(hex, case: :lower),
         true <- equal?(given, :crypto.mac(:hmac, :sha256, Secret.reveal(feed.secret), request.body)) do
      :ok
    else
      _ -> unauthorized("the signature X-Hub-Signature-256 of the body")
    end
  end

  defp signature(_feed, _request), do: :ok

  # In constant time whatever their lengths.
  defp equal?(one, other), do: :crypto.hash_equals(:crypto.hash(:sha256, one), :crypto.hash(:sha256, other))

  defp unauthorized(what),
    do: Response.error(401, "unauthorized", "#{what} is missing or is not made with the secret that `feeds:` has here")

  ## What is sent

  defp payload(body) do
    case JSON.decode(body) do
      {:ok, payload} when is_map(payload) -> {:ok, payload}
      {:ok, payload} when is_list(payload) -> {:ok, payload}
      {:ok, _other} -> Response.error(400, "invalid_json", "the body is neither an object nor a list")
      {:error, reason} -> Response.error(400, "invalid_json", reason)
    end
  end

  # What stays the same when a delivery is repeated.
  defp delivery(%{source: :github}, request), do: id(request, "x-github-delivery")
  defp delivery(%{source: :gitlab}, request), do: id(request, "idempotency-key") || event_uuid(request)
  defp delivery(%{source: :generic}, request), do: id(request, "idempotency-key")

  # Before GitLab 17.4. What a webhook sets off has the same one, and says another thing.
  defp event_uuid(request) do
    with uuid when uuid != nil <- id(request, "x-gitlab-event-uuid"),
         do: String.slice(uuid, 0, 100) <> "/" <> Base.encode16(:crypto.hash(:sha256, request.body), case: :lower)
  end

  # A sender that names none never repeats itself, as far as one can tell.
  defp anonymous, do: Base.url_encode64(:crypto.strong_rand_bytes(16), padding: false)

  defp id(request, name) do
    case Request.header(request, name) do
      id when is_binary(id) and byte_size(id) in 1..200 -> printable(id)
      _ -> nil
    end
  end

  defp printable(id), do: if(id =~ ~r/\A[\x21-\x7E]+\z/, do: id)

  defp event(%{source: :github}, request, payload, _delivery) do
    case {Request.header(request, "x-github-event"), payload} do
      {nil, _} -> {:error, "comes without X-GitHub-Event: it is not a webhook of GitHub's"}
      {event, %{}} -> GitHub.event(event, payload)
      {_event, _list} -> {:error, "is not an object"}
    end
  end

  defp event(%{source: :gitlab}, _request, %{} = payload, delivery), do: GitLab.event(payload, delivery)
  defp event(%{source: :gitlab}, _request, _list, _delivery), do: {:error, "is not an object"}
  defp event(%{source: :generic} = feed, _request, payload, delivery), do: Generic.event(feed, payload, delivery)
end

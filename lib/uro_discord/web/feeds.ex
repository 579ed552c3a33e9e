defmodule UroDiscord.Web.Feeds do
  @moduledoc false
  # POST /feeds/:name: the webhooks of `UroDiscord.Feeds`. Whether the sender knows the feed's secret is seen from the head
  # (GitLab, generic) or with the body (GitHub, which signs it).

  @behaviour UroDiscord.Web.Route

  alias UroDiscord.{Error, Feeds, Native, Secret, Telemetry}
  alias UroDiscord.Feeds.{Cards, Generic, GitHub, GitLab}
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
         {:ok, false} <- Cards.delivered?(runtime.store, feed.name, delivery),
         {:ok, event} <- event(feed, request, payload, delivery),
         :ok <- Feeds.accept(feed, event, runtime),
         :ok <- Cards.delivered(runtime.store, feed.name, delivery) do
      Telemetry.execute([:feeds, :event], %{count: 1}, %{feed: feed.name, kind: event.kind, state: event.state})
      Response.json(202, %{result: "accepted"})
    else
      {:ok, true} -> Response.json(200, %{result: "known", message: "this delivery was dealt with before"})
      :ignore -> Response.json(200, %{result: "ignored", message: "nothing of this kind is shown"})
      %Response{} = refusal -> refusal
      {:error, %Error{kind: :invalid} = error} -> Response.error(422, "invalid", Exception.message(error))
      {:error, %Error{} = error} -> Response.later(Exception.message(error))
      {:error, problem} -> Response.error(422, "invalid", "the payload #{problem}")
    end
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
    case Native.json_decode(body) do
      {:ok, payload} when is_map(payload) -> {:ok, payload}
      {:ok, payload} when is_list(payload) -> {:ok, payload}
      {:ok, _other} -> Response.error(400, "invalid_json", "the body is neither an object nor a list")
      {:error, reason} -> Response.error(400, "invalid_json", reason)
    end
  end

  # What stays the same when a delivery is repeated.
  defp delivery(%{source: :github}, request), do: id(request, "x-github-delivery")
  defp delivery(%{source: :gitlab}, request), do: id(request, "idempotency-key") || id(request, "x-gitlab-event-uuid")
  defp delivery(%{source: :generic}, request), do: id(request, "idempotency-key")

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

  defp event(%{source: :gitlab}, _request, %{} = payload, _delivery), do: GitLab.event(payload)
  defp event(%{source: :gitlab}, _request, _list, _delivery), do: {:error, "is not an object"}
  defp event(%{source: :generic} = feed, _request, payload, delivery), do: Generic.event(feed, payload, delivery)
end

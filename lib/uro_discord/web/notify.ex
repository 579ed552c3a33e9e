defmodule UroDiscord.Web.Notify do
  @moduledoc false
  # POST /notify/:channel, for CI and anybody else with a key and curl.
  #
  # With an Idempotency-Key a request may be sent again: what the key posted under it is in the store, written together
  # with the notification, so that there is one of both or none.

  @behaviour UroDiscord.Web.Route

  alias UroDiscord.{Config, Delivery, Error, JSON, Keys}
  alias UroDiscord.Web.{Bearer, Deliveries, Idempotency, Request, Response, Waits}

  # For ?wait=, in seconds: a proxy in between rarely waits a minute.
  @longest_wait 30

  @impl true
  def open(request, %{channel: channel}, runtime) do
    with {:ok, key} <- Bearer.key(request, runtime),
         {:ok, channel_id} <- allowed(key, channel, runtime.config),
         {:ok, wait} <- wait(request.query["wait"]),
         {:ok, idempotency_key} <- idempotency_key(request),
         do:
           {:ok,
            %{key: key, channel_id: channel_id, wait: wait, idempotency_key: idempotency_key, store: runtime.store}}
  end

  @impl true
  def handle(request, opened) do
    post = %Idempotency{
      key_name: opened.key.name,
      idempotency_key: opened.idempotency_key,
      request_hash: Idempotency.request_hash(opened.channel_id, Request.media_type(request), request.body)
    }

    with {:ok, message} <- message(request),
         {:ok, delivery} <- notify(opened, message, post) do
      outcome(delivery, opened)
    else
      {:error, %Error{} = error} -> refused(error, opened.idempotency_key)
      {:error, %Response{} = refusal} -> refusal
      %Response{} = refusal -> refusal
    end
  end

  ## Who may post where

  # Where a key may not post is to it as if it were not there.
  defp allowed(key, channel, config) do
    case {Config.channel_named(config, channel), Keys.channel_ids(key, config)} do
      {{:ok, id}, :all} -> {:ok, id}
      {{:ok, id}, ids} -> if id in ids, do: {:ok, id}, else: unknown_channel(key, config)
      {:error, _} -> unknown_channel(key, config)
    end
  end

  defp unknown_channel(key, config) do
    names = if key.channels == ["*"], do: Map.keys(config.channels), else: key.channels
    Response.error(404, "unknown_channel", "this key may post to: #{Enum.join(names, ", ")}")
  end

  defp wait(nil), do: {:ok, 0}

  defp wait(text) do
    case Integer.parse(text) do
      {seconds, ""} when seconds in 0..@longest_wait -> {:ok, seconds}
      _ -> Response.bad_request("wait is the seconds to wait for the outcome, from 0 to #{@longest_wait}")
    end
  end

  defp idempotency_key(request) do
    case for {"idempotency-key", value} <- request.headers, do: value do
      [] ->
        {:ok, nil}

      [value] when byte_size(value) in 1..255 ->
        if value =~ ~r/\A[\x20-\x7E]+\z/, do: {:ok, value}, else: bad_idempotency_key()

      _ ->
        bad_idempotency_key()
    end
  end

  defp bad_idempotency_key,
    do:
      Response.bad_request(
        "Idempotency-Key is one header of 1 to 255 printable ASCII characters, such as a build's number"
      )

  ## What is posted

  defp message(request) do
    case Request.media_type(request) do
      "application/json" -> json(JSON.decode(request.body))
      _text -> {:ok, request.body}
    end
  end

  # A file is named by its path, and the paths here are the server's.
  defp json({:ok, %{"files" => _}}),
    do: {:error, Error.invalid("files", "cannot be sent by HTTP; put a link into content")}

  defp json({:ok, %{} = message}), do: {:ok, message}
  defp json({:ok, text}) when is_binary(text), do: {:ok, text}

  defp json({:ok, _other}),
    do: {:error, Error.invalid(nil, ~s(the body is not a JSON object, such as {"content": "hi"}))}

  defp json({:error, reason}), do: Response.error(400, "invalid_json", reason)

  defp notify(opened, message, post) do
    case UroDiscord.Notify.notify(opened.channel_id, message,
           producer: {:key, post.key_name},
           admit: &admit(opened.key, &1),
           also: &[Idempotency.insert(post, &1)]
         ) do
      {:error, %Error{kind: :conflict}} -> posted_before(opened.store, post)
      answer -> answer
    end
  end

  # A long text may be many messages; the request was counted as the first.
  defp admit(_key, 1), do: :ok

  defp admit(key, count) when count > key.per_minute do
    {:error,
     Error.invalid(
       "overflow",
       "makes #{count} messages of this, and the key may post #{key.per_minute} a minute: send less"
     )}
  end

  defp admit(key, count), do: Bearer.rate(key, count - 1)

  defp posted_before(store, post) do
    case Idempotency.repeated(store, post) do
      {:ok, delivery} ->
        {:ok, delivery}

      :other ->
        message = "this Idempotency-Key was used for another request; each request needs its own"
        Response.error(422, "idempotency_key_reused", message)

      {:error, error} ->
        {:error, error}
    end
  end

  ## What is told

  defp outcome(%Delivery{status: :queued} = delivery, %{wait: wait, key: key}) when wait > 0 do
    case Waits.wait(:outcome, key.name, fn -> UroDiscord.Notify.await(delivery, wait * 1_000) end) do
      {:ok, finished} -> told(finished)
      # Not known yet, or not to be known just now: it is accepted all the same.
      _error_or_many -> told(delivery)
    end
  end

  defp outcome(delivery, _opened), do: told(delivery)

  defp told(%Delivery{status: :delivered} = delivery), do: told(200, delivery)
  defp told(%Delivery{status: :failed} = delivery), do: told(502, delivery)
  defp told(delivery), do: told(202, delivery)

  defp told(status, delivery), do: Response.json(status, Deliveries.json(delivery))

  defp refused(%Error{kind: :invalid} = error, _key),
    do: Response.error(422, "invalid", Exception.message(error), field: error.field)

  defp refused(%Error{kind: :full} = error, _key), do: Response.too_fast("backlog_full", Exception.message(error), 60)

  # The connection to the store may have broken behind the commit.
  defp refused(_store_failed, nil) do
    Response.later(
      "the store did not say that it has the notification, and perhaps it has: look into the channel before you send it again. With an " <>
        "Idempotency-Key it can be sent again and comes once"
    )
  end

  defp refused(_store_failed, _key) do
    Response.later(
      "the store did not say that it has the notification, and perhaps it has: send it again with the same Idempotency-Key, and it comes once"
    )
  end
end

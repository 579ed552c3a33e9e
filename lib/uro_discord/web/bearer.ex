defmodule UroDiscord.Web.Bearer do
  @moduledoc false
  # Who asks, by the key in the Authorization header (RFC 6750).

  alias UroDiscord.{Error, Keys, Runtime}
  alias UroDiscord.Web.{RateLimit, Request, Response}

  @challenge [{"www-authenticate", ~s(Bearer realm="uro_discord")}]

  @spec key(Request.t(), Runtime.t()) :: {:ok, Keys.t()} | Response.t()
  def key(request, runtime) do
    with {:ok, text} <- presented(request),
         {:ok, key} <- known(Keys.find(runtime.store, text)),
         :ok <- good(key),
         :ok <- rate(key, 1) do
      {:ok, key}
    else
      {:error, refusal} -> refusal
      refusal -> refusal
    end
  end

  defp presented(request) do
    case request |> Request.header("authorization") |> to_string() |> String.split(" ", parts: 2) do
      [scheme, key] when byte_size(scheme) == 6 ->
        if String.downcase(scheme) == "bearer", do: {:ok, String.trim(key)}, else: missing()

      _other ->
        missing()
    end
  end

  defp missing do
    message = "send the key, as in: curl -H \"Authorization: Bearer $KEY\" …"
    Response.error(401, "missing_key", message, headers: @challenge)
  end

  defp known({:ok, key}), do: {:ok, key}

  defp known(:error) do
    message = "this is not a key; `mix uro_discord.keys.new` makes one"
    Response.error(401, "unknown_key", message, headers: @challenge)
  end

  defp known({:error, %Error{}}), do: Response.later("the key could not be looked up; try again")

  defp good(%Keys{state: :active}), do: :ok
  defp good(%Keys{state: :revoked}), do: Response.error(403, "revoked_key", "this key was revoked; ask for another one")

  defp good(%Keys{state: :expired}),
    do: Response.error(403, "expired_key", "this key was rotated and its time is over; use the new one")

  @doc "Counts so many messages of this key, or requests; both have the same limit. The error is the answer, as an option of `notify/3` has it."
  @spec rate(Keys.t(), pos_integer()) :: :ok | {:error, Response.t()}
  def rate(key, count) do
    case RateLimit.take(key.name, key.per_minute, count) do
      :ok ->
        :ok

      {:error, seconds} ->
        message = "this key may ask, and post messages, #{key.per_minute} times a minute; wait #{seconds} s"
        {:error, Response.too_fast("too_fast", message, seconds)}

      :unavailable ->
        {:error, Response.later("uro_discord is just starting, or stopping; try again")}
    end
  end
end

defmodule UroDiscord.Web.Signed do
  @moduledoc false
  # What Discord's two endpoints have in common: a signature, looked at before the body is read and checked with it.

  require Logger

  alias UroDiscord.{Config, Runtime}
  alias UroDiscord.Interactions.Signature
  alias UroDiscord.Web.{RateLimit, Request, Response}

  @type t :: %{signature: Signature.t(), config: Config.t()}

  @spec open(Request.t(), Runtime.t()) :: {:ok, t()} | Response.t()
  def open(_request, %{config: %{public_key: nil}}) do
    message = "set `config :uro_discord, public_key:` to the key on the application's General Information page"
    Response.error(404, "not_configured", message)
  end

  def open(request, %{config: config}) do
    headers = for name <- ["x-signature-ed25519", "x-signature-timestamp"], do: Request.header(request, name)

    case apply(Signature, :parse, headers) do
      {:ok, signature} -> {:ok, %{signature: signature, config: config}}
      :error -> refuse("there is no signature of Discord's")
    end
  end

  @spec check(t(), binary()) :: :ok | Response.t()
  def check(%{signature: signature, config: config}, body) do
    case Signature.check(signature, body, config.public_key) do
      :ok ->
        :ok

      :bad ->
        refuse("the signature is not Discord's")

      :stale ->
        # Somebody sends again what Discord sent once, or a clock is wrong: once a minute is enough to find out.
        with :ok <- RateLimit.take("stale signatures", 1),
             do:
               Logger.warning(
                 "a request that Discord signed at #{signature.timestamp} came now: sent again by another, or a wrong clock here"
               )

        refuse("the signature is too old")
    end
  end

  @spec refuse(String.t()) :: Response.t()
  def refuse(message), do: Response.error(401, "bad_signature", message)
end

defmodule UroDiscord.Web.WebhookEvents do
  @moduledoc false
  # POST /webhook-events: what Discord tells an application about itself, such as that a user has unlinked it
  # (https://discord.com/developers/docs/events/webhook-events). It may come twice and in any order.

  @behaviour UroDiscord.Web.Route

  alias UroDiscord.Accounts.Departures
  alias UroDiscord.{Events, JSON}
  alias UroDiscord.Interactions.ReplayGuard
  alias UroDiscord.Web.{Response, Signed}

  @ping 0
  @event 1

  @impl true
  def open(request, _params, runtime), do: Signed.open(request, runtime)

  @impl true
  def handle(request, signed) do
    with :ok <- Signed.check(signed, request.body) do
      case JSON.decode(request.body) do
        {:ok, %{"type" => @ping}} ->
          Response.empty(204)

        {:ok, %{"type" => @event, "event" => %{"type" => type} = event}} when is_binary(type) ->
          event(type, event, request.body)

        {:ok, _other} ->
          Response.bad_request("this is not a webhook event")

        {:error, reason} ->
          Response.error(400, "invalid_json", reason)
      end
    end
  end

  # It has no id: the same bytes are the same event. Discord sends it again where it is not told that it was taken.
  defp event(type, event, body) do
    with :ok <- kept(type, event) do
      if ReplayGuard.new?({:event, :crypto.hash(:sha256, body)}) do
        Events.publish({:webhook, type}, %{type: type, timestamp: event["timestamp"], data: event["data"]})
      end

      Response.empty(204)
    else
      {:error, _away} -> Response.later("the event cannot be stored now")
    end
  end

  # What must not be lost is stored before Discord is answered.
  defp kept("APPLICATION_DEAUTHORIZED", event), do: Departures.deauthorized(event["data"], event["timestamp"])
  defp kept(_type, _event), do: :ok
end

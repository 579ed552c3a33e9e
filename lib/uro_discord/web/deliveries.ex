defmodule UroDiscord.Web.Deliveries do
  @moduledoc false
  # GET /deliveries/:id: what became of what this key posted.

  @behaviour UroDiscord.Web.Route

  alias UroDiscord.Delivery
  alias UroDiscord.Web.{Bearer, Idempotency, Response}

  @impl true
  def open(request, %{id: id}, runtime) do
    with {:ok, key} <- Bearer.key(request, runtime), do: {:ok, {runtime.store, key.name, id}}
  end

  @impl true
  def handle(_request, {store, key_name, id}) do
    case Idempotency.delivery(store, key_name, id) do
      {:ok, delivery} -> Response.json(200, json(delivery))
      :error -> Response.error(404, "unknown_delivery", "this key has posted nothing with this id in the past week")
      {:error, _store_failed} -> Response.later("the delivery could not be looked up; try again")
    end
  end

  @doc "A delivery as JSON has it."
  @spec json(Delivery.t()) :: map()
  def json(%Delivery{} = delivery) do
    base = %{id: delivery.id, channel_id: delivery.channel_id, status: delivery.status}

    case delivery do
      %{status: :delivered} -> Map.put(base, :message_id, delivery.message_id)
      %{status: :failed} -> Map.merge(base, %{error: "delivery_failed", message: Exception.message(delivery.error)})
      _ -> base
    end
  end
end

defmodule UroDiscord.Web.Idempotency do
  @moduledoc false
  # Which key posted which notification, in the store: for `GET /deliveries/:id`, and so that a request with an Idempotency-Key
  # posts once. A row goes when its notification does, see `UroDiscord.Notify.Outbox`.

  alias UroDiscord.{Delivery, Error, Store}
  alias UroDiscord.Notify.Outbox

  @enforce_keys [:key_name, :request_hash]
  defstruct [:key_name, :idempotency_key, :request_hash]

  @type t :: %__MODULE__{key_name: String.t(), idempotency_key: String.t() | nil, request_hash: String.t()}

  @doc "What makes a request the same as another: where it goes, and what it says."
  @spec request_hash(String.t(), String.t() | nil, binary()) :: String.t()
  def request_hash(channel_id, media_type, body),
    do: :crypto.hash(:sha256, [channel_id, 0, to_string(media_type), 0, body]) |> Base.encode16(case: :lower)

  @doc "The statement that goes with the notification's own; it fails, and so do they, where the Idempotency-Key was used."
  @spec insert(t(), Delivery.t()) :: Store.statement()
  def insert(post, delivery) do
    {"""
     INSERT INTO uro_discord_posts (delivery_id, key_name, idempotency_key, request_hash) VALUES ($1, $2, $3, $4)
     """, [delivery.id, post.key_name, post.idempotency_key, post.request_hash]}
  end

  @doc "The delivery of the request that used this Idempotency-Key first; `:other` if that was another request."
  @spec repeated(Store.t(), t()) :: {:ok, Delivery.t()} | :other | {:error, Error.t()}
  def repeated(store, %__MODULE__{request_hash: hash} = post) do
    sql = "SELECT request_hash, delivery_id FROM uro_discord_posts WHERE key_name = $1 AND idempotency_key = $2"

    case Store.run(store, [{sql, [post.key_name, post.idempotency_key]}], :read) do
      {:ok, [%{rows: [[^hash, id]]}]} -> fetch(store, id)
      {:ok, [%{rows: [[_other, _id]]}]} -> :other
      # It was forgotten between the two looks.
      {:ok, [%{rows: []}]} -> {:error, %Error{kind: :busy, message: "the notification is being forgotten"}}
      {:error, error} -> {:error, error}
    end
  end

  @doc "A delivery that this key posted."
  @spec delivery(Store.t(), String.t(), String.t()) :: {:ok, Delivery.t()} | :error | {:error, Error.t()}
  def delivery(store, key_name, id) do
    sql = "SELECT 1 FROM uro_discord_posts WHERE delivery_id = $1 AND key_name = $2"

    with true <- byte_size(id) == 22 and not String.contains?(id, <<0>>),
         {:ok, [%{rows: [_one]}]} <- Store.run(store, [{sql, [id, key_name]}], :read) do
      Outbox.fetch(store, id)
    else
      {:error, error} -> {:error, error}
      _not_ours -> :error
    end
  end

  defp fetch(store, id) do
    with :error <- Outbox.fetch(store, id),
         do: {:error, %Error{kind: :busy, message: "the notification is being forgotten"}}
  end
end

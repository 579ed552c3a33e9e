defmodule UroDiscord.Shards.Board.Store do
  @moduledoc false
  # Which message is a channel's board. The delivery that posts it is stored in the same transaction as the delivery itself, so
  # that there is no moment in which a board could be posted and not be known.

  alias UroDiscord.{Error, Store}

  @type t :: %{delivery_id: String.t(), message_id: String.t() | nil}

  @spec fetch(Store.t(), String.t()) :: {:ok, t() | nil} | {:error, Error.t()}
  def fetch(store, channel_id) do
    sql = "SELECT delivery_id, message_id FROM uro_discord_boards WHERE channel_id = $1"

    case Store.run(store, [{sql, [channel_id]}], :read) do
      {:ok, [%{rows: [[delivery_id, message_id]]}]} -> {:ok, %{delivery_id: delivery_id, message_id: message_id}}
      {:ok, [%{rows: []}]} -> {:ok, nil}
      {:error, error} -> {:error, error}
    end
  end

  @doc """
  Makes a delivery the channel's board, in place of the one that was found there (nil: none). Where another node was quicker,
  this is a conflict, which undoes the transaction that it is in.
  """
  @spec replace(String.t(), String.t() | nil, String.t()) :: [Store.statement()]
  def replace(channel_id, found, delivery_id) do
    [
      {"DELETE FROM uro_discord_boards WHERE channel_id = $1 AND delivery_id = $2", [channel_id, found || ""]},
      {"INSERT INTO uro_discord_boards (channel_id, delivery_id) VALUES ($1, $2)", [channel_id, delivery_id]}
    ]
  end

  @doc "What a delivery has become; deliveries are forgotten after a while, and this is not."
  @spec delivered(Store.t(), String.t(), String.t(), String.t()) :: :ok | {:error, Error.t()}
  def delivered(store, channel_id, delivery_id, message_id) do
    sql = "UPDATE uro_discord_boards SET message_id = $3 WHERE channel_id = $1 AND delivery_id = $2"
    with {:ok, _} <- Store.run(store, [{sql, [channel_id, delivery_id, message_id]}], :write), do: :ok
  end
end

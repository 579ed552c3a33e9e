defmodule UroDiscord.Accounts.SelfRoles.Store do
  @moduledoc false
  # Which message is which: as the status board's (UroDiscord.Shards.Board.Store), the delivery that posts it is stored in the same transaction as the
  # delivery itself. `hash` is of what the message said when it was last written.

  alias UroDiscord.{Error, Store}

  @type t :: %{
          name: String.t(),
          channel_id: String.t(),
          delivery_id: String.t(),
          message_id: String.t() | nil,
          hash: String.t()
        }

  @spec all(Store.t()) :: {:ok, [t()]} | {:error, Error.t()}
  def all(store), do: query(store, "", [])

  @spec fetch(Store.t(), String.t()) :: {:ok, t() | nil} | {:error, Error.t()}
  def fetch(store, name) do
    with {:ok, found} <- query(store, "WHERE name = $1", [name]), do: {:ok, List.first(found)}
  end

  defp query(store, where, params) do
    sql = "SELECT name, channel_id, delivery_id, message_id, hash FROM uro_discord_self_role_messages #{where}"

    with {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, params}], :read) do
      {:ok,
       for [name, channel_id, delivery_id, message_id, hash] <- rows do
         %{name: name, channel_id: channel_id, delivery_id: delivery_id, message_id: message_id, hash: hash}
       end}
    end
  end

  @doc """
  Puts a delivery in place of the one that was found (nil: none). Where another node was quicker, this is a conflict, which undoes the transaction that
  it is in.
  """
  @spec replace(t() | nil, t()) :: [Store.statement()]
  def replace(found, new) do
    [
      {"DELETE FROM uro_discord_self_role_messages WHERE name = $1 AND delivery_id = $2",
       [new.name, if(found, do: found.delivery_id, else: "")]},
      {"INSERT INTO uro_discord_self_role_messages (name, channel_id, delivery_id, hash) VALUES ($1, $2, $3, $4)",
       [new.name, new.channel_id, new.delivery_id, new.hash]}
    ]
  end

  @doc "What a delivery has become, and what it says."
  @spec written(Store.t(), t()) :: :ok | {:error, Error.t()}
  def written(store, kept) do
    sql = "UPDATE uro_discord_self_role_messages SET message_id = $3, hash = $4 WHERE name = $1 AND delivery_id = $2"
    run(store, {sql, [kept.name, kept.delivery_id, kept.message_id, kept.hash]})
  end

  @spec delete(Store.t(), t()) :: :ok | {:error, Error.t()}
  def delete(store, kept) do
    sql = "DELETE FROM uro_discord_self_role_messages WHERE name = $1 AND delivery_id = $2"
    run(store, {sql, [kept.name, kept.delivery_id]})
  end

  defp run(store, statement), do: with({:ok, _} <- Store.run(store, [statement], :write), do: :ok)
end

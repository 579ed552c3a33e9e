defmodule UroDiscord.Notify.Kept do
  @moduledoc false
  # A message that is to be there once and is edited from then on, as those of self_roles and of portals. It is posted through the outbox, and which message
  # it is, is stored in the same transaction as the delivery: there is no moment in which it could be posted and not be known.

  alias UroDiscord.{Backoff, Delivery, Error, JSON, Notify, Rest, Runtime, Store}
  alias UroDiscord.Notify.Outbox

  @enforce_keys [:kind, :name]
  defstruct [:kind, :name, :row, :delivery, seen?: false, refused?: false]

  @typedoc "What the store has of it. `hash` is of what it said when it was last written."
  @type row :: %{
          kind: String.t(),
          name: String.t(),
          channel_id: String.t(),
          delivery_id: String.t(),
          message_id: String.t() | nil,
          hash: String.t()
        }

  @typedoc """
    * `kind` and `name`: whose it is, and which of these;
    * `row`: what the store has, once that was asked;
    * `seen?`: it need not be looked whether it is there;
    * `refused?`: its delivery failed, and it is not known that the channel takes messages by now;
    * `delivery`: by which it comes.
  """
  @type t :: %__MODULE__{
          kind: String.t(),
          name: String.t(),
          row: row() | nil,
          seen?: boolean(),
          refused?: boolean(),
          delivery: String.t() | nil
        }

  @typedoc """
  What is to be there. `body`: the fields of a message, but for what makes it a notification. `post?: false`: if it is there at all; it is not posted for that.
  """
  @type wanted :: %{
          :channel_id => String.t(),
          :body => %{String.t() => term()},
          :hash => String.t(),
          optional(:post?) => boolean(),
          optional(atom()) => term()
        }

  # Pauses after a failure: one that may pass by itself, and one that somebody must mend.
  @retry_ms {1_000, 60_000}
  @slow_ms {60_000, 1_800_000}
  @final [:api, :invalid, :invalid_request, :unauthorized]
  @deadline_ms 15_000

  # https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
  @unknown_message 10_008

  @doc "Of a body, by which one knows whether a message says it already."
  @spec hash(term()) :: String.t()
  def hash(body) do
    {:ok, json} = JSON.encode(body)
    # Keys of a map have no order that lasts.
    {:ok, term} = JSON.decode(json)
    :crypto.hash(:sha256, :erlang.term_to_binary(term, [:deterministic])) |> Base.encode16(case: :lower)
  end

  @doc """
  Brings what is there to what is to be there, and waits for the store and for Discord: `:shown`, or `:waiting` for its delivery, or `:gone`, where it is not
  to be posted. Where another node was quicker, the error is a `:conflict`.
  """
  @spec keep(t(), wanted(), Runtime.t()) :: {:shown | :waiting | :gone, t()} | {:error, Error.t(), t()}
  def keep(kept, wanted, runtime) do
    case fetch(runtime.store, kept.kind, kept.name) do
      {:ok, row} -> kept_row(%{kept | row: row}, wanted, runtime)
      {:error, error} -> {:error, error, kept}
    end
  end

  defp kept_row(kept, wanted, runtime),
    do: with({:error, error} <- keep_row(kept, wanted, runtime), do: {:error, error, kept})

  # What is there is one of: nothing, one elsewhere, one on its way, one that may be gone or says something else.
  defp keep_row(%{row: nil} = kept, wanted, _runtime), do: post(kept, wanted)

  defp keep_row(%{row: %{channel_id: there}} = kept, %{channel_id: here} = wanted, runtime) when there != here do
    with :ok <- remove(kept.row, runtime), do: post(kept, wanted)
  end

  defp keep_row(%{row: %{message_id: nil} = row} = kept, wanted, runtime) do
    case Outbox.fetch(runtime.store, row.delivery_id) do
      {:ok, %Delivery{status: :queued}} ->
        {:waiting, kept}

      {:ok, %Delivery{status: :delivered, message_id: message_id}} ->
        # It says what it said when it was posted, which may be something else by now.
        row = %{row | message_id: message_id}

        with :ok <- written(runtime.store, row),
             do: keep_row(%{kept | row: row, seen?: true, refused?: false, delivery: nil}, wanted, runtime)

      {:ok, %Delivery{status: :failed, error: error}} ->
        refused(kept, error, wanted, runtime)

      :error ->
        post(kept, wanted)

      {:error, error} ->
        {:error, error}
    end
  end

  defp keep_row(%{row: %{hash: hash}, seen?: true} = kept, %{hash: hash}, _runtime), do: {:shown, kept}

  defp keep_row(%{row: %{hash: hash} = row} = kept, %{hash: hash} = wanted, runtime),
    do: asked(kept, {:get_message, row.channel_id, row.message_id}, [], wanted, runtime)

  defp keep_row(%{row: row} = kept, wanted, runtime),
    do: asked(kept, {:update_message, row.channel_id, row.message_id}, [json: wanted.body], wanted, runtime)

  # By looking at it, or by writing it anew.
  defp asked(kept, route, options, wanted, runtime) do
    case call(runtime, route, options) do
      {:ok, _response} -> shown(kept, wanted, runtime)
      {:error, %Error{code: @unknown_message}} -> post(kept, wanted)
      {:error, error} -> {:error, error}
    end
  end

  defp shown(%{row: %{hash: hash}} = kept, %{hash: hash}, _runtime), do: {:shown, %{kept | seen?: true}}

  defp shown(kept, wanted, runtime) do
    row = %{kept.row | hash: wanted.hash}
    with :ok <- written(runtime.store, row), do: {:shown, %{kept | row: row, seen?: true}}
  end

  # Discord answers a typing indicator as it would a message: there need not be a dead letter for each time that we try.
  defp refused(kept, _error, %{post?: false}, _runtime), do: {:gone, kept}
  defp refused(%{refused?: false} = kept, error, _wanted, _runtime), do: {:error, error, %{kept | refused?: true}}

  defp refused(kept, _error, wanted, runtime) do
    with {:ok, _} <- call(runtime, {:create_typing_trigger, wanted.channel_id}, []),
         do: post(%{kept | refused?: false}, wanted)
  end

  defp post(kept, %{post?: false}), do: {:gone, kept}

  defp post(kept, wanted) do
    row = %{kind: kept.kind, name: kept.name, channel_id: wanted.channel_id, hash: wanted.hash, message_id: nil}
    stored = &replace(kept.row, Map.put(row, :delivery_id, &1.id))
    message = [content: wanted.body["content"], components: wanted.body["components"]]

    with {:ok, delivery} <- Notify.notify(wanted.channel_id, message, producer: :worlds, also: stored),
         do: {:waiting, %{kept | seen?: false, delivery: delivery.id}}
  end

  @doc "Takes a message away that is not to be there any more, and forgets it; one that is on its way is waited for."
  @spec delete(row(), Runtime.t()) :: :ok | {:error, Error.t()}
  def delete(row, runtime), do: with(:ok <- remove(row, runtime), do: forget(runtime.store, row))

  defp remove(%{message_id: nil} = row, runtime) do
    case Outbox.fetch(runtime.store, row.delivery_id) do
      {:ok, %Delivery{status: :queued}} -> {:error, %Error{kind: :weather, message: "it is still on its way"}}
      {:ok, %Delivery{message_id: id}} when id != nil -> remove(%{row | message_id: id}, runtime)
      {:error, error} -> {:error, error}
      _never_there -> :ok
    end
  end

  defp remove(row, runtime) do
    case call(runtime, {:delete_message, row.channel_id, row.message_id}, []) do
      {:ok, _} -> :ok
      # Neither it nor its channel is there, or the bot has no way to it.
      {:error, %Error{status: status}} when status in [403, 404] -> :ok
      {:error, error} -> {:error, error}
    end
  end

  defp call(runtime, route, options),
    do: Rest.call(runtime.rest, route, [retry: :safe, priority: :low, deadline_ms: @deadline_ms] ++ options)

  @doc "Whether it fails until somebody mends it."
  @spec final?(Error.t()) :: boolean()
  def final?(error), do: error.kind in @final

  @doc "When to try again what failed so often before, in ms."
  @spec pause(Error.t(), non_neg_integer()) :: pos_integer()
  def pause(error, failures),
    do: max(Backoff.delay(if(final?(error), do: @slow_ms, else: @retry_ms), failures), error.retry_after_ms || 0)

  ## In the store

  @spec all(Store.t(), String.t()) :: {:ok, [row()]} | {:error, Error.t()}
  def all(store, kind), do: query(store, "WHERE kind = $1", [kind])

  defp fetch(store, kind, name) do
    with {:ok, found} <- query(store, "WHERE kind = $1 AND name = $2", [kind, name]), do: {:ok, List.first(found)}
  end

  defp query(store, where, params) do
    sql = "SELECT kind, name, channel_id, delivery_id, message_id, hash FROM uro_discord_kept_messages #{where}"

    with {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, params}], :read) do
      keys = [:kind, :name, :channel_id, :delivery_id, :message_id, :hash]
      {:ok, for(row <- rows, do: keys |> Enum.zip(row) |> Map.new())}
    end
  end

  # Puts a delivery in place of the one that was found (nil: none). Where another node was quicker, this is a conflict, which undoes the transaction that it
  # is in.
  defp replace(found, new) do
    [
      {"DELETE FROM uro_discord_kept_messages WHERE kind = $1 AND name = $2 AND delivery_id = $3",
       [new.kind, new.name, if(found, do: found.delivery_id, else: "")]},
      {"INSERT INTO uro_discord_kept_messages (kind, name, channel_id, delivery_id, hash) VALUES ($1, $2, $3, $4, $5)",
       [new.kind, new.name, new.channel_id, new.delivery_id, new.hash]}
    ]
  end

  # What a delivery has become, and what it says.
  defp written(store, row) do
    sql = """
    UPDATE uro_discord_kept_messages SET message_id = $4, hash = $5 WHERE kind = $1 AND name = $2 AND delivery_id = $3
    """

    run(store, {sql, [row.kind, row.name, row.delivery_id, row.message_id, row.hash]})
  end

  @doc "Which message it is; the message stays as it is."
  @spec forget(Store.t(), row()) :: :ok | {:error, Error.t()}
  def forget(store, row) do
    sql = "DELETE FROM uro_discord_kept_messages WHERE kind = $1 AND name = $2 AND delivery_id = $3"
    run(store, {sql, [row.kind, row.name, row.delivery_id]})
  end

  defp run(store, statement), do: with({:ok, _} <- Store.run(store, [statement], :write), do: :ok)
end

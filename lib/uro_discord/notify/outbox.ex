defmodule UroDiscord.Notify.Outbox do
  @moduledoc false
  # The notifications in the store, as SQL: accepted, sent in the order of their channel, and then kept for a while with their
  # outcome. One node at a time sends in a channel: the holder of its lease (UroDiscord.Store.Lease). Every change of a notification comes
  # behind the lease's renewal and names its fence, so that a node which lost the lease changes nothing.

  alias UroDiscord.{Clock, Delivery, Error, JSON, Store}
  alias UroDiscord.Store.Lease

  # A lease outlasts any request that is begun under it (see UroDiscord.Notify.Channel).
  @lease %{table: "uro_discord_channels", key: "channel_id", ms: 30_000}

  @columns "id, channel_id, status, message_id, error"

  @type row :: %{
          id: String.t(),
          channel_id: String.t(),
          position: integer(),
          body: String.t(),
          files: [%{name: String.t(), content_type: String.t() | nil, data: binary()}],
          crosspost: boolean(),
          # By Discord's clock, as far as that is known; all other times are by the node's own.
          accepted_at: integer(),
          expires_at: integer() | nil
        }

  @type lease :: %{channel_id: String.t(), fence: integer()}

  @doc "How long a lease lasts, in ms, from the moment it is asked for."
  @spec lease_ms() :: pos_integer()
  def lease_ms, do: @lease.ms

  ## Accepting

  @doc """
  Stores notifications of one producer, and what goes `also`. They are accepted when this returns `:ok`, and not at all otherwise; only after
  `:unavailable` that is not known.
  """
  @spec accept(Store.t(), String.t(), [row()], [Store.statement()]) :: :ok | {:error, Error.t()}
  def accept(store, producer, rows, also \\ []) do
    with {:ok, _} <- Store.run(store, Enum.flat_map(rows, &insert(producer, &1)) ++ also, :write), do: :ok
  end

  defp insert(producer, row) do
    message =
      {"""
       INSERT INTO uro_discord_outbox (id, channel_id, producer, position, status, body, crosspost, accepted_at, expires_at)
       VALUES ($1, $2, $3, $4, 'queued', $5, $6, $7, $8)
       """,
       [
         row.id,
         row.channel_id,
         producer,
         row.position,
         row.body,
         if(row.crosspost, do: 1, else: 0),
         row.accepted_at,
         row.expires_at
       ]}

    [message | row.files |> Enum.with_index() |> Enum.map(&insert_file(row.id, &1))]
  end

  defp insert_file(id, {file, number}) do
    {"INSERT INTO uro_discord_files (delivery_id, number, name, content_type, data) VALUES ($1, $2, $3, $4, $5)",
     [id, number, file.name, file.content_type, {:blob, file.data}]}
  end

  @doc "How many notifications of a producer wait; more than `most` are not counted."
  @spec waiting(Store.t(), String.t(), pos_integer()) :: {:ok, non_neg_integer()} | {:error, Error.t()}
  def waiting(store, producer, most) do
    sql = """
    SELECT COUNT(*) FROM
      (SELECT 1 FROM uro_discord_outbox WHERE producer = $1 AND status = 'queued' LIMIT $2) AS waiting
    """

    with {:ok, [[count]]} <- rows(store, sql, [producer, most]), do: {:ok, count}
  end

  @doc "The highest position there is; a new one must be above it."
  @spec last_position(Store.t()) :: {:ok, integer()} | {:error, Error.t()}
  def last_position(store) do
    with {:ok, [[position]]} <- rows(store, "SELECT MAX(position) FROM uro_discord_outbox", []),
         do: {:ok, position || 0}
  end

  ## Who sends in a channel

  @doc """
  The lease of a channel for this owner, and the last position of what waits there by now; or what to `watch` of the node that has it.
  """
  @spec claim(Store.t(), String.t(), String.t(), Lease.watch()) ::
          {:ok, lease(), integer()} | {:held, Lease.watch()} | {:error, Error.t()}
  def claim(store, channel_id, owner, watch) do
    # Every producer has a name; asked for, it lets SQLite take the index.
    last =
      {"SELECT MAX(position) FROM uro_discord_outbox WHERE channel_id = $1 AND producer > '' AND status = 'queued'",
       [channel_id]}

    with {:ok, fence, [%{rows: [[position]]}]} <- Lease.claim(store, @lease, channel_id, owner, watch, [last]),
         do: {:ok, %{channel_id: channel_id, fence: fence}, position || 0}
  end

  @doc "Extends a lease; `:lost` when another owner has it by now."
  @spec renew(Store.t(), lease()) :: :ok | :lost | {:error, Error.t()}
  def renew(store, lease), do: under(store, lease, []) |> changed(fn [] -> :ok end)

  @doc "Gives a lease back, for another node to take at once."
  @spec release(Store.t(), lease()) :: :ok | {:error, Error.t()}
  def release(store, lease), do: Lease.release(store, @lease, lease.channel_id, lease.fence)

  # The renewal first: it locks the lease's row, so that nobody takes it in the middle.
  defp under(store, lease, statements),
    do: Store.run(store, [Lease.renewal(@lease, lease.channel_id, lease.fence) | statements], :write)

  defp changed({:ok, [%{num_rows: 1} | answers]}, result), do: result.(answers)
  defp changed({:ok, [%{num_rows: 0} | _]}, _result), do: :lost
  defp changed({:error, error}, _result), do: {:error, error}

  # For statements whose first two parameters are the channel and the fence.
  @held "EXISTS (SELECT 1 FROM uro_discord_channels WHERE channel_id = $1 AND fence = $2)"

  ## Sending

  @doc """
  The next notification of a channel, its files left out. Producers take turns: it is the first of the producer that follows, by name, on the
  one whose turn was last ("" for none).
  """
  @spec next(Store.t(), String.t(), String.t()) :: {:ok, map() | nil} | {:error, Error.t()}
  def next(store, channel_id, last) do
    {sql, params} = queued(channel_id, last)
    with {:ok, rows} <- rows(store, sql, params), do: {:ok, first(rows)}
  end

  # Each of the inner ones is one look into the index.
  defp queued(channel_id, last) do
    {"""
     SELECT id, producer, position, body, crosspost, accepted_at, expires_at,
       CASE WHEN EXISTS (SELECT 1 FROM uro_discord_files WHERE delivery_id = uro_discord_outbox.id) THEN 1 ELSE 0 END
     FROM uro_discord_outbox WHERE id = COALESCE(
       (SELECT id FROM uro_discord_outbox WHERE channel_id = $1 AND status = 'queued' AND producer > $2
        ORDER BY producer, position LIMIT 1),
       (SELECT id FROM uro_discord_outbox WHERE channel_id = $1 AND status = 'queued' ORDER BY producer, position LIMIT 1))
     """, [channel_id, last]}
  end

  defp first([]), do: nil

  defp first([[id, producer, position, body, crosspost, accepted_at, expires_at, files]]) do
    %{
      id: id,
      producer: producer,
      position: position,
      body: body,
      crosspost: crosspost == 1,
      accepted_at: accepted_at,
      expires_at: expires_at,
      files?: files == 1
    }
  end

  @doc "The files of what `next/3` gave."
  @spec files(Store.t(), map()) :: {:ok, [map()]} | {:error, Error.t()}
  def files(_store, %{files?: false}), do: {:ok, []}

  def files(store, %{id: id}) do
    sql = "SELECT name, content_type, data FROM uro_discord_files WHERE delivery_id = $1 ORDER BY number"

    with {:ok, rows} <- rows(store, sql, [id]) do
      {:ok, for([name, content_type, data] <- rows, do: %{name: name, content_type: content_type, data: data})}
    end
  end

  @doc "Whether this message is what some notification became."
  @spec outcome?(Store.t(), String.t(), String.t()) :: {:ok, boolean()} | {:error, Error.t()}
  def outcome?(store, channel_id, message_id) do
    sql = "SELECT 1 FROM uro_discord_outbox WHERE channel_id = $1 AND status = 'delivered' AND message_id = $2"

    with {:ok, rows} <- rows(store, sql, [channel_id, message_id]), do: {:ok, rows != []}
  end

  @doc """
  Stores the outcome of what `next/3` gave, and when the message is to be published (nil: never), extends the lease, and gives the channel's next
  notification, as `next/3` does; `:lost` when another owner has the lease by now, and nothing is changed.
  """
  @spec finish(Store.t(), lease(), map(), Delivery.t(), integer() | nil) ::
          {:ok, map() | nil} | :lost | {:error, Error.t()}
  def finish(store, lease, row, delivery, publish_at) do
    statements = [
      {"""
       UPDATE uro_discord_outbox SET status = $4, channel_id = $5, message_id = $6, error = $7, publish_at = $8, finished_at = $9
       WHERE id = $3 AND status = 'queued' AND #{@held}
       """,
       [
         lease.channel_id,
         lease.fence,
         delivery.id,
         Atom.to_string(delivery.status),
         delivery.channel_id,
         delivery.message_id,
         encode_error(delivery.error),
         publish_at,
         now()
       ]},
      # What failed keeps its files, for a retry.
      {"""
       DELETE FROM uro_discord_files WHERE delivery_id = $1
       AND EXISTS (SELECT 1 FROM uro_discord_outbox WHERE id = $1 AND status = 'delivered')
       """, [delivery.id]},
      # Here it costs no trip of its own to the store.
      queued(lease.channel_id, row.producer)
    ]

    store |> under(lease, statements) |> changed(fn [_, _, %{rows: following}] -> {:ok, first(following)} end)
  end

  ## Publishing to the followers of a channel

  # What is to be published later than this was written by a clock that was wrong.
  @longest_publish_ms 2 * 60 * 60 * 1000

  @doc "When to publish what cannot be published now."
  @spec publish_after(non_neg_integer()) :: integer()
  def publish_after(delay_ms), do: now() + min(delay_ms, @longest_publish_ms)

  @doc "Whether the time has come to publish."
  @spec publish_now?(integer()) :: boolean()
  def publish_now?(at) do
    now = now()
    at <= now or at > now + @longest_publish_ms
  end

  @doc "The message of a channel that is to be published next, and when."
  @spec to_publish(Store.t(), String.t()) ::
          {:ok, %{id: String.t(), message_id: String.t(), at: integer()} | nil} | {:error, Error.t()}
  def to_publish(store, channel_id) do
    sql = """
    SELECT id, message_id, publish_at FROM uro_discord_outbox WHERE channel_id = $1 AND publish_at IS NOT NULL
    ORDER BY publish_at, position LIMIT 1
    """

    with {:ok, rows} <- rows(store, sql, [channel_id]) do
      {:ok, List.first(for [id, message_id, at] <- rows, do: %{id: id, message_id: message_id, at: at})}
    end
  end

  @doc "Stores that a message is published (`at` is nil), or why it never will be, or when to try again; `:lost` as in `finish/5`."
  @spec published(Store.t(), lease(), String.t(), integer() | nil, Error.t() | nil) :: :ok | :lost | {:error, Error.t()}
  def published(store, lease, id, at, error) do
    sql = "UPDATE uro_discord_outbox SET publish_at = $4, error = $5 WHERE id = $3 AND #{@held}"

    store
    |> under(lease, [{sql, [lease.channel_id, lease.fence, id, at, encode_error(error)]}])
    |> changed(fn _ -> :ok end)
  end

  ## Looking

  @spec fetch(Store.t(), String.t()) :: {:ok, Delivery.t()} | :error | {:error, Error.t()}
  def fetch(store, id) do
    case rows(store, "SELECT #{@columns} FROM uro_discord_outbox WHERE id = $1", [id]) do
      {:ok, [row]} -> {:ok, delivery(row)}
      {:ok, []} -> :error
      error -> error
    end
  end

  @doc "The channels in which something waits, or is to be published by now."
  @spec channels(Store.t()) :: {:ok, [String.t()]} | {:error, Error.t()}
  def channels(store) do
    sql = """
    SELECT channel_id FROM uro_discord_outbox WHERE status = 'queued'
    UNION SELECT channel_id FROM uro_discord_outbox WHERE publish_at IS NOT NULL AND (publish_at <= $1 OR publish_at > $2)
    """

    now = now()
    with {:ok, rows} <- rows(store, sql, [now, now + @longest_publish_ms]), do: {:ok, List.flatten(rows)}
  end

  @spec failed(Store.t(), pos_integer()) :: {:ok, [Delivery.t()]} | {:error, Error.t()}
  def failed(store, limit) do
    sql =
      "SELECT #{@columns} FROM uro_discord_outbox WHERE status = 'failed' AND finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT $1"

    with {:ok, rows} <- rows(store, sql, [limit]), do: {:ok, Enum.map(rows, &delivery/1)}
  end

  @doc "How many notifications are in each status."
  @spec counts(Store.t()) :: {:ok, %{String.t() => non_neg_integer()}} | {:error, Error.t()}
  def counts(store) do
    sql = """
    SELECT status, COUNT(*) FROM uro_discord_outbox WHERE status = 'queued' GROUP BY status
    UNION ALL SELECT status, COUNT(*) FROM uro_discord_outbox WHERE status = 'failed' AND finished_at IS NOT NULL GROUP BY status
    """

    with {:ok, rows} <- rows(store, sql, []), do: {:ok, Map.new(rows, fn [status, count] -> {status, count} end)}
  end

  ## Afterwards

  @doc "Queues a failed notification again, behind those that wait."
  @spec requeue(Store.t(), String.t(), integer()) :: {:ok, Delivery.t()} | :error | {:error, Error.t()}
  def requeue(store, id, position) do
    # Its time to live was for the first attempt.
    sql = """
    UPDATE uro_discord_outbox SET status = 'queued', position = $2, error = NULL, finished_at = NULL, expires_at = NULL
    WHERE id = $1 AND status = 'failed' RETURNING #{@columns}
    """

    case Store.run(store, [{sql, [id, position]}], :write) do
      {:ok, [%{rows: [row]}]} -> {:ok, delivery(row)}
      {:ok, [%{rows: []}]} -> :error
      error -> error
    end
  end

  @doc "Forgets what was delivered, or failed, before these times."
  @spec prune(Store.t(), integer(), integer()) :: :ok | {:error, Error.t()}
  def prune(store, delivered_before, failed_before) do
    # First they are made unfit for anything else: `requeue/3`, which may come in between, would lose the files.
    forgotten = "status = 'forgotten' AND finished_at IS NOT NULL"

    marked =
      {"""
       UPDATE uro_discord_outbox SET status = 'forgotten'
       WHERE (status = 'delivered' AND finished_at < $1) OR (status = 'failed' AND finished_at < $2)
       """, [delivered_before, failed_before]}

    beside =
      for table <- ["uro_discord_files", "uro_discord_posts"] do
        {"DELETE FROM #{table} WHERE delivery_id IN (SELECT id FROM uro_discord_outbox WHERE #{forgotten})", []}
      end

    statements = [marked | beside] ++ [{"DELETE FROM uro_discord_outbox WHERE #{forgotten}", []}]
    with {:ok, _} <- Store.run(store, statements, :write), do: :ok
  end

  ## Rows

  defp rows(store, sql, params) do
    with {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, params}], :read), do: {:ok, rows}
  end

  defp delivery([id, channel_id, status, message_id, error]) do
    %Delivery{
      id: id,
      channel_id: channel_id,
      status: String.to_existing_atom(status),
      message_id: message_id,
      error: decode_error(error)
    }
  end

  defp encode_error(nil), do: nil

  defp encode_error(%Error{} = error) do
    {:ok, json} = error |> Map.from_struct() |> Map.delete(:__exception__) |> JSON.encode()
    json
  end

  defp decode_error(nil), do: nil

  defp decode_error(json) do
    {:ok, fields} = JSON.decode(json)

    struct!(
      Error,
      for(
        {name, value} <- fields,
        do: {String.to_existing_atom(name), if(name == "kind", do: String.to_existing_atom(value), else: value)}
      )
    )
  end

  defp now, do: Clock.local()
end

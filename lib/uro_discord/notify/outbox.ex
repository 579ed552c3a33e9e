defmodule UroDiscord.Notify.Outbox do
  @moduledoc false
  # The notifications in the store, as SQL: accepted, sent in the order of their channel, and then kept for a while with their
  # outcome. One node at a time sends in a channel: the holder of its lease. Every change of a notification names the lease's
  # fence, so that a node which lost the lease changes nothing.

  alias UroDiscord.{Delivery, Error, Native, Store}

  # A lease outlasts any request that is begun under it (see UroDiscord.Notify.Channel).
  @lease_ms 30_000
  # Nodes' clocks may differ by this much.
  @skew_ms 5_000

  @columns "id, channel_id, status, message_id, error"

  @type row :: %{
          id: String.t(),
          channel_id: String.t(),
          position: integer(),
          body: String.t(),
          files: [%{name: String.t(), content_type: String.t() | nil, data: binary()}],
          crosspost: boolean(),
          accepted_at: integer(),
          expires_at: integer() | nil
        }

  @type lease :: %{channel_id: String.t(), fence: integer()}

  @doc "How long a lease lasts, in ms, from the moment it is asked for."
  @spec lease_ms() :: pos_integer()
  def lease_ms, do: @lease_ms

  ## Accepting

  @doc "Stores notifications, and what goes `also`. They are accepted when this returns `:ok`, and not at all otherwise."
  @spec accept(Store.t(), [row()], [Store.statement()]) :: :ok | {:error, Error.t()}
  def accept(store, rows, also \\ []) do
    with {:ok, _} <- Store.run(store, Enum.flat_map(rows, &insert/1) ++ also, :write), do: :ok
  end

  defp insert(row) do
    message =
      {"""
       INSERT INTO uro_discord_outbox (id, channel_id, position, status, body, crosspost, accepted_at, expires_at)
       VALUES ($1, $2, $3, 'queued', $4, $5, $6, $7)
       """,
       [
         row.id,
         row.channel_id,
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

  @doc "The highest position there is; a new one must be above it."
  @spec last_position(Store.t()) :: {:ok, integer()} | {:error, Error.t()}
  def last_position(store) do
    with {:ok, [[position]]} <- rows(store, "SELECT MAX(position) FROM uro_discord_outbox", []),
         do: {:ok, position || 0}
  end

  ## Who sends in a channel

  @doc "The lease of a channel for this owner; `:taken` while another one has it."
  @spec claim(Store.t(), String.t(), String.t(), (String.t() -> boolean())) ::
          {:ok, lease()} | :taken | {:error, Error.t()}
  def claim(store, channel_id, owner, dead?) do
    now = now()
    current = "SELECT owner FROM uro_discord_channels WHERE channel_id = $1"

    with {:ok, rows} <- rows(store, current, [channel_id]),
         # Also takes a lease from one that is known to be gone.
         gone = Enum.find_value(rows, owner, fn [holder] -> if dead?.(holder), do: holder end),
         {:ok, [_, %{rows: claimed}]} <-
           Store.run(
             store,
             [
               {"""
                INSERT INTO uro_discord_channels (channel_id, owner, fence, lease_until)
                VALUES ($1, '', 0, 0) ON CONFLICT (channel_id) DO NOTHING
                """, [channel_id]},
               {"""
                UPDATE uro_discord_channels SET owner = $2, fence = fence + 1, lease_until = $3
                WHERE channel_id = $1 AND (owner = $2 OR owner = $4 OR lease_until < $5)
                RETURNING fence
                """, [channel_id, owner, now + @lease_ms, gone, now - @skew_ms]}
             ],
             :write
           ) do
      case claimed do
        [[fence]] -> {:ok, %{channel_id: channel_id, fence: fence}}
        [] -> :taken
      end
    end
  end

  @doc "Extends a lease; `:lost` when another owner has it by now."
  @spec renew(Store.t(), lease()) :: :ok | :lost | {:error, Error.t()}
  def renew(store, lease) do
    with {:ok, [%{num_rows: changed}]} <- Store.run(store, [renewal(lease)], :write),
         do: if(changed == 1, do: :ok, else: :lost)
  end

  @doc "Gives a lease back, for another node to take at once."
  @spec release(Store.t(), lease()) :: :ok | {:error, Error.t()}
  def release(store, lease) do
    sql = "UPDATE uro_discord_channels SET owner = '', lease_until = 0 WHERE channel_id = $1 AND fence = $2"
    with {:ok, _} <- Store.run(store, [{sql, [lease.channel_id, lease.fence]}], :write), do: :ok
  end

  defp renewal(lease) do
    {"UPDATE uro_discord_channels SET lease_until = $3 WHERE channel_id = $1 AND fence = $2",
     [lease.channel_id, lease.fence, now() + @lease_ms]}
  end

  ## Sending

  @doc "The next notification of a channel, its files left out."
  @spec next(Store.t(), String.t()) :: {:ok, map() | nil} | {:error, Error.t()}
  def next(store, channel_id) do
    {sql, params} = queued(channel_id)
    with {:ok, rows} <- rows(store, sql, params), do: {:ok, first(rows)}
  end

  defp queued(channel_id) do
    {"""
     SELECT id, body, crosspost, accepted_at, expires_at,
       CASE WHEN EXISTS (SELECT 1 FROM uro_discord_files WHERE delivery_id = uro_discord_outbox.id) THEN 1 ELSE 0 END
     FROM uro_discord_outbox WHERE channel_id = $1 AND status = 'queued' ORDER BY position LIMIT 1
     """, [channel_id]}
  end

  defp first([]), do: nil

  defp first([[id, body, crosspost, accepted_at, expires_at, files]]) do
    %{
      id: id,
      body: body,
      crosspost: crosspost == 1,
      accepted_at: accepted_at,
      expires_at: expires_at,
      files?: files == 1
    }
  end

  @doc "The files of what `next/2` gave."
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
  Stores an outcome, extends the lease, and gives the channel's next notification, as `next/2` does; `:lost` when another owner
  has the lease by now, and nothing is changed.
  """
  @spec finish(Store.t(), lease(), Delivery.t()) :: {:ok, map() | nil} | :lost | {:error, Error.t()}
  def finish(store, lease, delivery) do
    statements = [
      {"""
       UPDATE uro_discord_outbox SET status = $2, message_id = $3, error = $4, finished_at = $5
       WHERE id = $1 AND status = 'queued'
       AND EXISTS (SELECT 1 FROM uro_discord_channels WHERE channel_id = $6 AND fence = $7)
       """,
       [
         delivery.id,
         Atom.to_string(delivery.status),
         delivery.message_id,
         encode_error(delivery.error),
         now(),
         lease.channel_id,
         lease.fence
       ]},
      # What failed keeps its files, for a retry.
      {"""
       DELETE FROM uro_discord_files WHERE delivery_id = $1
       AND EXISTS (SELECT 1 FROM uro_discord_outbox WHERE id = $1 AND status = 'delivered')
       """, [delivery.id]},
      renewal(lease),
      # Here it costs no trip of its own to the store.
      queued(lease.channel_id)
    ]

    with {:ok, [%{num_rows: changed}, _, _, %{rows: following}]} <- Store.run(store, statements, :write),
         do: if(changed == 1, do: {:ok, first(following)}, else: :lost)
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

  @doc "The channels in which something waits."
  @spec waiting(Store.t()) :: {:ok, [String.t()]} | {:error, Error.t()}
  def waiting(store) do
    sql = "SELECT DISTINCT channel_id FROM uro_discord_outbox WHERE status = 'queued'"
    with {:ok, rows} <- rows(store, sql, []), do: {:ok, List.flatten(rows)}
  end

  @spec failed(Store.t(), pos_integer()) :: {:ok, [Delivery.t()]} | {:error, Error.t()}
  def failed(store, limit) do
    sql = "SELECT #{@columns} FROM uro_discord_outbox WHERE status = 'failed' ORDER BY finished_at DESC LIMIT $1"
    with {:ok, rows} <- rows(store, sql, [limit]), do: {:ok, Enum.map(rows, &delivery/1)}
  end

  @doc "How many notifications are in each status."
  @spec counts(Store.t()) :: {:ok, %{String.t() => non_neg_integer()}} | {:error, Error.t()}
  def counts(store) do
    sql = "SELECT status, COUNT(*) FROM uro_discord_outbox WHERE status IN ('queued', 'failed') GROUP BY status"
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
    old = "(status = 'delivered' AND finished_at < $1) OR (status = 'failed' AND finished_at < $2)"
    times = [delivered_before, failed_before]

    statements =
      for table <- ["uro_discord_files", "uro_discord_posts"] do
        {"DELETE FROM #{table} WHERE delivery_id IN (SELECT id FROM uro_discord_outbox WHERE #{old})", times}
      end ++ [{"DELETE FROM uro_discord_outbox WHERE #{old}", times}]

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
    {:ok, json} = error |> Map.from_struct() |> Map.delete(:__exception__) |> Native.json_encode()
    json
  end

  defp decode_error(nil), do: nil

  defp decode_error(json) do
    {:ok, fields} = Native.json_decode(json)

    struct!(
      Error,
      for(
        {name, value} <- fields,
        do: {String.to_existing_atom(name), if(name == "kind", do: String.to_existing_atom(value), else: value)}
      )
    )
  end

  defp now, do: System.os_time(:millisecond)
end

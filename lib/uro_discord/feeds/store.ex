defmodule UroDiscord.Feeds.Store do
  @moduledoc false
  # The messages of feeds in the store: what each of them should say, and what Discord shows. Also which webhooks were
  # delivered, and where pollers are.

  alias UroDiscord.{Delivery, Error, JSON, Store}
  alias UroDiscord.Feeds.Event

  @type card :: %{
          feed: String.t(),
          key: String.t(),
          channel_id: String.t(),
          version: pos_integer(),
          body: map(),
          delivery_id: String.t(),
          message_id: String.t() | nil
        }

  # Each try is another request that was quicker.
  @most_tries 20

  @doc """
  The next step of a message that is there: `:current` where it says this step now, or a later one; `:none` where none was
  posted.
  """
  @spec step(Store.t(), atom(), Event.t(), String.t(), map()) :: :current | :none | {:error, Error.t()}
  def step(store, feed, event, channel_id, message) do
    {:ok, body} = JSON.encode(message)
    step_here(store, [Atom.to_string(feed), card_key(event.key), channel_id], event.position, body, @most_tries)
  end

  defp step_here(store, here, position, body, tries) do
    statements = [
      # What says the same is no step that anybody sees.
      {"""
       UPDATE uro_discord_cards SET position = $4, version = CASE WHEN body = $5 THEN version ELSE version + 1 END,
         retry_at = CASE WHEN body = $5 THEN retry_at ELSE 0 END, body = $5, updated_at = $6
       WHERE feed = $1 AND card = $2 AND channel_id = $3 AND position <= $4
       """, here ++ [position, body, now()]},
      {"SELECT position FROM uro_discord_cards WHERE feed = $1 AND card = $2 AND channel_id = $3", here}
    ]

    case Store.run(store, statements, :write) do
      {:ok, [%{num_rows: 1}, _]} ->
        :current

      {:ok, [_, %{rows: []}]} ->
        :none

      {:ok, [_, %{rows: [[later]]}]} when later > position ->
        :current

      # PostgreSQL looks anew for each statement: it was inserted between the two.
      {:ok, _} when tries > 0 ->
        step_here(store, here, position, body, tries - 1)

      {:ok, _} ->
        {:error, %Error{kind: :busy, message: "the message of this event changes all the time"}}

      error ->
        error
    end
  end

  # Keys have names of strangers in them. PostgreSQL cannot index a long one, nor keep a NUL.
  @longest_key 200

  defp card_key(key) do
    if byte_size(key) <= @longest_key and String.printable?(key),
      do: key,
      else: "sha256/" <> Base.encode16(:crypto.hash(:sha256, key), case: :lower)
  end

  @doc "The statement that goes with a card's first message."
  @spec insert(atom(), Event.t(), map(), Delivery.t()) :: Store.statement()
  def insert(feed, event, message, delivery) do
    {:ok, body} = JSON.encode(message)

    {"""
     INSERT INTO uro_discord_cards (feed, card, channel_id, position, version, shown, body, delivery_id, retry_at, updated_at)
     VALUES ($1, $2, $3, $4, 1, 1, $5, $6, 0, $7)
     """, [Atom.to_string(feed), card_key(event.key), delivery.channel_id, event.position, body, delivery.id, now()]}
  end

  # No pause is longer (UroDiscord.Feeds.Edits). What is to be tried later than that was written by a clock that was wrong.
  @longest_pause_ms 60 * 60 * 1000

  @doc "The cards that do not show what they should, those due first."
  @spec pending(Store.t(), pos_integer()) :: {:ok, [card()]} | {:error, Error.t()}
  def pending(store, limit) do
    sql = """
    SELECT feed, card, channel_id, version, body, delivery_id, message_id FROM uro_discord_cards
    WHERE version > shown AND (retry_at <= $1 OR retry_at > $2) ORDER BY retry_at, updated_at LIMIT $3
    """

    now = now()

    with {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, [now, now + @longest_pause_ms, limit]}], :read),
         do: {:ok, Enum.map(rows, &card/1)}
  end

  defp card([feed, key, channel_id, version, body, delivery_id, message_id]) do
    {:ok, body} = JSON.decode(body)

    %{
      feed: feed,
      key: key,
      channel_id: channel_id,
      version: version,
      body: body,
      delivery_id: delivery_id,
      message_id: message_id
    }
  end

  @doc "Discord shows this version of a card, or never will."
  @spec shown(Store.t(), card(), String.t() | nil) :: :ok | {:error, Error.t()}
  def shown(store, card, message_id) do
    # Another node may have shown a later one.
    set = "shown = CASE WHEN shown < $4 THEN $4 ELSE shown END, message_id = COALESCE($5, message_id)"
    change(store, card, set, [card.version, message_id])
  end

  @doc "A card is looked at again after so many ms."
  @spec retry(Store.t(), card(), String.t() | nil, pos_integer()) :: :ok | {:error, Error.t()}
  def retry(store, card, message_id, after_ms) do
    # A later version is not kept waiting.
    set = "retry_at = CASE WHEN version = $6 THEN $4 ELSE retry_at END, message_id = COALESCE($5, message_id)"
    change(store, card, set, [now() + after_ms, message_id, card.version])
  end

  defp change(store, card, set, params) do
    sql = "UPDATE uro_discord_cards SET #{set} WHERE feed = $1 AND card = $2 AND channel_id = $3"
    with {:ok, _} <- Store.run(store, [{sql, [card.feed, card.key, card.channel_id] ++ params}], :write), do: :ok
  end

  @doc """
  Keeps the ids of the Discord messages: the outbox forgets its own after a week.
  """
  @spec keep_message_ids(Store.t()) :: :ok | {:error, Error.t()}
  def keep_message_ids(store) do
    sql = """
    UPDATE uro_discord_cards SET message_id =
      (SELECT message_id FROM uro_discord_outbox WHERE id = uro_discord_cards.delivery_id AND status = 'delivered')
    WHERE message_id IS NULL
    """

    with {:ok, _} <- Store.run(store, [{sql, []}], :write), do: :ok
  end

  ## Webhooks

  @doc "Whether a webhook was dealt with before."
  @spec delivered?(Store.t(), atom(), String.t()) :: {:ok, boolean()} | {:error, Error.t()}
  def delivered?(store, feed, delivery) do
    sql = "SELECT 1 FROM uro_discord_feed_deliveries WHERE feed = $1 AND delivery = $2"

    with {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, [Atom.to_string(feed), delivery]}], :read),
         do: {:ok, rows != []}
  end

  @doc "A webhook is dealt with."
  @spec delivered(Store.t(), atom(), String.t()) :: :ok | {:error, Error.t()}
  def delivered(store, feed, delivery) do
    sql = """
    INSERT INTO uro_discord_feed_deliveries (feed, delivery, received_at) VALUES ($1, $2, $3)
    ON CONFLICT (feed, delivery) DO NOTHING
    """

    with {:ok, _} <- Store.run(store, [{sql, [Atom.to_string(feed), delivery, now()]}], :write), do: :ok
  end

  ## Pollers

  @doc "Where a poller is: what it kept, by the thing it polls."
  @spec cursor(Store.t(), atom(), String.t()) :: {:ok, map() | nil} | {:error, Error.t()}
  def cursor(store, feed, source) do
    sql = "SELECT cursor FROM uro_discord_feed_cursors WHERE feed = $1 AND source = $2"

    case Store.run(store, [{sql, [Atom.to_string(feed), source]}], :read) do
      {:ok, [%{rows: [[json]]}]} -> JSON.decode(json)
      {:ok, [%{rows: []}]} -> {:ok, nil}
      error -> error
    end
  end

  @spec put_cursor(Store.t(), atom(), String.t(), map()) :: :ok | {:error, Error.t()}
  def put_cursor(store, feed, source, cursor) do
    {:ok, json} = JSON.encode(cursor)

    sql = """
    INSERT INTO uro_discord_feed_cursors (feed, source, cursor) VALUES ($1, $2, $3)
    ON CONFLICT (feed, source) DO UPDATE SET cursor = excluded.cursor
    """

    with {:ok, _} <- Store.run(store, [{sql, [Atom.to_string(feed), source, json]}], :write), do: :ok
  end

  ## Afterwards

  @month_ms 30 * 24 * 60 * 60 * 1000

  @doc "Forgets cards and webhooks of which nothing was heard for a month."
  @spec prune(Store.t()) :: :ok | {:error, Error.t()}
  def prune(store) do
    before = now() - @month_ms

    statements = [
      {"DELETE FROM uro_discord_cards WHERE updated_at < $1", [before]},
      {"DELETE FROM uro_discord_feed_deliveries WHERE received_at < $1", [before]}
    ]

    with {:ok, _} <- Store.run(store, statements, :write), do: :ok
  end

  defp now, do: System.os_time(:millisecond)
end

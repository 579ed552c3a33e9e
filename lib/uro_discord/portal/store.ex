defmodule UroDiscord.Portal.Store do
  @moduledoc false
  # The portals that shall be open, and how loud who is in them. Several nodes write: what must hold is in the statements.

  alias UroDiscord.{Error, Snowflake, Store}

  @typedoc """
  `wanted?` is false of one that the configuration opens for people, and that waits for them. `attempt` is another number each time that it
  is opened. `stopped` is until when somebody, as tokens call him, may publish nothing. `camera` is whose is to be on air (nil: of the first that came). A gain is in thousandths.
  """
  @type row :: %{
          id: String.t(),
          guild_id: Snowflake.t(),
          channel_id: Snowflake.t(),
          world: String.t() | nil,
          bots: boolean(),
          origin: :host | :config,
          wanted?: boolean(),
          attempt: pos_integer(),
          opened_at: DateTime.t(),
          camera: String.t() | nil,
          stopped: %{(who :: String.t()) => DateTime.t()},
          settings: %{(participant :: String.t()) => %{gain: non_neg_integer(), muted: boolean()}}
        }

  # Of one portal.
  @most_settings 1_000
  @most_stopped 1_000

  @columns "id, guild_id, channel_id, world, bots, origin, wanted, attempt, opened_at"

  @spec all(Store.t()) :: {:ok, %{String.t() => row()}} | {:error, Error.t()}
  def all(store) do
    statements = [
      {"SELECT #{@columns}, camera FROM uro_discord_portals", []},
      {"SELECT portal_id, participant, gain, muted FROM uro_discord_portal_settings", []},
      {"SELECT portal_id, who, until FROM uro_discord_portal_stops WHERE until > $1", [now()]}
    ]

    with {:ok, [%{rows: portals}, %{rows: settings}, %{rows: stopped}]} <- Store.run(store, statements, :read) do
      stopped =
        Enum.group_by(stopped, &hd/1, fn [_id, who, until] -> {who, DateTime.from_unix!(until, :millisecond)} end)

      settings =
        Enum.group_by(settings, &hd/1, fn [_id, who, gain, muted] -> {who, %{gain: gain, muted: muted == 1}} end)

      {:ok, for([id | _] = row <- portals, into: %{}, do: {id, row(row, of(settings, id), of(stopped, id))})}
    end
  end

  defp of(all, id), do: Map.new(all[id] || [])

  defp row([id, guild_id, channel_id, world, bots, origin, wanted, attempt, opened_at, camera], settings, stopped) do
    %{
      id: id,
      guild_id: guild_id,
      channel_id: channel_id,
      world: world,
      bots: bots == 1,
      origin: if(origin == "config", do: :config, else: :host),
      wanted?: wanted == 1,
      attempt: attempt,
      opened_at: DateTime.from_unix!(opened_at, :millisecond),
      camera: camera,
      stopped: stopped,
      settings: settings
    }
  end

  @doc """
  It shall be open, from now on. One that is open to this channel already is opened anew; to another channel, or while another portal of the guild is
  open, it is a `:conflict`.
  """
  @spec open(Store.t(), map()) :: :ok | {:error, Error.t()}
  def open(store, portal) do
    sql = """
    INSERT INTO uro_discord_portals (#{@columns}) VALUES ($1, $2, $3, $4, $5, $6, 1, 1, $7)
    ON CONFLICT (id) DO UPDATE SET guild_id = excluded.guild_id, channel_id = excluded.channel_id, world = excluded.world,
      bots = excluded.bots, origin = excluded.origin, wanted = 1, attempt = uro_discord_portals.attempt + 1,
      opened_at = excluded.opened_at
    WHERE uro_discord_portals.wanted = 0 OR uro_discord_portals.channel_id = excluded.channel_id
    RETURNING attempt
    """

    values = [portal.id, portal.guild_id, portal.channel_id, portal.world, flag(portal.bots), "#{portal.origin}", now()]

    case Store.run(store, [{sql, values}], :write) do
      {:ok, [%{rows: [[_attempt]]}]} -> :ok
      {:ok, [%{rows: []}]} -> {:error, conflict("portal #{portal.id} is open to another channel: close it first")}
      {:error, %Error{kind: :conflict}} -> {:error, conflict(taken(store, portal))}
      {:error, error} -> {:error, error}
    end
  end

  defp taken(store, portal) do
    sql = "SELECT id, channel_id FROM uro_discord_portals WHERE guild_id = $1 AND wanted = 1"

    case Store.run(store, [{sql, [portal.guild_id]}], :read) do
      {:ok, [%{rows: [[id, channel_id] | _]}]} ->
        "portal #{id} is open in this server, to channel #{channel_id}, and the bot can be in one of its channels: close that one first"

      _gone_or_unknown ->
        "another portal of this server was open: try again"
    end
  end

  @doc "Whether the bot may not go there for a portal."
  @spec conflict(String.t()) :: Error.t()
  def conflict(message), do: %Error{kind: :conflict, field: "channel", message: message}

  @doc "It shall not be open any more, and its settings are forgotten."
  @spec close(Store.t(), String.t()) :: :ok | {:error, Error.t()}
  def close(store, id) do
    statements = [
      # The row comes first, as with `set/5`.
      {"DELETE FROM uro_discord_portals WHERE id = $1 AND wanted = 1", [id]},
      {"""
       DELETE FROM uro_discord_portal_settings WHERE portal_id = $1
         AND NOT EXISTS (SELECT 1 FROM uro_discord_portals WHERE id = $1)
       """, [id]}
    ]

    with {:ok, [%{num_rows: closed}, _settings]} <- Store.run(store, statements, :write),
         do: if(closed == 1, do: :ok, else: {:error, unknown(id)})
  end

  @doc "There is none of this name."
  @spec unknown(String.t()) :: Error.t()
  def unknown(id), do: %Error{kind: :unknown, message: "there is no portal #{Error.short(id)} that is open"}

  @doc "It waits for people, and keeps its settings."
  @spec rest(Store.t(), String.t()) :: :ok | {:error, Error.t()}
  def rest(store, id) do
    sql = "UPDATE uro_discord_portals SET wanted = 0 WHERE id = $1 AND origin = 'config'"
    with {:ok, _} <- Store.run(store, [{sql, [id]}], :write), do: :ok
  end

  @doc "Forgets what the configuration has opened once, and opens no more."
  @spec forget(Store.t(), [String.t()]) :: :ok | {:error, Error.t()}
  def forget(store, ids) do
    statements =
      Enum.flat_map(ids, fn id ->
        [
          {"DELETE FROM uro_discord_portals WHERE id = $1 AND origin = 'config'", [id]},
          {"""
           DELETE FROM uro_discord_portal_settings WHERE portal_id = $1
             AND NOT EXISTS (SELECT 1 FROM uro_discord_portals WHERE id = $1)
           """, [id]}
        ]
      end)

    with {:ok, _} <- Store.run(store, statements, :write), do: :ok
  end

  @doc "Sets the gain (nil: as it is) of a participant, and whether he is muted (nil: as it is)."
  @spec set(Store.t(), String.t(), String.t(), non_neg_integer() | nil, boolean() | nil) :: :ok | {:error, Error.t()}
  def set(store, id, participant, gain, muted) do
    changed = if gain, do: "gain = excluded.gain", else: "muted = excluded.muted"

    statements = [
      # Waits for whoever closes it.
      {"UPDATE uro_discord_portals SET id = id WHERE id = $1", [id]},
      {"""
       INSERT INTO uro_discord_portal_settings (portal_id, participant, gain, muted)
       SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS BIGINT)
       WHERE EXISTS (SELECT 1 FROM uro_discord_portals WHERE id = $1)
         AND (SELECT COUNT(*) FROM uro_discord_portal_settings WHERE portal_id = $1 AND participant <> $2) < #{@most_settings}
       ON CONFLICT (portal_id, participant) DO UPDATE SET #{changed}
       """, [id, participant, gain || 1_000, flag(muted || false)]},
      # As everybody is.
      {"""
       DELETE FROM uro_discord_portal_settings WHERE portal_id = $1 AND participant = $2 AND gain = 1000 AND muted = 0
       """, [id, participant]}
    ]

    case Store.run(store, statements, :write) do
      {:ok, [%{num_rows: 0} | _]} -> {:error, unknown(id)}
      {:ok, [_, %{num_rows: 0}, _]} -> {:error, full()}
      {:ok, _} -> :ok
      {:error, error} -> {:error, error}
    end
  end

  @doc "Whose camera is to be on air (nil: the first that came)."
  @spec camera(Store.t(), String.t(), String.t() | nil) :: :ok | {:error, Error.t()}
  def camera(store, id, camera) do
    sql = "UPDATE uro_discord_portals SET camera = $2 WHERE id = $1"

    case Store.run(store, [{sql, [id, camera]}], :write) do
      {:ok, [%{num_rows: 0}]} -> {:error, unknown(id)}
      {:ok, _} -> :ok
      {:error, error} -> {:error, error}
    end
  end

  @doc "What he publishes there is ended until then (nil: it is not any more)."
  @spec stop(Store.t(), String.t(), String.t(), DateTime.t() | nil) :: :ok | {:error, Error.t()}
  def stop(store, id, who, nil) do
    statements = [
      {"UPDATE uro_discord_portals SET id = id WHERE id = $1", [id]},
      {"DELETE FROM uro_discord_portal_stops WHERE portal_id = $1 AND who = $2", [id, who]}
    ]

    case Store.run(store, statements, :write) do
      {:ok, [%{num_rows: 0}, _none]} -> {:error, unknown(id)}
      {:ok, _} -> :ok
      {:error, error} -> {:error, error}
    end
  end

  def stop(store, id, who, until) do
    statements = [
      # Two at a time see each other.
      {"UPDATE uro_discord_portals SET id = id WHERE id = $1", [id]},
      {"DELETE FROM uro_discord_portal_stops WHERE until <= $1", [now()]},
      {"""
       INSERT INTO uro_discord_portal_stops (portal_id, who, until)
       SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS BIGINT)
       WHERE EXISTS (SELECT 1 FROM uro_discord_portals WHERE id = $1)
         AND (SELECT COUNT(*) FROM uro_discord_portal_stops WHERE portal_id = $1 AND who <> $2) < #{@most_stopped}
       ON CONFLICT (portal_id, who) DO UPDATE SET until = excluded.until
       """, [id, who, DateTime.to_unix(until, :millisecond)]}
    ]

    case Store.run(store, statements, :write) do
      {:ok, [%{num_rows: 0} | _]} -> {:error, unknown(id)}
      {:ok, [_, _, %{num_rows: 0}]} -> {:error, %Error{kind: :full, message: full_of_stops()}}
      {:ok, _} -> :ok
      {:error, error} -> {:error, error}
    end
  end

  defp full_of_stops,
    do:
      "#{@most_stopped} may publish nothing there already, which is as many as are kept: allow some again, or close it"

  defp full do
    %Error{
      kind: :full,
      message:
        "#{@most_settings} participants are muted or have a gain there already, which is as many as are kept: take back some"
    }
  end

  defp flag(true), do: 1
  defp flag(false), do: 0

  defp now, do: System.os_time(:millisecond)
end

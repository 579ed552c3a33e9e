defmodule UroDiscord.Store.Schema do
  @moduledoc false
  # The tables, and how they came to be. A version is never edited once released: a change is a new version.
  #
  # Every statement may be run twice (but in SQLite a new column: there a version is one transaction, see UroDiscord.Store.SQLite), so that a migration which stopped half way, or ran in two places at once, is finished
  # by running it again; CockroachDB does not do schema changes and inserts well in one transaction.

  @type dialect :: :sqlite | :postgres

  # Snowflakes and ids are text, times Unix milliseconds. <integer>, <blob>, <strict> and <if not exists> are the dialect's.
  @versions [
    {1,
     [
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_schema (
          version <integer> NOT NULL
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_schema"},
       # The notifications. status: queued, delivered or failed.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_outbox (
          id TEXT NOT NULL PRIMARY KEY,
          channel_id TEXT NOT NULL,
          position <integer> NOT NULL,
          status TEXT NOT NULL,
          body TEXT NOT NULL,
          crosspost <integer> NOT NULL,
          accepted_at <integer> NOT NULL,
          expires_at <integer>,
          finished_at <integer>,
          message_id TEXT,
          error TEXT
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_outbox"},
       {"CREATE INDEX IF NOT EXISTS uro_discord_outbox_channel ON uro_discord_outbox (channel_id, status, position)",
        "DROP INDEX IF EXISTS uro_discord_outbox_channel"},
       {"CREATE INDEX IF NOT EXISTS uro_discord_outbox_finished ON uro_discord_outbox (status, finished_at)",
        "DROP INDEX IF EXISTS uro_discord_outbox_finished"},
       # What is attached to them.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_files (
          delivery_id TEXT NOT NULL,
          number <integer> NOT NULL,
          name TEXT NOT NULL,
          content_type TEXT,
          description TEXT,
          data <blob> NOT NULL,
          PRIMARY KEY (delivery_id, number)
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_files"},
       # Which node sends in a channel, and until when the others leave that to it.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_channels (
          channel_id TEXT NOT NULL PRIMARY KEY,
          owner TEXT NOT NULL,
          fence <integer> NOT NULL,
          lease_until <integer> NOT NULL
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_channels"}
     ]},
    {2,
     [
       # The keys of the HTTP API, by a part of them that is no secret. A name may have several, one of them its current one.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_keys (
          id TEXT NOT NULL PRIMARY KEY,
          name TEXT NOT NULL,
          current_name TEXT,
          hash TEXT NOT NULL,
          channels TEXT NOT NULL,
          per_minute <integer> NOT NULL,
          created_at <integer> NOT NULL,
          expires_at <integer>,
          revoked_at <integer>
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_keys"},
       {"CREATE UNIQUE INDEX IF NOT EXISTS uro_discord_keys_current ON uro_discord_keys (current_name)",
        "DROP INDEX IF EXISTS uro_discord_keys_current"},
       # Which of them posted which notification.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_posts (
          delivery_id TEXT NOT NULL PRIMARY KEY,
          key_name TEXT NOT NULL,
          idempotency_key TEXT,
          request_hash TEXT NOT NULL
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_posts"},
       {"CREATE UNIQUE INDEX IF NOT EXISTS uro_discord_posts_once ON uro_discord_posts (key_name, idempotency_key)",
        "DROP INDEX IF EXISTS uro_discord_posts_once"},
       # The message that is a channel's status board, and the delivery by which it came.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_boards (
          channel_id TEXT NOT NULL PRIMARY KEY,
          delivery_id TEXT NOT NULL,
          message_id TEXT
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_boards"},
       # The worlds that are open, or were lately, and when they were announced.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_worlds (
          world TEXT NOT NULL PRIMARY KEY,
          announced_at <integer>,
          closed_at <integer>
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_worlds"},
       # Which node holds a bot's gateway, and what is left to identify with (JSON, see UroDiscord.Gateway.Budget).
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_gateway (
          bot_id TEXT NOT NULL PRIMARY KEY,
          owner TEXT NOT NULL,
          fence <integer> NOT NULL,
          lease_until <integer> NOT NULL,
          budget TEXT
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_gateway"},
       # Its sessions, to resume: with the intents and the number of shards that they were made for.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_gateway_sessions (
          bot_id TEXT NOT NULL,
          shard <integer> NOT NULL,
          shards <integer> NOT NULL,
          intents <integer> NOT NULL,
          session_id TEXT NOT NULL,
          sequence <integer> NOT NULL,
          resume_url TEXT,
          PRIMARY KEY (bot_id, shard)
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_gateway_sessions"},
       # What an admin does not want to see of the shards.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_hidden_shards (
          pattern TEXT NOT NULL PRIMARY KEY,
          hidden_at <integer> NOT NULL
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_hidden_shards"},
       # The messages of feeds: what each should say (`version`), and what Discord shows of it (`shown`).
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_cards (
          feed TEXT NOT NULL,
          card TEXT NOT NULL,
          channel_id TEXT NOT NULL,
          position <integer> NOT NULL,
          version <integer> NOT NULL,
          shown <integer> NOT NULL,
          body TEXT NOT NULL,
          delivery_id TEXT NOT NULL,
          message_id TEXT,
          retry_at <integer> NOT NULL,
          updated_at <integer> NOT NULL,
          PRIMARY KEY (feed, card, channel_id)
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_cards"},
       {"CREATE INDEX IF NOT EXISTS uro_discord_cards_age ON uro_discord_cards (updated_at)",
        "DROP INDEX IF EXISTS uro_discord_cards_age"},
       # The webhooks that were dealt with, by the id their sender gave them.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_feed_deliveries (
          feed TEXT NOT NULL,
          delivery TEXT NOT NULL,
          received_at <integer> NOT NULL,
          PRIMARY KEY (feed, delivery)
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_feed_deliveries"},
       # What pollers have seen, as JSON.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_feed_cursors (
          feed TEXT NOT NULL,
          source TEXT NOT NULL,
          cursor TEXT NOT NULL,
          PRIMARY KEY (feed, source)
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_feed_cursors"},
       # What was registered with Discord last, as a hash of the commands.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_commands (
          bot_id TEXT NOT NULL PRIMARY KEY,
          hash TEXT NOT NULL
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_commands"}
     ]},
    {3,
     [
       # Whose a notification is: see UroDiscord.Notify.Producer.
       {"ALTER TABLE uro_discord_outbox ADD COLUMN <if not exists> producer TEXT NOT NULL DEFAULT 'host'",
        "ALTER TABLE uro_discord_outbox DROP COLUMN IF EXISTS producer"},
       # When a message that is there is to be published to the followers of its channel: NULL for never, or no more.
       {"ALTER TABLE uro_discord_outbox ADD COLUMN <if not exists> publish_at <integer>",
        "ALTER TABLE uro_discord_outbox DROP COLUMN IF EXISTS publish_at"},
       {"""
        CREATE INDEX IF NOT EXISTS uro_discord_outbox_turns ON uro_discord_outbox (channel_id, producer, position)
          WHERE status = 'queued'
        """, "DROP INDEX IF EXISTS uro_discord_outbox_turns"},
       {"CREATE INDEX IF NOT EXISTS uro_discord_outbox_waiting ON uro_discord_outbox (producer) WHERE status = 'queued'",
        "DROP INDEX IF EXISTS uro_discord_outbox_waiting"},
       {"""
        CREATE INDEX IF NOT EXISTS uro_discord_outbox_publish ON uro_discord_outbox (channel_id, publish_at)
          WHERE publish_at IS NOT NULL
        """, "DROP INDEX IF EXISTS uro_discord_outbox_publish"},
       {"""
        CREATE INDEX IF NOT EXISTS uro_discord_outbox_delivered ON uro_discord_outbox (channel_id, message_id)
          WHERE status = 'delivered'
        """, "DROP INDEX IF EXISTS uro_discord_outbox_delivered"},
       {"""
        CREATE INDEX IF NOT EXISTS uro_discord_outbox_ended ON uro_discord_outbox (status, finished_at)
          WHERE finished_at IS NOT NULL
        """, "DROP INDEX IF EXISTS uro_discord_outbox_ended"},
       # These do what they did, and each has only the rows that it is for.
       {"DROP INDEX IF EXISTS uro_discord_outbox_channel",
        "CREATE INDEX IF NOT EXISTS uro_discord_outbox_channel ON uro_discord_outbox (channel_id, status, position)"},
       {"DROP INDEX IF EXISTS uro_discord_outbox_finished",
        "CREATE INDEX IF NOT EXISTS uro_discord_outbox_finished ON uro_discord_outbox (status, finished_at)"}
     ]},
    {4,
     [
       # The portals that were opened, and of those that the configuration opens for people (origin: config) also the ones that wait for them
       # (wanted: 0). Each opening is another attempt.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_portals (
          id TEXT NOT NULL PRIMARY KEY,
          guild_id TEXT NOT NULL,
          channel_id TEXT NOT NULL,
          world TEXT,
          bots <integer> NOT NULL,
          origin TEXT NOT NULL,
          wanted <integer> NOT NULL,
          attempt <integer> NOT NULL,
          opened_at <integer> NOT NULL
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_portals"},
       # A guild has one voice session.
       {"CREATE UNIQUE INDEX IF NOT EXISTS uro_discord_portals_guild ON uro_discord_portals (guild_id) WHERE wanted = 1",
        "DROP INDEX IF EXISTS uro_discord_portals_guild"},
       # How loud somebody is there, in thousandths, and whether nobody hears him.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_portal_settings (
          portal_id TEXT NOT NULL,
          participant TEXT NOT NULL,
          gain <integer> NOT NULL,
          muted <integer> NOT NULL,
          PRIMARY KEY (portal_id, participant)
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_portal_settings"}
     ]},
    {5,
     [
       # Which Uro user and which Discord account belong together. Tokens are encrypted (UroDiscord.Accounts.Vault). agreed_at: when he last agreed to it
       # at Discord. left_at: since when he is in none of the servers. missing_at: since when the directory does not know the user. joined: 0 where he was
       # never in one of the servers. identity: 1 where we have told the host's login of it, or were about to. connection: what Discord was told of the
       # user last (Linked Roles), as a hash.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_links (
          user_id TEXT NOT NULL PRIMARY KEY,
          discord_id TEXT NOT NULL UNIQUE,
          username TEXT NOT NULL,
          linked_at <integer> NOT NULL,
          agreed_at <integer> NOT NULL,
          left_at <integer>,
          missing_at <integer>,
          joined <integer> NOT NULL,
          identity <integer> NOT NULL,
          access_token TEXT,
          refresh_token TEXT,
          token_expires_at <integer>,
          scopes TEXT,
          connection TEXT
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_links"},
       # As Discord orders its ids.
       {"CREATE INDEX IF NOT EXISTS uro_discord_links_order ON uro_discord_links (LENGTH(discord_id), discord_id)",
        "DROP INDEX IF EXISTS uro_discord_links_order"},
       {"CREATE INDEX IF NOT EXISTS uro_discord_links_left ON uro_discord_links (left_at) WHERE left_at IS NOT NULL",
        "DROP INDEX IF EXISTS uro_discord_links_left"},
       # Links that have ended, until all that follows is done (UroDiscord.Accounts.Ended): todo has the parts that are left.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_ended_links (
          id TEXT NOT NULL PRIMARY KEY,
          user_id TEXT NOT NULL,
          discord_id TEXT NOT NULL,
          username TEXT NOT NULL,
          linked_at <integer> NOT NULL,
          agreed_at <integer> NOT NULL,
          left_at <integer>,
          identity <integer> NOT NULL,
          access_token TEXT,
          refresh_token TEXT,
          reason TEXT NOT NULL,
          todo TEXT NOT NULL,
          failures <integer> NOT NULL,
          due_at <integer> NOT NULL,
          ended_at <integer> NOT NULL
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_ended_links"},
       {"CREATE INDEX IF NOT EXISTS uro_discord_ended_links_due ON uro_discord_ended_links (due_at)",
        "DROP INDEX IF EXISTS uro_discord_ended_links_due"},
       # Logins at Discord that are under way (with a session and a user), and personal links that /link has given out (with neither): each is good
       # for one use. The state that goes through the browser is kept as a hash.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_link_states (
          hash TEXT NOT NULL PRIMARY KEY,
          session TEXT,
          user_id TEXT,
          discord_id TEXT,
          verifier TEXT,
          return_to TEXT,
          expires_at <integer> NOT NULL
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_link_states"},
       {"CREATE INDEX IF NOT EXISTS uro_discord_link_states_age ON uro_discord_link_states (expires_at)",
        "DROP INDEX IF EXISTS uro_discord_link_states_age"},
       # What we have set of a member, to take it back, and to know what others have changed. roles_set is a JSON list.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_members (
          guild_id TEXT NOT NULL,
          discord_id TEXT NOT NULL,
          nick_set TEXT,
          nick_before TEXT,
          roles_set TEXT,
          PRIMARY KEY (guild_id, discord_id)
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_members"},
       {"CREATE INDEX IF NOT EXISTS uro_discord_members_of ON uro_discord_members (discord_id)",
        "DROP INDEX IF EXISTS uro_discord_members_of"},
       # How far the tasks over all users have come (progress is JSON), and which node is at it.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_task_cursors (
          task TEXT NOT NULL PRIMARY KEY,
          owner TEXT NOT NULL,
          fence <integer> NOT NULL,
          lease_until <integer> NOT NULL,
          cursor TEXT,
          progress TEXT,
          started_at <integer>,
          finished_at <integer>
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_task_cursors"},
       # Who is at something of which one may be done at a time: a member's roles, a role that is made.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_account_locks (
          name TEXT NOT NULL PRIMARY KEY,
          owner TEXT NOT NULL,
          fence <integer> NOT NULL,
          lease_until <integer> NOT NULL
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_account_locks"},
       # The messages that are there once and are edited (UroDiscord.Notify.Kept): whose, and the delivery by which each came. hash: of what it says.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_kept_messages (
          kind TEXT NOT NULL,
          name TEXT NOT NULL,
          channel_id TEXT NOT NULL,
          delivery_id TEXT NOT NULL,
          message_id TEXT,
          hash TEXT NOT NULL,
          PRIMARY KEY (kind, name)
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_kept_messages"},
       # Whose camera is on air in a portal, where somebody has chosen that.
       {"ALTER TABLE uro_discord_portals ADD COLUMN <if not exists> camera TEXT",
        "ALTER TABLE uro_discord_portals DROP COLUMN IF EXISTS camera"},
       # Whose publishing a moderator has ended there, and until when. That outlives the portal.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_portal_stops (
          portal_id TEXT NOT NULL,
          who TEXT NOT NULL,
          until <integer> NOT NULL,
          PRIMARY KEY (portal_id, who)
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_portal_stops"},
       # The bridges that get no more calls and portals.
       {"""
        CREATE TABLE IF NOT EXISTS uro_discord_drained_bridges (
          bridge TEXT NOT NULL PRIMARY KEY,
          drained_at <integer> NOT NULL
        )<strict>
        """, "DROP TABLE IF EXISTS uro_discord_drained_bridges"}
     ]}
  ]

  @current @versions |> List.last() |> elem(0)

  @doc "The versions there are, in order."
  @spec versions() :: [pos_integer()]
  def versions, do: for({version, _statements} <- @versions, do: version)

  @doc "The statements of one version, each with the one that undoes it."
  @spec statements(dialect(), pos_integer()) :: [{up :: String.t(), down :: String.t()}]
  def statements(dialect, version) do
    {^version, statements} = List.keyfind(@versions, version, 0)

    for({up, down} <- statements, do: {fill(up, dialect), down}) ++
      [
        {"INSERT INTO uro_discord_schema (version) VALUES (#{version})",
         "DELETE FROM uro_discord_schema WHERE version = #{version}"}
      ]
  end

  @doc "What brings the schema from one version (0: nothing is there) to the current one."
  @spec up(dialect(), non_neg_integer()) :: [String.t()]
  def up(dialect, from) do
    for version <- versions(), version > from, {up, _down} <- statements(dialect, version), do: up
  end

  @doc "The first statement of all: with it, `version_query/0` can be asked."
  @spec version_table(dialect()) :: String.t()
  def version_table(dialect), do: dialect |> statements(1) |> hd() |> elem(0)

  @doc "Asks for the version: one row, nil where there is none yet."
  @spec version_query() :: String.t()
  def version_query, do: "SELECT MAX(version) FROM uro_discord_schema"

  @doc "The version that this uro_discord works with."
  @spec current() :: pos_integer()
  def current, do: @current

  @spec compare(non_neg_integer()) :: :older | :current | :newer
  def compare(version) when version < @current, do: :older
  def compare(@current), do: :current
  def compare(_version), do: :newer

  @spec newer(pos_integer()) :: String.t()
  def newer(version) do
    "its schema is version #{version}, made by a newer uro_discord; this one knows up to #{@current}. " <>
      "Run the newer uro_discord, or give this one a store of its own."
  end

  @spec older(non_neg_integer()) :: String.t()
  def older(version) do
    found = if version == 0, do: "has no uro_discord tables", else: "is at version #{version}"

    "the database #{found}, and version #{@current} is needed: " <>
      "run `mix uro_discord.gen.migration` and `mix ecto.migrate`"
  end

  defp fill(sql, :sqlite),
    do:
      replace(sql, %{
        "<integer>" => "INTEGER",
        "<blob>" => "BLOB",
        "<strict>" => " STRICT",
        " <if not exists>" => ""
      })

  defp fill(sql, :postgres),
    do:
      replace(sql, %{
        "<integer>" => "BIGINT",
        "<blob>" => "BYTEA",
        "<strict>" => "",
        "<if not exists>" => "IF NOT EXISTS"
      })

  defp replace(sql, words),
    do: sql |> String.trim() |> String.replace(Map.keys(words), &words[&1])
end

defmodule UroDiscord.Config.Schema do
  @moduledoc false
  # The options as data: `UroDiscord.Config` applies them, `mix uro_discord.config.options` prints them. A check takes what was
  # given and returns it in the form the rest of the code uses, or says what is wrong with it (without a secret's value).

  import UroDiscord.Config.Checks
  import UroDiscord.Config.Option, only: [option: 3]
  alias UroDiscord.Config
  alias UroDiscord.Config.Option
  alias UroDiscord.Shards.{JoinLink, Template}

  @spec options() :: [Option.t()]
  def options do
    [
      option(:enabled, &enabled/1,
        default: :auto,
        doc:
          "false starts nothing: no token is needed, and notifications are accepted and dropped. :auto is false in Mix tasks that are not " <>
            "`mix phx.server`, so that a host is built, tested and migrated without Discord, and true elsewhere, as in releases; true is true " <>
            "in every Mix task too, such as `iex -S mix`",
        allowed: ":auto, true or false",
        example: "enabled: :auto"
      ),
      option(:token, &token/1,
        required: true,
        doc: "the bot's token, from the Bot page of the Discord developer portal",
        allowed: "the token as Discord shows it: three parts with dots between them",
        example: ~s|token: System.get_env("DISCORD_BOT_TOKEN")|
      ),
      option(:channels, &channels/1,
        default: %{},
        doc: "names for channels, for `UroDiscord.notify/2`",
        allowed:
          "name: id, where the id is 17 to 20 digits (in Discord: Developer Mode on, right-click a channel, Copy Channel ID)",
        example: ~s|channels: [announcements: "1100000000000000001"]|
      ),
      option(:intents, &intents/1,
        default: [:guilds],
        doc:
          "the gateway events that Discord sends; guild_members, guild_presences and message_content must be allowed in the portal",
        allowed: intent_names() |> Enum.join(", "),
        example: "intents: [:guilds, :guild_messages]"
      ),
      group(:gateway, Config.Gateway.options(), "what is kept of gateway events, and how many connections there are"),
      option(:presence, &shards_text/1,
        default: Template.default(),
        doc:
          "the bot's status while worlds are open, see `UroDiscord.Shards.Template`, or a function that makes it of the visible shards; nil for none",
        allowed: "a text of at most #{status_length()} characters, a function of one argument, or nil",
        example: ~s(presence: "#{Template.default()}")
      ),
      option(:presence_uncounted, &shards_template/1,
        default: "{shards:world is|worlds are} open",
        doc: "the same while nobody tells how many players there are; nil for none",
        allowed: "a text of at most #{status_length()} characters, or nil",
        example: ~s(presence_uncounted: "{shards:world is|worlds are} open")
      ),
      option(:presence_idle, &status_text/1,
        default: "no world is open",
        doc: "the bot's status while no world is open; nil for none",
        allowed: "a text of at most #{status_length()} characters, or nil",
        example: ~s|presence_idle: "no world is open"|
      ),
      group(:shards, Config.Shards.options(), "where shards come from, and which are shown"),
      option(:join_link, &JoinLink.check/1,
        doc:
          "the link by which one joins a world, for the status board and announcements; placeholders are replaced by what the shard is, " <>
            "percent-encoded, and where that is not known there is no link ({address} and {port}: with `shards: [show_addresses: true]`)",
        allowed:
          "a http or https URL without brackets; after its host may stand #{Enum.map_join(JoinLink.names(), ", ", &"{#{&1}}")}",
        example: ~s|join_link: "https://v-sekai.org/join?shard={id}"|
      ),
      group(:board, Config.Board.options(), "where it is shown what is open, see `UroDiscord.Shards.Board`"),
      group(
        :announcements,
        Config.Board.announcements(),
        "where it is announced that a world has opened, see `UroDiscord.Shards.Announcements`"
      ),
      option(:repo, &repo/1,
        doc:
          "the host's Ecto Repo (PostgreSQL, CockroachDB), to keep notifications in; `mix uro_discord.gen.migration` writes its migration",
        allowed: "a module with query/3 and transaction/2",
        example: "repo: Uro.Repo"
      ),
      option(:database, &path/1,
        default: "uro_discord.sqlite3",
        doc:
          "the SQLite file in which links, notifications and all else that must last are kept when there is no :repo; it must outlive a restart",
        allowed: "a path; the folder is made when it is missing",
        example: ~s|database: "/var/lib/uro/uro_discord.sqlite3"|
      ),
      option(:api_url, &url(&1, ["https", "http"]),
        doc: "where Discord's REST API is, when not at Discord (discord-sim prints its own)",
        allowed: "a http or https URL that ends in /api/v10",
        example: ~s|api_url: "http://127.0.0.1:8080/api/v10"|
      ),
      option(:gateway_url, &url(&1, ["wss", "ws"]),
        doc: "where Discord's gateway is, when not at Discord",
        allowed: "a ws or wss URL",
        example: ~s|gateway_url: "ws://127.0.0.1:8080"|
      ),
      option(:rest_proxy, &url(&1, ["https", "http"]),
        doc: "a twilight http-proxy that keeps the rate limits of several nodes together",
        allowed: "a http or https URL",
        example: ~s|rest_proxy: "http://127.0.0.1:3000"|
      ),
      option(:ca_file, &file/1,
        doc:
          "certificate authorities (PEM) to trust beside Mozilla's, for the REST API, feeds and a Uro elsewhere; the gateway and voice " <>
            "trust Mozilla's only. Behind a proxy that opens TLS they cannot connect. HTTPS_PROXY and its like are not read: see rest_proxy",
        allowed: "the path of a file that exists",
        example: ~s|ca_file: "/etc/uro/ca.pem"|
      ),
      option(:bridges, &Config.Bridges.check/1,
        default: Config.Bridges.default(),
        doc:
          "which bridges there are: a process of this VM's own, and those that run elsewhere and connect to this node over Erlang distribution " <>
            "(docs/scaling.md); the role :media has voice and portals, and may be several bridges', the role :http has /discord/ of the listener of web:",
        allowed: Config.Bridges.allowed(),
        example: ~s|bridges: [{:node, :"media1@10.0.0.5"}]|
      ),
      option(:bridge_executable, &file/1,
        doc: "the bridge, when it is not the one that was built into priv/native",
        allowed: "the path of a file that exists",
        example: ~s|bridge_executable: "/usr/lib/uro/uro-discord-bridge"|
      ),
      option(:bridge_media_workers, &media_workers/1,
        doc:
          "threads of the bridge for voice, beside the one for everything else; without it as many as the machine has cores, 8 at most",
        allowed: "an integer from 1 to 64",
        example: "bridge_media_workers: 2"
      ),
      option(:bridge_restart, &restart/1,
        default: {100, 30_000},
        doc:
          "the first and the longest pause before a bridge that ended is started again, in ms; it doubles in between",
        allowed: "two positive integers, the second not smaller than the first",
        example: "bridge_restart: {100, 30_000}"
      ),
      option(:feeds, &Config.Feeds.check/1,
        default: %{},
        doc: "builds, releases and pushes of GitHub, GitLab, itch.io and others in channels; see `UroDiscord.Feeds`",
        allowed: "name: [source:, secret:, poll:, token:, url:, interval:, rules:, template:, key:]",
        example:
          ~s|feeds: [ci: [source: :github, secret: System.get_env("GITHUB_WEBHOOK_SECRET"), rules: [[channel: :builds]]]]|
      ),
      group(:web, Config.Web.options(), "where HTTP is served without Phoenix"),
      group(
        :portal,
        Config.Portal.options(),
        "voice both ways between worlds and Discord's voice channels, see `UroDiscord.Portal`"
      ),
      group(
        :accounts,
        Config.Accounts.options(),
        "by which a Uro user and a Discord account belong together, see `UroDiscord.Config.Accounts`"
      ),
      option(:commands, &commands/1,
        default: [],
        doc:
          "modules of commands and components (`UroDiscord.Command`), besides /worlds, /who, /uro and those of portals and accounts; nil for no commands at all. " <>
            "Those that the application has elsewhere are overwritten",
        allowed: "a list of modules with handle/1 and command/0 or component/0, or nil",
        example: "commands: [MyApp.Roll]"
      ),
      option(:interactions, &one_of(&1, [:gateway, :http]),
        default: :gateway,
        doc:
          "how commands come: through the gateway, or by HTTP to /discord/interactions, whose public address is then set as the " <>
            "application's Interactions Endpoint URL",
        allowed: ":gateway or :http",
        example: "interactions: :http"
      ),
      option(:public_key, &public_key/1,
        doc: "the application's public key, which interactions and webhook events by HTTP are checked with",
        allowed: "the 64 hexadecimal digits on the General Information page of the Discord developer portal",
        example: ~s|public_key: System.get_env("DISCORD_PUBLIC_KEY")|
      )
    ]
  end

  # A keyword list of options: its value is a map of theirs.
  defp group(key, options, doc) do
    first = hd(options)
    allowed = "a keyword list of " <> Enum.map_join(options, ", ", & &1.key)
    option(key, nil, doc: doc, allowed: allowed, example: first.example, options: options)
  end
end

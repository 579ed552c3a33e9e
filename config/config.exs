import Config

# Every option, as it is if nothing is said of it; what has no such value is a comment with an example. Copy what is to be otherwise into the
# host's config/runtime.exs: no host reads this file. It is what bin/demo, `iex -S mix` and the tests of uro_discord begin with.
#
# `mix uro_discord.config.options` prints what is allowed; the modules named here tell more, README.md what is needed first. A test holds this file
# against lib/uro_discord/config/schema.ex.
config :uro_discord,
  # `false` starts nothing: no token is needed, and notifications are accepted and dropped. :auto is false in Mix tasks
  # that are not `mix phx.server`, so that a host is built, tested and migrated without Discord, and true elsewhere,
  # as in releases; true is true in every Mix task too, such as `iex -S mix`.
  enabled: :auto,
  # The bot's token, from the Bot page of the Discord developer portal. A secret: it is read where the node starts, in config/runtime.exs.
  # token: System.get_env("DISCORD_BOT_TOKEN"),
  # Names for channels, for `UroDiscord.notify/2`.
  channels: [],
  # The gateway events that Discord sends; guild_members, guild_presences and message_content must be allowed in the
  # portal.
  intents: [:guilds],
  # What is kept of gateway events, and how many connections there are.
  gateway: [
    # Gateway events that are kept until somebody subscribes to them.
    events: [],
    # How many connections to Discord's gateway there are; :auto for what Discord recommends.
    shards: :auto,
    # How many of the identifies that Discord allows in a day are not used.
    identify_floor: 50
  ],
  # The bot's status while worlds are open, see `UroDiscord.Shards.Template`, or a function that makes it of the
  # visible shards; nil for none.
  presence: "{players:player|players} in {shards:world|worlds}",
  # The same while nobody tells how many players there are; nil for none.
  presence_uncounted: "{shards:world is|worlds are} open",
  # The bot's status while no world is open; nil for none.
  presence_idle: "no world is open",
  # Where shards come from, and which are shown.
  shards: [
    # Where the shards come from, besides `UroDiscord.Shards.put/1`.
    source: :put,
    # How often the source is asked, in ms.
    poll: 5_000,
    # How old, in ms, the last heartbeat of an open shard may be.
    freshness: 30_000,
    # The telemetry_prefix of the Repo whose writes tell `source: :uro` to look at once; nil to only poll.
    telemetry_prefix: [:uro, :repo],
    # The Phoenix.PubSub that gets every event too, on the topic "uro_discord:shards".
    # pubsub: Uro.PubSub,
    # Whether address and port of a shard may be shown.
    show_addresses: false,
    # How many shards are shown and counted at most.
    max_visible: 100,
    # How many of them may have the same address (for IPv6, the same /64).
    max_per_address: 10,
    # How many of them may have the same host.
    max_per_host: 5,
    # Addresses and host ids whose shards go first, and as many as they are.
    trusted: [],
    # Whether the trusted ones are all that is shown.
    trusted_only: false
  ],
  # The link by which one joins a world, for the status board and announcements; placeholders are replaced by what the
  # shard is, percent-encoded, and where that is not known there is no link ({address} and {port}: with `shards:
  # [show_addresses: true]`).
  # join_link: "https://v-sekai.org/join?shard={id}",
  # Where it is shown what is open, see `UroDiscord.Shards.Board`.
  board: [
    # The text channels in which one message lists what is open.
    channels: [],
    # The voice channels whose status says how many play.
    voice_channels: [],
    # The heading of that message.
    title: "Worlds",
    # How far apart changes are written, in ms. Discord takes 5 edits in 5 s in a channel, and fewer, without saying
    # how many, of a message that is older than an hour.
    interval: 10_000,
    # How often "updated" is renewed though nothing has changed, in ms.
    refresh: 180_000
    # How often that message shows the picture that a portal has on air (JPEG, of a Godot world) anew, in ms, while
    # somebody is in the portal's voice channel; nil: never. Whoever can read the message sees it.
    # picture: 60_000
  ],
  # Where it is announced that a world has opened, see `UroDiscord.Shards.Announcements`.
  announcements: [
    # The channel in which it is announced that a world has opened; nil for none.
    # channel: :announcements,
    # How long a world must have been closed, in ms, to be announced again.
    cooldown: 3_600_000,
    # How many worlds are announced in an hour at most.
    per_hour: 10
  ],
  # The host's Ecto Repo (PostgreSQL, CockroachDB), to keep notifications in; `mix uro_discord.gen.migration` writes
  # its migration.
  # repo: Uro.Repo,
  # The SQLite file in which links, notifications and all else that must last are kept when there is no :repo; it must
  # outlive a restart.
  database: "uro_discord.sqlite3",
  # Where Discord's REST API is, when not at Discord (discord-sim prints its own).
  # api_url: "http://127.0.0.1:8080/api/v10",
  # Where Discord's gateway is, when not at Discord.
  # gateway_url: "ws://127.0.0.1:8080",
  # A twilight http-proxy that keeps the rate limits of several nodes together.
  # rest_proxy: "http://127.0.0.1:3000",
  # Certificate authorities (PEM) to trust beside Mozilla's, for the REST API, feeds and a Uro elsewhere; the gateway
  # and voice trust Mozilla's only. Behind a proxy that opens TLS they cannot connect. HTTPS_PROXY and its like are
  # not read: see rest_proxy.
  # ca_file: "/etc/uro/ca.pem",
  # Which bridges there are; docs/scaling.md has how one runs on another machine, and how several share the work: each with roles: (:gateway, :media, :http),
  # and those with :media with weight:, url:, web:, udp: and public_addresses:.
  # bridges: [{:node, :"media1@10.0.0.5"}],
  # The bridge, when it is not the one that was built into priv/native.
  # bridge_executable: "/usr/lib/uro/uro-discord-bridge",
  # Threads of the bridge for voice, beside the one for everything else; without it as many as the machine has cores, 8 at most.
  # bridge_media_workers: 2,
  # The first and the longest pause before a bridge that ended is started again, in ms; it doubles in between.
  bridge_restart: {100, 30_000},
  # Builds, releases and pushes of GitHub, GitLab, itch.io and others in channels; see `UroDiscord.Feeds`.
  feeds: [],
  # Where HTTP is served without Phoenix.
  web: [
    # The port to listen on; none is opened without it, and 0 takes a free one, which `UroDiscord.status/0` tells.
    # port: 4001,
    # The address to listen on. Without `tls:`, what does TLS stands in front of it.
    ip: "127.0.0.1",
    # The certificate (with those that lead to a root) and its key, for HTTPS; they are taken anew when the files
    # change.
    # tls: [certificate: "/etc/uro/fullchain.pem", key: "/etc/uro/privkey.pem"],
    # How many connections there may be; with more, the one that has kept the listener waiting longest is closed.
    connections: 512
  ],
  # Voice both ways between worlds and Discord's voice channels, see `UroDiscord.Portal`.
  portal: [
    # The secret that signs the tokens of peers; without it there are no portals. They need `web: [port: …]` and the intent
    # :guild_voice_states.
    # key: System.get_env("URO_DISCORD_PORTAL_KEY"),
    # Secrets whose tokens are good still, while they are being replaced.
    keys: [],
    # Where peers find the HTTP that `web:` serves, without /portal; unless said, its own address, which is good on this machine only.
    # public_url: "https://uro.example",
    # Where media comes in and goes out.
    udp: [
      # The address to take media on, or several, such as one of IPv4 and one of IPv6.
      ip: "0.0.0.0",
      # The UDP port for all peers; 0 takes a free one.
      port: 7_882
    ],
    # The addresses of this machine as peers see them, where these are not its own: behind NAT, or in a container.
    public_addresses: [],
    # The web pages that may open a portal's endpoints from a browser (CORS).
    origins: [],
    # How many peers there may be, and how much each may send.
    limits: [
      # In one portal.
      portal_peers: 64,
      # With one token.
      token_peers: 4,
      # Of one person in one portal, with all of his tokens.
      subject_peers: 8,
      # From one address.
      address_peers: 32,
      # How many packets a second one peer may send, of sound and pictures together.
      packets: 2_000,
      # How many bits a second one peer may send, of sound and pictures together.
      bits: 12_000_000
    ],
    # Portals that open by themselves, see `UroDiscord.Config.Portal`.
    open: [],
    # For how long one side must have been empty, in ms, before a portal closes that opened with `when: :people`.
    close_after: 60_000,
    # Whether `/watch` opens World TV as the application's Activity, which must be set up in Discord first
    # (docs/discord-setup.md); else it gives a link to a page.
    activity: false,
    # Who in a portal's voice channel may share camera or screen by `/share`: those who have linked a Uro account
    # (`accounts:`), all (:members), or nobody (false).
    share: :linked,
    # Whether a message in the chat of an open portal's channel says that people are heard in the world, with buttons to
    # watch and to share.
    message: true,
    # Whether the picture on air is sent over the bot's voice connection too, for the day on which Discord shows bots'
    # video: today it shows it to nobody.
    discord_video: false,
    # Seconds that /clip posts at most; so much is kept.
    clips: false
  ],
  # By which a Uro user and a Discord account belong together, see `UroDiscord.Config.Accounts`.
  accounts: [
    # Who is who, see `UroDiscord.Accounts.Directory`; without it accounts are off.
    # directory: UroDiscord.Accounts.UroDirectory,
    # The application's id, where it is not the bot's (for applications from before 2017).
    # client_id: "1100000000000000001",
    # The application's secret, from the OAuth2 page of the Discord developer portal.
    # client_secret: System.get_env("DISCORD_CLIENT_SECRET"),
    # Where browsers find the routes of `docs/http.md`; what stands on the OAuth2 page of the Discord developer portal as a
    # redirect is this with /link/callback behind it.
    # public_url: "https://uro.example/discord",
    # Where Discord's consent page is (discord-sim prints its own).
    oauth_url: "https://discord.com/oauth2/authorize",
    # Who is logged in: a function of the Plug.Conn (with `web: [port:]` of a `UroDiscord.Accounts.Visitor`) that answers
    # {:ok, user_id} or :error.
    current_user: {UroDiscord.Accounts.UroDirectory, :current_user},
    # Who may add the bot to a server by /link/bot: a function of the same, that answers true or false; nil for nobody.
    # may_add_bot: {UroDiscord.Accounts.UroDirectory, :admin?},
    # The servers that a linked user joins, and what he gets there. A rule is {predicate, role}; see `docs/accounts.md`.
    # [id: "1100000000000000100", roles: [{:linked, "1100000000000000201"}], nickname: "{display_name}",
    #  nickname_changed: :restore, create_roles: false]
    guilds: [],
    # Messages by which people take roles themselves.
    # [name: "member", channel: :welcome, text: "Read the rules, then click.", style: :buttons, roles: [{"Member", "1100000000000000203"}]]
    self_roles: [],
    # What this Uro is called in a profile's connections (Linked Roles).
    platform_name: "Uro",
    # What Discord is told of a user, for a server's admins to make Linked Roles of; needs `token_key`.
    # [key: "admin", name: "Admin", description: "is an admin of Uro", type: :boolean_equal, attribute: "is_admin"]
    linked_roles: [],
    # The key that users' OAuth2 tokens are encrypted with, where they are kept (for Linked Roles).
    # token_key: System.get_env("URO_DISCORD_TOKEN_KEY"),
    # Keys with which tokens were encrypted that are to be opened still, while they are being replaced (a week).
    token_keys: [],
    # A function of the host that is told of each link that has ended: it gets the link, with the reason.
    # on_unlinked: {MyApp.Discord, :unlinked},
    # How long, in ms, a link stays after its user has left the last of `guilds`.
    leave_grace: 0,
    # How old, in ms, what is known of a server's roles may be, where the gateway tells of no change.
    roles_cache_max_age: 3_600_000,
    # How often, in ms, the directory is asked about all linked users, beside what it tells of at once; and how often what
    # could not be taken back is tried again.
    poll: 60_000,
    # What goes over all users, see `mix help uro_discord.update_all`.
    tasks: [
      # How often a step that failed for a passing reason is tried again.
      max_retries: 3,
      # How long it waits before that, in seconds.
      retry_pause: 60,
      # Which of them run by themselves, and how often, in ms.
      schedule: [usernames: 43_200_000]
    ]
  ],
  # Modules of commands and components (`UroDiscord.Command`), besides /worlds, /who, /uro and those of portals and
  # accounts; nil for no commands at all. Those that the application has elsewhere are overwritten.
  commands: [],
  # The application's public key, which interactions and webhook events by HTTP are checked with.
  # public_key: System.get_env("DISCORD_PUBLIC_KEY"),
  # How commands come: through the gateway, or by HTTP to /discord/interactions, whose public address is then set as
  # the application's Interactions Endpoint URL.
  interactions: :gateway

import Config

# What `mix phx.server` does.
if System.get_env("HOST_SERVES"), do: config(:phoenix, serve_endpoints: true)

config :uro_discord,
  token: System.get_env("DISCORD_BOT_TOKEN"),
  channels: [announcements: System.get_env("DISCORD_CHANNEL_ID")],
  api_url: System.get_env("DISCORD_API_URL"),
  gateway_url: System.get_env("DISCORD_GATEWAY_URL"),
  database: System.get_env("HOST_DATABASE", "uro_discord.sqlite3"),
  shards: [source: :uro, pubsub: Host.PubSub]

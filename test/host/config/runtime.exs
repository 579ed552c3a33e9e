import Config

config :uro_discord,
  token: System.fetch_env!("DISCORD_BOT_TOKEN"),
  channels: [announcements: System.fetch_env!("DISCORD_CHANNEL_ID")],
  api_url: System.fetch_env!("DISCORD_API_URL"),
  gateway_url: System.fetch_env!("DISCORD_GATEWAY_URL"),
  database: System.fetch_env!("HOST_DATABASE"),
  shards: [source: :uro, pubsub: Host.PubSub]

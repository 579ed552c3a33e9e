import Config

# What the environment says, for bin/demo and `iex -S mix` here. With a token they connect to Discord; `UroDiscord.start_link()` starts it in iex.
# Tests bring their own.
if config_env() == :dev do
  if token = System.get_env("DISCORD_BOT_TOKEN"), do: config(:uro_discord, enabled: true, token: token)

  if channel = System.get_env("DISCORD_CHANNEL_ID"),
    do: config(:uro_discord, channels: [announcements: channel, status: channel])
end

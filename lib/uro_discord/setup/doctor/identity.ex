defmodule UroDiscord.Setup.Doctor.Identity do
  @moduledoc false
  # Who the bot is to Discord: its token, its application, its intents, what is left to identify with; and Discord's clock.

  import Bitwise
  import UroDiscord.Setup.Doctor.Finding

  alias UroDiscord.Error
  alias UroDiscord.Setup.Doctor.{Facts, Finding}
  alias UroDiscord.Setup.Invite

  # https://discord.com/developers/docs/resources/application#application-object-application-flags: each has a bit for verified bots, and one for
  # those in fewer than 100 servers.
  @flags [
    guild_presences: {1 <<< 12 ||| 1 <<< 13, "Presence Intent"},
    guild_members: {1 <<< 14 ||| 1 <<< 15, "Server Members Intent"},
    message_content: {1 <<< 18 ||| 1 <<< 19, "Message Content Intent"}
  ]

  # A Date has whole seconds, and is some time on its way.
  @noticed_ms 3_000
  # Certificates and signed requests are taken by time.
  @too_far_ms 300_000
  @identifies_few 100

  @spec look(Facts.t()) :: [Finding.t()]
  def look(%{me: {:error, error}, config: config}), do: [token(error, config)]

  def look(%{me: {:ok, me}, config: config} = facts) do
    [ok(:token, "Discord knows it: the bot is #{me["username"]} (#{me["id"]})"), clock(facts.ahead_ms)] ++
      application(facts.application, config) ++ intents(facts.application, config) ++ identifies(facts.gateway, config)
  end

  ## The token

  defp token(_error, %{token: nil}),
    do:
      unknown(
        :discord,
        "Discord was not asked: there is no token that it could be asked with",
        "set `token:`, as said above"
      )

  defp token(%Error{kind: :unauthorized}, _config),
    do:
      wrong(
        :token,
        "Discord does not know it (401)",
        "Developer Portal, Bot, Reset Token; put the new one into DISCORD_BOT_TOKEN. One that was reset, or was found in a public repository, is no " <>
          "longer good; the client secret and the public key are not tokens"
      )

  defp token(error, config) do
    where = config.api_url || "https://discord.com/api/v10"

    unknown(
      :discord,
      "Discord was not reached at #{where}: #{Exception.message(error)}",
      "this machine must reach it on port 443. HTTPS_PROXY is not read (docs/security.md); `api_url:` is for discord-sim only"
    )
  end

  ## The clock

  defp clock(nil), do: unknown(:clock, "Discord's answer has no date", "look at this machine's clock (`timedatectl`)")

  defp clock(ahead) when abs(ahead) < @noticed_ms, do: ok(:clock, "it shows what Discord's shows, to the second or two")

  defp clock(ahead) do
    found = "it is #{div(abs(ahead), 1000)} s #{if ahead > 0, do: "behind", else: "ahead of"} Discord's"
    advice = "have it set by NTP (`timedatectl set-ntp true`); a container has the clock of its machine"

    if abs(ahead) < @too_far_ms,
      do: warning(:clock, found, advice),
      else: wrong(:clock, found <> ": what is signed by time is refused, and links expire at once or never", advice)
  end

  ## The application

  defp application({:error, error}, _config),
    do: [unknown(:application, "Discord does not tell of it: #{Exception.message(error)}", "run this again later")]

  defp application({:ok, application}, config) do
    named = "#{application["name"]} (#{application["id"]})"
    invited_by = Invite.application_id(config)

    cond do
      application["id"] != invited_by ->
        [
          wrong(
            :application,
            "it is #{named}, and `client_id` says #{invited_by}",
            "set accounts: [client_id: \"#{application["id"]}\"], which the link and the login use"
          )
        ]

      application["bot_require_code_grant"] == true ->
        [
          wrong(
            :application,
            "#{named} has Requires OAuth2 Code Grant on, so that the link that adds the bot ends with \"Integration requires code grant\"",
            "Developer Portal, Bot, Authorization Flow: turn Requires OAuth2 Code Grant off"
          )
        ]

      application["bot_public"] == false and config.accounts.may_add_bot != nil ->
        [
          warning(
            :application,
            "it is #{named}; only its owner can add the bot to a server (Public Bot is off), and `may_add_bot:` leads others to a page that tells them so",
            "Developer Portal, Bot: Public Bot on, or take `may_add_bot:` out"
          )
        ]

      application["bot_public"] == false ->
        [ok(:application, "it is #{named}; only its owner can add the bot to a server (Public Bot is off)")]

      config.accounts.may_add_bot != nil ->
        [ok(:application, "it is #{named}, a public bot, as the button of `may_add_bot:` needs")]

      true ->
        [
          warning(
            :application,
            "it is #{named}, a public bot: anybody can add it to his server",
            "if it is for your servers only: Developer Portal, Installation, Install Link: None; then Bot, Public Bot: off"
          )
        ]
    end
  end

  ## Intents

  defp intents({:error, _error}, _config),
    do: [unknown(:intents, "Discord does not tell of the application's", "run this again later")]

  defp intents({:ok, application}, config) do
    flags = application["flags"] || 0

    refused =
      for {intent, {bits, called}} <- @flags, intent in config.intents, (flags &&& bits) == 0, do: {intent, called}

    case refused do
      [] ->
        [ok(:intents, "Discord allows them: #{Enum.join(config.intents, ", ")}") | bans(config)]

      refused ->
        [
          wrong(
            :intents,
            "#{Enum.map_join(refused, ", ", fn {intent, _called} -> inspect(intent) end)} in `intents:` is not allowed: the gateway would be " <>
              "closed with 4014",
            "Developer Portal, Bot, Privileged Gateway Intents: turn on #{Enum.map_join(refused, ", ", &elem(&1, 1))} and save; or take it out of `intents:`"
          )
        ]
    end
  end

  # Without it a ban is a departure: from one server of several, or for a while, that ends no link.
  defp bans(%{accounts: %{directory: directory, leave_grace: grace, guilds: guilds}, intents: intents})
       when directory != nil and (grace > 0 or length(guilds) > 1) do
    if :guild_moderation in intents,
      do: [],
      else: [
        warning(
          :intents,
          "without :guild_moderation a user who is banned is taken for one who has left: he stays linked for leave_grace, and while he is in another server of `guilds:`",
          "add :guild_moderation to `intents:`; it is not privileged"
        )
      ]
  end

  defp bans(_config), do: []

  ## What is left of the day's identifies

  defp identifies({:ok, %{"session_start_limit" => %{"remaining" => left, "total" => total}}}, config)
       when is_integer(left) do
    floor = config.gateway.identify_floor
    found = "#{left} of #{total} identifies are left for today"

    advice =
      "something identifies often: another program with this token, or a server that starts again and again. Stop it before Discord resets the token"

    cond do
      left <= floor ->
        [wrong(:identifies, "#{found}, and gateway: [identify_floor:] is #{floor}: the gateway waits", advice)]

      left < @identifies_few ->
        [warning(:identifies, found, advice)]

      true ->
        [ok(:identifies, found <> "; this one spent none")]
    end
  end

  defp identifies(_other, _config),
    do: [unknown(:identifies, "Discord does not say how many are left", "run this again later")]
end

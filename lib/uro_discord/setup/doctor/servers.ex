defmodule UroDiscord.Setup.Doctor.Servers do
  @moduledoc false
  # The servers: whether the bot is there, what it may do in all of it, and two-factor authentication.

  import UroDiscord.Setup.Doctor.Finding

  alias UroDiscord.Accounts.{Guild, Guilds, Members}
  alias UroDiscord.Setup.Doctor.{Facts, Finding}
  alias UroDiscord.Setup.{Invite, Permissions}

  @spec look(Facts.t()) :: [Finding.t()]
  def look(%{me: {:error, _error}}), do: []

  def look(%{guilds: guilds}) when map_size(guilds) == 0,
    do: [
      warning(
        :server,
        "no server is in the configuration, neither by its id nor by a channel of it",
        "name channels (`channels: [announcements: \"…\"]`), or a server under accounts: [guilds:]"
      )
    ]

  def look(facts), do: Enum.flat_map(facts.guilds, fn {id, guild} -> look(id, guild, facts) end)

  defp look(id, {:error, error}, facts) do
    # Discord tells no bot whether a server that it is not in exists.
    if Guilds.lost?(error) or Members.left?(error) do
      [
        wrong(
          :server,
          "the bot is not in server #{id}: #{Exception.message(error)}",
          "open #{invite(facts, id)} as somebody with Manage Server there. The id: Developer Mode on, right-click the server's icon, Copy Server ID"
        )
      ]
    else
      [unknown(:server, "Discord does not tell of server #{id}: #{Exception.message(error)}", "run this again later")]
    end
  end

  defp look(id, {:ok, guild}, facts) do
    base = Guild.permissions(guild)
    needed = needed(id, facts.config)

    [ok(:server, "the bot is in #{guild.name} (#{id})")] ++
      permissions(guild, base, needed, facts) ++ administrator(guild, base) ++ two_factor(guild, needed, facts)
  end

  # What is needed in one channel is looked at there; roles that people take themselves may be any server's.
  defp needed(id, config) do
    for %{in: place} = need <- Permissions.needs(config),
        place == {:guild, id} or (place == nil and need.feature == :given_roles),
        do: need
  end

  defp permissions(guild, base, needed, facts) do
    missing = Enum.reject(needed, &Permissions.has?(base, &1.permission))

    case missing do
      [] ->
        names = needed |> Enum.map(&Permissions.called(&1.permission)) |> Enum.uniq() |> Enum.join(", ")
        if needed == [], do: [], else: [ok(:permissions, "in #{guild.name} the bot has #{names}")]

      missing ->
        for {permission, needs} <- Enum.group_by(missing, & &1.permission) do
          wrong(
            :permissions,
            "in #{guild.name} the bot lacks #{Permissions.called(permission)} (#{Enum.map_join(needs, "; ", &"#{&1.called}: #{&1.why}")})",
            "open #{invite(facts, guild.id)} again, which adds it; or Server Settings, Roles, the bot's role, Permissions"
          )
        end
    end
  end

  defp administrator(guild, base) do
    if Permissions.has?(base, :administrator),
      do: [
        warning(
          :permissions,
          "in #{guild.name} the bot has Administrator, which no feature needs: whoever has its token has the whole server",
          "Server Settings, Roles, the bot's role: take Administrator away, and give what `mix uro_discord.invite` lists"
        )
      ],
      else: []
  end

  # https://discord.com/developers/docs/topics/permissions: the owner of the bot must have it. That is in the bot's own user.
  defp two_factor(guild, needed, %{me: {:ok, me}} = facts) do
    wants =
      for need <- needed,
          need.permission in Permissions.two_factor(),
          uniq: true,
          do: Permissions.called(need.permission)

    cond do
      wants == [] or guild.id not in facts.two_factor ->
        []

      me["mfa_enabled"] == true ->
        [ok(:two_factor, "#{guild.name} requires it of moderators, and the bot's owner has it")]

      true ->
        [
          wrong(
            :two_factor,
            "#{guild.name} requires two-factor authentication of moderators, and the owner of the bot has none: Discord refuses #{Enum.join(wants, ", ")} " <>
              "with code 60003",
            "the owner of the application (of the team, if it is a team's) turns it on: Discord, User Settings, My Account, Enable Authenticator App"
          )
        ]
    end
  end

  defp invite(facts, guild_id) do
    application_id =
      with {:ok, %{"id" => id}} <- facts.application, do: id, else: (_ -> Invite.application_id(facts.config))

    Invite.url(facts.config, application_id, guild_id: guild_id)
  end
end

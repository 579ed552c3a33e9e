defmodule UroDiscord.Setup.Permissions do
  @moduledoc false
  # Which permissions the enabled features need, where, and why: the one table behind the invite and the doctor. Pure.
  # https://discord.com/developers/docs/topics/permissions

  import Bitwise

  alias UroDiscord.{Config, Snowflake}

  # The bits that are spoken of here, with their names in Discord's own client.
  @permissions [
    create_instant_invite: {0, "Create Invite"},
    kick_members: {1, "Kick Members"},
    ban_members: {2, "Ban Members"},
    administrator: {3, "Administrator"},
    manage_channels: {4, "Manage Channels"},
    manage_guild: {5, "Manage Server"},
    view_audit_log: {7, "View Audit Log"},
    priority_speaker: {8, "Priority Speaker"},
    view_channel: {10, "View Channels"},
    send_messages: {11, "Send Messages"},
    manage_messages: {13, "Manage Messages"},
    embed_links: {14, "Embed Links"},
    attach_files: {15, "Attach Files"},
    read_message_history: {16, "Read Message History"},
    mention_everyone: {17, "Mention @everyone, @here and All Roles"},
    view_guild_insights: {19, "View Server Insights"},
    connect: {20, "Connect"},
    speak: {21, "Speak"},
    mute_members: {22, "Mute Members"},
    deafen_members: {23, "Deafen Members"},
    move_members: {24, "Move Members"},
    manage_nicknames: {27, "Manage Nicknames"},
    manage_roles: {28, "Manage Roles"},
    manage_webhooks: {29, "Manage Webhooks"},
    manage_expressions: {30, "Manage Expressions"},
    manage_events: {33, "Manage Events"},
    manage_threads: {34, "Manage Threads"},
    send_messages_in_threads: {38, "Send Messages in Threads"},
    moderate_members: {40, "Time Out Members"},
    view_monetization_analytics: {41, "View Server Subscription Insights"},
    set_voice_channel_status: {48, "Set Voice Channel Status"},
    pin_messages: {51, "Pin Messages"},
    bypass_slowmode: {52, "Bypass Slowmode"}
  ]

  # These give power over others, or over the server.
  @elevated [
    :administrator,
    :manage_guild,
    :manage_roles,
    :manage_channels,
    :ban_members,
    :kick_members,
    :moderate_members,
    :manage_messages,
    :manage_webhooks,
    :manage_threads,
    :mention_everyone,
    :manage_nicknames,
    :manage_expressions,
    :manage_events,
    :mute_members,
    :deafen_members,
    :move_members,
    :pin_messages,
    :bypass_slowmode,
    :view_audit_log,
    :priority_speaker,
    :view_guild_insights,
    :view_monetization_analytics
  ]

  # The bits of those that give none: reading, writing, speaking, and what one does with what is one's own. Bit 47 was once
  # given to @everyone of every server, and is still there.
  @harmless [0, 6, 9, 10, 11, 12, 14, 15, 16, 18, 20, 21, 25, 26] ++
              [31, 32, 35, 36, 37, 38, 39, 42, 43, 44, 45, 46, 47, 48, 49, 50]

  # In a server that wants two-factor authentication of its moderators, a bot has these only if its owner uses it.
  @two_factor [:manage_roles, :manage_channels]

  # Of each feature what it is called, and its permissions: why each, and how it is given. `:role`: the invite asks for it, and the bot's own role
  # has it. `:there`: in that channel only, since for all channels it would be too much. `:maybe`: as `:role`, and the feature works without,
  # unless it is used for this.
  @features %{
    notifications:
      {"notifications",
       [
         view_channel: {:role, "sees the channel"},
         send_messages: {:role, "posts"},
         read_message_history: {:role, "finds its own message again after everything had stopped"},
         embed_links: {:maybe, "posts embeds"},
         attach_files: {:maybe, "posts files"}
       ]},
    board:
      {"the status board",
       [
         view_channel: {:role, "sees the channel"},
         send_messages: {:role, "posts the board"},
         embed_links: {:role, "the board is an embed"},
         read_message_history: {:role, "finds the board again"}
       ]},
    board_picture: {"the picture on the status board", [attach_files: {:role, "the picture is a file"}]},
    voice_status:
      {"the status of a voice channel",
       [
         view_channel: {:role, "sees the channel"},
         connect: {:role, "without it Discord denies the rest in a voice channel"},
         set_voice_channel_status: {:role, "writes below the channel's name"},
         manage_channels: {:there, "Discord wants it of who is not in the channel"}
       ]},
    announcements:
      {"announcements of worlds",
       [
         view_channel: {:role, "sees the channel"},
         send_messages: {:role, "posts"},
         read_message_history: {:role, "finds its own message again after everything had stopped"}
       ]},
    feeds:
      {"feeds",
       [
         view_channel: {:role, "sees the channel"},
         send_messages: {:role, "posts"},
         embed_links: {:role, "a run is shown as an embed"},
         read_message_history: {:role, "finds the message of a run again"}
       ]},
    voice:
      {"UroDiscord.Voice",
       [
         view_channel: {:role, "sees the channel"},
         connect: {:role, "joins"},
         speak: {:role, "is heard"}
       ]},
    portal:
      {"portals",
       [
         view_channel: {:role, "sees the channel"},
         connect: {:role, "joins"},
         speak: {:role, "the world is heard"},
         set_voice_channel_status: {:maybe, "shows who of the world speaks"}
       ]},
    portal_message:
      {"the message of a portal",
       [
         view_channel: {:role, "sees the channel"},
         send_messages: {:role, "says in the channel's chat that people are heard in the world"},
         read_message_history: {:role, "finds its own message again after everything had stopped"}
       ]},
    voice_chat: {"any voice channel", [connect: {:role, "without it Discord denies the rest in a voice channel"}]},
    stage: {"a portal on a stage", [mute_members: {:there, "makes itself a speaker"}]},
    self_roles:
      {"roles people take themselves",
       [
         view_channel: {:role, "sees the channel"},
         send_messages: {:role, "posts the message"},
         read_message_history: {:role, "finds the message again"}
       ]},
    roles: {"roles of linked users", [manage_roles: {:role, "gives and takes roles"}]},
    given_roles: {"roles people take themselves", [manage_roles: {:role, "gives and takes roles"}]},
    nicknames: {"nicknames of linked users", [manage_nicknames: {:role, "sets nicknames"}]},
    bans: {"unlinking who is banned", [view_audit_log: {:role, "Discord tells it who is banned"}]},
    join: {"linking", [create_instant_invite: {:role, "a user who links his account joins the server"}]}
  }

  @type name :: atom()

  @typedoc "`in` is a channel, a server, or nil where the configuration names none."
  @type need :: %{
          permission: name(),
          feature: atom(),
          called: String.t(),
          why: String.t(),
          given: :role | :there | :maybe,
          in: {:channel, Snowflake.t()} | {:guild, Snowflake.t()} | nil
        }

  @doc """
  All that the features of a configuration need.

      iex> alias UroDiscord.{Config, Setup.Permissions}
      iex> config = Config.new!(enabled: false, announcements: [channel: "1100000000000000001"])
      iex> for need <- Permissions.needs(config), do: {need.permission, need.in}
      [
        view_channel: {:channel, "1100000000000000001"},
        send_messages: {:channel, "1100000000000000001"},
        read_message_history: {:channel, "1100000000000000001"}
      ]
  """
  @spec needs(Config.t()) :: [need()]
  def needs(config), do: Enum.flat_map(uses(config), fn {feature, place} -> needs(feature, place) end)

  @doc "What one feature needs in one place."
  @spec needs(atom(), need()[:in]) :: [need()]
  def needs(feature, place) do
    {called, permissions} = Map.fetch!(@features, feature)

    for {permission, {given, why}} <- permissions,
        do: %{permission: permission, feature: feature, called: called, why: why, given: given, in: place}
  end

  @doc "The features that are on, and where; several may be in one channel."
  @spec uses(Config.t()) :: [{atom(), need()[:in]}]
  def uses(config) do
    placed =
      channels(:board, config.board.channels) ++
        channels(:voice_status, config.board.voice_channels) ++
        channels(:announcements, List.wrap(config.announcements.channel)) ++
        channels(:feeds, for({_name, feed} <- config.feeds, rule <- feed.rules, do: rule.channel)) ++
        channels(:board_picture, if(config.board.picture, do: config.board.channels, else: [])) ++
        portals(config.portal)

    # An alias that nothing else names is there for `UroDiscord.notify/2`, or for `UroDiscord.Voice`, as its kind says.
    named = for {_feature, {:channel, id}} <- placed, do: id
    voice = if :guild_voice_states in config.intents, do: [{:voice, nil}], else: []
    Enum.uniq(channels(:notifications, Map.values(config.channels) -- named) ++ placed ++ voice ++ accounts(config))
  end

  defp channels(feature, ids), do: for(id <- Enum.sort(ids), do: {feature, {:channel, id}})

  # With a key they can be opened in any voice channel.
  defp portals(portal) do
    channels = for %{channel: id} <- portal.open, do: {:channel, id}
    anywhere = if Config.Portal.keys_of(portal) == [], do: [], else: [nil]
    features = [:portal] ++ if(portal.message, do: [:portal_message], else: [])
    for feature <- features, place <- Enum.sort(channels) ++ anywhere, do: {feature, place}
  end

  defp accounts(%{accounts: %{directory: nil}}), do: []

  defp accounts(%{accounts: accounts, intents: intents}) do
    guilds =
      for guild <- accounts.guilds,
          {feature, true} <- [
            join: true,
            roles: guild.roles != [],
            nicknames: guild.nickname != nil,
            bans: :guild_moderation in intents
          ],
          do: {feature, {:guild, guild.id}}

    messages = for message <- accounts.self_roles, do: {:self_roles, {:channel, message.channel}}
    guilds ++ messages ++ if(messages == [], do: [], else: [{:given_roles, nil}])
  end

  @doc "The bits of permissions, as Discord counts them."
  @spec bits([name()]) :: non_neg_integer()
  def bits(names), do: Enum.reduce(names, 0, &(bit(&1) ||| &2))

  @spec bit(name()) :: pos_integer()
  def bit(name), do: 1 <<< elem(Keyword.fetch!(@permissions, name), 0)

  @doc "What Discord's client calls it."
  @spec called(name()) :: String.t()
  def called(name), do: elem(Keyword.fetch!(@permissions, name), 1)

  @doc "Whether a permission is among these bits. Who has Administrator has each."
  @spec has?(non_neg_integer(), name()) :: boolean()
  def has?(bits, name), do: (bits &&& (bit(name) ||| bit(:administrator))) != 0

  @doc """
  Those of a role that give power over others, as Discord's client calls them. What Discord has made since this was written may be one, too.

      iex> alias UroDiscord.Setup.Permissions
      iex> Permissions.powers(Permissions.bits([:view_channel, :ban_members]) + Integer.pow(2, 60))
      ["Ban Members", "of bit 60, which is newer than this version of uro_discord"]
  """
  @spec powers(non_neg_integer()) :: [String.t()]
  def powers(bits) do
    known = for name <- @elevated, (bits &&& bit(name)) != 0, do: called(name)
    unknown = bits &&& bnot(bits(@elevated) ||| Enum.reduce(@harmless, 0, &(1 <<< &1 ||| &2)))
    digits = unknown |> Integer.digits(2) |> Enum.reverse() |> Enum.with_index()
    known ++ for {1, bit} <- digits, do: "of bit #{bit}, which is newer than this version of uro_discord"
  end

  @doc "Those that a bot lacks in a server with two-factor authentication, if its owner has none."
  @spec two_factor() :: [name()]
  def two_factor, do: @two_factor

  @doc """
  What a channel takes from, and adds to, what a member may do in its server: first for `@everyone`, then for all of the member's roles together, then for himself.

      iex> alias UroDiscord.Setup.Permissions
      iex> base = Permissions.bits([:view_channel, :send_messages])
      iex> overwrites = [%{"id" => "1", "deny" => "2048", "allow" => "0"}, %{"id" => "7", "deny" => "1024", "allow" => "2048"}]
      iex> Permissions.in_channel(base, "1", ["7"], "9", overwrites) == Permissions.bit(:send_messages)
      true
  """
  @spec in_channel(non_neg_integer(), Snowflake.t(), [Snowflake.t()], Snowflake.t(), [map()]) :: non_neg_integer()
  def in_channel(base, guild_id, role_ids, user_id, overwrites) do
    if has?(base, :administrator),
      do: base,
      else: Enum.reduce([[guild_id], role_ids -- [guild_id], [user_id]], base, &overwrite(&1, &2, overwrites))
  end

  defp overwrite(ids, bits, overwrites) do
    of_these = for %{"id" => id} = overwrite <- overwrites, id in ids, do: overwrite
    sum = fn key -> Enum.reduce(of_these, 0, &(number(&1[key]) ||| &2)) end
    (bits &&& bnot(sum.("deny"))) ||| sum.("allow")
  end

  # Since v8 a text; what is none gives nothing.
  defp number(text) when is_binary(text) do
    case Integer.parse(text) do
      {number, ""} when number >= 0 -> number
      _ -> 0
    end
  end

  defp number(_other), do: 0
end

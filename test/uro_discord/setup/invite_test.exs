defmodule UroDiscord.Setup.InviteTest do
  use ExUnit.Case, async: true
  import Bitwise

  alias UroDiscord.Config
  alias UroDiscord.Setup.{Invite, Permissions}

  doctest UroDiscord.Setup.Invite
  doctest UroDiscord.Setup.Permissions
  doctest UroDiscord.Setup.Doctor.Finding

  @channel "1100000000000000001"
  @voice "1100000000000000003"
  @guild "1100000000000000100"

  defmodule Directory do
    @behaviour UroDiscord.Accounts.Directory
    @impl true
    def get(_id), do: :not_found
    @impl true
    def get_many(_ids), do: {:ok, %{}}
  end

  defp asked(options) do
    bits = [enabled: false] |> Keyword.merge(options) |> Config.new!() |> Invite.permissions()
    for number <- 0..52, (bits &&& 1 <<< number) != 0, do: number
  end

  defp accounts(guild),
    do: [accounts: [directory: Directory, guilds: [[id: @guild] ++ guild]]]

  # The numbers are Discord's: https://discord.com/developers/docs/topics/permissions
  test "nothing is asked for that no feature needs" do
    assert asked([]) == []
    assert asked(channels: [news: @channel]) == [10, 11, 14, 15, 16]
    assert asked(board: [channels: [@channel]]) == [10, 11, 14, 16]
    assert asked(announcements: [channel: @channel]) == [10, 11, 16]
    assert asked(board: [channels: [@channel], picture: 60_000]) == [10, 11, 14, 15, 16]
    assert asked(board: [voice_channels: [@voice]]) == [10, 20, 48]
    assert asked(intents: [:guild_voice_states]) == [10, 20, 21]
    assert asked(accounts([])) == [0]
    assert asked(accounts(roles: [{:linked, @channel}])) == [0, 28]
    assert asked(accounts(nickname: "{display_name}")) == [0, 27]
  end

  test "a portal says in the chat of its channel that it is open, wherever somebody opens it" do
    key = String.duplicate("key", 11)
    on = [intents: [:guilds, :guild_voice_states], web: [port: 4001]]
    assert asked(on ++ [portal: [key: key]]) == [10, 11, 16, 20, 21, 48]
    assert asked(on ++ [portal: [key: key, message: false]]) == [10, 20, 21, 48]
    assert asked(on ++ [portal: [key: key, open: [[id: "lobby", channel: @voice]]]]) == [10, 11, 16, 20, 21, 48]
  end

  test "an alias that another feature names is not for notifications too" do
    assert asked(channels: [lounge: @voice], board: [voice_channels: [:lounge]]) == [10, 20, 48]
  end

  test "accounts that are off need nothing" do
    assert asked(accounts: [guilds: [[id: @guild, roles: [{:linked, @channel}]]]]) == []
  end

  test "roles that people take themselves need Manage Roles, and the channel of the message what a message needs" do
    message = [name: "member", channel: @channel, text: "Click.", roles: [{"Member", @voice}]]
    assert asked(accounts: [directory: Directory, self_roles: [message]]) == [10, 11, 16, 28]
  end

  test "every feature together never asks for Administrator, nor for what belongs into one channel" do
    message = [name: "member", channel: @channel, text: "Click.", roles: [{"Member", @voice}]]

    all = [
      intents: [:guilds, :guild_voice_states],
      channels: [news: @channel],
      board: [channels: [@channel], voice_channels: [@voice]],
      announcements: [channel: @channel],
      feeds: [ci: [source: :github, secret: "0123456789abcdef", rules: [[channel: @channel]]]],
      portal: [open: [[id: "lobby", channel: @voice]]],
      accounts: [
        directory: Directory,
        guilds: [[id: @guild, roles: [{:linked, @voice}], nickname: "{display_name}"]],
        self_roles: [message]
      ]
    ]

    numbers = asked(all)
    assert numbers == [0, 10, 11, 14, 16, 20, 21, 27, 28, 48]
    refute 3 in numbers
    # Manage Channels, for the voice channel's status.
    refute 4 in numbers
    config = Config.new!([enabled: false] ++ all)

    assert [%{permission: :manage_channels, in: {:channel, @voice}}] =
             for(%{given: :there} = need <- Permissions.needs(config), do: need)

    for need <- Permissions.needs(config), do: assert(need.why != "" and need.called != "")
  end

  test "the configuration of docs/discord-setup.md can be used" do
    [_before, block] =
      "docs/discord-setup.md"
      |> File.read!()
      |> String.split("```elixir\n# config/runtime.exs, below `import Config`\n", parts: 2)

    [block, _behind] = String.split(block, "```", parts: 2)
    # "12345678901234567" in Base64, and two parts of nothing.
    token = inspect("MTIzNDU2Nzg5MDEyMzQ1Njc.AAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaa")
    secret = inspect("0123456789abcdef")

    script =
      block
      |> String.replace(~s|System.get_env("DISCORD_BOT_TOKEN")|, token)
      |> String.replace(~s|System.get_env("DISCORD_CLIENT_SECRET")|, secret)

    [uro_discord: options] = Elixir.Config.Reader.eval!("runtime.exs", "import Config\n" <> script)
    assert {:ok, config} = Config.new(options)

    # Create Invite, View Channels, Send Messages, Embed Links, Attach Files, Read Message History, Manage Nicknames, Manage Roles.
    assert Invite.permissions(config) == Enum.sum(for bit <- [0, 10, 11, 14, 15, 16, 27, 28], do: 1 <<< bit)
  end

  test "a link for one server chooses it" do
    config = Config.new!(enabled: false)
    assert %URI{query: query} = config |> Invite.url(@channel, guild_id: @guild) |> URI.parse()

    assert URI.decode_query(query) == %{
             "client_id" => @channel,
             "scope" => "bot applications.commands",
             "permissions" => "0",
             "guild_id" => @guild,
             "disable_guild_select" => "true"
           }
  end

  test "what a channel's overwrites leave: everybody's, then all roles' together, then the member's" do
    base = Permissions.bits([:view_channel, :send_messages])
    left = fn overwrites -> Permissions.in_channel(base, "1", ["7", "6"], "9", overwrites) end
    deny = fn id, names -> %{"id" => id, "deny" => "#{Permissions.bits(names)}", "allow" => "0"} end
    allow = fn id, names -> %{"id" => id, "allow" => "#{Permissions.bits(names)}", "deny" => "0"} end

    assert left.([]) == base
    assert left.([deny.("1", [:view_channel])]) == Permissions.bit(:send_messages)
    assert left.([deny.("1", [:view_channel]), allow.("7", [:view_channel])]) == base
    # Of two roles that disagree the one that allows wins.
    assert left.([deny.("7", [:view_channel]), allow.("6", [:view_channel])]) == base
    assert left.([allow.("7", [:view_channel]), deny.("9", [:view_channel])]) == Permissions.bit(:send_messages)
    # Somebody else's.
    assert left.([deny.("8", [:view_channel])]) == base
    # Administrators have all, whatever a channel says.
    everything = Permissions.bit(:administrator)
    assert Permissions.in_channel(everything, "1", ["7"], "9", [deny.("7", [:view_channel])]) == everything
    assert Permissions.has?(everything, :manage_roles)
    refute Permissions.has?(base, :manage_roles)
  end
end

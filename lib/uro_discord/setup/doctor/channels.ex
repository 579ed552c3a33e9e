defmodule UroDiscord.Setup.Doctor.Channels do
  @moduledoc false
  # The channels of the configuration: whether they are there, of the kind that what uses them needs, and what the bot may do in them.

  import UroDiscord.Setup.Doctor.Finding

  alias UroDiscord.Setup.Doctor.{Facts, Finding}
  alias UroDiscord.Setup.Permissions

  # https://discord.com/developers/docs/resources/channel#channel-object-channel-types
  @kinds %{
    0 => "a text channel",
    1 => "a direct message",
    2 => "a voice channel",
    3 => "a group's direct message",
    4 => "a category",
    5 => "an announcement channel",
    10 => "an announcement thread",
    11 => "a thread",
    12 => "a private thread",
    13 => "a stage",
    14 => "a directory",
    15 => "a forum",
    16 => "a media channel"
  }

  @voice [2, 13]
  @threads [10, 11, 12]
  # Where one can post; voice channels and stages have a chat too.
  @text [0, 1, 5 | @threads] ++ @voice

  # What each feature can use; of others any.
  @fit %{
    notifications: @text,
    board: @text,
    announcements: @text,
    feeds: @text,
    self_roles: @text,
    voice: @voice,
    board_picture: @text,
    voice_status: [2],
    portal: @voice,
    portal_message: @voice
  }

  @spec look(Facts.t()) :: [Finding.t()]
  def look(%{me: {:error, _error}}), do: []

  def look(facts) do
    uses = for {feature, {:channel, id}} <- Permissions.uses(facts.config), do: {id, feature}

    for {id, features} <- Enum.group_by(uses, &elem(&1, 0), &elem(&1, 1)),
        finding <- look(id, features, facts.channels[id], facts),
        do: finding
  end

  defp look(id, features, {:error, error}, facts), do: [failed(name(id, facts), features, error)]

  defp look(id, features, {:ok, channel}, facts) do
    features = Enum.flat_map(features, &meant(&1, channel["type"], facts.config))

    called =
      "#{name(id, facts)}, #{Map.get(@kinds, channel["type"], "a channel of type #{channel["type"]}")} called #{channel["name"]}"

    case Enum.reject(features, &(channel["type"] in Map.fetch!(@fit, &1))) do
      [] -> permissions(id, called, features, channel, facts)
      unfit -> for feature <- unfit, do: unfit(called, feature)
    end
  end

  # An alias that nothing in the configuration uses is for notifications, or for a call of the host's.
  defp meant(:notifications, type, config) when type in @voice,
    do: if(:guild_voice_states in config.intents, do: [:voice], else: [:notifications])

  defp meant(feature, _type, _config), do: [feature]

  defp name(id, facts) do
    case Enum.find(facts.config.channels, &match?({_name, ^id}, &1)) do
      {name, _id} -> "#{inspect(name)} (#{id})"
      nil -> id
    end
  end

  defp failed(called, _features, %{code: 10_003}),
    do:
      wrong(
        :channel,
        "#{called} is no channel: it was deleted, or the id is that of something else",
        "Developer Mode on (User Settings, Advanced), right-click the channel, Copy Channel ID"
      )

  defp failed(called, features, %{code: 50_001}),
    do:
      wrong(
        :channel,
        "the bot does not see #{called}, which is for #{features |> Enum.map_join(", ", &title/1)}",
        "is the bot in that server? Then: Edit Channel, Permissions, add the bot's role, allow View Channel"
      )

  defp failed(called, _features, error),
    do: unknown(:channel, "Discord does not tell of #{called}: #{Exception.message(error)}", "run this again later")

  defp unfit(called, feature),
    do:
      wrong(
        :channel,
        "#{called}, cannot be used for #{title(feature)}",
        "name another one: #{Map.fetch!(@fit, feature) |> Enum.map_join(" or ", &Map.fetch!(@kinds, &1))}"
      )

  defp title(feature), do: feature |> Permissions.needs(nil) |> hd() |> Map.fetch!(:called)

  defp permissions(id, called, features, channel, facts) do
    bits = Facts.permissions(facts, channel)

    needs =
      features
      |> Enum.flat_map(&Permissions.needs(&1, {:channel, id}))
      |> Enum.map(&in_thread(&1, channel))
      |> Enum.concat(if channel["type"] in @voice, do: Permissions.needs(:voice_chat, {:channel, id}), else: [])
      |> Enum.uniq_by(&{&1.permission, &1.called})

    stage = if :portal in features and channel["type"] == 13, do: Permissions.needs(:stage, {:channel, id}), else: []

    cond do
      # A direct message has none.
      channel["guild_id"] == nil -> [ok(:channel, "#{called}")]
      # What is wrong with its server is said of that.
      bits == nil -> []
      true -> judge(called, needs ++ stage, bits)
    end
  end

  defp in_thread(%{permission: :send_messages} = need, %{"type" => type}) when type in @threads,
    do: %{need | permission: :send_messages_in_threads}

  defp in_thread(need, _channel), do: need

  defp judge(called, needs, bits) do
    {maybe, missing} =
      needs
      |> Enum.reject(&Permissions.has?(bits, &1.permission))
      |> Enum.split_with(&(&1.given == :maybe or &1.feature == :stage))

    lacks(&wrong/3, called, missing) ++
      lacks(&warning/3, called, maybe) ++
      if(missing == [], do: [ok(:channel, "#{called}: the bot has there what it needs (#{titles(needs)})")], else: [])
  end

  defp lacks(_finding, _called, []), do: []

  defp lacks(finding, called, needs) do
    reasons =
      for {permission, needs} <- Enum.group_by(needs, & &1.permission),
          do: "#{Permissions.called(permission)} (#{Enum.map_join(needs, "; ", &"#{&1.called}: #{&1.why}")})"

    [
      finding.(
        :channel,
        "#{called}: the bot lacks #{Enum.join(reasons, ", ")}",
        "Edit Channel, Permissions, add the bot's role, and allow it there. What the channel says goes before what the role says"
      )
    ]
  end

  defp titles(needs), do: needs |> Enum.map(& &1.called) |> Enum.uniq() |> Enum.join(", ")
end

defmodule UroDiscord.Gateway.Dispatches do
  @moduledoc false
  # What Discord's gateway dispatches, and which intents bring it
  # (https://discord.com/developers/docs/events/gateway#list-of-intents).

  @by_intent [
    guilds:
      ~w(GUILD_CREATE GUILD_UPDATE GUILD_DELETE GUILD_ROLE_CREATE GUILD_ROLE_UPDATE GUILD_ROLE_DELETE CHANNEL_CREATE CHANNEL_UPDATE
         CHANNEL_DELETE CHANNEL_PINS_UPDATE THREAD_CREATE THREAD_UPDATE THREAD_DELETE THREAD_LIST_SYNC THREAD_MEMBER_UPDATE
         THREAD_MEMBERS_UPDATE STAGE_INSTANCE_CREATE STAGE_INSTANCE_UPDATE STAGE_INSTANCE_DELETE),
    guild_members: ~w(GUILD_MEMBER_ADD GUILD_MEMBER_REMOVE THREAD_MEMBERS_UPDATE),
    guild_moderation: ~w(GUILD_AUDIT_LOG_ENTRY_CREATE GUILD_BAN_ADD GUILD_BAN_REMOVE),
    guild_expressions:
      ~w(GUILD_EMOJIS_UPDATE GUILD_STICKERS_UPDATE GUILD_SOUNDBOARD_SOUND_CREATE GUILD_SOUNDBOARD_SOUND_UPDATE
         GUILD_SOUNDBOARD_SOUND_DELETE GUILD_SOUNDBOARD_SOUNDS_UPDATE),
    guild_integrations: ~w(GUILD_INTEGRATIONS_UPDATE INTEGRATION_CREATE INTEGRATION_UPDATE INTEGRATION_DELETE),
    guild_webhooks: ~w(WEBHOOKS_UPDATE),
    guild_invites: ~w(INVITE_CREATE INVITE_DELETE),
    guild_voice_states: ~w(VOICE_CHANNEL_EFFECT_SEND VOICE_STATE_UPDATE),
    guild_presences: ~w(PRESENCE_UPDATE),
    guild_messages: ~w(MESSAGE_CREATE MESSAGE_UPDATE MESSAGE_DELETE MESSAGE_DELETE_BULK),
    guild_message_reactions:
      ~w(MESSAGE_REACTION_ADD MESSAGE_REACTION_REMOVE MESSAGE_REACTION_REMOVE_ALL MESSAGE_REACTION_REMOVE_EMOJI),
    guild_message_typing: ~w(TYPING_START),
    direct_messages: ~w(MESSAGE_CREATE MESSAGE_UPDATE MESSAGE_DELETE CHANNEL_PINS_UPDATE),
    direct_message_reactions:
      ~w(MESSAGE_REACTION_ADD MESSAGE_REACTION_REMOVE MESSAGE_REACTION_REMOVE_ALL MESSAGE_REACTION_REMOVE_EMOJI),
    direct_message_typing: ~w(TYPING_START),
    guild_scheduled_events:
      ~w(GUILD_SCHEDULED_EVENT_CREATE GUILD_SCHEDULED_EVENT_UPDATE GUILD_SCHEDULED_EVENT_DELETE GUILD_SCHEDULED_EVENT_USER_ADD
         GUILD_SCHEDULED_EVENT_USER_REMOVE),
    auto_moderation_configuration:
      ~w(AUTO_MODERATION_RULE_CREATE AUTO_MODERATION_RULE_UPDATE AUTO_MODERATION_RULE_DELETE),
    auto_moderation_execution: ~w(AUTO_MODERATION_ACTION_EXECUTION),
    guild_message_polls: ~w(MESSAGE_POLL_VOTE_ADD MESSAGE_POLL_VOTE_REMOVE),
    direct_message_polls: ~w(MESSAGE_POLL_VOTE_ADD MESSAGE_POLL_VOTE_REMOVE)
  ]

  # GUILD_MEMBER_UPDATE tells of the bot itself without an intent; the voice channel's are not in the documentation.
  @always ~w(READY RESUMED APPLICATION_COMMAND_PERMISSIONS_UPDATE ENTITLEMENT_CREATE ENTITLEMENT_UPDATE ENTITLEMENT_DELETE
             GUILD_MEMBER_UPDATE GUILD_MEMBERS_CHUNK INTERACTION_CREATE RATE_LIMITED SOUNDBOARD_SOUNDS SUBSCRIPTION_CREATE
             SUBSCRIPTION_UPDATE SUBSCRIPTION_DELETE USER_UPDATE VOICE_SERVER_UPDATE VOICE_CHANNEL_STATUS_UPDATE
             VOICE_CHANNEL_START_TIME_UPDATE)

  @intents @by_intent
           |> Enum.flat_map(fn {intent, types} -> Enum.map(types, &{&1, intent}) end)
           |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
           |> Map.merge(Map.new(@always, &{&1, []}))

  @doc """
  What is wrong with a type, if it can never come with these intents.

      iex> alias UroDiscord.Gateway.Dispatches
      iex> Dispatches.problem("MESSAGE_CREATE", [:guilds, :direct_messages])
      nil
      iex> Dispatches.problem("MESSAGE_CREATE", [:guilds])
      "MESSAGE_CREATE comes only with :guild_messages or :direct_messages in `config :uro_discord, intents:` (there: :guilds)"
      iex> Dispatches.problem("MESAGE_CREATE", [:guilds])
      ~s("MESAGE_CREATE" is not a dispatch of Discord's gateway: did you mean "MESSAGE_CREATE"?)
      iex> Dispatches.problem(:message_create, [:guilds])
      ~s(:message_create is not a dispatch of Discord's gateway: did you mean "MESSAGE_CREATE"?)
  """
  @spec problem(term(), [atom()]) :: String.t() | nil
  def problem(type, intents) when is_map_key(@intents, type) do
    wanted = @intents[type]

    if wanted != [] and not Enum.any?(wanted, &(&1 in intents)) do
      "#{type} comes only with #{Enum.map_join(wanted, " or ", &inspect/1)} in `config :uro_discord, intents:` " <>
        "(there: #{Enum.map_join(intents, ", ", &inspect/1)})"
    end
  end

  def problem(type, _intents), do: unknown(type, Map.keys(@intents), "a dispatch of Discord's gateway")

  @doc "Says that something is not one of these names, and which it may have been."
  @spec unknown(term(), [String.t()], String.t()) :: String.t()
  def unknown(given, names, what) do
    shown = inspect(given, limit: 5, printable_limit: 100)

    if is_binary(given) or is_atom(given) do
      meant = given |> to_string() |> String.slice(0, 100) |> String.upcase()
      likely = Enum.max_by(names, &String.jaro_distance(&1, meant))
      "#{shown} is not #{what}: did you mean #{inspect(likely)}?"
    else
      "#{shown} is not #{what}, which is a text such as #{inspect(hd(names))}"
    end
  end
end

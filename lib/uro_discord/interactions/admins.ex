defmodule UroDiscord.Interactions.Admins do
  @moduledoc false
  # Commands of ours that are not for everybody: for those with a permission, in a server of ours.

  alias UroDiscord.Interaction
  alias UroDiscord.Interactions.Guilds
  alias UroDiscord.Length

  # https://discord.com/developers/docs/topics/permissions#permissions-bitwise-permission-flags
  @administrator 0x8
  @bits %{manage_channels: 0x10, manage_guild: 0x20}
  @names %{manage_channels: "channels", manage_guild: "the server"}
  # Direct messages have no permissions to ask for.
  @guild_only [0]

  @type permission :: :manage_channels | :manage_guild

  @doc "What such a command's definition has, so that Discord shows it to them only."
  @spec definition(permission()) :: map()
  def definition(permission),
    do: %{default_member_permissions: Integer.to_string(@bits[permission]), contexts: @guild_only}

  @doc "Whether this one may use it; the text is for whoever may not."
  @spec check(Interaction.t(), permission()) :: :ok | {:error, String.t()}
  def check(interaction, permission) do
    # Discord asks for it too, unless the server's admins allow the command to others.
    if Bitwise.band(interaction.permissions, Bitwise.bor(@bits[permission], @administrator)) != 0,
      do: ours(interaction.guild_id),
      else: {:error, "This is for those who may manage #{@names[permission]}."}
  end

  # Anybody may add a public bot to a server, and manages it there.
  defp ours(guild_id) do
    case Guilds.ours?(guild_id) do
      {:ok, true} ->
        :ok

      {:ok, false} ->
        {:error, "This is for the server of Uro only: the one with a channel of `config :uro_discord`."}

      {:error, error} ->
        {:error, "Discord does not say just now which server this is: #{Length.cut(Exception.message(error), 500)}"}
    end
  end
end

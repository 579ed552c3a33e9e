defmodule UroDiscord.Portal.Viewing do
  @moduledoc false
  # Who of Discord may watch a portal: whoever is in its voice channel, and hears it there. So nobody sees a world by a channel that he may not enter.

  alias UroDiscord.{Error, Portal, Snowflake}
  alias UroDiscord.Portal.Members

  @doc "The portal that this user is in, in this server, or in any (`nil`). `{:none, portals}`: he is in none of these."
  @spec portal(Snowflake.t(), Snowflake.t() | nil) ::
          {:ok, Portal.status()} | {:none, [Portal.status()]} | {:error, Error.t()}
  def portal(user_id, guild_id) do
    with {:ok, portals} <- Portal.list() do
      there = Enum.filter(portals, &(guild_id in [nil, &1.guild_id]))

      case Enum.find(there, &in_call?(&1, user_id)) do
        nil -> {:none, there}
        portal -> {:ok, portal}
      end
    end
  end

  # Discord tells at once who comes and goes; unless it is known who was there before, the call's own list says it.
  defp in_call?(portal, user_id) do
    case Members.in_channel(portal.guild_id, portal.channel_id) do
      {:ok, users} -> user_id in users
      :unknown -> user_id in portal.users
    end
  end

  @doc "A token for him to watch it."
  @spec token(Portal.status(), Snowflake.t(), String.t(), pos_integer()) :: {:ok, String.t()} | {:error, Error.t()}
  def token(portal, user_id, name, seconds) do
    who = "discord:#{user_id}"

    # A name of which nothing can be read is none.
    with {:error, %Error{field: "name"}} <-
           Portal.token(portal.id, role: :watch, who: who, name: name, expires_in: seconds),
         do: Portal.token(portal.id, role: :watch, who: who, expires_in: seconds)
  end
end

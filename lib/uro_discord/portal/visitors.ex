defmodule UroDiscord.Portal.Visitors do
  @moduledoc false
  # People of Discord who come to a portal by a page: whoever is in its voice channel, and hears it there. So nobody comes into a world by a channel that he
  # may not enter. Each gets a link of his own.

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

  @doc "Why he has no portal, for him."
  @spec none([Portal.status()], command :: String.t()) :: String.t()
  def none([], _command), do: "No portal to a world is open here."

  def none(portals, command),
    do: "Join #{Enum.map_join(portals, " or ", &"<##{&1.channel_id}>")} first, then `#{command}`."

  @doc "Whom tokens of a Discord account are for."
  @spec who(Snowflake.t()) :: String.t()
  def who(user_id), do: "discord:#{user_id}"

  @doc "A token for him."
  @spec token(Portal.status(), :watch | :publish, {who :: String.t(), name :: String.t()}, pos_integer()) ::
          {:ok, String.t()} | {:error, Error.t()}
  def token(portal, role, {who, name}, seconds) do
    # A name of which nothing can be read is none.
    with {:error, %Error{field: "name"}} <-
           Portal.token(portal.id, role: role, who: who, name: name, expires_in: seconds),
         do: Portal.token(portal.id, role: role, who: who, expires_in: seconds)
  end

  @doc "A link to a page, as Discord shows it, with a token in it."
  @spec link(Portal.status(), :tv | :share, String.t(), String.t()) :: {:ok, String.t()} | {:error, Error.t()}
  def link(portal, page, title, token) do
    with {:ok, url} <- Portal.url(portal.id, {page, token}),
         do: {:ok, "[#{title} <##{portal.channel_id}>](<#{url}>): this link is for you alone"}
  end
end

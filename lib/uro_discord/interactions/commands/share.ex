defmodule UroDiscord.Interactions.Commands.Share do
  @moduledoc false
  # /share, and the button of a portal's message: a link by which somebody in the voice channel shows camera or screen in the world.

  @behaviour UroDiscord.Command

  alias UroDiscord.{Accounts, Config, Error, Interaction, Runtime, Snowflake}
  alias UroDiscord.Accounts.Directory
  alias UroDiscord.Portal.Visitors

  # Direct messages have no voice channel.
  @guild_only [0]
  # So long one has to begin; who shares gets new tokens by the page.
  @good_s 15 * 60
  @component "portal-share"

  @doc "Whether anybody may share here."
  @spec on?(Config.t()) :: boolean()
  def on?(%{portal: %{share: share}} = config),
    do:
      Config.Portal.keys_of(config.portal) != [] and
        (share == :members or (share == :linked and Config.Accounts.on?(config)))

  @doc "The button of a portal's message."
  @spec button() :: map()
  def button, do: %{type: 2, style: 1, label: "Share camera or screen", custom_id: @component}

  @doc "As whom an account shares, if it may."
  @spec who(Snowflake.t()) :: {:ok, String.t()} | {:error, String.t() | Error.t()}
  def who(user_id) do
    with {:ok, %{config: config}} <- Runtime.fetch_enabled() do
      case if(config.portal.share == :linked, do: Accounts.by_discord(user_id)) do
        nil -> {:ok, Visitors.who(user_id)}
        {:ok, link} -> {:ok, link.user_id}
        :error -> {:error, "<@#{user_id}> has linked no Uro account, and shares nothing."}
        {:error, error} -> {:error, error}
      end
    end
  end

  @impl true
  def command,
    do: %{
      name: "share",
      description: "Show your camera or screen in the world of your voice channel",
      contexts: @guild_only
    }

  @impl true
  def component, do: @component

  @impl true
  def handle(%Interaction{user: user, guild_id: guild_id}) do
    with {:ok, %{config: config}} <- Runtime.fetch_enabled(),
         {:ok, portal} <- Visitors.portal(user.id, guild_id),
         {:ok, {who, _name} = person} <- person(config.portal.share, config, user),
         :ok <- allowed(portal, who),
         {:ok, token} <- Visitors.token(portal, :publish, person, @good_s),
         {:ok, link} <- Visitors.link(portal, :share, "Share camera or screen in", token) do
      {:ok,
       "#{link}: what is shown by it has your name. Open it within #{div(@good_s, 60)} minutes. The page says who will see you before anybody does."}
    else
      {:none, portals} -> {:error, Visitors.none(portals, "/share")}
      {:refused, text} -> {:error, text}
      {:error, error} -> {:error, Exception.message(error)}
    end
  end

  # Whom the token is for.
  defp person(:members, _config, user), do: {:ok, {Visitors.who(user.id), user.name}}

  defp person(:linked, config, user) do
    with {:ok, link} <- Accounts.by_discord(user.id), {:ok, account} <- Directory.user(config, link.user_id) do
      name = account.display_name || account.username || user.name
      if account.locked?, do: {:refused, "Your account on Uro is locked."}, else: {:ok, {account.id, name}}
    else
      {:error, error} -> {:error, error}
      _none -> {:refused, "This is for those who have linked their Uro account: `/link`, then `/share`."}
    end
  end

  defp person(false, _config, _user), do: {:refused, "Nobody shares camera or screen here."}

  defp allowed(portal, who) do
    case Enum.find(portal.stopped, &(&1.who == "world:" <> who)) do
      nil ->
        :ok

      %{until: until} ->
        {:refused,
         "A moderator has ended this for you. You can share again <t:#{DateTime.to_unix(until)}:R>, or when a moderator allows it."}
    end
  end
end

defmodule UroDiscord.Interactions.Commands.Watch do
  @moduledoc false
  # /watch: the world's picture for those in the voice channel: World TV, as the application's Activity, or as a page by a link for whoever asks.

  @behaviour UroDiscord.Command

  alias UroDiscord.{Config, Interaction, Portal, Runtime}
  alias UroDiscord.Portal.Viewing

  # Direct messages have no voice channel.
  @guild_only [0]
  # As long as an evening.
  @good_s 4 * 3_600

  @impl true
  def command do
    link = %{type: 5, name: "link", description: "A link to open in a browser, for you alone"}
    %{name: "watch", description: "Watch the world of your voice channel", contexts: @guild_only, options: [link]}
  end

  @impl true
  def handle(%Interaction{user: user, guild_id: guild_id, options: options}) do
    with {:ok, %{config: config}} <- Runtime.fetch_enabled(),
         {:ok, portal} <- Viewing.portal(user.id, guild_id) do
      if activity?(config) and options["link"] != true, do: :launch_activity, else: link(portal, user)
    else
      {:none, []} ->
        {:error, "No portal to a world is open here."}

      {:none, portals} ->
        {:error, "Join #{Enum.map_join(portals, " or ", &"<##{&1.channel_id}>")} first, then `/watch`."}

      {:error, error} ->
        {:error, Exception.message(error)}
    end
  end

  defp activity?(%Config{portal: portal}), do: portal.activity

  defp link(portal, user) do
    with {:ok, token} <- Viewing.token(portal, user.id, user.name, @good_s),
         {:ok, url} <- Portal.url(portal.id, {:tv, token}) do
      {:ok,
       "[World TV of <##{portal.channel_id}>](<#{url}>): this link is for you alone, and good for #{div(@good_s, 3_600)} hours. " <>
         "Who has it sees and hears as you do."}
    else
      {:error, error} -> {:error, Exception.message(error)}
    end
  end
end

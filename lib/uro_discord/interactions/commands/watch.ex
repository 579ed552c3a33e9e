defmodule UroDiscord.Interactions.Commands.Watch do
  @moduledoc false
  # /watch: the world's picture for those in the voice channel: World TV, as the application's Activity, or as a page by a link for whoever asks.

  @behaviour UroDiscord.Command

  alias UroDiscord.{Config, Interaction, Runtime}
  alias UroDiscord.Portal.Visitors

  # Direct messages have no voice channel.
  @guild_only [0]
  # As long as an evening.
  @good_s 4 * 3_600

  @component "portal-watch"

  @doc "The button of a portal's message."
  @spec button() :: map()
  def button, do: %{type: 2, style: 2, label: "Watch the world", custom_id: @component}

  @impl true
  def component, do: @component

  @impl true
  def command do
    link = %{type: 5, name: "link", description: "A link to open in a browser, for you alone"}
    %{name: "watch", description: "Watch the world of your voice channel", contexts: @guild_only, options: [link]}
  end

  @impl true
  def handle(%Interaction{user: user, guild_id: guild_id, options: options}) do
    with {:ok, %{config: config}} <- Runtime.fetch_enabled(),
         {:ok, portal} <- Visitors.portal(user.id, guild_id) do
      if activity?(config) and options["link"] != true, do: :launch_activity, else: link(portal, user)
    else
      {:none, portals} -> {:error, Visitors.none(portals, "/watch")}
      {:error, error} -> {:error, Exception.message(error)}
    end
  end

  defp activity?(%Config{portal: portal}), do: portal.activity

  defp link(portal, user) do
    with {:ok, token} <- Visitors.token(portal, :watch, {Visitors.who(user.id), user.name}, @good_s),
         {:ok, link} <- Visitors.link(portal, :tv, "World TV of", token) do
      {:ok, "#{link}, and good for #{div(@good_s, 3_600)} hours. Who has it sees and hears as you do."}
    else
      {:error, error} -> {:error, Exception.message(error)}
    end
  end
end

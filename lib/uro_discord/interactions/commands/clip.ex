defmodule UroDiscord.Interactions.Commands.Clip do
  @moduledoc false
  # /clip: the last seconds of a portal's picture and voices, as a file in the chat of its voice channel, where those who are heard in it see who asked.

  @behaviour UroDiscord.Command

  alias UroDiscord.{Config, Error, Interaction, Runtime}
  alias UroDiscord.Portal.{Clips, Visitors}

  # Direct messages have no voice channel.
  @guild_only [0]
  @least_s 5

  @doc "Whether clips are kept."
  @spec on?(Config.t()) :: boolean()
  def on?(%{portal: portal}), do: portal.clips != false and Config.Portal.keys_of(portal) != []

  @doc "What people are told of it where a portal opens; nothing where it is off."
  @spec notice(Config.t()) :: String.t()
  def notice(config) do
    if on?(config),
      do:
        " The last #{config.portal.clips} seconds of picture and voices are kept in memory, and whoever is in this channel, also who has just come, can post them here by `/clip`.",
      else: ""
  end

  @impl true
  def command do
    {:ok, %{config: config}} = Runtime.fetch()

    seconds = %{
      type: 4,
      name: "seconds",
      description: "How many; without it, as many as are kept",
      min_value: @least_s,
      max_value: config.portal.clips
    }

    %{
      name: "clip",
      description: "Post the last seconds of the world's picture and of all voices here",
      contexts: @guild_only,
      options: [seconds]
    }
  end

  # Those in the call are to see who asked.
  @impl true
  def answers(_interaction), do: :public

  @impl true
  def handle(%Interaction{user: user, guild_id: guild_id} = interaction) do
    with {:ok, %{config: config}} <- Runtime.fetch_enabled(),
         true <- on?(config),
         {:ok, portal} <- Visitors.portal(user.id, guild_id),
         :ok <- here(portal, interaction),
         {:ok, clip} <- Clips.make(portal.id, seconds(interaction.options, config)) do
      {:ok,
       content: "The last #{round(clip.ms / 1_000)} s of <##{portal.channel_id}>, as <@#{user.id}> asked.#{cut(clip)}",
       files: [%{name: "#{portal.id}.mp4", content_type: "video/mp4", data: clip.mp4}]}
    else
      false ->
        {:error, "Clips are off."}

      {:none, portals} ->
        {:error, Visitors.none(portals, "/clip")}

      {:elsewhere, portal} ->
        {:error, "Say `/clip` in the chat of <##{portal.channel_id}>: who is heard in it is to know."}

      {:error, %Error{} = error} ->
        {:error, Exception.message(error)}

      {:error, reason} ->
        {:error, why(reason)}
    end
  end

  defp here(%{channel_id: channel_id}, %{channel_id: channel_id}), do: :ok
  defp here(portal, _interaction), do: {:elsewhere, portal}

  defp seconds(%{"seconds" => seconds}, config) when is_integer(seconds),
    do: seconds |> max(@least_s) |> min(config.portal.clips)

  defp seconds(_options, config), do: config.portal.clips

  defp cut(%{cut?: true}), do: " There is no more of it: a file has 10 MiB at most, and begins with a keyframe."
  defp cut(_clip), do: ""

  defp why(:nothing), do: "Nobody has shown a picture here lately: there is nothing to make a clip of."

  defp why(:jpeg),
    do:
      "The picture on air is JPEG, as Godot's worlds send it. Clips are made of VP8 and H264, as browsers and OBS send them."

  defp why(:busy), do: "Another clip is just being made. Try again in a moment."
  defp why({:soon, seconds}), do: "A clip of this channel was made just now. Try again in #{seconds} s."
  defp why(:off), do: "Nothing is kept of this channel just now. Try again when the portal is open."
  defp why(:down), do: "The portal is just being started again. Try again in a moment."
  defp why(:unknown), do: "This server's bridge is of an older version, which makes no clips."
  defp why(:late), do: "The clip was not there in time. Try again in a moment."
  defp why(:fault), do: "The clip could not be made. It was noted."
end

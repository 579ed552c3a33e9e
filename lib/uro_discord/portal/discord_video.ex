defmodule UroDiscord.Portal.DiscordVideo do
  @moduledoc false
  # The picture on air, sent over the bot's own voice connection (`portal: [discord_video: true]`): what `UroDiscord.Portal.status/1` and the log say of it. Pure.

  alias UroDiscord.Portal.Room

  @note "Discord itself does not show bots' video today: what is sent reaches its voice server, and nobody in the call sees it there (World TV is seen: /watch)"

  @doc "What has to be said wherever it is on."
  @spec note() :: String.t()
  def note, do: @note

  @doc "What the bridge says of it; nil: nothing, since the voice session has no video."
  @spec known(map()) :: map() | nil
  def known(%{"discord_video" => %{} = info}) do
    %{
      codec: info["codec"],
      watched: info["watched"] == true,
      camera: info["camera"],
      frames: info["frames"] || 0,
      keyframes: info["keyframes"] || 0,
      dropped: info["dropped"] || 0
    }
  end

  def known(_stats), do: nil

  @doc "For `UroDiscord.Portal.status/1`, where it is on."
  @spec status(Room.t()) :: map()
  def status(room) do
    known = sent(room) || %{codec: nil, watched: false, camera: nil, frames: 0, keyframes: 0, dropped: 0}
    # A camera that is not on air any more was one when it was told.
    camera = if known.camera == room.on_air, do: known.camera
    known |> Map.delete(:watched) |> Map.merge(%{note: @note, camera: camera, reason: reason(room, known, camera)})
  end

  @doc "Why the camera on air can never be sent so, if it cannot. The log says it."
  @spec obstacle(Room.t()) :: String.t() | nil
  def obstacle(room) do
    with %{codec: wanted} <- sent(room), %{codec: codec} <- camera(room) do
      cond do
        codec == "JPEG" ->
          "the camera on air sends whole pictures (JPEG, as Godot's worlds do), which Discord's voice connection has no way for"

        codec != nil and wanted != nil and codec != wanted ->
          "the camera on air sends #{codec}, Discord's voice server wants #{wanted}, and nothing is encoded anew on the way"

        true ->
          nil
      end
    else
      _ -> nil
    end
  end

  # Why nothing is sent now.
  defp reason(_room, _known, camera) when camera != nil, do: nil
  defp reason(%{on_air: nil}, _known, _camera), do: "no picture is on air"
  defp reason(room, known, _camera), do: obstacle(room) || waits(sent(room), known)

  defp waits(nil, _known), do: "the bot's voice session has told nothing yet"
  defp waits(_sent, %{codec: nil}), do: "Discord's voice server has not said in which codec it wants video"
  defp waits(_sent, %{watched: false}), do: "nobody else is in the call, or nobody there wants video"
  defp waits(_sent, _known), do: "the camera's next keyframe is yet to come"

  defp sent(%{stats: %{discord_video: %{} = known}}), do: known
  defp sent(_room), do: nil

  defp camera(%{stats: %{cameras: cameras}, on_air: on_air}), do: Enum.find(cameras, &(&1.peer == on_air))
end

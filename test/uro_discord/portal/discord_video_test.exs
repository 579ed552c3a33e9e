defmodule UroDiscord.Portal.DiscordVideoTest do
  # What is said of the picture on air that is sent over the bot's voice connection.
  use ExUnit.Case, async: true

  alias UroDiscord.Portal.{DiscordVideo, Room}

  @row %{
    id: "lobby",
    guild_id: "100",
    channel_id: "206",
    world: nil,
    bots: false,
    opened_at: ~U[2026-11-30 00:00:00Z],
    origin: :host,
    camera: nil,
    stopped: %{},
    settings: %{}
  }

  defp room(facts) do
    Enum.reduce(facts, %Room{row: @row}, fn {fact, info}, room -> room |> Room.fact(fact, info) |> elem(1) end)
  end

  defp stats(codec, video) do
    camera = %{"id" => "world:ada", "peer" => 3, "name" => "Ada", "on_air" => true, "codec" => codec}
    stats = %{"cameras" => [camera]}
    {:stats, if(video, do: Map.put(stats, "discord_video", video), else: stats)}
  end

  defp video(more), do: Map.merge(%{"codec" => "H264", "watched" => true, "camera" => nil}, more)

  defp said(facts), do: Room.status(room(facts), :none, true).discord_video

  test "nothing is said where it is off" do
    assert Room.status(room([{:on_air, %{"peer" => 3}}]), :none, false).discord_video == nil
  end

  test "whatever becomes of it, it is said that Discord shows it to nobody" do
    for facts <- [[], [{:on_air, %{"peer" => 3}}, stats("H264", video(%{"camera" => 3}))]] do
      assert said(facts).note =~ "Discord itself does not show bots' video today"
    end
  end

  test "what is sent is counted" do
    sent = video(%{"camera" => 3, "frames" => 150, "keyframes" => 2, "dropped" => 1})
    said = said([{:on_air, %{"peer" => 3}}, stats("H264", sent)])
    assert %{reason: nil, codec: "H264", camera: 3, frames: 150, keyframes: 2, dropped: 1} = said
    # The camera has gone since.
    said = said([{:on_air, %{"peer" => 3}}, stats("H264", sent), {:on_air, %{"peer" => nil}}])
    assert %{reason: "no picture is on air", camera: nil} = said
  end

  test "why nothing is sent" do
    for {codec, video, why} <- [
          {nil, nil, "the bot's voice session has told nothing yet"},
          {"JPEG", video(%{}), "the camera on air sends whole pictures (JPEG, as Godot's worlds do)"},
          {"VP8", video(%{}), "the camera on air sends VP8, Discord's voice server wants H264"},
          {"H264", video(%{"codec" => nil}), "Discord's voice server has not said in which codec it wants video"},
          {"H264", video(%{"watched" => false}), "nobody else is in the call, or nobody there wants video"},
          {"H264", video(%{}), "the camera's next keyframe is yet to come"}
        ] do
      facts = [{:on_air, %{"peer" => 3}}, stats(codec, video)]
      assert %{camera: nil, reason: reason} = said(facts)
      assert String.starts_with?(reason, why)
      # What will be so as long as this camera is on air is for the log.
      assert DiscordVideo.obstacle(room(facts)) == if(codec in ["JPEG", "VP8"], do: reason)
    end
  end
end

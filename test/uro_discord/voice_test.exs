defmodule UroDiscord.VoiceTest do
  use UroDiscord.Case, async: false

  alias UroDiscord.{Error, Voice}

  # Ogg Opus of two seconds, 20 ms each, as ffmpeg made it of a sine of 440 Hz.
  @tone Path.expand("../fixtures/tone.opus", __DIR__)

  setup do
    sim = start_sim!()
    start_connected!(sim, intents: [:guilds, :guild_voice_states])
    UroDiscord.subscribe(:voice)
    %{sim: sim, guild: sim.info["guild_id"], stage: sim.info["channels"]["stage"]}
  end

  # The next event of this shape; those before it are passed over.
  defp heard(matches?, timeout \\ 20_000) do
    receive do
      {:uro_discord, :voice, {_guild, event}} -> if matches?.(event), do: event, else: heard(matches?, timeout)
    after
      timeout -> flunk("no such voice event came")
    end
  end

  defp in_voice(sim) do
    voice = DiscordSim.get(sim, "/voice")
    # RTP may overtake the word that we speak, which goes by the WebSocket.
    assert Map.drop(voice["violations"], ["rtp_while_not_speaking"]) == %{}
    users = for channel <- voice["channels"], user <- channel["users"], do: Map.put(user, "channel", channel["id"])
    Enum.find(users, &(&1["user_id"] == sim.info["application_id"]))
  end

  defp frames(sim) do
    case in_voice(sim) do
      %{"frames" => %{"received" => frames}} -> frames
      _ -> 0
    end
  end

  # On a stage, which is not end-to-end encrypted: elsewhere there is no key, and nothing to hear, while the bot is alone.
  test "joins, plays, tells how it is, and leaves", %{sim: sim, guild: guild, stage: stage} do
    assert {:error, %Error{kind: :unknown}} = Voice.status(guild)
    assert {:error, %Error{kind: :unknown}} = Voice.play(guild, @tone)
    assert :ok = Voice.join(guild, :stage)
    assert {:joined, ^stage} = heard(&match?({:joined, _}, &1))
    assert {:encryption, %{can_send: true}} = heard(&match?({:encryption, %{can_send: true}}, &1))
    assert :ok = Voice.play(guild, @tone)
    assert {:played, @tone, nil} = heard(&match?({:played, _, _}, &1))
    # 100 of the file.
    assert eventually(fn -> frames(sim) >= 100 end, 200)

    assert {:ok, %{state: :joined, channel_id: ^stage, users: [], speaking: []}} = Voice.status(guild)
    assert eventually(fn -> match?({:ok, %{stats: %{sent: sent}}} when sent >= 100, Voice.status(guild)) end, 200)

    assert :ok = Voice.leave(guild)
    assert :left = heard(&(&1 == :left))
    assert {:error, %Error{kind: :unknown}} = Voice.status(guild)
    assert eventually(fn -> in_voice(sim) == nil end)
  end

  test "a bridge that is killed is back in the channel, and heard, within two seconds", %{sim: sim, guild: guild} do
    assert :ok = Voice.join(guild, :stage)
    assert :ok = Voice.play(guild, @tone, loop: true)
    heard(&match?({:joined, _}, &1))
    assert eventually(fn -> frames(sim) > 10 end, 400)

    times =
      for _ <- 1..5 do
        {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
        {"", 0} = System.cmd("kill", ["-KILL", Integer.to_string(os_pid)])
        killed = System.monotonic_time(:millisecond)
        heard(&match?({:joined, _}, &1))
        # The count is of the session, and this is another one.
        assert eventually(fn -> frames(sim) > 0 end, 400)
        System.monotonic_time(:millisecond) - killed
      end

    IO.puts("heard again after SIGKILL: #{inspect(times)} ms")
    assert Enum.min(times) < 2_000
  end

  test "it stays where people put it, also in the next life of the bridge", %{sim: sim, guild: guild} do
    lobby = sim.info["channels"]["lobby"]
    assert :ok = Voice.join(guild, :world)
    heard(&match?({:joined, _}, &1))
    DiscordSim.post(sim, "/voice", %{action: "move", user: "uro", channel: "lobby"})
    assert {:joined, ^lobby} = heard(&match?({:joined, ^lobby}, &1))

    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    {"", 0} = System.cmd("kill", ["-KILL", Integer.to_string(os_pid)])
    assert {:joined, ^lobby} = heard(&match?({:joined, _}, &1))

    DiscordSim.post(sim, "/voice", %{action: "disconnect", user: "uro"})
    assert {:ended, reason, nil} = heard(&match?({:ended, _, _}, &1))
    assert {:ok, %{state: :ended, reason: ^reason}} = Voice.status(guild)
    assert :ok = Voice.join(guild, :world)
    heard(&match?({:joined, _}, &1))
  end

  test "what is asked wrongly is said", %{guild: guild} do
    for {answer, says} <- [
          {Voice.join("x", :world), ~s(guild: "x" is not a guild's id)},
          {Voice.join(guild, :nowhere), "channel: :nowhere is neither in `channels:`"},
          {Voice.join(guild, :world, deaf: true), "options: :deaf is none of"},
          {Voice.play(guild, "/does/not/exist"), "path: there is no file"}
        ] do
      assert {:error, %Error{kind: :invalid} = error} = answer
      assert Exception.message(error) =~ says
    end
  end
end

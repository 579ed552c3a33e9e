defmodule UroDiscord.VoiceTest do
  use UroDiscord.Case, async: false

  alias UroDiscord.{Error, Voice, VoiceClient}

  # Ogg Opus of two seconds, 20 ms each, as ffmpeg made it of a sine of 440 Hz.
  @tone Path.expand("../fixtures/tone.opus", __DIR__)

  setup context do
    sim = start_sim!(context[:sim] || [])
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
    assert voice["violations"] == %{}
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
      killed_and_heard(fn ->
        heard(&match?({:joined, _}, &1))
        # The count is of the session, and this is another one.
        assert eventually(fn -> frames(sim) > 0 end, 400)
      end)

    IO.puts("heard again after SIGKILL: #{inspect(times)} ms")
    assert Enum.max(times) < 2_000
  end

  defp kill_bridge do
    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    {"", 0} = System.cmd("kill", ["-KILL", Integer.to_string(os_pid)])
  end

  # The ms from each SIGKILL until `again` returns. Three in a row, as the pause before a bridge is started doubles each time.
  defp killed_and_heard(again) do
    for _ <- 1..3 do
      kill_bridge()
      killed = System.monotonic_time(:millisecond)
      again.()
      System.monotonic_time(:millisecond) - killed
    end
  end

  describe "beside somebody else, encrypted end to end" do
    @describetag sim: ["--tls-beside", "--bots", "1"], needs: :clients

    setup %{sim: sim} do
      client = VoiceClient.start!(sim, "bot-1")
      on_exit(fn -> VoiceClient.stop(client) end)
      %{client: client, bot: sim.info["application_id"], world: sim.info["channels"]["world"]}
    end

    defp joined_together(%{guild: guild, client: client, world: world}) do
      other = client.user
      assert :ok = Voice.join(guild, :world)
      heard(&match?({:joined, ^world}, &1))
      assert {:ok, %{users: [], encryption: %{version: 1, can_send: false}}} = with_encryption(guild)
      VoiceClient.join(client, world)
      assert {:user_joined, ^other} = heard(&match?({:user_joined, _}, &1))
      assert {:encryption, _} = heard(&match?({:encryption, %{can_send: true}}, &1))
    end

    # The session is joined before it knows of DAVE.
    defp with_encryption(guild) do
      assert eventually(fn -> match?({:ok, %{encryption: %{}}}, Voice.status(guild)) end)
      Voice.status(guild)
    end

    # What he hears of the bot is the file's tone, and no other.
    defp hears_the_tone(client, bot) do
      # More than are kept, so that those are all of one piece.
      VoiceClient.hears(client, bot, 30)
      frames = VoiceClient.heard(client, bot)
      assert VoiceClient.share(client, frames, 440) > 0.8
      assert VoiceClient.share(client, frames, 550) < 0.1
    end

    test "each hears the other, and both see the same code", %{guild: guild, client: client, bot: bot} = context do
      other = client.user
      joined_together(context)

      assert :ok = Voice.play(guild, @tone, loop: true)
      hears_the_tone(client, bot)

      VoiceClient.speak(client, 550, 1_000)
      assert {:speaking, ^other} = heard(&match?({:speaking, _}, &1))
      assert {:ok, %{state: :joined, users: [^other], speaking: [^other]} = status} = Voice.status(guild)
      assert %{version: 1, epoch: epoch, privacy_code: code, can_send: true} = status.encryption
      assert epoch > 0 and code =~ ~r/\A[0-9]{30}\z/
      assert {:silent, ^other} = heard(&match?({:silent, _}, &1))
      VoiceClient.spoken(client)
      assert VoiceClient.code(client) == code
      assert {:ok, %{speaking: []}} = Voice.status(guild)

      assert eventually(
               fn -> match?({:ok, %{stats: %{unread: unread, received: 0}}} when unread >= 40, Voice.status(guild)) end,
               200
             )

      VoiceClient.leave(client)
      assert {:user_left, ^other} = heard(&match?({:user_left, _}, &1))
      assert {:ok, %{users: [], speaking: []}} = Voice.status(guild)

      VoiceClient.join(client, context.world)
      assert {:user_joined, ^other} = heard(&match?({:user_joined, _}, &1))
      hears_the_tone(client, bot)
      assert {:ok, %{encryption: %{privacy_code: again}}} = Voice.status(guild)
      assert VoiceClient.code(client) == again
    end

    test "a bridge that is killed is heard again within two seconds",
         %{guild: guild, client: client, bot: bot} = context do
      joined_together(context)
      assert :ok = Voice.play(guild, @tone, loop: true)
      hears_the_tone(client, bot)

      times =
        killed_and_heard(fn ->
          # What is heard from here on is the next bridge's.
          heard(&match?({:joining, _}, &1))
          VoiceClient.hears(client, bot)
        end)

      IO.puts("heard again after SIGKILL, encrypted end to end: #{inspect(times)} ms")
      assert Enum.max(times) < 2_000
      hears_the_tone(client, bot)
      assert {:ok, %{users: [_], encryption: %{privacy_code: code}}} = Voice.status(guild)
      assert VoiceClient.code(client) == code
    end
  end

  test "a thousand rooms wanted at once are taken by the bridge that is there", %{sim: sim} do
    guilds = DiscordSim.post(sim, "/guilds", %{count: 1_000, voice_channels: 1})
    {:ok, %{bridge: %{os_pid: bridge}}} = UroDiscord.status()

    for %{"id" => guild, "voice_channels" => [channel]} <- guilds, do: :ok = Voice.join(guild, channel)
    assert MapSet.new(guilds, fn _guild -> joining() end) == MapSet.new(guilds, & &1["id"])
    # And Discord's budget begins to be spent on them.
    in_rooms = fn -> Enum.count(DiscordSim.get(sim, "/voice")["channels"], &(&1["users"] != [])) end
    assert eventually(fn -> in_rooms.() >= 50 end, 400)
    assert {:ok, %{bridge: %{os_pid: ^bridge, restarts: 0, state: :up}}} = UroDiscord.status()
  end

  defp joining do
    receive do
      {:uro_discord, :voice, {guild, {:joining, _channel}}} -> guild
      {:uro_discord, :voice, {guild, {:ended, reason, _retry_ms}}} -> flunk("#{guild} ended: #{reason}")
      {:uro_discord, :voice, _other} -> joining()
    after
      20_000 -> flunk("not all rooms were taken")
    end
  end

  test "it stays where people put it, also in the next life of the bridge", %{sim: sim, guild: guild} do
    lobby = sim.info["channels"]["lobby"]
    assert :ok = Voice.join(guild, :world)
    heard(&match?({:joined, _}, &1))
    DiscordSim.post(sim, "/voice", %{action: "move", user: "uro", channel: "lobby"})
    assert {:joined, ^lobby} = heard(&match?({:joined, ^lobby}, &1))

    kill_bridge()
    assert {:joined, ^lobby} = heard(&match?({:joined, _}, &1))

    DiscordSim.post(sim, "/voice", %{action: "disconnect", user: "uro"})
    assert {:ended, reason, nil} = heard(&match?({:ended, _, _}, &1))
    assert {:ok, %{state: :ended, reason: ^reason}} = Voice.status(guild)

    # Nor does the next bridge undo what somebody has decided. Of two commands it sends the earlier first.
    before = DiscordSim.now(sim)
    kill_bridge()
    assert eventually(fn -> match?({:ok, %{bridge: %{state: :up}}}, UroDiscord.status()) end)
    assert {:ok, %{state: :ended, reason: ^reason}} = Voice.status(guild)
    assert :ok = Voice.join(guild, :world)
    assert {:joining, _} = heard(&match?({:joining, _}, &1))
    heard(&match?({:joined, _}, &1))
    assert %{"events" => [_once]} = DiscordSim.get(sim, "/events?types=voice_state&after=#{before}")
  end

  test "what is left while there is no bridge, the next one leaves", %{sim: sim, guild: guild} do
    assert :ok = Voice.join(guild, :world, wait: 20_000)
    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    # Its owner hears of nothing, so the leave comes to none but the next bridge.
    :sys.suspend(UroDiscord.Bridge)
    {"", 0} = System.cmd("kill", ["-KILL", Integer.to_string(os_pid)])
    assert :ok = Voice.leave(guild)
    assert in_voice(sim)
    :sys.resume(UroDiscord.Bridge)
    assert eventually(fn -> in_voice(sim) == nil end)
    assert {:error, %Error{kind: :unknown}} = Voice.status(guild)
  end

  test "the end of the process that knows what is wanted is not heard, and what somebody in Discord ended stays so",
       %{sim: sim, guild: guild, stage: stage} do
    assert :ok = Voice.join(guild, :stage, wait: 20_000)
    assert :ok = Voice.play(guild, @tone, loop: true)
    assert eventually(fn -> frames(sim) > 10 end)
    %{"ssrc" => ssrc} = in_voice(sim)
    before = DiscordSim.now(sim)

    kill_calls()
    # All of it is told anew.
    assert eventually(fn -> match?({:ok, %{state: :joined, channel_id: ^stage}}, Voice.status(guild)) end)
    assert eventually(fn -> match?({:ok, %{encryption: %{can_send: true}}}, Voice.status(guild)) end)
    heard_by_now = frames(sim)
    assert eventually(fn -> frames(sim) > heard_by_now + 10 end)
    assert %{"ssrc" => ^ssrc} = in_voice(sim)
    assert %{"events" => []} = DiscordSim.get(sim, "/events?types=voice_state,voice_end&after=#{before}")

    DiscordSim.post(sim, "/voice", %{action: "disconnect", user: "uro"})
    assert {:ended, reason, nil} = heard(&match?({:ended, _, _}, &1))
    kill_calls()
    assert {:ok, %{state: :ended, reason: ^reason}} = Voice.status(guild)
    assert :ok = Voice.join(guild, :stage, wait: 20_000)
    assert in_voice(sim)["channel"] == stage
  end

  defp kill_calls do
    pid = Process.whereis(UroDiscord.Voice.Calls)
    Process.exit(pid, :kill)
    assert eventually(fn -> Process.whereis(UroDiscord.Voice.Calls) not in [nil, pid] end)
  end

  test "what is still said of the channel before is not taken for the one that is wanted now", %{sim: sim, guild: guild} do
    [world, lobby] = for name <- ["world", "lobby"], do: sim.info["channels"][name]
    assert :ok = Voice.join(guild, :world, wait: 20_000)
    # So that this is the next that is heard of the bridge, as it may have been on its way.
    :sys.suspend(UroDiscord.Bridge)
    assert :ok = Voice.join(guild, :lobby)
    Voice.heard(:local, {:voice, guild, :joined, %{"channel" => world}})
    assert {:ok, %{state: :joining, channel_id: ^lobby}} = Voice.status(guild)
    :sys.resume(UroDiscord.Bridge)
    assert :ok = Voice.join(guild, :lobby, wait: 20_000)
    assert {:ok, %{state: :joined, channel_id: ^lobby}} = Voice.status(guild)
    assert in_voice(sim)["channel"] == lobby

    # Left and joined at once, the bridge may have seen nothing of it.
    :sys.suspend(UroDiscord.Bridge)
    assert :ok = Voice.leave(guild)
    assert :ok = Voice.join(guild, :lobby)
    :sys.resume(UroDiscord.Bridge)
    assert :ok = Voice.join(guild, :lobby, wait: 20_000)
    assert {:ok, %{state: :joined, channel_id: ^lobby}} = Voice.status(guild)
  end

  describe "on a stage with an audience" do
    setup %{sim: sim} do
      DiscordSim.post(sim, "/settings", %{stage_audience: true})
      :ok
    end

    defp suppressed?(sim, bot) do
      %{"voice_states" => states} = DiscordSim.get(sim, "/guild")
      Enum.find(states, &(&1["user_id"] == bot))["suppress"]
    end

    test "the bot makes itself a speaker, also in the next life of the bridge, but not against somebody's will",
         %{sim: sim} = context do
      %{guild: guild, stage: stage} = context
      bot = sim.info["application_id"]
      assert :ok = Voice.join(guild, :stage, wait: 20_000)

      for life <- 1..2 do
        assert eventually(fn -> not suppressed?(sim, bot) end), "in life #{life}"

        assert eventually(fn ->
                 match?({:ok, %{state: :joined, suppressed: false, reason: nil}}, Voice.status(guild))
               end)

        assert {:joined, ^stage} = heard(&match?({kind, _} when kind in [:joined, :suppressed], &1))
        if life == 1, do: kill_bridge()
      end

      DiscordSim.post(sim, "/voice", %{action: "suppress", user: "uro"})
      assert {:suppressed, reason} = heard(&match?({:suppressed, _}, &1))
      assert reason =~ "somebody in Discord moved the bot to the audience"
      assert suppressed?(sim, bot)
      assert {:ok, %{state: :joined, suppressed: true, reason: ^reason}} = Voice.status(guild)

      # Whoever has it join anew wants it heard.
      assert :ok = Voice.join(guild, :stage)
      assert eventually(fn -> not suppressed?(sim, bot) end)
    end

    test "without the permission it says so, until somebody lets it speak", %{sim: sim, guild: guild} do
      route = "/guilds/{guild_id}/voice-states/@me"
      refusal = %{code: 50_013, message: "Missing Permissions"}
      DiscordSim.post(sim, "/faults", [%{method: "PATCH", route: route, status: 403, body: refusal}])
      assert :ok = Voice.join(guild, :stage)
      assert {:suppressed, reason} = heard(&match?({:suppressed, _}, &1))
      assert reason =~ "Mute Members" and reason =~ "Missing Permissions"
      assert {:ok, %{state: :joined, suppressed: true, reason: ^reason}} = settled(guild)
    end

    # The word of Discord may come before the session is joined.
    defp settled(guild) do
      assert eventually(fn -> match?({:ok, %{state: :joined}}, Voice.status(guild)) end, 200)
      Voice.status(guild)
    end
  end

  # Discord says nothing of it, as of one that is full.
  test "a channel that it may not join is said", %{sim: sim, guild: guild} do
    office = sim.info["channels"]["office"]
    waiting = Task.async(fn -> Voice.join(guild, :office, wait: 60_000) end)
    assert {:joining, ^office} = heard(&match?({:joining, _}, &1))
    assert {:error, %Error{kind: :timeout}} = Voice.join(guild, :office, wait: 10)
    assert {:error, %Error{kind: :voice, message: message}} = Task.await(waiting, 60_000)
    assert message =~ "did not let the bot into channel #{office}" and message =~ "the channel is full"
    assert {:ended, ^message, retry_ms} = heard(&match?({:ended, _, _}, &1))
    assert is_integer(retry_ms)
    assert {:ok, %{reason: ^message}} = Voice.status(guild)
  end

  test "what is asked wrongly is said", %{guild: guild} do
    for {answer, says} <- [
          {Voice.join("x", :world), ~s(guild: is "x"; it may be a guild's id)},
          {Voice.join(guild, :nowhere), "channel: is :nowhere; it may be a name of `channels:`"},
          {Voice.join(guild, :world, deaf: true), "options: :deaf is not an option"},
          {Voice.join(guild, :world, wait: -1), "wait: is -1; it may be a number of ms"},
          {Voice.play(guild, "/does/not/exist"), "path: there is no file"}
        ] do
      assert {:error, %Error{kind: :invalid} = error} = answer
      assert Exception.message(error) =~ says
    end
  end
end

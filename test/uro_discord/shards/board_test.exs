defmodule UroDiscord.Shards.BoardTest do
  use UroDiscord.Case
  import ExUnit.CaptureLog

  alias UroDiscord.{Peer, Shards}

  @interval 1_000

  defp board(options \\ []), do: [board: Keyword.merge([channels: [:status], interval: @interval], options)]

  defp start!(sim, options \\ []) do
    config = sim |> DiscordSim.config() |> Keyword.merge(board()) |> Keyword.merge(options)
    start_supervised!({UroDiscord, config})
  end

  defp said(message), do: hd(message["embeds"])["description"]

  # The message of the channel that says this, of those that were posted or edited from now on or after an event.
  defp wait_for_board(sim, type, text, options \\ []) do
    DiscordSim.wait_for(sim, type, &(said(&1["message"]) =~ text), options)
  end

  defp posted!(sim, text) do
    wait_for_board(sim, "message_create", text)
    assert eventually(fn -> match?(%{state: :shown, message_id: "" <> _}, status()) end)
    [message] = DiscordSim.messages(sim, "status")
    message
  end

  # A display begins after UroDiscord has started.
  defp status do
    {:ok, %{board: boards}} = UroDiscord.status()
    List.first(boards) || %{state: :not_there_yet}
  end

  defp edits(sim), do: requests(sim, "PATCH")

  defp requests(sim, method),
    do: sim |> DiscordSim.get("/requests") |> Enum.filter(&(&1["method"] == method))

  test "is posted once, and edited in place" do
    sim = start_sim!()
    start!(sim, join_link: "https://v-sekai.org/join?shard={id}")
    %{"id" => id, "author" => %{"id" => author}} = posted!(sim, "No world is open.")
    assert author == sim.info["application_id"]

    :ok = Shards.put(id: 7, name: "Plaza @everyone", map: "plaza", players: 3, max_players: 16)
    wait_for_board(sim, "message_update", "**3 players in 1 world**")
    :ok = Shards.put(id: 8, name: "Garden", players: 9)
    wait_for_board(sim, "message_update", "**12 players in 2 worlds**")

    assert [%{"id" => ^id, "embeds" => [embed], "mention_everyone" => false}] = DiscordSim.messages(sim, "status")
    assert [%{"name" => "Garden"}, %{"name" => plaza, "value" => value}] = embed["fields"]
    refute plaza =~ "@everyone"
    assert value == "**3/16** players\nmap plaza\n[Join](https://v-sekai.org/join?shard=7)"

    :ok = Shards.delete(7)
    :ok = Shards.delete(8)
    wait_for_board(sim, "message_update", "No world is open.")
    assert %{state: :shown, kind: :message, message_id: ^id, error: nil, updated_at: %DateTime{}} = status()
    assert length(requests(sim, "POST")) == 1
  end

  test "after a restart the same message is edited, and in between it says that it is offline" do
    sim = start_sim!()
    database = DiscordSim.config(sim)[:database]
    start!(sim, database: database)
    %{"id" => id} = posted!(sim, "No world is open.")
    :ok = Shards.put(id: 7, name: "Plaza", players: 3)
    wait_for_board(sim, "message_update", "3 players in 1 world")

    stop_supervised!(UroDiscord)
    assert [%{"id" => ^id, "embeds" => [%{"description" => offline} = embed]}] = DiscordSim.messages(sim, "status")
    assert offline =~ ~r/This board went offline <t:\d+:R>/
    refute Map.has_key?(embed, "fields")

    mark = DiscordSim.now(sim)
    start!(sim, database: database)
    assert %{"message" => %{"id" => ^id}} = wait_for_board(sim, "message_update", "No world is open.", after: mark)
    assert [%{"id" => ^id}] = DiscordSim.messages(sim, "status")
  end

  test "that it ends is said within a deadline, also when Discord does not answer" do
    sim = start_sim!()
    start!(sim)
    posted!(sim, "No world is open.")
    DiscordSim.post(sim, "/faults", [%{route: "/**", answer_delay_ms: 30_000, times: 1_000}])

    {us, log} = :timer.tc(fn -> capture_log(fn -> stop_supervised!(UroDiscord) end) end)
    assert us < 12_000_000
    assert log =~ "does not say that it is offline now"
  end

  test "one that somebody deleted is posted anew at once, where Discord tells of it" do
    sim = start_sim!()
    start_connected!(sim, board() ++ [intents: [:guilds, :guild_messages]])
    %{"id" => id} = posted!(sim, "No world is open.")
    mark = DiscordSim.now(sim)
    DiscordSim.delete_message(sim, "status", id)
    assert %{"message" => %{"id" => other}} = wait_for_board(sim, "message_create", "No world", after: mark)
    assert other != id
    assert eventually(fn -> status().message_id == other end)

    # As a moderator's bulk deletion does, of which there is none in the simulator.
    mark = DiscordSim.now(sim)
    DiscordSim.delete_message(sim, "status", other)

    DiscordSim.post(sim, "/dispatch", %{
      type: "MESSAGE_DELETE_BULK",
      data: %{ids: [other], channel_id: status().channel_id}
    })

    assert %{"message" => %{"id" => third}} = wait_for_board(sim, "message_create", "No world", after: mark)
    assert [%{"id" => ^third}] = DiscordSim.messages(sim, "status")
  end

  test "one that somebody deleted is posted anew with the next edit, where Discord does not" do
    sim = start_sim!()
    start!(sim)
    %{"id" => id} = posted!(sim, "No world is open.")
    mark = DiscordSim.now(sim)
    DiscordSim.delete_message(sim, "status", id)
    :ok = Shards.put(id: 7, name: "Plaza", players: 3)
    assert %{"message" => %{"id" => other}} = wait_for_board(sim, "message_create", "3 players", after: mark)
    assert eventually(fn -> status().message_id == other end)
    assert [%{"id" => ^other}] = DiscordSim.messages(sim, "status")
  end

  test "1,000 changes a second are a few edits, the last of them right, and no limit is hit" do
    sim = start_sim!()
    start!(sim)
    posted!(sim, "No world is open.")

    for n <- 1..3_000 do
      :ok = Shards.put(id: rem(n, 50), name: "World #{rem(n, 50)}", players: rem(n, 7))
      if rem(n, 1_000) == 0, do: Process.sleep(1_000)
    end

    for n <- 0..49, do: :ok = Shards.put(id: n, name: "World #{n}", players: 2)
    wait_for_board(sim, "message_update", "**100 players in 50 worlds**", timeout: 30_000)
    assert %{"too_early" => 0, "over_global" => 0, "invalid_requests" => 0} = DiscordSim.get(sim, "/limits")
    times = sim |> edits() |> Enum.map(& &1["time"])
    assert length(times) in 2..20
    # Sent that far apart; they need not arrive so.
    assert times |> Enum.chunk_every(2, 1, :discard) |> Enum.all?(fn [a, b] -> b - a > @interval / 2 end)
  end

  test "the same is not written again until it is time to" do
    sim = start_sim!()
    start!(sim, board(refresh: 3_000))
    %{"id" => id} = posted!(sim, "No world is open.")
    :ok = Shards.put(id: 1, name: "Plaza", players: 1)
    wait_for_board(sim, "message_update", "1 player in 1 world")
    # These change nothing that is shown.
    for n <- 1..50 do
      :ok = Shards.put(id: 1, name: "Plaza", players: 1, host_id: "#{n}")
      Process.sleep(20)
    end

    before = length(edits(sim))
    %{"message" => first} = wait_for_board(sim, "message_update", "1 player", after: DiscordSim.now(sim))
    assert length(edits(sim)) == before + 1
    %{"message" => second} = wait_for_board(sim, "message_update", "1 player", after: DiscordSim.now(sim))
    assert [first["id"], second["id"]] == [id, id]
    assert (updated(second) - updated(first)) in 2..10
  end

  defp updated(message) do
    [_, unix] = Regex.run(~r/updated <t:(\d+):R>/, said(message))
    String.to_integer(unix)
  end

  test "while the source does not answer it says so, with what was open" do
    sim = start_sim!()
    start!(sim)
    posted!(sim, "No world is open.")
    :ok = Shards.put(id: 7, name: "Plaza", players: 3)
    wait_for_board(sim, "message_update", "3 players in 1 world")

    :ok = Shards.put_source_status({:unreachable, "secret.internal: connection refused"})
    # They are closed in the end, which is not known to be so.
    :ok = Shards.delete(7)

    %{"message" => message} = wait_for_board(sim, "message_update", "Uro has not answered since")
    assert said(message) =~ "Then there were **3 players in 1 world**."
    assert [%{"name" => "Plaza"}] = hd(message["embeds"])["fields"]
    refute inspect(message) =~ "secret"

    :ok = Shards.put_source_status(:reachable)
    wait_for_board(sim, "message_update", "No world is open.")
  end

  test "a source that has not answered yet is waited for" do
    sim = start_sim!()
    start!(sim, board() ++ [shards: [source: {:uro, __MODULE__, :no_shards, []}]])
    :ok = Shards.put_source_status(:reachable)
    posted!(sim, "No world is open.")
  end

  def no_shards, do: []

  test "where it may not be posted, that is logged once, and tried again without more dead letters" do
    sim = start_sim!()

    log =
      capture_log(fn ->
        start!(sim, board(channels: [:rules]))
        assert eventually(fn -> match?(%{state: :failing}, status()) end)
        # A retry, for which there is no waiting here.
        for _ <- 1..3, do: retry!(sim)
      end)

    assert %{error: %UroDiscord.Error{code: 50_013}, message_id: nil} = status()
    assert length(String.split(log, "cannot be shown")) == 2

    assert log =~
             "Discord answered 403 (code 50013): Missing Permissions. The bot needs View Channel, Send Messages and Embed Links"

    assert {:ok, [_one]} = UroDiscord.dead_letters()
  end

  defp retry!(sim) do
    mark = DiscordSim.now(sim)
    tried = length(typing(sim))
    hurry!()
    assert eventually(fn -> length(typing(sim)) > tried and status().state == :failing end)
    assert DiscordSim.get(sim, "/events?types=message_create&after=#{mark}")["events"] == []
  end

  defp typing(sim), do: sim |> DiscordSim.get("/requests") |> Enum.filter(&String.ends_with?(&1["path"], "/typing"))

  # The pause after a failure is a minute at least.
  defp hurry! do
    [{_, display, _, _}] = DynamicSupervisor.which_children(Shards.Board.Supervisor)
    :sys.replace_state(display, &%{&1 | not_before: System.monotonic_time(:millisecond)})
    send(display, :step)
  end

  test "it is posted when it may be" do
    sim = start_sim!()
    denied = %{status: 403, body: %{code: 50_013, message: "Missing Permissions"}}
    DiscordSim.post(sim, "/faults", [Map.merge(denied, %{method: "POST", route: "/channels/*/messages"})])

    log =
      capture_log(fn ->
        start!(sim)
        assert eventually(fn -> match?(%{state: :failing}, status()) end)
        hurry!()
        posted!(sim, "No world is open.")
        assert eventually(fn -> status().error == nil end)
      end)

    assert log =~ "is shown again"
  end

  test "it is not said to be shown while Discord is away" do
    sim = start_sim!()
    away = %{method: "POST", route: "/channels/*/messages", status: 503}
    DiscordSim.post(sim, "/faults", List.duplicate(away, 3))
    start!(sim)
    assert eventually(fn -> sim |> requests("POST") |> length() > 1 end)
    assert %{state: :posting, message_id: nil, updated_at: nil} = status()
    posted!(sim, "No world is open.")
    assert eventually(fn -> match?(%{state: :shown, message_id: "" <> _, updated_at: %DateTime{}}, status()) end)
  end

  test "an edit that fails is made in the end" do
    sim = start_sim!()
    start!(sim)
    posted!(sim, "No world is open.")

    DiscordSim.post(sim, "/faults", [
      %{method: "PATCH", route: "/**", drop: "before_answer"},
      %{method: "PATCH", route: "/**", status: 503},
      # What Discord says to many edits of an old message.
      %{
        method: "PATCH",
        route: "/**",
        status: 429,
        headers: %{"retry-after" => "1"},
        body: %{
          code: 30_046,
          message: "Maximum number of edits to messages older than 1 hour reached",
          retry_after: 1.5
        }
      }
    ])

    :ok = Shards.put(id: 7, name: "Plaza", players: 3)
    wait_for_board(sim, "message_update", "3 players in 1 world", timeout: 60_000)
    assert [_] = DiscordSim.messages(sim, "status")
  end

  @tag timeout: 180_000
  test "there is one, whenever the VM is killed" do
    sim = start_sim!()
    config = Keyword.merge(DiscordSim.config(sim), board())
    # Discord has it, and has not said so; it would hide a request too many if it knew the nonce.
    DiscordSim.post(sim, "/faults", [
      %{method: "POST", route: "/channels/*/messages", answer_delay_ms: 60_000, times: 1}
    ])

    peer = Peer.start!()
    Peer.start_child!(peer, {UroDiscord, config})
    wait_for_board(sim, "message_create", "No world")
    Peer.kill!(peer)

    for ms <- [0, 5, 20, 60, 150] do
      peer = Peer.start!()
      Peer.cast(peer, UroDiscord, :start_link, [config])
      Process.sleep(ms)
      Peer.kill!(peer)
    end

    mark = DiscordSim.now(sim)
    start_supervised!({UroDiscord, config})
    :ok = Shards.put(id: 7, name: "Plaza", players: 3)
    wait_for_board(sim, "message_update", "3 players in 1 world", after: mark, timeout: 60_000)
    assert [_] = DiscordSim.messages(sim, "status")
  end

  describe "as a voice channel's status" do
    defp voice_status(sim),
      do:
        sim
        |> DiscordSim.get("/guild")
        |> Map.fetch!("channels")
        |> Enum.find(&(&1["name"] == "world"))
        |> Map.fetch!("status")

    defp wait_for_voice_status(sim, text, options \\ []),
      do: DiscordSim.wait_for(sim, "voice_channel_status", &(&1["status"] == text), options)

    setup do
      sim = start_sim!()
      start_connected!(sim, board(channels: [], voice_channels: [:world]))
      wait_for_voice_status(sim, "no world is open")
      %{sim: sim}
    end

    test "it says how many play, and nothing when nobody knows", %{sim: sim} do
      :ok = Shards.put(id: 7, name: "Plaza", players: 3)
      wait_for_voice_status(sim, "3 players in 1 world")
      assert %{kind: :voice_status, state: :shown} = status()
      :ok = Shards.put_source_status({:unreachable, "gone"})
      wait_for_voice_status(sim, nil)
      mark = DiscordSim.now(sim)
      :ok = Shards.put_source_status(:reachable)
      wait_for_voice_status(sim, "3 players in 1 world", after: mark)
      UroDiscord.unsubscribe(:status)
      stop_supervised!(UroDiscord)
      assert voice_status(sim) == nil
    end

    test "1,000 changes are few requests", %{sim: sim} do
      for n <- 1..1_000, do: :ok = Shards.put(id: 7, name: "Plaza", players: rem(n, 30))
      :ok = Shards.put(id: 7, name: "Plaza", players: 31)
      wait_for_voice_status(sim, "31 players in 1 world")
      assert length(requests(sim, "PUT")) < 6
      assert %{"too_early" => 0} = DiscordSim.get(sim, "/limits")
    end

    test "one that Discord has taken away is set again", %{sim: sim} do
      # So the request before has its answer, and is counted.
      assert eventually(fn -> status().state == :shown end)
      guild = sim.info["guild_id"]
      data = %{id: sim.info["channels"]["world"], guild_id: guild, status: nil}
      before = length(requests(sim, "PUT"))
      DiscordSim.post(sim, "/dispatch", %{type: "VOICE_CHANNEL_STATUS_UPDATE", data: data})
      assert eventually(fn -> length(requests(sim, "PUT")) == before + 1 end)
    end
  end

  test "a voice channel that is none is told of" do
    sim = start_sim!()

    log =
      capture_log(fn ->
        start!(sim, board(channels: [], voice_channels: [:general]))
        assert eventually(fn -> match?(%{state: :failing, error: %{code: 50_024}}, status()) end)
      end)

    assert log =~ "Set Voice Channel Status and, as it is not in the channel, Manage Channels"
  end
end

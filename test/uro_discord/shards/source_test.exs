defmodule UroDiscord.Shards.SourceTest do
  use UroDiscord.Case
  import ExUnit.CaptureLog
  require Logger
  alias UroDiscord.{FakeUro, Shards}
  alias UroDiscord.Shards.Source

  @poll 100
  # Longer than the fake's second, or just as long.
  @freshness 1_000

  defp start!(options \\ []) do
    shards = Keyword.merge([source: :uro, poll: @poll, freshness: @freshness, max_visible: 10_000], options)
    # Uro answers when the test hears of it, and not before.
    uro = Process.whereis(FakeUro)
    if uro, do: :sys.suspend(uro)
    start_uro_discord!(start_sim!(), shards: shards)
    UroDiscord.subscribe(:shards)
    if uro, do: :sys.resume(uro)
    :ok
  end

  # The test ends with what it subscribed to.
  defp stop! do
    UroDiscord.unsubscribe(:shards)
    UroDiscord.unsubscribe(:status)
    stop_supervised!(UroDiscord)
  end

  # Keeps shards alive until the test ends.
  defp beat!(ids) do
    start_supervised!({Task, fn -> Stream.repeatedly(fn -> Enum.each(ids, &FakeUro.put!/1) end) |> Stream.run() end},
      id: make_ref()
    )
  end

  defp now, do: System.monotonic_time(:millisecond)

  describe "Uro's shards" do
    test "open, change and close, with what its columns say" do
      FakeUro.start!()
      start!()
      user = %Uro.Accounts.User{id: "0192f3a1-0000-7000-8000-000000000001", username: "fire", display_name: "iFire"}
      opened = ~N[2025-06-04 14:39:29]

      FakeUro.insert!(
        id: 1_049_382_716_000_000_001,
        name: "Plaza",
        map: "uro://plaza",
        address: "203.0.113.7",
        port: 7777,
        current_users: 3,
        user: user,
        user_id: user.id,
        inserted_at: opened
      )

      shard = %{
        id: "1049382716000000001",
        name: "Plaza",
        map: "uro://plaza",
        players: 3,
        max_players: 32,
        host: "iFire",
        host_id: user.id,
        address: "203.0.113.7",
        port: 7777,
        opened_at: ~U[2025-06-04 14:39:29.000Z],
        source: :uro
      }

      assert_receive {:uro_discord, :shards, {:opened, ^shard}}, 5_000
      FakeUro.put!(1_049_382_716_000_000_001, current_users: 4, user: %{user | display_name: nil})
      changed = %{shard | players: 4, host: "fire"}
      assert_receive {:uro_discord, :shards, {:changed, ^shard, ^changed}}, 5_000
      FakeUro.delete!(1_049_382_716_000_000_001)
      assert_receive {:uro_discord, :shards, {:closed, ^changed}}, 5_000
      assert Shards.list() == []
    end

    test "and zones of newer forks, of which the private ones are nobody's business" do
      FakeUro.start!(:zones)
      start!()
      FakeUro.insert!(id: 1, name: "Secret", public: false)
      FakeUro.insert!(id: 2, name: "Hush", status: "private")
      FakeUro.insert!(id: 3, name: "Open", current_users: nil)
      beat!([1, 2, 3])
      assert_receive {:uro_discord, :shards, {:opened, %{id: "3", name: "Open", players: nil, host: nil}}}, 5_000
      assert [%{id: "3"}] = Shards.list()
      # It withdraws.
      FakeUro.put!(3, public: false)
      assert_receive {:uro_discord, :shards, {:closed, %{id: "3"}}}, 5_000
      FakeUro.put!(1, public: true)
      assert_receive {:uro_discord, :shards, {:opened, %{id: "1"}}}, 5_000
    end

    test "may be listed by a function of the host's" do
      FakeUro.start!()
      start!(source: {:uro, __MODULE__, :worlds, ["Plaza"]})
      assert_receive {:uro_discord, :shards, {:opened, %{id: "1", name: "Plaza", players: 2, source: :uro}}}, 5_000
      :ok
    end

    test "that say what cannot be are believed for the rest" do
      FakeUro.start!()
      start!(poll: 60_000)

      FakeUro.fill!([
        [id: 1, name: "\u202E**discord.gg/x**\n", port: -1, current_users: -5, max_users: 2_000_000_000, user: "me"],
        [id: 2, name: nil, map: :plaza, address: %{}, user: %{id: 7, display_name: [1]}],
        [id: nil, name: "no id"]
      ])

      FakeUro.insert!(id: 3, name: "Last")
      assert_receive {:uro_discord, :shards, {:opened, %{id: "3"}}}, 5_000
      assert [one, two, _three] = Shards.list()
      assert %{name: "**discord.gg/x**", port: nil, players: nil, max_players: nil, host: nil} = one
      assert %{name: "2", map: nil, address: nil, host: nil, host_id: nil} = two
    end

    test "leave the shards that were put alone, and are left alone by put/1" do
      FakeUro.start!()
      start!()
      :ok = Shards.put(id: 1, name: "Ours")
      FakeUro.insert!(id: 1, name: "Theirs")
      FakeUro.insert!(id: 2, name: "Theirs")
      beat!([1, 2])
      assert_receive {:uro_discord, :shards, {:opened, %{id: "2", source: :uro}}}, 5_000
      assert [%{id: "1", name: "Ours", source: :put}, %{id: "2"}] = Shards.list()
      assert {:error, %UroDiscord.Error{field: "id"}} = Shards.put(id: 2, name: "Ours")
      :ok = Shards.delete(2)
      :ok = Shards.delete(1)
      assert_receive {:uro_discord, :shards, {:closed, %{id: "1", source: :put}}}
      assert_receive {:uro_discord, :shards, {:opened, %{id: "1", source: :uro}}}, 5_000
      refute_received {:uro_discord, :shards, {:closed, %{id: "2"}}}
    end
  end

  describe "a write that telemetry tells of" do
    test "shows within a second, though it is told before the commit" do
      FakeUro.start!()
      start!(poll: 600_000, freshness: 600_000)
      wait_for_source(:reachable)

      FakeUro.insert!(id: 1, name: "Plaza")
      committed = now()
      assert_receive {:uro_discord, :shards, {:opened, %{id: "1"}}}, 10_000
      # Of a loaded machine; without the hint it would be ten minutes.
      assert now() - committed < 5_000

      for players <- 1..3 do
        FakeUro.put!(1, current_users: players)
        assert_receive {:uro_discord, :shards, {:changed, _before, %{players: ^players}}}, 10_000
      end

      FakeUro.delete!(1)
      assert_receive {:uro_discord, :shards, {:closed, %{id: "1"}}}, 10_000
    end

    test "costs no more for ten thousand of them, and reads are not told" do
      FakeUro.start!()
      calls = :counters.new(1, [])

      FakeUro.list_does(fn state ->
        :counters.add(calls, 1, 1)
        FakeUro.fresh(state)
      end)

      start!(poll: 600_000)
      wait_for_source(:reachable)
      assert eventually(fn -> :counters.get(calls, 1) == 1 end)
      metadata = %{source: "shards", query: ~s(UPDATE "shards" SET …)}

      for metadata <- [%{metadata | query: " select 1"}, %{metadata | source: "users"}, %{metadata | source: nil}, %{}],
          do: :telemetry.execute([:uro, :repo, :query], %{}, metadata)

      refute_receive {:uro_discord, :shards, _}, 500
      assert :counters.get(calls, 1) == 1

      began = now()
      for _ <- 1..10_000, do: :telemetry.execute([:uro, :repo, :query], %{}, metadata)
      # Two looks in the end, and one each 400 ms before.
      assert eventually(fn -> :counters.get(calls, 1) >= 3 end)
      Process.sleep(1_000)
      assert :counters.get(calls, 1) <= 4 + div(now() - began, 400)
    end

    test "is heard no more when UroDiscord has stopped, and by one only after a crash" do
      FakeUro.start!()
      start!()
      assert [{_id, [:uro, :repo, :query], _function, _config}] = hints()
      pid = Process.whereis(Source)
      Process.exit(pid, :kill)
      assert eventually(fn -> Process.whereis(Source) not in [nil, pid] and length(hints()) == 1 end)
      FakeUro.insert!(id: 1, name: "Plaza")
      assert_receive {:uro_discord, :shards, {:opened, %{id: "1"}}}, 5_000
      stop!()
      assert hints() == []
    end

    defp hints, do: Enum.filter(:telemetry.list_handlers(), &(elem(&1, 1) == [:uro, :repo, :query]))
  end

  describe "freshness" do
    test "a shard whose heartbeat stops is closed" do
      FakeUro.start!()
      start!()
      FakeUro.insert!(id: 1, name: "Plaza")
      assert_receive {:uro_discord, :shards, {:opened, _}}, 5_000
      # Its heartbeats keep it open, and are no change.
      for _ <- 1..15, do: FakeUro.put!(1)
      stopped = now()
      refute_received {:uro_discord, :shards, _}
      assert_receive {:uro_discord, :shards, {:closed, %{id: "1"}}}, 10_000
      assert now() - stopped >= @freshness - 200
    end

    test "may be longer than Uro's: then a shard stays that Uro lists no longer, unless it was deleted" do
      FakeUro.start!()
      start!(freshness: 3_000)
      FakeUro.insert!(id: 1, name: "Owned")
      FakeUro.insert!(id: 2, name: "Deleted")
      assert_receive {:uro_discord, :shards, {:opened, %{id: "1"}}}, 5_000
      assert_receive {:uro_discord, :shards, {:opened, %{id: "2"}}}, 5_000
      FakeUro.put!(2)
      FakeUro.delete!(2)
      deleted = now()
      assert_receive {:uro_discord, :shards, {:closed, %{id: "2"}}}, 5_000
      assert now() - deleted < 2_500
      assert [%{id: "1"}] = Shards.list()
      assert_receive {:uro_discord, :shards, {:closed, %{id: "1"}}}, 10_000
      assert now() - deleted > 1_500
    end

    test "may be shorter than Uro's" do
      FakeUro.start!()

      FakeUro.list_does(fn _state ->
        now = NaiveDateTime.utc_now()
        for age <- [0, 1_100], do: %Uro.VSekai.Shard{id: age, updated_at: NaiveDateTime.add(now, -age, :millisecond)}
      end)

      start!(freshness: 1_000)
      assert_receive {:uro_discord, :shards, {:opened, %{id: "0"}}}, 5_000
      assert [%{id: "0"}] = Shards.list()
    end
  end

  describe "a source that cannot be asked" do
    @tag :capture_log
    test "is said to be unreachable, its shards close as their freshness ends, and open when it is back" do
      FakeUro.start!()
      start!(freshness: 2_000)
      wait_for_source(:reachable)
      # Its only heartbeat: of another, nobody knows whether the source heard it before it was gone.
      beaten = now()
      FakeUro.insert!(id: 1, name: "Plaza")
      assert_receive {:uro_discord, :shards, {:opened, _}}, 5_000
      FakeUro.list_does(fn _state -> raise "connection not available" end)

      assert wait_for_source(:unreachable) == "connection not available"
      assert Shards.source_status() == {:unreachable, "connection not available"}
      assert {:ok, %{shards: %{source: {:unreachable, _}}}} = UroDiscord.status()
      # Open for as long as it can be known to be.
      assert_receive {:uro_discord, :shards, {:closed, %{id: "1"}}}, 10_000
      assert now() - beaten >= 1_800
      FakeUro.list_does(nil)
      FakeUro.put!(1)
      wait_for_source(:reachable)
      FakeUro.put!(1)
      assert_receive {:uro_discord, :shards, {:opened, %{id: "1"}}}, 10_000
    end

    test "says why in one line of the log" do
      FakeUro.start!()

      for {does, reason} <- [
            {fn _ -> raise ArgumentError, "no association" end, "no association"},
            {fn _ -> exit({:timeout, {DBConnection, :checkout}}) end, "timeout"},
            {fn _ -> throw(:away) end, ":away"},
            {fn _ -> Process.exit(self(), :kill) end, "killed"},
            {fn _ -> {:ok, []} end, "it did not return a list but {:ok, []}"},
            {fn _ -> [1 | 2] end, "improper"}
          ] do
        FakeUro.list_does(does)

        log =
          capture_log(fn ->
            start!()
            why = wait_for_source(:unreachable)
            assert why =~ reason or reason == "improper"
            stop!()
          end)

        assert log =~ "the source of shards is unreachable"
        assert length(String.split(log, "the source of shards")) == 2
      end
    end

    @tag :capture_log
    test "need not be there at all" do
      start!()
      assert wait_for_source(:unreachable) =~ "Uro.VSekai.list_fresh_shards/0"
    end

    @tag :capture_log
    test "may be slow without anybody waiting, and is given up in the end" do
      test = self()
      FakeUro.start!()

      FakeUro.list_does(fn _state ->
        send(test, {:asked, self()})
        Process.sleep(:infinity)
      end)

      start!()
      assert_receive {:asked, poll}, 5_000
      assert Shards.put(id: 1, name: "Plaza") == :ok
      assert [%{id: "1"}] = Shards.visible()
      assert Shards.source_status() == :starting
      monitor = Process.monitor(poll)
      # Its time is up.
      send(Source, {:timeout, :sys.get_state(Source).timer, :late})
      assert_receive {:DOWN, ^monitor, :process, ^poll, _reason}, 5_000
      assert_receive {:asked, another}, 5_000
      # And it ends with UroDiscord.
      monitor = Process.monitor(another)
      stop!()
      assert_receive {:DOWN, ^monitor, :process, ^another, _reason}, 5_000
    end

    @tag :capture_log
    test "leaves nothing open behind, though who watches it crashes too" do
      FakeUro.start!()
      start!()
      FakeUro.insert!(id: 1, name: "Plaza")
      assert_receive {:uro_discord, :shards, {:opened, _}}, 5_000
      FakeUro.list_does(fn _state -> raise "away" end)
      Process.exit(Process.whereis(Source), :kill)
      assert_receive {:uro_discord, :shards, {:closed, %{id: "1"}}}, 10_000
    end
  end

  test "its query is not in the host's debug log" do
    FakeUro.start!()

    FakeUro.list_does(fn _state ->
      Logger.debug(~s|SELECT s0."id" FROM "shards" AS s0|)
      []
    end)

    log =
      capture_log(fn ->
        start!()
        wait_for_source(:reachable)
      end)

    refute log =~ "SELECT"
    stop!()
  end

  test "a flood fills what there is room for, and those who were there before stay, and stay shown" do
    FakeUro.start!()
    start!(freshness: 5_000, max_visible: 50, max_per_address: 5)
    FakeUro.insert!(id: 1, name: "Plaza", address: "203.0.113.7")
    assert_receive {:uro_discord, :shards, {:opened, _}}, 5_000

    log =
      capture_log(fn ->
        flood =
          for n <- 2..30_000 do
            %Uro.VSekai.Shard{
              id: n,
              name: "@everyone discord.gg/x #{n}",
              address: "198.51.100.#{rem(n, 100)}",
              inserted_at: NaiveDateTime.utc_now()
            }
          end

        FakeUro.list_does(fn state ->
          now = NaiveDateTime.utc_now()
          for row <- flood ++ Map.values(state.rows), do: %{row | updated_at: now}
        end)

        assert eventually(fn -> length(Shards.list()) == 10_000 end, 600)
        FakeUro.put!(1, current_users: 5)
        assert_receive {:uro_discord, :shards, {:changed, _, %{id: "1", players: 5}}}, 30_000
      end)

    assert log =~ "Is this a flood?"
    assert [%{id: "1"} | flood] = Shards.visible()
    assert length(flood) == 49
    FakeUro.list_does(nil)
    assert eventually(fn -> Shards.list() == [] end, 600)
  end

  def worlds(name) do
    # Held up until the test hears of it.
    [] = FakeUro.list()
    [%{id: 1, name: name, current_users: 2}]
  end
end

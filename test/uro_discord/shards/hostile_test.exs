defmodule UroDiscord.Shards.HostileTest do
  @moduledoc "Shards of strangers who want to do harm: what they cost, and that the honest ones stay."
  use UroDiscord.Case
  alias UroDiscord.{FakeUro, Shards}
  alias UroDiscord.Shards.Hidden.Matcher
  alias UroDiscord.Shards.Source.Row

  @capacity 10_000
  @hangul String.duplicate("\u1100", 255)

  # What may stand where a text, a count or a time should. Each was slow, large or fatal somewhere.
  @texts [
    @hangul,
    "e" <> String.duplicate("\u0301", 254),
    String.duplicate("\u202E", 255),
    String.duplicate("\u200B\u200D\u2060", 85),
    String.duplicate("👩‍🚀\u200D", 60),
    String.duplicate("🇩", 255),
    String.duplicate("\uFDFA", 255),
    String.duplicate("csocso", 40),
    String.duplicate("*_~`|<>[]()#-+:@/.", 14),
    String.duplicate("Ａ", 1_000_000),
    :binary.copy(<<0xFF>>, 1_000_000),
    <<0, 1, 2>>,
    "",
    nil,
    7,
    7.5,
    :plaza,
    %{},
    %{name: "x"},
    [1, [2, [3]]],
    [1 | 2],
    {:a},
    self(),
    &String.length/1
  ]

  @numbers [-1, -1.0e308, 1.0e308, 2 ** 64, 10 ** 10_000, :nan, "3", [], %{}, nil, 0.5]
  @times [nil, "2025-01-01", ~U[9999-12-31 23:59:59Z], ~N[0000-01-01 00:00:00], 7, %{}, ~D[2025-01-01]]

  defp listed(id, fields \\ []) do
    struct!(
      %Uro.VSekai.Shard{id: id, inserted_at: NaiveDateTime.utc_now(), updated_at: NaiveDateTime.utc_now()},
      fields
    )
  end

  defp hangul(id), do: listed(id, name: @hangul, map: @hangul, address: @hangul, user: %{display_name: @hangul})
  defp now, do: System.os_time(:millisecond)

  # What a call costs in reductions, which the load of the machine does not change.
  defp work(fun) do
    Task.async(fn ->
      {:reductions, before} = Process.info(self(), :reductions)
      fun.()
      {:reductions, reductions} = Process.info(self(), :reductions)
      reductions - before
    end)
    |> Task.await(60_000)
  end

  describe "reading rows" do
    test "is linear in their number, and in what is in them" do
      read = fn count ->
        list = for id <- 1..count, do: hangul(id)
        work(fn -> Row.read(list, now(), nil, %{}, 600_000) end)
      end

      assert read.(400) < 3 * read.(200)
    end

    test "costs what has changed, and no more" do
      list = for id <- 1..200, do: hangul(id)
      read = fn list, known -> Row.read(list, now(), nil, known, 600_000) end
      {rows, known} = read.(list, %{})
      assert work(fn -> read.(list, known) end) * 4 < work(fn -> read.(list, %{}) end)
      before = MapSet.new(rows, & &1.shard)
      {rows, _known} = list |> List.replace_at(7, listed(8, name: "Plaza")) |> read.(known)
      assert ["Plaza"] = for(row <- rows, row.shard not in before, do: row.shard.name)
      assert length(rows) == 200
    end

    test "goes on the next time where the time did not suffice, and what is known stays" do
      {_rows, known} = Row.read([listed(1, name: "Plaza"), listed(2, name: "Lobby")], now(), nil, %{})
      list = [listed(3, name: "New"), listed(1, name: "Renamed"), listed(2, name: "Lobby")]
      assert {rows, known} = Row.read(list, now(), nil, known, 0)
      assert rows |> Enum.map(& &1.shard.name) |> Enum.sort() == ["Lobby", "Plaza"]
      assert {rows, _known} = Row.read(list, now(), nil, known)
      assert rows |> Enum.map(& &1.shard.name) |> Enum.sort() == ["Lobby", "New", "Renamed"]
    end

    test "keeps what is right of a row, whatever else is in it" do
      for value <- @texts, field <- [:name, :map, :address, :user, :user_id] do
        assert [%{shard: shard}] = read!(listed(1, [{field, value}]))
        assert %{id: "1", players: 0, max_players: 32} = shard

        for text <- [shard.name, shard.map, shard.address, shard.host, shard.host_id],
            do: assert(text == nil or String.valid?(text))
      end

      for value <- @numbers, field <- [:current_users, :max_users, :port] do
        assert [%{shard: %{id: "1"} = shard}] = read!(listed(1, [{field, value}]))
        assert Enum.all?([shard.players, shard.max_players, shard.port], &(&1 in [nil, 0, 32]))
      end

      for value <- @times, field <- [:inserted_at, :updated_at] do
        assert [%{heartbeat_at: heartbeat}] = read!(listed(1, [{field, value}]))
        assert heartbeat <= now()
      end

      for id <- [nil, "", %{}, [], -1.5, 10 ** 10_000, String.duplicate("x", 65), <<0xFF>>, {1}] do
        assert [%{shard: %{id: "2"}}] = read!([listed(id), listed(2)])
      end

      assert [%{shard: %{id: "2"}}] = read!([nil, 7, "x", [], {}, %{}, listed(2)])
    end

    defp read!(rows) do
      {rows, _known} = rows |> List.wrap() |> Row.read(now(), nil, %{})
      rows
    end

    test "holds no more of a megabyte than is shown of it" do
      name = String.duplicate("x", 1_000_000)
      assert [%{shard: %{name: name, address: address}}] = read!(listed(1, name: name, address: name))
      assert :binary.referenced_byte_size(name) < 1_000
      assert :binary.referenced_byte_size(address) < 1_000
    end

    test "takes hundreds of thousands of them, and keeps the oldest, and those that are known" do
      plaza = listed(1, name: "Plaza", inserted_at: ~N[2025-01-01 00:00:00])
      late = %{plaza | id: 0, inserted_at: ~N[2030-01-01 00:00:00]}
      {_rows, known} = Row.read([late], now(), nil, %{})

      read = fn count ->
        list = for(id <- 2..count, do: %{late | id: id}) ++ [plaza, late]

        work(fn ->
          {rows, _known} = Row.read(list, now(), nil, known)
          ids = MapSet.new(rows, & &1.shard.id)
          assert "1" in ids and "0" in ids
          assert MapSet.size(ids) <= @capacity
        end)
      end

      # All but the cleaning of ten thousand.
      assert read.(400_000) < 3 * read.(200_000)
    end
  end

  describe "patterns" do
    @tricky ["*c*s*o*1*", "c*s*o*1", "*c*s*o*c*s*o*1*", "*cs*cs*cs*1*", "*o*c*o*c*o*1"]

    defp shard(text), do: %{id: "1", name: text, map: text, host: text, host_id: nil, address: text}

    test "cost in proportion to the text and to their number" do
      cost = fn patterns, length ->
        matcher = Matcher.new(patterns)
        text = "cso" |> String.duplicate(div(length, 3)) |> shard()
        # Many, since one is next to nothing.
        work(fn -> for _ <- 1..20, do: refute(Matcher.matches?(matcher, text)) end)
      end

      assert cost.(@tricky, 4_000) < 3 * cost.(@tricky, 2_000)
      patterns = fn count -> for n <- 1..count, do: "*c*s*o*#{n}*" end
      assert cost.(patterns.(400), 300) < 3 * cost.(patterns.(200), 300)
      # Those of one word are looked for together.
      words = fn count -> for n <- 1..count, do: "*word#{n}*" end
      assert cost.(words.(400), 300) < 1.5 * cost.(words.(20), 300)
    end

    test "of five hundred kinds are told apart as one by one" do
      :rand.seed(:exsss, ExUnit.configuration()[:seed])
      word = fn most -> for _ <- 1..:rand.uniform(most), into: "", do: Enum.random(~w(a b c)) end

      for _ <- 1..300 do
        patterns = for _ <- 1..5, do: Enum.map_join(1..:rand.uniform(4), "*", fn _ -> Enum.random(["", word.(3)]) end)
        text = word.(8)
        expected = Enum.any?(patterns, &(text =~ Regex.compile!("\\A" <> String.replace(&1, "*", ".*") <> "\\z", "s")))
        shard = %{shard(nil) | id: text}
        assert {patterns, text, Matcher.matches?(Matcher.new(patterns), shard)} == {patterns, text, expected}
      end
    end
  end

  describe "in a running node" do
    @tag timeout: 180_000
    test "fifteen hundred of them, that no poll could clean in its time, take nothing from the honest world" do
      FakeUro.start!()
      sim = start_sim!()
      start_connected!(sim, shards: [source: :uro, poll: 100, freshness: 60_000, max_per_host: 1])
      FakeUro.insert!(id: 1, name: "Plaza", current_users: 3)
      DiscordSim.wait_for_presence(sim, "3 players in 1 world")
      flood = for id <- 2..1_501, do: hangul(id)

      FakeUro.list_does(fn state ->
        for row <- Map.values(state.rows) ++ flood, do: %{row | updated_at: NaiveDateTime.utc_now()}
      end)

      assert eventually(fn -> length(Shards.list()) == 1_501 end, 1_200)
      # One of them is shown, as they all are of one host.
      DiscordSim.wait_for_presence(sim, "3 players in 2 worlds")
      FakeUro.put!(1, current_users: 4)
      DiscordSim.wait_for_presence(sim, "4 players in 2 worlds")

      assert {:ok, %{shards: %{source: :reachable, shards: 1_501, visible: 2, source_retry_at: nil}}} =
               UroDiscord.status()
    end

    @tag timeout: 240_000
    test "ten thousand of them and five hundred patterns block nobody" do
      FakeUro.start!()
      sim = start_sim!()
      start_connected!(sim, shards: [source: :uro, poll: 100, freshness: 60_000, max_visible: 10_000])
      for n <- 1..490, do: :ok = Shards.Hidden.Patterns.hide(store(), "*casino number #{n}*")
      for pattern <- @tricky ++ ["*cso*"], do: :ok = Shards.hide(pattern)
      FakeUro.insert!(id: 1, name: "Plaza", current_users: 3)
      DiscordSim.wait_for_presence(sim, "3 players in 1 world")
      UroDiscord.subscribe(:shards)

      flood = for id <- 2..@capacity, do: listed(id, name: String.duplicate("cso", 30))
      others = for name <- [Shards, UroDiscord.Bridge, UroDiscord.Gateway.Leader], do: {name, Process.whereis(name)}

      FakeUro.list_does(fn state ->
        for row <- Map.values(state.rows) ++ flood, do: %{row | updated_at: NaiveDateTime.utc_now()}
      end)

      # Meanwhile the registry answers whoever asks.
      slowest = slowest_until(fn -> length(Shards.list()) >= @capacity end, 0)
      assert slowest < 3_000
      # And so it does while all are judged anew.
      unhiding = Task.async(fn -> Shards.unhide("*cso*") end)
      assert slowest_until(fn -> Task.yield(unhiding, 0) != nil end, 0) < 3_000
      assert length(Shards.visible()) == @capacity
      assert Shards.hide("*cso*") == :ok
      assert Enum.map(Shards.visible(), & &1.name) == ["Plaza"]
      FakeUro.put!(1, current_users: 4)
      DiscordSim.wait_for_presence(sim, "4 players in 1 world")
      assert for({name, _pid} <- others, do: {name, Process.whereis(name)}) == others
    end

    defp store do
      {:ok, %{store: store}} = UroDiscord.Runtime.fetch()
      store
    end

    # The longest that a call took while something was not yet so.
    defp slowest_until(done?, slowest) do
      began = System.monotonic_time(:millisecond)
      :ok = Shards.delete("not there")
      slowest = max(slowest, System.monotonic_time(:millisecond) - began)
      if done?.(), do: slowest, else: slowest_until(done?, slowest)
    end
  end
end

defmodule UroDiscord.Shards.HiddenTest do
  use UroDiscord.Case
  alias UroDiscord.{Error, Postgres, Shards, Store, TestRepo}
  alias UroDiscord.Shards.Hidden.{Matcher, Patterns}

  doctest Matcher

  defp matches?(patterns, shard) do
    unknown = %{id: "0", name: "", map: nil, host: nil, host_id: nil, address: nil}
    patterns |> Matcher.new() |> Matcher.matches?(Map.merge(unknown, Map.new(shard)))
  end

  test "a pattern is the whole of a field, unless it has a *" do
    assert matches?(["plaza"], name: "Plaza")
    refute matches?(["plaza"], name: "Plaza 2")
    assert matches?(["plaza*"], name: "Plaza 2")
    assert matches?(["*2"], name: "Plaza 2")
    assert matches?(["p*2"], name: "Plaza 2")
    assert matches?(["7"], id: "7")
    refute matches?(["7"], id: "77")
    assert matches?(["a.c"], map: "a.c")
    refute matches?(["a.c"], map: "abc")
    assert matches?(["(a|b)["], host: "(a|b)[")
    assert matches?(["nobody", "203.0.113.*"], address: "203.0.113.7")
    assert matches?(["*"], name: "anything\nat all")
    assert matches?(["a*b*c"], name: "abbc")
    refute matches?(["a*b*c"], name: "acb")
    refute matches?(["ab*ba"], name: "aba")
    assert matches?(["ab**ba"], name: "abba")
    assert matches?(["*b*b*"], name: "abcb")
    refute matches?(["*b*b*"], name: "abc")
    assert matches?(["*bc*c"], name: "bcbcc")
    assert matches?(["**"], name: "")
    refute matches?([], name: "Plaza")
  end

  for adapter <- [:sqlite, :repo] do
    test "patterns are kept, in the order they came (#{adapter})" do
      store = store!(unquote(adapter))
      assert Patterns.all(store) == {:ok, []}
      assert Patterns.hide(store, "*casino*") == :ok
      assert Patterns.hide(store, " 203.0.113.7\n") == :ok
      assert Patterns.hide(store, "*casino*") == :ok
      assert {:ok, [%{pattern: "*casino*", hidden_at: at}, %{pattern: "203.0.113.7"}]} = Patterns.all(store)
      assert DateTime.diff(DateTime.utc_now(), at) in 0..60
      assert Patterns.unhide(store, "*casino*") == :ok
      assert {:error, %Error{kind: :invalid, field: "pattern"} = error} = Patterns.unhide(store, "*casino*")
      assert Exception.message(error) =~ "is not hidden"
      assert {:ok, [%{pattern: "203.0.113.7"}]} = Patterns.all(store)
      for wrong <- ["", "\u200B", nil, 7], do: assert({:error, %Error{field: "pattern"}} = Patterns.hide(store, wrong))
      rows = Enum.map_join(2..500, ", ", &"('#{&1}', 0)")

      {:ok, _} =
        Store.run(store, [{"INSERT INTO uro_discord_hidden_shards (pattern, hidden_at) VALUES #{rows}", []}], :write)

      assert {:error, %Error{kind: :full}} = Patterns.hide(store, "one more")
      assert Patterns.hide(store, "7") == :ok
    end
  end

  defp store!(:sqlite) do
    path = Path.join(DiscordSim.scratch(), "hidden-#{System.unique_integer([:positive])}.sqlite3")
    File.mkdir_p!(DiscordSim.scratch())
    {:ok, store} = Store.open({:sqlite, path})
    store
  end

  defp store!(:repo) do
    start_supervised!({TestRepo, Postgres.database!()})
    for sql <- Store.Schema.up(:postgres, 0), do: {:ok, _} = TestRepo.query(sql, [])
    {:ok, store} = Store.open({:repo, TestRepo})
    store
  end

  describe "in a running node" do
    setup do
      sim = start_sim!()
      # For the tasks, which are other programs: they read the configuration of the project.
      config = DiscordSim.config(sim)
      for {key, value} <- config, do: Application.put_env(:uro_discord, key, value)
      on_exit(fn -> for {key, _value} <- config, do: Application.delete_env(:uro_discord, key) end)
      Mix.shell(Mix.Shell.Process)
      on_exit(fn -> Mix.shell(Mix.Shell.IO) end)
      start_uro_discord!(sim, config)
      UroDiscord.subscribe(:shards)
      :ok = Shards.put(id: 1, name: "Plaza", players: 2)
      :ok = Shards.put(id: 2, name: "Casino 24", players: 500)
      {:ok, sim: sim, config: config}
    end

    defp visible, do: Enum.map(Shards.visible(), & &1.id)

    test "what is hidden is not shown, at once and after a restart", %{sim: sim, config: config} do
      DiscordSim.wait_for_presence(sim, "502 players in 2 worlds")
      assert Shards.hide("*casino*") == :ok
      assert_receive {:uro_discord, :shards, :visibility}
      assert visible() == ["1"]
      DiscordSim.wait_for_presence(sim, "2 players in 1 world")
      assert {:ok, [%{pattern: "*casino*"}]} = Shards.hidden()
      # Nor is what opens or is renamed later.
      :ok = Shards.put(id: 3, name: "The casino", players: 500)
      :ok = Shards.put(id: 1, name: "Plaza Casino")
      assert visible() == []
      :ok = Shards.put(id: 1, name: "Plaza", players: 2)
      assert visible() == ["1"]

      UroDiscord.unsubscribe(:shards)
      UroDiscord.unsubscribe(:status)
      stop_supervised!(UroDiscord)
      start_uro_discord!(sim, config)
      :ok = Shards.put(id: 2, name: "Casino 24", players: 500)
      assert visible() == []
      assert Shards.unhide("*casino*") == :ok
      assert visible() == ["2"]
    end

    test "the tasks hide, list and show again, and the node heeds them within seconds" do
      Mix.Tasks.UroDiscord.Shards.Hidden.run([])
      assert_received {:mix_shell, :info, ["nothing is hidden"]}
      Mix.Tasks.UroDiscord.Shards.Hide.run(["*CASINO*"])
      assert_received {:mix_shell, :info, ["hidden: *CASINO*"]}
      assert_receive {:uro_discord, :shards, :visibility}, 10_000
      assert visible() == ["1"]
      Mix.Tasks.UroDiscord.Shards.Hidden.run([])
      assert_received {:mix_shell, :info, [line]}
      assert line =~ ~r/\A\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  \*CASINO\*\z/
      Mix.Tasks.UroDiscord.Shards.Unhide.run(["*CASINO*"])
      assert_receive {:uro_discord, :shards, :visibility}, 10_000
      assert visible() == ["1", "2"]
      assert_raise Mix.Error, ~r/is not hidden/, fn -> Mix.Tasks.UroDiscord.Shards.Unhide.run(["*CASINO*"]) end

      for task <- [Mix.Tasks.UroDiscord.Shards.Hide, Mix.Tasks.UroDiscord.Shards.Unhide],
          do: assert_raise(Mix.Error, fn -> task.run([]) end)
    end
  end

  test "without UroDiscord, or a store, it says why it cannot" do
    assert {:error, %Error{kind: :not_started}} = Shards.hidden()
    start_supervised!({UroDiscord, enabled: false})
    assert {:error, %Error{kind: :disabled}} = Shards.hide("x")
  end
end

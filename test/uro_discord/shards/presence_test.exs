defmodule UroDiscord.Shards.PresenceTest do
  use UroDiscord.Case
  import ExUnit.CaptureLog
  alias UroDiscord.{FakeUro, Shards}

  @moduletag :capture_log

  test "worlds come and go, and the text follows" do
    sim = start_sim!()
    start_connected!(sim)
    DiscordSim.wait_for_presence(sim, "no world is open")
    :ok = Shards.put(id: 1, name: "Plaza", players: 1)
    DiscordSim.wait_for_presence(sim, "1 player in 1 world")
    :ok = Shards.put(id: 2, name: "Lobby", players: nil)
    # Nobody tells how many players there are.
    :ok = Shards.put(id: 1, name: "Plaza", players: nil)
    DiscordSim.wait_for_presence(sim, "2 worlds are open")
    :ok = Shards.delete(1)
    after_number = DiscordSim.now(sim)
    :ok = Shards.delete(2)
    DiscordSim.wait_for_presence(sim, "no world is open", after: after_number)
  end

  test "only what is visible counts, and names are inert" do
    sim = start_sim!()
    start_connected!(sim, presence: "{players} at {names}", shards: [max_per_address: 2])
    for n <- 1..20, do: :ok = Shards.put(id: n, name: "https://evil.example/#{n}", players: 100, address: "203.0.113.7")
    DiscordSim.wait_for_presence(sim, "200 at https:\u200B//evil.\u200Bexample/1, https:\u200B//evil.\u200Bexample/2")
  end

  describe "a function" do
    test "makes the text" do
      sim = start_sim!()
      start_connected!(sim, presence: &__MODULE__.text/1, presence_idle: nil)
      :ok = Shards.put(id: 1, name: "Plaza")
      DiscordSim.wait_for_presence(sim, "open: Plaza")
      :ok = Shards.put(id: 2, name: "@everyone\n" <> String.duplicate("x", 50))
      :ok = Shards.put(id: 3, name: String.duplicate("y", 90))
      # Its names were stripped of what cannot be seen; and it is cut.
      %{"activities" => [%{"state" => text}]} =
        DiscordSim.wait_for(
          sim,
          "presence",
          &match?(%{"activities" => [%{"state" => <<_::binary-size(101), _::binary>>}]}, &1)
        )

      whole = "open: Plaza, @\u200Beveryone #{String.duplicate("x", 50)}, #{String.duplicate("y", 90)}"
      assert text == String.slice(whole, 0, 127) <> "…"
    end

    test "may crash, hang, or return anything: the usual text is shown, and the log says why once" do
      Process.register(self(), __MODULE__)

      for {function, reason} <- [
            {&__MODULE__.crash/1, "the host's bug"},
            {&__MODULE__.vanish/1, "killed"},
            {&__MODULE__.hang/1, "did not return"},
            {&__MODULE__.junk/1, "returned [1, 2], which is neither a text nor nil"}
          ] do
        log =
          capture_log(fn ->
            sim = start_sim!()
            start_connected!(sim, presence: function, presence_idle: nil)
            :ok = Shards.put(id: 1, name: "Plaza", players: 1)
            DiscordSim.wait_for_presence(sim, "1 player in 1 world")
            assert_received :called
            :ok = Shards.put(id: 1, name: "Plaza", players: 2)
            assert_receive :called, 5_000
            # A third one shows that the second is over.
            :ok = Shards.put(id: 1, name: "Plaza", players: 3)
            assert_receive :called, 5_000
            UroDiscord.unsubscribe(:status)
            stop_supervised!(UroDiscord)
          end)

        assert log =~ reason
        assert length(String.split(log, "the function of `presence:`")) == 2
      end
    end

    test "may say nothing" do
      sim = start_sim!()
      start_connected!(sim, presence: &__MODULE__.nothing/1)
      DiscordSim.wait_for_presence(sim, "no world is open")
      :ok = Shards.put(id: 1, name: "Plaza")
      DiscordSim.wait_for(sim, "presence", &(&1["activities"] == []))
    end
  end

  def text(shards), do: "open: " <> Enum.map_join(shards, ", ", & &1.name)
  def crash(_shards), do: called() && raise("the host's bug")
  def vanish(_shards), do: called() && Process.exit(self(), :kill)
  def hang(_shards), do: called() && Process.sleep(:infinity)
  def junk(_shards), do: called() && [1, 2]
  defp called, do: send(__MODULE__, :called)
  def nothing(_shards), do: nil

  test "while it is not known whether a world is open, nothing is said" do
    FakeUro.start!()
    FakeUro.list_does(fn _state -> raise "away" end)
    sim = start_sim!()
    start_connected!(sim, shards: [source: :uro, poll: 100, freshness: 1_000])
    wait_for_source(:unreachable)
    assert DiscordSim.presence(sim)["activities"] == []
    FakeUro.list_does(nil)
    DiscordSim.wait_for_presence(sim, "no world is open")
    after_number = DiscordSim.now(sim)
    FakeUro.list_does(fn _state -> raise "away" end)
    DiscordSim.wait_for(sim, "presence", &(&1["activities"] == []), after: after_number)
  end

  test "thirty thousand changes as fast as can be end with the right text, and Discord has nothing to complain of" do
    sim = start_sim!()
    start_connected!(sim)
    after_number = DiscordSim.now(sim)

    for(writer <- 1..4, do: Task.async(fn -> change(writer) end)) |> Task.await_many(60_000)
    for writer <- 1..4, do: :ok = Shards.put(id: writer, name: "World #{writer}", players: 10 * writer)
    DiscordSim.wait_for_presence(sim, "100 players in 4 worlds", after: after_number, timeout: 20_000)
    assert DiscordSim.presence_text(sim) == "100 players in 4 worlds"
    # Five in 20 s are Discord's limit, and the simulator's.
    assert %{"violations" => violations} = DiscordSim.get(sim, "/gateway")
    assert violations == %{}
    assert {:ok, %{bridge: bridge, gateway: %{shards: shards}}} = UroDiscord.status()
    assert %{restarts: 0} = bridge
    assert %{0 => %{state: :active, resumed: false}} = shards
  end

  defp change(writer) do
    for n <- 1..7_500, do: :ok = Shards.put(id: writer, name: "World #{writer}", players: rem(n, 100))
  end
end

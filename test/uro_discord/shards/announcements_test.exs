defmodule UroDiscord.Shards.AnnouncementsTest do
  use UroDiscord.Case
  import ExUnit.CaptureLog

  alias UroDiscord.{Peer, Shards, Store}
  alias UroDiscord.Shards.Announcements.Memory

  doctest UroDiscord.Shards.Announcements

  describe "what is news" do
    @now 1_800_000_000_000
    @minute 60_000
    @limits %{cooldown: 60 * @minute, per_hour: 3}

    defp shard(name, fields \\ []) do
      opened_at = DateTime.from_unix!(@now, :millisecond)
      Map.merge(%{id: name, name: name, host: nil, opened_at: opened_at}, Map.new(fields))
    end

    # Looks, and takes what it found for announced and stored.
    defp look(memory, shards, now \\ @now) do
      found = Memory.look(memory, shards, now, @limits)
      announced = Map.new(found.announce, &{Memory.world(&1), %{announced_at: now, closed_at: nil}})
      {Enum.map(found.announce, & &1.name), memory |> Map.merge(found.quiet) |> Map.merge(announced), found}
    end

    test "a world that opens, once" do
      assert {["Plaza"], memory, _} = look(%{}, [shard("Plaza")])
      assert {[], ^memory, %{quiet: quiet}} = look(memory, [shard("Plaza")])
      assert quiet == %{}
    end

    test "not one that comes back within the cool-down under another id; another host's of that name is another" do
      {_, memory, _} = look(%{}, [shard("Plaza", host: "alice")])
      {[], closed, _} = look(memory, [])
      assert {[], memory, _} = look(closed, [shard("Plaza", id: "8", host: "alice")])
      assert {["Plaza"], _, _} = look(memory, [shard("Plaza", host: "alice"), shard("Plaza", host: "bob")])
      later = @now + 60 * @minute
      opened = DateTime.from_unix!(later, :millisecond)
      assert {[], _, _} = look(closed, [shard("Plaza", host: "alice", opened_at: opened)], later - 1)
      assert {["Plaza"], _, _} = look(closed, [shard("Plaza", host: "alice", opened_at: opened)], later)
    end

    test "not one that was open for long before we looked" do
      assert {[], memory, _} = look(%{}, [shard("Plaza")], @now + 10 * @minute)
      # It is known from then on.
      assert {[], _, _} =
               look(memory, [shard("Plaza", opened_at: DateTime.from_unix!(@now + 10 * @minute, :millisecond))])
    end

    test "no more of them than an hour may have, the first ones; the others never" do
      shards = for n <- 1..1_000, do: shard("World #{n}")
      assert {["World 1", "World 2", "World 3"], memory, %{held_back: 997}} = look(%{}, shards)
      assert map_size(memory) == 1_000
      assert {[], ^memory, %{held_back: 0}} = look(memory, shards)
      new = fn now -> [shard("New", opened_at: DateTime.from_unix!(now, :millisecond)) | shards] end
      assert {[], _, %{held_back: 1}} = look(memory, new.(@now + 59 * @minute), @now + 59 * @minute)
      assert {["New"], _, %{held_back: 0}} = look(memory, new.(@now + 60 * @minute), @now + 60 * @minute)
    end

    test "the same name twice is one world" do
      assert {["Plaza"], memory, _} = look(%{}, [shard("Plaza", id: "1"), shard("Plaza", id: "2")])
      assert map_size(memory) == 1
    end

    test "what is over is forgotten" do
      {_, memory, _} = look(%{}, [shard("Plaza"), shard("Garden")])
      {_, memory, _} = look(memory, [shard("Garden")])
      assert {none, ^memory} = Memory.over(memory, @now + 59 * @minute, @limits)
      assert none == %{}
      assert {over, kept} = Memory.over(memory, @now + 60 * @minute, @limits)
      assert {[%{closed_at: @now}], [%{closed_at: nil}]} = {Map.values(over), Map.values(kept)}
    end
  end

  defp config(sim, options \\ []) do
    announcements = Keyword.merge([channel: :announcements], options)
    sim |> DiscordSim.config() |> Keyword.merge(announcements: announcements)
  end

  defp start!(config) do
    start_supervised!({UroDiscord, config})
    # Before it has the lease, it does nothing.
    assert eventually(&UroDiscord.Gateway.Leader.held?/0, 600)
  end

  defp announced(sim), do: sim |> DiscordSim.messages("announcements") |> Enum.map(& &1["content"])

  defp wait_for_announcement(sim, text),
    do: DiscordSim.wait_for(sim, "message_create", &(&1["message"]["content"] =~ text))

  # It has looked at all that has happened before.
  defp looked do
    send(Shards.Announcements, :look)
    :sys.get_state(Shards.Announcements)
  end

  test "a world that opens is announced, inert; one that comes back is not, nor is any after a restart" do
    sim = start_sim!()
    config = Keyword.put(config(sim), :join_link, "https://v-sekai.org/join?shard={id}")
    start!(config)
    :ok = Shards.put(id: 7, name: "Plaza", map: "plaza", host: "@everyone [free](https://evil.example)")
    %{"message" => message} = wait_for_announcement(sim, "Plaza")

    assert message["content"] =~
             ~r/^\*\*Plaza\*\* has opened \(map plaza, host .*\)\. \[Join\]\(https:\/\/v-sekai.org\/join\?shard=7\)$/

    refute message["content"] =~ "@everyone"
    refute message["mention_everyone"]
    # No previews of links.
    assert message["flags"] == 4

    :ok = Shards.delete(7)
    looked()
    :ok = Shards.put(id: 8, name: "Plaza", host: "@everyone [free](https://evil.example)")
    looked()
    stop_supervised!(UroDiscord)

    start!(config)
    # As at a start, when nothing has been put yet.
    looked()
    :ok = Shards.put(id: 9, name: "Plaza", host: "@everyone [free](https://evil.example)")
    :ok = Shards.put(id: 10, name: "Garden")
    wait_for_announcement(sim, "Garden")
    assert length(announced(sim)) == 2
  end

  test "a flood is a few announcements and one warning, also over a restart" do
    sim = start_sim!()
    config = config(sim, per_hour: 3)
    start!(config)

    log =
      capture_log(fn ->
        for n <- 1..200, do: :ok = Shards.put(id: n, name: "Spam #{n}")
        looked()
        for n <- 201..300, do: :ok = Shards.put(id: n, name: "Spam #{n}")
        looked()
      end)

    assert length(String.split(log, "are not announced")) == 2
    stop_supervised!(UroDiscord)
    start!(config)
    for n <- 301..400, do: :ok = Shards.put(id: n, name: "Spam #{n}")
    looked()
    assert {:ok, %{notifications: %{failed: 0}}} = UroDiscord.status()
    assert eventually(fn -> match?({:ok, %{notifications: %{queued: 0}}}, UroDiscord.status()) end)
    assert length(announced(sim)) == 3
  end

  test "nothing has closed while the source does not answer" do
    sim = start_sim!()
    start!(config(sim, cooldown: 0))
    :ok = Shards.put(id: 7, name: "Plaza")
    wait_for_announcement(sim, "Plaza")
    :ok = Shards.put_source_status({:unreachable, "gone"})
    :ok = Shards.delete(7)
    looked()
    :ok = Shards.put(id: 7, name: "Plaza")
    :ok = Shards.put_source_status(:reachable)
    looked()
    :ok = Shards.put(id: 8, name: "Garden")
    wait_for_announcement(sim, "Garden")
    assert length(announced(sim)) == 2

    # Without a cool-down, the same when it was seen to be closed is news.
    :ok = Shards.delete(7)
    looked()
    :ok = Shards.put(id: 7, name: "Plaza")
    looked()
    assert eventually(fn -> length(announced(sim)) == 3 end)
  end

  test "once, whenever the VM is killed" do
    sim = start_sim!()
    config = config(sim)
    # Discord would hide a request too many if it knew the nonces.
    late = %{method: "POST", route: "/channels/*/messages", answer_delay_ms: 200, times: 1_000}
    DiscordSim.post(sim, "/faults", [late])
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 100})

    for ms <- [0, 10, 30, 100, 300, 600, 900] do
      peer = Peer.start!()
      Peer.start_child!(peer, {UroDiscord, config})
      for n <- 1..5, do: :ok = Peer.call(peer, Shards, :put, [[id: n, name: "World #{n}"]])
      Process.sleep(ms)
      Peer.kill!(peer)
    end

    start!(config)
    for n <- 1..5, do: :ok = Shards.put(id: n, name: "World #{n}")
    looked()
    assert eventually(fn -> match?({:ok, %{notifications: %{queued: 0, failed: 0}}}, UroDiscord.status()) end, 600)
    assert Enum.sort(announced(sim)) == for(n <- 1..5, do: "**World #{n}** has opened.")
  end

  test "the store's rows are forgotten, too" do
    sim = start_sim!()
    start!(config(sim, cooldown: 0))
    {:ok, %{store: store}} = UroDiscord.Runtime.fetch()
    old = %{announced_at: nil, closed_at: 1}
    {:ok, _} = Store.run(store, Memory.put(%{"old" => old, "open" => %{old | closed_at: nil}}), :write)
    :sys.replace_state(Shards.Announcements, &%{&1 | memory: nil})
    looked()
    send(Shards.Announcements, :forget)
    :sys.get_state(Shards.Announcements)
    # What was open and is not there has closed, just now, and without a cool-down is forgotten as well.
    assert Memory.load(store) == {:ok, %{}}
  end
end

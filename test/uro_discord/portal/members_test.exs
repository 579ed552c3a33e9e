defmodule UroDiscord.Portal.MembersTest do
  use UroDiscord.Case, async: false

  alias UroDiscord.{Events, Portal}
  alias UroDiscord.Portal.Members

  setup context do
    sim = start_sim!()
    database = Path.join(DiscordSim.scratch(), "members-#{System.unique_integer([:positive])}.sqlite3")
    context = Map.merge(context, %{sim: sim, database: database})
    start!(context)
    Map.merge(context, %{guild: sim.info["guild_id"], stage: sim.info["channels"]["stage"]})
  end

  defp start!(%{sim: sim, database: database} = context) do
    portal = Keyword.merge([key: String.duplicate("key", 11), udp: [ip: "127.0.0.1", port: 0]], context[:portal] || [])
    intents = [:guilds, :guild_voice_states]
    start_connected!(sim, intents: intents, web: [port: 0], database: database, portal: portal)
    :ok = Events.subscribe(:portal_members)
    :ok = UroDiscord.subscribe(:portal)
  end

  # As far as the store and Discord are concerned, the end of a VM, after which the session is resumed: Discord tells nothing anew.
  defp restart!(context) do
    for topic <- [:status, :portal, :portal_members], do: UroDiscord.unsubscribe(topic)
    stop_supervised!(UroDiscord)
    start!(context)
    {:ok, %{gateway: %{shards: %{0 => shard}}}} = UroDiscord.status()
    assert shard.resumed
  end

  defp voice_state(sim, person, channel, member) do
    %{"id" => id} = sim.info["users"][person]
    user = Map.merge(%{id: id, username: person, global_name: nil, bot: false}, member[:user] || %{})

    data = %{
      guild_id: sim.info["guild_id"],
      channel_id: channel,
      user_id: id,
      session_id: person,
      member: %{user: user, nick: member[:nick], roles: []}
    }

    DiscordSim.post(sim, "/dispatch", %{type: "VOICE_STATE_UPDATE", data: data})
    id
  end

  test "who is in a channel, and what they are called", %{sim: sim, guild: guild, stage: stage} do
    assert eventually(fn -> Members.in_channel(guild, stage) == {:ok, []} end)
    alice = voice_state(sim, "alice", stage, nick: " \u202EAlice\n")
    bob = voice_state(sim, "bob", stage, user: %{bot: true, global_name: "Bob"})
    assert eventually(fn -> Members.in_channel(guild, stage) == {:ok, Enum.sort([alice, bob])} end)

    assert Members.fetch(guild, [alice, bob]) == %{
             alice => %{name: "Alice", bot?: false},
             bob => %{name: "Bob", bot?: true}
           }

    voice_state(sim, "alice", sim.info["channels"]["world"], nick: "Alice")
    voice_state(sim, "bob", nil, user: %{bot: true})
    assert eventually(fn -> Members.in_channel(guild, stage) == {:ok, []} end)
    assert Members.in_channel(guild, sim.info["channels"]["world"]) == {:ok, [alice]}
  end

  test "after a resumed start nobody knows, and names are asked for", context do
    %{sim: sim, guild: guild, stage: stage} = context
    assert eventually(fn -> Members.in_channel(guild, stage) == {:ok, []} end)
    restart!(context)
    assert Members.in_channel(guild, stage) == :unknown
    [alice, nobody] = [sim.info["users"]["alice"]["id"], "1100000000000009999"]
    assert Members.fetch(guild, [alice, nobody]) == %{}
    assert eventually(fn -> map_size(Members.fetch(guild, [alice, nobody])) == 2 end)

    assert Members.fetch(guild, [alice, nobody]) == %{
             alice => %{name: "Alice", bot?: false},
             nobody => %{name: nobody, bot?: false}
           }

    # Each was asked for once.
    asked = for %{"path" => path} <- DiscordSim.get(sim, "/requests"), path =~ "/members/", do: path
    assert length(asked) == 2

    # Whoever looks into the channel tells who is there.
    :ok = Members.seen(guild, stage, [alice])
    assert eventually(fn -> Members.in_channel(guild, stage) == {:ok, [alice]} end)
    voice_state(sim, "alice", nil, nick: "Alice")
    assert eventually(fn -> Members.in_channel(guild, stage) == {:ok, []} end)
  end

  test "names are kept however many there are in voice channels", %{sim: sim, guild: guild} do
    # As gateways of very large bots tell it.
    :sys.replace_state(Members, fn state ->
      :ets.insert(Members, for(n <- 1..100_001, do: {{:state, "1100000000000000900", "#{n}"}, "1"}))
      state
    end)

    people = for person <- ["alice", "bob"], do: sim.info["users"][person]["id"]
    assert eventually(fn -> map_size(Members.fetch(guild, people)) == 2 end)
  end

  test "look-ups that crash keep no other from being asked for", %{sim: sim, guild: guild} do
    # The others wait for what Discord says of its limits in the first answer.
    DiscordSim.post(sim, "/faults", [%{method: "GET", route: "/guilds/*/members/*", delay_ms: 30_000}])
    strangers = for n <- 1..8, do: "110000000000000900#{n}"
    alice = sim.info["users"]["alice"]["id"]
    assert Members.fetch(guild, strangers ++ [alice]) == %{}
    assert eventually(fn -> length(Task.Supervisor.children(Portal.Tasks)) == 8 end)
    for pid <- Task.Supervisor.children(Portal.Tasks), do: Process.exit(pid, :kill)
    assert eventually(fn -> map_size(Members.fetch(guild, strangers ++ [alice])) == 9 end)
    assert %{^alice => %{name: "Alice"}} = Members.fetch(guild, [alice])
  end

  @tag portal: [open: [[id: "round", channel: :stage, when: :people]], close_after: 200]
  test "where nobody knows, a portal for people is opened to look, once", %{guild: guild, stage: stage} = context do
    assert eventually(fn -> Members.in_channel(guild, stage) == {:ok, []} end)
    restart!(context)
    :ok = UroDiscord.Shards.put(id: 7, name: "Plaza", players: 3)
    assert :closed in events_until_closed()
    assert eventually(fn -> Members.in_channel(guild, stage) == {:ok, []} end)
    :ok = UroDiscord.Shards.put(id: 8, name: "Garden", players: 1)
    refute_receive {:uro_discord, :portal, _event}, 500
    assert Portal.list() == {:ok, []}
  end

  defp events_until_closed do
    assert_receive {:uro_discord, :portal, {"round", event}}, 20_000
    if event == :closed, do: [event], else: [event | events_until_closed()]
  end
end

defmodule UroDiscord.Portal.ShareTest do
  # From Discord into the world: /share and its button, who may, the page with a camera, and how a moderator ends it.
  use UroDiscord.Case, async: false

  import UroDiscord.FreePort
  import UroDiscord.TestDirectory, only: [accounts: 0, link!: 3, person: 2, put: 2]
  alias UroDiscord.{Clients, JSON, Portal}

  setup context do
    sim = start_sim!()
    share = Map.get(context, :share, :members)

    start_connected!(
      sim,
      [
        intents: [:guilds, :guild_voice_states, :guild_members],
        # The same when the bridge is started again.
        web: [port: free_port()],
        portal: [key: String.duplicate("key", 11), udp: [ip: "127.0.0.1", port: 0], share: share]
      ] ++ if(share == :linked, do: accounts(), else: [])
    )

    :ok = UroDiscord.subscribe(:portal)
    {:ok, "world"} = Portal.open(:world)
    assert eventually(fn -> match?({:ok, %{state: :open}}, Portal.status("world")) end)
    assert eventually(fn -> match?({:ok, _}, Portal.url("world", :whip)) end)
    %{sim: sim}
  end

  defp use_command(sim, path, options \\ %{}, user \\ "alice"),
    do: answer(sim, DiscordSim.post(sim, "/interactions", %{user: user, command: path, options: options}))

  defp answer(sim, %{"id" => id}) do
    seen = fn -> sim |> DiscordSim.get("/interactions") |> Enum.find(&(&1["id"] == id)) end
    assert eventually(fn -> match?(%{"response" => %{"waiting" => false}}, seen.()) end), inspect(seen.())
    %{"response" => %{"private" => true, "message" => %{"content" => content}}} = seen.()
    content
  end

  defp link(content) do
    assert [_all, url] = Regex.run(~r/\]\(<(\S+)>\)/, content)
    url
  end

  defp claims(content) do
    [_page, token] = content |> link() |> String.split("/portal/world/share/#")
    [_header, claims, _signature] = String.split(token, ".")
    {:ok, claims} = claims |> Base.url_decode64!(padding: false) |> JSON.decode()
    claims
  end

  defp heard(matches?) do
    receive do
      {:uro_discord, :portal, {"world", event}} -> if matches?.(event), do: event, else: heard(matches?)
    after
      20_000 -> flunk("no such event came: #{inspect(Portal.status("world"))}")
    end
  end

  @tag share: :linked
  test "those who have linked an account share as their Uro user; others are told how", %{sim: sim} do
    assert use_command(sim, ["share"]) =~ "Join <##{sim.info["channels"]["world"]}> first, then `/share`."
    enters(sim, "alice")
    assert use_command(sim, ["share"]) =~ "those who have linked their Uro account: `/link`"
    put("u1", username: "ada", display_name: "Ada")
    link!(sim, "u1", "alice")
    content = use_command(sim, ["share"])
    assert content =~ "this link is for you alone" and content =~ "within 15 minutes"
    assert %{"role" => "publish", "sub" => "u1", "name" => "Ada", "iat" => iat, "exp" => exp} = claims(content)
    assert exp - iat == 900
    mention = "<@#{person(sim, "alice")}>"
    assert use_command(sim, ["portal", "stop"], %{who: mention}) =~ "What #{mention} publishes is ended"
    assert {:ok, %{stopped: [%{who: "world:u1", until: %DateTime{}}]}} = Portal.status("world")
    assert use_command(sim, ["share"]) =~ "A moderator has ended this for you."
    assert use_command(sim, ["portal", "stop"], %{who: mention, off: true}) == "#{mention} may publish again."
    assert use_command(sim, ["portal", "stop"], %{who: "<@#{person(sim, "bob")}>"}) =~ "has linked no Uro account"
    assert use_command(sim, ["portal", "stop"], %{who: "nobody"}) =~ "Nobody of that name is there."
    put("u1", locked?: true)
    assert use_command(sim, ["share"]) == "Your account on Uro is locked."
  end

  # As the bridge says it.
  defp publishes(number, who, name) do
    peer = %{"peer" => number, "name" => name, "role" => "publish", "subject" => who, "kind" => "whip"}
    Portal.heard(:local, {:portal, "world", :peer_joined, peer})
    assert {:peer_joined, %{peer: ^number}} = heard(&match?({:peer_joined, _}, &1))
  end

  defp stopped do
    {:ok, %{stopped: stopped}} = Portal.status("world")
    for %{who: who} <- stopped, do: who
  end

  @tag share: :linked
  test "whoever is on air can be stopped, linked or not, by the account or by what /portal who shows", %{sim: sim} do
    # A guest, since before everybody had to be linked, who has linked meanwhile: all that is his.
    bob = person(sim, "bob")
    guest = Portal.Visitors.who(bob)
    publishes(1, guest, "Bob")
    assert use_command(sim, ["portal", "stop"], %{who: "<@#{bob}>"}) =~ "What <@#{bob}> publishes is ended"
    assert stopped() == ["world:" <> guest]
    put("u2", username: "bob")
    link!(sim, "u2", "bob")
    assert use_command(sim, ["portal", "stop"], %{who: "<@#{bob}>"}) =~ "What <@#{bob}> publishes is ended"
    assert stopped() == ["world:" <> guest, "world:u2"]
    assert use_command(sim, ["portal", "stop"], %{who: "<@#{bob}>", off: true}) =~ "may publish again"
    assert stopped() == []

    # One whose link has ended, by the name, of which only so much is shown.
    name = String.duplicate("Ada Lovelace ", 6)
    publishes(2, "u1", name)
    [shown] = Regex.run(~r/(Ada Lovelace .*…) \(sound\)/, use_command(sim, ["portal", "who"]), capture: :all_but_first)
    assert use_command(sim, ["portal", "stop"], %{who: shown}) =~ "publishes is ended"
    assert stopped() == ["world:u1"]
  end

  @tag share: :linked
  test "whoever was stopped and has gone is known by the name still", %{sim: sim} do
    put("u3", username: "carol", display_name: "Carol")
    enters(sim, "bob")
    guest = Portal.Visitors.who(person(sim, "bob"))

    for {number, who, name} <- [{1, guest, "bob"}, {2, "u3", "Carol"}] do
      publishes(number, who, name)
      # Bob is in the voice channel, too.
      assert use_command(sim, ["portal", "stop"], %{who: name}) =~ "What **#{name}** publishes is ended"
      Portal.heard(:local, {:portal, "world", :peer_left, %{"peer" => number, "reason" => "stopped"}})
      assert {:peer_left, _, _} = heard(&match?({:peer_left, %{peer: ^number}, _}, &1))
    end

    said = use_command(sim, ["portal", "who"])
    assert said =~ "<@#{person(sim, "bob")}> until" and said =~ "**Carol** until"
    completion = %{user: "alice", command: ["portal", "stop"], options: %{who: "c"}, focused: "who"}
    %{"id" => id} = DiscordSim.post(sim, "/interactions", completion)

    offered = fn ->
      Enum.find(DiscordSim.get(sim, "/interactions"), &(&1["id"] == id))["response"]["data"]["choices"]
    end

    assert eventually(offered) == [%{"name" => "Carol (world)", "value" => "world:u3"}]

    for name <- ["bob", "Carol"],
        do: assert(use_command(sim, ["portal", "stop"], %{who: name, off: true}) == "**#{name}** may publish again.")

    assert stopped() == []
  end

  test "/portal open tells the channel, with buttons, and whoever clicks gets a link of his own", %{sim: sim} do
    channel = sim.info["channels"]["world"]
    assert use_command(sim, ["portal", "open"], %{channel: channel}) =~ "A portal is open"
    posted = &(&1["message"]["channel_id"] == channel)
    %{"message" => message} = DiscordSim.wait_for(sim, "message_create", posted)
    assert message["content"] =~ "who speaks here is heard there"
    assert [%{"components" => [watch, share]}] = message["components"]

    click = fn button, user ->
      component = %{message: message["id"], custom_id: button["custom_id"], values: nil}
      answer(sim, DiscordSim.post(sim, "/interactions", %{user: user, channel: "world", component: component}))
    end

    assert click.(share, "bob") =~ "Join <##{channel}> first"
    enters(sim, "bob")
    who = Portal.Visitors.who(person(sim, "bob"))
    assert %{"sub" => ^who, "name" => "Bob", "role" => "publish"} = claims(click.(share, "bob"))
    assert click.(watch, "bob") =~ "World TV of"
    enters(sim, "bob", nil)
    assert click.(share, "bob") =~ "Join <##{channel}> first"
  end

  @tag share: false
  test "where nobody may there is no /share, and no button", %{sim: sim} do
    DiscordSim.wait_for(sim, "commands")
    refute "share" in for(command <- DiscordSim.get(sim, "/commands"), do: command["name"])
    channel = sim.info["channels"]["world"]
    assert use_command(sim, ["portal", "open"], %{channel: channel}) =~ "A portal is open"
    posted = &(&1["message"]["channel_id"] == channel)

    assert %{"message" => %{"components" => [%{"components" => [_watch]}]}} =
             DiscordSim.wait_for(sim, "message_create", posted)
  end

  @tag needs: :clients
  test "a camera is shared by the page, seen by a viewer, and ended by a moderator", %{sim: sim} do
    enters(sim, "bob")
    who = Portal.Visitors.who(person(sim, "bob"))
    id = "world:" <> who
    browser = browser()
    page = link(use_command(sim, ["share"], %{}, "bob"))
    shared = ask(browser, "share #{page}")

    assert %{"state" => "choose", "said" => "Nobody sees you.", "error" => ""} = shared["before"]
    assert shared["before"]["notice"] =~ "Everybody in the world"
    assert %{"state" => "preview", "said" => "Nobody sees you yet." <> _, "focused" => "go"} = shared["preview"]
    assert %{"good" => true, "live" => %{"said" => "You are on air in world.", "focused" => "stop"}} = shared
    assert {:on_air, %{who: ^who, kind: :whip, name: "Bob"}} = heard(&match?({:on_air, %{}}, &1))

    {:ok, whep} = Portal.url("world", :whep)
    {:ok, token} = Portal.token("world", role: :watch, who: "eve")
    assert %{"seen" => %{"good" => true, "width" => width}, "counted" => true} = ask(browser, "watch #{whep} #{token}")
    assert width > 0
    assert eventually(fn -> use_command(sim, ["portal", "who"]) =~ "Publishing: Bob (on air)" end, 100)

    # The bridge is killed: it goes on by itself.
    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    {"", 0} = System.cmd("kill", ["-KILL", "#{os_pid}"])
    assert %{"good" => true, "tracks" => ["live"]} = ask(browser, "wait lost")
    assert %{"good" => true, "said" => "You are" <> _} = ask(browser, "wait live")

    assert use_command(sim, ["portal", "stop"], %{who: "bob"}) =~ "What **Bob** publishes is ended"
    assert %{"good" => true, "error" => error, "tracks" => []} = ended = ask(browser, "wait ended")
    assert error == "A moderator has ended this. Nobody sees you. Ask one to allow it again."
    assert ended["wrong"] == []
    assert {:peer_left, %{who: ^who}, "stopped"} = heard(&match?({:peer_left, %{who: ^who}, "stopped"}, &1))
    assert use_command(sim, ["portal", "who"]) =~ "Stopped: <@#{person(sim, "bob")}> until <t:"
    # Neither the link nor a new one is of use.
    assert use_command(sim, ["share"], %{}, "bob") =~ "A moderator has ended this for you."

    assert %{"good" => false, "live" => %{"state" => "ended", "error" => "A moderator" <> _}} =
             ask(browser, "share #{page}")

    assert use_command(sim, ["portal", "stop"], %{who: id, off: true}) =~ "may publish again"
    assert {:ok, %{stopped: []}} = Portal.status("world")
    assert %{"good" => true} = ask(browser, "share #{page}")
    :ok = Portal.close("world")
    assert %{"good" => true, "error" => "The portal is closed. Nobody sees you."} = ask(browser, "wait ended")
    Port.close(browser)
  end

  defp browser do
    port = Clients.open_node!("share.mjs")
    assert %{"did" => "ready"} = said(port)
    port
  end

  defp ask(port, line) do
    true = Port.command(port, line <> "\n")
    said(port)
  end

  defp said(port) do
    receive do
      {^port, {:data, {:eol, line}}} ->
        {:ok, said} = JSON.decode(line)
        refute said["failed"], inspect(said)
        said
    after
      45_000 -> flunk("the browser says nothing")
    end
  end
end

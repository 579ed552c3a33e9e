defmodule UroDiscord.Portal.ClipTest do
  # /clip: who may, what is said where there is none, and the file that is posted, which FFmpeg decodes.
  use UroDiscord.Case, async: false

  alias UroDiscord.{Bridge, HttpClient, Portal, PortalClient, Runtime}
  alias UroDiscord.Portal.Clips

  @green [0, 255, 0]

  setup context do
    sim = start_sim!()

    start_connected!(sim,
      intents: [:guilds, :guild_voice_states],
      web: [port: 0],
      portal: [
        key: String.duplicate("key", 11),
        udp: [ip: "127.0.0.1", port: 0],
        clips: Map.get(context, :clips, 20)
      ]
    )

    {:ok, "world"} = Portal.open(:world)
    assert eventually(fn -> match?({:ok, %{state: :open}}, Portal.status("world")) end)
    assert eventually(fn -> match?({:ok, _}, Portal.url("world", :whip)) end)
    %{sim: sim, channel: sim.info["channels"]["world"]}
  end

  defp clip(sim, options, where \\ "world") do
    used = %{user: "alice", channel: where, command: ["clip"], options: options}
    %{"id" => id} = DiscordSim.post(sim, "/interactions", used)
    seen = fn -> sim |> DiscordSim.get("/interactions") |> Enum.find(&(&1["id"] == id)) end
    assert eventually(fn -> match?(%{"response" => %{"waiting" => false}}, seen.()) end, 200), inspect(seen.())
    seen.()["response"]
  end

  defp said(sim, options \\ %{}, where \\ "world") do
    assert %{"private" => true, "message" => %{"content" => content}} = clip(sim, options, where)
    content
  end

  test "it is for those in the call, in its chat, and says why there is no clip", %{sim: sim, channel: channel} do
    assert said(sim) =~ "Join <##{channel}> first, then `/clip`."
    # While nobody is in the call nothing is kept.
    assert Clips.make("world", 20) == {:error, :off}
    enters(sim, "alice")
    assert said(sim, %{}, "general") =~ "Say `/clip` in the chat of <##{channel}>"
    assert eventually(fn -> Clips.make("world", 20) == {:error, :nothing} end)
    assert said(sim) =~ "Nobody has shown a picture here lately"
    assert Clips.make("kitchen", 20) == {:error, :off}
    enters(sim, "alice", nil)
    assert eventually(fn -> Clips.make("world", 20) == {:error, :off} end)
  end

  test "people are told of it where a portal opens", %{sim: sim, channel: channel} do
    DiscordSim.post(sim, "/interactions", %{user: "alice", command: ["portal", "open"], options: %{channel: channel}})
    posted = &(&1["message"]["channel_id"] == channel)
    %{"message" => message} = DiscordSim.wait_for(sim, "message_create", posted)
    assert message["content"] =~ "The last 20 seconds of picture and voices are kept in memory"
  end

  # Bridges beside the real one: what is asked of them comes here.
  defp bridge!(name, portals) do
    test = self()

    start_supervised!(%{
      id: name,
      start:
        {Task, :start_link,
         [
           fn ->
             Process.register(self(), Bridge.server(name))
             send(test, {:there, name})
             asked(test, name)
           end
         ]}
    })

    assert_receive {:there, ^name}
    for portal <- portals, do: :ok = Runtime.put({:portal_bridge, portal}, name)
  end

  defp asked(test, name) do
    receive do
      {:"$gen_call", from, wanted} -> send(test, {:asked, name, from, wanted})
    end

    asked(test, name)
  end

  defp wants(portal), do: Task.async(fn -> Clips.make(portal, 20) end)

  test "a bridge that is slow to take it, or has two to make, holds up no other" do
    bridge!(:slow, ["a", "b", "c"])
    bridge!(:quick, ["d"])
    [first, second] = for portal <- ["a", "b"], do: wants(portal)
    for _each <- 1..2, do: assert_receive({:asked, :slow, _from, _wanted})
    assert Clips.make("c", 20) == {:error, :busy}
    other = wants("d")
    assert_receive {:asked, :quick, from, {:clip, id, "d", 20_000}}
    GenServer.reply(from, :ok)
    assert Clips.make("d", 20) == {:error, :busy}
    Clips.made({:clip, id, %{"reason" => nil, "more" => false, "length" => 20_000, "cut" => false}, "mp4"})
    assert Task.await(other) == {:ok, %{mp4: "mp4", ms: 20_000, cut?: false}}
    Clips.bridge_ended(:slow)
    for waiting <- [first, second], do: assert(Task.await(waiting) == {:error, :down})
  end

  @tag clips: false
  test "it is off unless it is configured", %{sim: sim} do
    enters(sim, "alice")
    refute "clip" in commands()
    assert Clips.make("world", 20) == {:error, :off}
  end

  defp commands do
    {:ok, %{config: config}} = UroDiscord.Runtime.fetch()
    for definition <- UroDiscord.Interactions.Commands.definitions(config), do: definition.name
  end

  @tag needs: :clients
  test "the last seconds are posted as a file, with picture and voice in step", %{sim: sim, channel: channel} do
    enters(sim, "alice")
    {:ok, whip} = Portal.url("world", :whip)
    {:ok, publish} = Portal.token("world", role: :publish, who: "ada", name: "Ada")
    client = PortalClient.pictures!()
    :ok = PortalClient.beat(client, whip, publish, "H264", @green)

    assert eventually(
             fn -> match?({:ok, %{cameras: [%{keyframes: kept}]}} when kept > 0, Portal.status("world")) end,
             400
           )

    # So much of it, that there is something to hear and to see: six seconds of sound, a packet for 20 ms.
    sounds? = &match?({:ok, %{participants: [%{packets: packets}]}} when packets >= 300, &1)
    assert eventually(fn -> sounds?.(Portal.status("world")) end, 600), inspect(Portal.status("world"))
    assert %{"type" => 5, "private" => false, "message" => message} = clip(sim, %{seconds: 10})

    assert message["content"] =~
             ~r/^The last \d+ s of <##{channel}>, as <@#{sim.info["users"]["alice"]["id"]}> asked\.$/

    assert [%{"filename" => "world.mp4", "size" => size, "content_type" => "video/mp4", "url" => url}] =
             message["attachments"]

    {200, _headers, mp4} = HttpClient.call(url, "GET", URI.parse(url).path)
    assert byte_size(mp4) == size and size < 10 * 1024 * 1024
    path = Path.join(System.tmp_dir!(), "uro_discord_clip_#{System.pid()}.mp4")
    File.write!(path, mp4)
    on_exit(fn -> File.rm(path) end)
    found = PortalClient.decode(client, path, @green)
    assert %{"codec" => "h264", "width" => 320, "height" => 240, "lit" => [_ | _], "heard" => [_ | _]} = found
    # Another one of the same channel has to wait, and says for how long.
    assert said(sim) =~ ~r/A clip of this channel was made just now. Try again in \d+ s\./
    Port.close(client)
  end

  @tag needs: :clients
  test "of JPEG there is none", %{sim: sim} do
    enters(sim, "alice")
    {:ok, url} = Portal.url("world", :peer)
    {:ok, token} = Portal.token("world", role: :peer, who: "shard-7")
    client = PortalClient.pictures!()
    :ok = PortalClient.show_jpeg(client, url, token, @green)
    assert eventually(fn -> Clips.make("world", 20) == {:error, :jpeg} end, 200)
    assert said(sim) =~ "The picture on air is JPEG"
    Port.close(client)
  end
end

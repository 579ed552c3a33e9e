defmodule UroDiscord.Portal.PicturesTest do
  # Cameras, and who sees them: aiortc, by colours.
  use UroDiscord.Case, async: false

  alias UroDiscord.{HttpClient, Portal, PortalClient}

  @moduletag needs: :clients

  @red [255, 0, 0]
  @blue [0, 0, 255]

  setup context do
    sim = start_sim!([])

    options = [
      intents: [:guilds, :guild_voice_states],
      web: [port: 0],
      portal: [key: "a key that only this test knows, of this length", udp: [ip: "127.0.0.1", port: 0]]
    ]

    start_connected!(sim, options ++ (context[:options] || []))

    :ok = UroDiscord.subscribe(:portal)
    {:ok, "stage"} = Portal.open(:stage)
    open()
    %{sim: sim}
  end

  defp open do
    heard(&match?({:state, :open, nil}, &1))
    true = eventually(fn -> match?({:ok, %{portal: %{media: %{state: :listening}}}}, UroDiscord.status()) end)
  end

  defp heard(matches?) do
    receive do
      {:uro_discord, :portal, {"stage", event}} -> if matches?.(event), do: event, else: heard(matches?)
    after
      20_000 -> flunk("no such event came: #{inspect(Portal.status("stage"))}")
    end
  end

  defp show(client, who, codec, colour) do
    {:ok, url} = Portal.url("stage", :whip)
    {:ok, token} = Portal.token("stage", role: :publish, who: who, name: String.capitalize(who))
    PortalClient.show(client, url, token, codec, colour)
  end

  defp on_air, do: heard(&match?({:on_air, _}, &1))

  test "one of several cameras is on air, whoever was chosen, and is again when the bridge was killed" do
    {:ok, url} = Portal.url("stage", :whep)
    {:ok, token} = Portal.token("stage", role: :watch, who: "eve")
    client = PortalClient.pictures!()
    :ok = show(client, "ada", "VP8", @red)
    assert {:on_air, %{who: "ada", kind: :whip}} = on_air()
    :ok = PortalClient.watch(client, url, token)
    :ok = PortalClient.see(client, @red)
    :ok = show(client, "bob", "H264", @blue)
    :ok = Portal.camera("stage", "world:bob")
    assert {:on_air, %{who: "bob"}} = on_air()
    :ok = PortalClient.see(client, @blue)

    told = fn ->
      case Portal.status("stage") do
        {:ok, %{cameras: [_, _] = cameras, viewers: [viewer]} = status} when viewer.packets > 0 ->
          {status, cameras, viewer}

        _not_yet ->
          false
      end
    end

    assert eventually(told, 200)
    {status, [ada, bob], eve} = told.()
    assert status.camera == "world:bob"
    assert %{id: "world:ada", name: "Ada", on_air?: false, codec: "VP8", layers: 1} = ada
    assert %{id: "world:bob", name: "Bob", on_air?: true, codec: "H264", keyframes: keyframes} = bob
    assert keyframes > 0 and bob.packets > 0
    assert %{id: "world:eve", camera: camera} = eve
    assert camera in [ada.peer, bob.peer]

    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    {"", 0} = System.cmd("kill", ["-KILL", "#{os_pid}"])
    Port.close(client)
    open()
    client = PortalClient.pictures!()
    :ok = show(client, "ada", "VP8", @red)
    assert {:on_air, %{who: "ada"}} = on_air()
    :ok = show(client, "bob", "VP8", @blue)
    assert {:on_air, %{who: "bob"}} = on_air()
    :ok = Portal.camera("stage", nil)
    assert {:on_air, %{who: "ada"}} = on_air()
    Port.close(client)
  end

  defp dispatch(sim, person, channel) do
    user = %{id: sim.info["users"][person]["id"], username: person, global_name: nil}

    data = %{
      guild_id: sim.info["guild_id"],
      channel_id: channel,
      user_id: user.id,
      session_id: "of #{person}",
      member: %{user: user, roles: []}
    }

    DiscordSim.post(sim, "/dispatch", %{type: "VOICE_STATE_UPDATE", data: data})
  end

  defp get(url, headers \\ []), do: HttpClient.call(url, "GET", URI.parse(url).path, headers)

  @tag options: [board: [channels: [:status], interval: 1_000, picture: 5_000]]
  test "what a world shows is on the status board while somebody is in the call", %{sim: sim} do
    pictured? = &match?(%{"message" => %{"embeds" => [%{"image" => _}], "attachments" => [_]}}, &1)
    {:ok, url} = Portal.url("stage", :peer)
    {:ok, token} = Portal.token("stage", role: :peer, who: "shard-7")
    client = PortalClient.pictures!()
    :ok = PortalClient.show_jpeg(client, url, token, @red)
    assert {:on_air, %{who: "shard-7", kind: :peer}} = on_air()
    assert eventually(fn -> match?({:ok, %{cameras: [%{codec: "JPEG"}]}}, Portal.status("stage")) end, 200)
    refute Enum.any?(DiscordSim.get(sim, "/events")["events"], pictured?)

    dispatch(sim, "alice", sim.info["channels"]["stage"])
    %{"message" => message, "number" => shown} = DiscordSim.wait_for(sim, "message_update", pictured?)

    assert [%{"filename" => "portal.jpg", "url" => address, "description" => "What portal stage has on air"}] =
             message["attachments"]

    assert {200, _headers, <<0xFF, 0xD8, _::binary>> = jpeg} = get(address)

    # It is the one that anybody may have who may watch.
    {:ok, still} = Portal.url("stage", :still)
    {:ok, token} = Portal.token("stage", role: :watch, who: "eve")
    assert {200, _headers, ^jpeg} = get(still, [{"authorization", "Bearer " <> token}])

    dispatch(sim, "alice", nil)
    board? = &match?(%{"message" => %{"embeds" => [_]}}, &1)
    gone = DiscordSim.wait_for(sim, "message_update", &(board?.(&1) and not pictured?.(&1)), after: shown)
    assert gone["message"]["attachments"] == []
    Port.close(client)
  end

  test "what is no camera is refused with what may be said" do
    for wrong <- ["bob", "discord:1100000000000000001", "world:", "world:shard/7", 7] do
      assert {:error, %{kind: :invalid, message: message}} = Portal.camera("stage", wrong)
      assert message =~ "whom a token was made for"
    end

    assert {:error, %{kind: :unknown}} = Portal.camera("lobby", "world:bob")
    # He need not be there.
    assert :ok = Portal.camera("stage", "world:bob")
    assert {:ok, %{camera: "world:bob", cameras: [], viewers: []}} = Portal.status("stage")
  end
end

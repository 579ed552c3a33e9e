defmodule UroDiscord.Portal.PicturesTest do
  # Cameras, and who sees them: aiortc, by colours.
  use UroDiscord.Case, async: false

  alias UroDiscord.{Portal, PortalClient}

  @moduletag needs: :clients

  @red [255, 0, 0]
  @blue [0, 0, 255]

  setup do
    sim = start_sim!([])

    start_connected!(sim,
      intents: [:guilds, :guild_voice_states],
      web: [port: 0],
      portal: [key: "a key that only this test knows, of this length", udp: [ip: "127.0.0.1", port: 0]]
    )

    :ok = UroDiscord.subscribe(:portal)
    {:ok, "stage"} = Portal.open(:stage)
    open()
    :ok
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

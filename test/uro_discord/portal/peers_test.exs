defmodule UroDiscord.Portal.PeersTest do
  # Peers that somebody else has made, by our tokens and addresses.
  use UroDiscord.Case, async: false

  alias UroDiscord.{HttpClient, Portal, PortalClient, VoiceClient}

  @key "a key that only this test knows, of this length"
  @old "the key before, which is good for a day more or so"

  setup context do
    sim = start_sim!(context[:sim] || [])

    start_connected!(sim,
      intents: [:guilds, :guild_voice_states],
      web: [port: 0],
      portal: [key: @key, keys: [@old], udp: [ip: "127.0.0.1", port: 0]]
    )

    :ok = UroDiscord.subscribe(:portal)
    {:ok, "stage"} = Portal.open(:stage)
    heard(&match?({:state, :open, nil}, &1))
    true = eventually(fn -> match?({:ok, %{portal: %{media: %{state: :listening}}}}, UroDiscord.status()) end)
    %{sim: sim, stage: sim.info["channels"]["stage"]}
  end

  defp heard(matches?, timeout \\ 20_000) do
    receive do
      {:uro_discord, :portal, {"stage", event}} -> if matches?.(event), do: event, else: heard(matches?, timeout)
    after
      timeout -> flunk("no such event came: #{inspect(Portal.status("stage"))}")
    end
  end

  defp frames(sim) do
    users = for channel <- DiscordSim.get(sim, "/voice")["channels"], user <- channel["users"], do: user

    with %{"frames" => %{"received" => frames}} <- Enum.find(users, &(&1["user_id"] == sim.info["application_id"])),
         do: frames
  end

  defp url!(kind) do
    {:ok, url} = Portal.url("stage", kind)
    url
  end

  # What the endpoint says to an offer that is none.
  defp refused(token, id \\ "stage", kind \\ "whip") do
    %URI{} = uri = URI.parse(url!(:whip))
    headers = [{"content-type", "application/sdp"}] ++ if(token, do: [{"authorization", "Bearer " <> token}], else: [])

    {status, _headers, json} =
      HttpClient.call("#{uri.scheme}://#{uri.authority}", "POST", "/portal/#{id}/#{kind}", headers, "v=0\r\n")

    {:ok, %{"error" => error}} = UroDiscord.JSON.decode(json)
    {status, error}
  end

  test "tokens are good for what they say" do
    {:ok, publish} = Portal.token("stage", role: :publish, who: "ada")
    {:ok, watch} = Portal.token("stage", role: :watch, who: "ada")
    {:ok, elsewhere} = Portal.token("world", role: :publish, who: "ada")
    long_ago = System.os_time(:second) - 3_600
    keys = fn key -> %{key: UroDiscord.Secret.wrap(key), keys: []} end
    {:ok, over} = Portal.Token.mint(keys.(@key), "stage", [role: :publish, who: "ada", expires_in: 60], long_ago)
    {:ok, old} = Portal.Token.mint(keys.(@old), "stage", [role: :publish, who: "ada"], System.os_time(:second))
    strange = keys.(String.duplicate("strange ", 5))
    {:ok, forged} = Portal.Token.mint(strange, "stage", [role: :publish, who: "ada"], System.os_time(:second))

    assert refused(publish) == {400, "bad_offer"}
    assert refused(old) == {400, "bad_offer"}
    assert refused(nil) == {401, "no_token"}
    assert refused(over) == {401, "token_expired"}
    assert refused(forged) == {401, "bad_token"}
    assert refused(watch) == {403, "other_role"}
    assert refused(elsewhere) == {403, "other_portal"}
    assert refused(elsewhere, "world") == {404, "no_portal"}
  end

  @tag sim: ["--tls-beside", "--bots", "1"], needs: :clients
  test "a peer is heard in Discord, is told of, muted, and sent away", %{sim: sim, stage: stage} do
    {:ok, token} = Portal.token("stage", role: :peer, who: "ada", name: "Ada")
    client = PortalClient.start!(token)
    PortalClient.join(client, url!(:peer), 440)
    assert {:peer_joined, peer} = heard(&match?({:peer_joined, _}, &1))
    assert %{who: "ada", name: "Ada", role: :peer, kind: :peer} = peer
    assert {:speaking, %{id: "world:ada", side: :world, name: "Ada"}} = heard(&match?({:speaking, _}, &1))
    assert {:ok, %{portal: %{open: [%{speakers: ["Ada"]}]}}} = UroDiscord.status()
    # Nothing is made for a call that nobody is in.
    assert frames(sim) == 0
    member = VoiceClient.start!(sim, "bot-1")
    on_exit(fn -> VoiceClient.stop(member) end)
    VoiceClient.join(member, stage)
    assert eventually(fn -> frames(sim) > 50 end)

    spoken? = fn ->
      match?(
        {:ok, %{participants: [%{id: "world:ada", packets: n, speaking: true}], to_discord: sent}}
        when n > 50 and sent > 50,
        Portal.status("stage")
      )
    end

    assert eventually(spoken?), inspect(Portal.status("stage"))

    assert {:ok, %{peers: [^peer], participants: [participant], to_discord: to_discord}} = Portal.status("stage")

    assert to_discord > 50
    assert %{name: "Ada", peer: number, path: path, lost: 0, level: level} = participant
    # Whether it passes through is the room's to choose, by what aiortc encodes.
    assert number == peer.peer and path in [:passthrough, :mixed] and (level == nil or level > -40)
    numbers = Map.take(participant, [:concealed_ms, :delay_ms, :jitter_ms, :drift_ppm, :dropped])
    assert map_size(numbers) == 5 and Enum.all?(numbers, fn {_key, value} -> is_integer(value) end)

    :ok = Portal.mute("stage", "world:ada")
    assert {:silent, %{id: "world:ada"}} = heard(&match?({:silent, _}, &1))
    :ok = Portal.mute("stage", "world:ada", false)
    assert {:speaking, %{id: "world:ada"}} = heard(&match?({:speaking, _}, &1))

    VoiceClient.stop(member)
    PortalClient.leave(client)
    assert {:peer_left, ^peer, "left"} = heard(&match?({:peer_left, _, _}, &1))
    assert {:ok, %{peers: []}} = Portal.status("stage")
    Port.close(client)
  end
end

defmodule UroDiscord.Notify.DuplicateSearchTest do
  @moduledoc false
  # A request got through, its answer was lost with the whole BEAM, and Discord has forgotten the nonce when the next one goes
  # on: then the channel itself is looked through.

  use UroDiscord.Case
  alias UroDiscord.{Delivery, Peer, Store}

  setup do
    sim = start_sim!()
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 100})
    %{sim: sim, config: DiscordSim.config(sim)}
  end

  # Notifies in another BEAM, and kills that when Discord has the first message and not said so.
  defp lose_the_answer!(sim, config, messages) do
    peer = Peer.start!()
    Peer.start_child!(peer, {UroDiscord, config})
    hold_answer(sim)

    deliveries =
      for message <- messages, do: elem({:ok, _} = Peer.call(peer, UroDiscord, :notify, [:builds, message]), 1)

    DiscordSim.wait_for(sim, "message_create")
    Peer.kill!(peer)
    deliveries
  end

  defp hold_answer(sim),
    do: DiscordSim.post(sim, "/faults", [%{method: "POST", route: "/channels/*/messages", answer_delay_ms: 60_000}])

  # Five minutes pass: for the store, and for Discord, which forgets the nonces. The messages grow no older, which is for them
  # as if they had been sent late.
  defp let_time_pass!(sim, config, more \\ []) do
    DiscordSim.post(sim, "/settings", %{nonce_memory_ms: 0})
    {:ok, store} = Store.open({:sqlite, config[:database]})
    sql = "UPDATE uro_discord_outbox SET accepted_at = accepted_at - 300000"
    {:ok, _} = Store.run(store, [{sql, []} | more], :write)
  end

  defp delivered!(deliveries) do
    for delivery <- deliveries do
      assert {:ok, %Delivery{status: :delivered, message_id: id}} = UroDiscord.await(delivery)
      id
    end
  end

  defp contents(sim), do: sim |> DiscordSim.messages("builds") |> Enum.map(& &1["content"])

  test "it is found, and not sent again", %{sim: sim, config: config} do
    deliveries = lose_the_answer!(sim, config, ["first", [embeds: [%{title: "second", description: "embed"}]]])
    let_time_pass!(sim, config)
    start_supervised!({UroDiscord, config})
    ids = delivered!(deliveries)
    assert contents(sim) == ["first", ""]
    assert ids == Enum.map(DiscordSim.messages(sim, "builds"), & &1["id"])
  end

  test "one that did not get through is sent", %{sim: sim, config: config} do
    peer = Peer.start!()
    Peer.start_child!(peer, {UroDiscord, config})
    DiscordSim.post(sim, "/faults", [%{method: "POST", route: "/channels/*/messages", delay_ms: 60_000}])
    {:ok, delivery} = Peer.call(peer, UroDiscord, :notify, [:builds, "once"])
    DiscordSim.wait_for(sim, "fault")
    Peer.kill!(peer)
    let_time_pass!(sim, config)
    start_supervised!({UroDiscord, config})
    delivered!([delivery])
    assert contents(sim) == ["once"]
  end

  test "one that says what another said just before is sent, too", %{sim: sim, config: config} do
    peer = Peer.start!()
    Peer.start_child!(peer, {UroDiscord, config})
    {:ok, first} = Peer.call(peer, UroDiscord, :notify, [:builds, "deployed"])
    {:ok, %Delivery{status: :delivered}} = Peer.call(peer, UroDiscord, :await, [first])
    DiscordSim.post(sim, "/faults", [%{method: "POST", route: "/channels/*/messages", delay_ms: 60_000}])
    {:ok, second} = Peer.call(peer, UroDiscord, :notify, [:builds, "deployed"])
    DiscordSim.wait_for(sim, "fault")
    Peer.kill!(peer)
    # The second was accepted when the first had arrived.
    let_time_pass!(sim, config, [
      {"UPDATE uro_discord_outbox SET finished_at = accepted_at - 1 WHERE status = 'delivered'", []}
    ])

    start_supervised!({UroDiscord, config})
    [first, second] = delivered!([first, second])
    assert first != second
    assert contents(sim) == ["deployed", "deployed"]
  end

  test "it is found when another notification came before it", %{sim: sim, config: config} do
    [sent, other] = lose_the_answer!(sim, config, ["sent", "other"])
    # As if accepted by a node whose clock is a little behind.
    let_time_pass!(sim, config, [{"UPDATE uro_discord_outbox SET position = 1 WHERE id = $1", [other.id]}])
    start_supervised!({UroDiscord, config})
    delivered!([sent, other])
    assert contents(sim) == ["sent", "other"]
  end

  test "it is found under what people have said since", %{sim: sim, config: config} do
    deliveries = lose_the_answer!(sim, config, ["sent"])
    for n <- 1..250, do: say!(sim, "alice", "message #{n}")
    let_time_pass!(sim, config)
    start_supervised!({UroDiscord, config})
    delivered!(deliveries)
    assert "sent" not in Enum.drop(contents(sim), 1)
  end

  test "somebody else saying it does not count", %{sim: sim, config: config} do
    peer = Peer.start!()
    Peer.start_child!(peer, {UroDiscord, config})
    DiscordSim.post(sim, "/faults", [%{method: "POST", route: "/channels/*/messages", delay_ms: 60_000}])
    {:ok, delivery} = Peer.call(peer, UroDiscord, :notify, [:builds, "hello"])
    DiscordSim.wait_for(sim, "fault")
    Peer.kill!(peer)
    say!(sim, "alice", "hello")
    let_time_pass!(sim, config)
    start_supervised!({UroDiscord, config})
    delivered!([delivery])
    assert contents(sim) == ["hello", "hello"]
  end

  defp say!(sim, user, content) do
    url = "#{sim.info["api"]}/channels/#{sim.info["channels"]["builds"]}/messages"
    {:ok, json} = UroDiscord.JSON.encode(%{content: content})
    headers = [{"authorization", sim.info["users"][user]["token"]}, {"content-type", "application/json"}]
    {200, _, _} = UroDiscord.HttpClient.call(url, "POST", URI.parse(url).path, headers, json)
  end
end

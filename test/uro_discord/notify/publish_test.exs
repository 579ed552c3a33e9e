defmodule UroDiscord.Notify.PublishTest do
  @moduledoc false
  # Publishing to the followers of an announcement channel, of which Discord lets ten an hour through.

  use UroDiscord.Case
  alias UroDiscord.{Clock, Delivery, Store}

  setup do
    sim = start_sim!()
    config = DiscordSim.config(sim)
    start_supervised!({UroDiscord, config})
    %{sim: sim, config: config}
  end

  defp notify!(contents) do
    deliveries =
      for content <- contents,
          do: elem({:ok, _} = UroDiscord.notify(:announcements, content: content, crosspost: true), 1)

    for delivery <- deliveries, do: assert({:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivery, 60_000))
  end

  defp published(sim),
    do: for(%{"flags" => 1} = message <- DiscordSim.messages(sim, "announcements"), do: message["content"])

  defp crossposts(sim) do
    for %{"path" => path, "status" => status} <- DiscordSim.get(sim, "/requests"), path =~ "/crosspost", do: status
  end

  test "what is above the limit is published later, also after a restart", %{sim: sim, config: config} do
    contents = for n <- 1..12, do: "news #{n}"
    notify!(contents)
    assert eventually(fn -> published(sim) == Enum.take(contents, 10) end)
    # The channel is not held up, and asked no more than it may be.
    assert {:ok, delivery} = UroDiscord.notify(:announcements, "not to be published")
    assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivery, 30_000)
    assert Enum.count(crossposts(sim), &(&1 != 200)) <= 1

    stop_supervised!(UroDiscord)
    {:ok, store} = Store.open({:sqlite, config[:database]})
    sql = "SELECT publish_at FROM uro_discord_outbox WHERE publish_at IS NOT NULL"
    {:ok, [%{rows: rows}]} = Store.run(store, [{sql, []}], :read)
    assert [[at], [at_too]] = rows
    assert Enum.all?([at, at_too], &((&1 - Clock.local()) in 3_000_000..3_660_000))

    # An hour passes.
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 100})
    past = "UPDATE uro_discord_outbox SET publish_at = publish_at - 3660000 WHERE publish_at IS NOT NULL"
    {:ok, _} = Store.run(store, [{past, []}], :write)
    start_supervised!({UroDiscord, config})
    assert eventually(fn -> published(sim) == contents end)
    assert {:ok, [%{rows: []}]} = Store.run(store, [{sql, []}], :read)
    assert length(DiscordSim.messages(sim, "announcements")) == 13
  end

  test "what a clock that was hours ahead put off is published now", %{sim: sim, config: config} do
    bad = %{method: "POST", route: "/channels/*/messages/*/crosspost", status: 500, times: 100}
    DiscordSim.post(sim, "/faults", [bad])
    {:ok, delivery} = UroDiscord.notify(:announcements, content: "news", crosspost: true)
    assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivery, 30_000)
    stop_supervised!(UroDiscord)
    DiscordSim.delete(sim, "/faults")
    {:ok, store} = Store.open({:sqlite, config[:database]})
    ahead = "UPDATE uro_discord_outbox SET publish_at = $1 WHERE publish_at IS NOT NULL"
    assert {:ok, [%{num_rows: 1}]} = Store.run(store, [{ahead, [Clock.local() + 3 * 3_600_000]}], :write)
    start_supervised!({UroDiscord, config})
    assert eventually(fn -> published(sim) == ["news"] end)
  end

  test "what Discord never publishes is delivered, with the reason", %{sim: sim} do
    refusal = %{status: 403, body: %{code: 50_013, message: "Missing Permissions"}}
    DiscordSim.post(sim, "/faults", [Map.merge(refusal, %{method: "POST", route: "/channels/*/messages/*/crosspost"})])
    {:ok, delivery} = UroDiscord.notify(:announcements, content: "news", crosspost: true)

    assert eventually(fn ->
             match?({:ok, %Delivery{status: :delivered, error: %{code: 50_013}}}, UroDiscord.await(delivery))
           end)

    notify!(["more"])
    assert eventually(fn -> published(sim) == ["more"] end)
    assert crossposts(sim) == [403, 200]
  end

  test "one that failed for a while is published when it can be, and the messages behind it do not wait", %{sim: sim} do
    bad = %{method: "POST", route: "/channels/*/messages/*/crosspost", status: 500, times: 8}
    DiscordSim.post(sim, "/faults", [bad])
    notify!(["news", "more"])
    assert eventually(fn -> published(sim) == ["news", "more"] end, 1_200)
  end
end

defmodule UroDiscord.Notify.OutageTest do
  @moduledoc false
  # What stops everything that we send, and not one channel: limits of the bot and of its address, a refused connection, a
  # revoked token.

  use UroDiscord.Case
  import ExUnit.CaptureLog
  alias UroDiscord.{Delivery, TcpProxy}

  @channels ["builds", "general", "status", "announcements"]
  @sent for n <- 1..4, do: "message #{n}"

  setup do
    %{sim: start_sim!()}
  end

  # The first of every channel, then the second …
  defp notify_all_but!(already) do
    for content <- @sent, channel <- @channels, {channel, content} not in already, do: notify!(channel, content)
  end

  defp notify!(channel, content) do
    assert {:ok, delivery} = UroDiscord.notify(String.to_existing_atom(channel), content)
    delivery
  end

  defp assert_all_arrive_once(sim, deliveries) do
    for delivery <- deliveries, do: assert({:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivery, 90_000))
    for channel <- @channels, do: assert(contents(sim, channel) == @sent)
    assert {:ok, []} = UroDiscord.dead_letters()
    assert %{"too_early" => 0, "over_global" => 0} = DiscordSim.get(sim, "/limits")
  end

  defp contents(sim, channel), do: sim |> DiscordSim.messages(channel) |> Enum.map(& &1["content"])

  defp posts(sim), do: for(%{"method" => "POST"} = request <- DiscordSim.get(sim, "/requests"), do: request)

  defp add_fault(sim, fault),
    do: DiscordSim.post(sim, "/faults", [Map.merge(%{method: "POST", route: "/channels/*/messages"}, fault)])

  for {scope, fault} <- [
        {"global",
         %{
           status: 429,
           headers: %{"retry-after" => "2", "x-ratelimit-scope" => "global", "x-ratelimit-global" => "true"},
           body: %{message: "You are being rate limited.", retry_after: 2.4, global: true}
         }},
        {"none (Cloudflare)",
         %{
           status: 429,
           headers: %{
             "retry-after" => "3",
             "x-ratelimit-limit" => nil,
             "x-ratelimit-remaining" => nil,
             "x-ratelimit-reset" => nil,
             "x-ratelimit-reset-after" => nil,
             "x-ratelimit-bucket" => nil
           },
           body: "<html><title>Access denied | Error 1015</title></html>"
         }}
      ] do
    test "429 of scope #{scope}: nothing is sent until it is over, then all arrive", %{sim: sim} do
      start_uro_discord!(sim)
      add_fault(sim, unquote(Macro.escape(fault)))
      first = notify!("builds", hd(@sent))
      assert eventually(fn -> match?({:ok, %{rest: %{paused_for_ms: ms}}} when is_integer(ms), UroDiscord.status()) end)

      others = notify_all_but!([{"builds", hd(@sent)}])
      assert_all_arrive_once(sim, [first | others])
      assert [%{"status" => 429} = limited | later] = posts(sim)
      assert Enum.all?(later, &(&1["status"] == 200))
      wait = if unquote(scope) == "global", do: 2_400, else: 3_000
      assert Enum.all?(later, &(&1["time"] - (limited["time"] + limited["took"]) >= wait))
    end
  end

  test "a connection that is refused for 60 s", %{sim: sim} do
    %URI{port: port} = URI.parse(sim.info["api"])
    proxy = start_supervised!({TcpProxy, port})
    start_uro_discord!(sim, api_url: TcpProxy.url(proxy, sim.info["api"]))

    # One is under way when it begins, and Discord carries it out.
    add_fault(sim, %{answer_delay_ms: 60_000})
    first = notify!("builds", hd(@sent))
    DiscordSim.wait_for(sim, "message_create")
    TcpProxy.close(proxy)
    others = notify_all_but!([{"builds", hd(@sent)}])
    Process.sleep(60_000)
    assert {:ok, %{notifications: %{queued: queued, failed: 0}}} = UroDiscord.status()
    assert queued == length([first | others])

    TcpProxy.open(proxy)
    assert_all_arrive_once(sim, [first | others])
  end

  test "a token that is revoked: nothing fails, it is said once, and all arrive with a good one", %{sim: sim} do
    config = DiscordSim.config(sim)
    start_supervised!({UroDiscord, config})
    delivered = notify!("builds", hd(@sent))
    assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivered)
    add_fault(sim, %{status: 401, body: %{message: "401: Unauthorized", code: 0}})

    {deliveries, log} =
      with_log([level: :error], fn ->
        refused = notify!("general", hd(@sent))
        assert eventually(fn -> match?({:ok, %{rest: %{unauthorized: true}}}, UroDiscord.status()) end)
        others = notify_all_but!([{"builds", hd(@sent)}, {"general", hd(@sent)}])
        # The dispatcher says it, when it looks; once more it does not.
        :erlang.trace(Process.whereis(UroDiscord.Notify.Dispatcher), true, [:receive])
        for _ <- 1..2, do: assert_receive({:trace, _dispatcher, :receive, :poll}, 10_000)
        :sys.get_state(UroDiscord.Notify.Dispatcher)
        [refused | others]
      end)

    assert [_, said] = String.split(log, "[error]")
    assert said =~ "Discord does not accept the bot's token (401)"
    queued = length(deliveries)
    assert {:ok, %{rest: %{unauthorized: true}, notifications: %{queued: ^queued, failed: 0}}} = UroDiscord.status()
    assert {:ok, []} = UroDiscord.dead_letters()
    # The one that was refused, and nothing after it.
    assert [%{"status" => 200}, %{"status" => 401}] = posts(sim)

    stop_supervised!(UroDiscord)
    start_supervised!({UroDiscord, config})
    assert_all_arrive_once(sim, deliveries)
  end

  @tag timeout: 180_000
  test "a 401 that Discord takes back: one request goes to see, and all arrive without a restart", %{sim: sim} do
    start_uro_discord!(sim)
    add_fault(sim, %{status: 401, body: %{message: "401: Unauthorized", code: 0}})
    refused = notify!("general", hd(@sent))
    assert eventually(fn -> match?({:ok, %{rest: %{unauthorized: true}}}, UroDiscord.status()) end)
    others = notify_all_but!([{"general", hd(@sent)}])
    assert {:ok, %Delivery{status: :delivered}} = UroDiscord.await(refused, 120_000)
    assert_all_arrive_once(sim, [refused | others])
    assert {:ok, %{rest: %{unauthorized: false}}} = UroDiscord.status()
    assert [401 | accepted] = for(%{"status" => status} <- posts(sim), do: status)
    assert Enum.uniq(accepted) == [200]
  end
end

defmodule UroDiscord.Notify.FaultsTest do
  @moduledoc false
  # What meets the requests of one channel. Each fault has a channel of its own, and all of them are met at once: what is
  # asked is what became of the notifications, and whether Discord was asked too early.

  use UroDiscord.Case
  alias UroDiscord.{Delivery, Error}

  @limited %{code: 0, message: "You are being rate limited.", global: false}
  @form_error %{code: 50_035, message: "Invalid Form Body", errors: %{}}

  # What the first requests meet. All else arrives.
  @arrives [
    {"429, scope user",
     [
       %{
         status: 429,
         headers: %{"retry-after" => "2", "x-ratelimit-scope" => "user"},
         body: Map.put(@limited, :retry_after, 1.6)
       }
     ]},
    {"429, scope shared",
     [
       %{
         status: 429,
         headers: %{"retry-after" => "1", "x-ratelimit-scope" => "shared"},
         body: Map.put(@limited, :retry_after, 3.5)
       }
     ]},
    {"500", [%{status: 500, body: %{message: "500: Internal Server Error", code: 0}, times: 2}]},
    {"500, although it was done", [%{status: 500, apply: true, times: 2}]},
    {"500, more often than one request is repeated", [%{status: 500, apply: true, times: 7}]},
    {"502", [%{status: 502, body: "<html>502 Bad Gateway</html>", times: 2}]},
    {"503", [%{status: 503, headers: %{"retry-after" => "1"}, times: 2}]},
    {"504, although it was done", [%{status: 504, body: "<html>504</html>", apply: true, times: 2}]},
    {"30 s of nothing, then too late", [%{delay_ms: 30_000}]},
    {"30 s of nothing, although it was done", [%{answer_delay_ms: 30_000}]},
    {"cut before the answer", [%{drop: :before_answer, times: 2}]},
    {"cut before the answer, although it was done", [%{drop: :before_answer, apply: true, times: 2}]},
    {"cut in the middle of the answer", [%{drop: :mid_answer, times: 2}]},
    {"200 with no message in it", [%{status: 200, body: "<html>Log in to this network</html>", apply: true}]},
    {"204", [%{status: 204, apply: true}]},
    # From somebody on the way, or Discord's own that passes.
    {"403 of Cloudflare's", [%{status: 403, body: "<html>Sorry, you have been blocked</html>", times: 2}]},
    {"403, code 40333", [%{status: 403, body: %{code: 40_333, message: "internal network error"}, times: 2}]},
    {"404 without JSON", [%{status: 404, body: "nothing here", times: 2}]},
    {"401 of a proxy's", [%{status: 401, body: "<html>Log in to this network</html>", times: 2}]},
    {"302", [%{status: 302, headers: %{"location" => "https://example.com/"}, body: "", times: 2}]},
    {"408", [%{status: 408, body: "", times: 2}]},
    {"421", [%{status: 421, body: "", times: 2}]},
    {"one after the other",
     [%{drop: :mid_answer}, %{status: 502}, %{drop: :before_answer, apply: true}, %{status: 500, apply: true}]}
  ]

  # The second request meets what no repeat mends.
  @refused [
    {"403", %{status: 403, body: %{code: 50_013, message: "Missing Permissions"}}, 50_013},
    {"404", %{status: 404, body: %{code: 10_003, message: "Unknown Channel"}}, 10_003},
    {"50035", %{status: 400, body: @form_error}, 50_035}
  ]

  @sent for n <- 1..6, do: "message #{n}"

  setup_all do
    names = for {name, _} <- @arrives, do: name
    names = names ++ for {name, _, _} <- @refused, do: name
    channels = names |> Enum.with_index(1) |> Map.new(fn {name, n} -> {name, "channel-#{n}"} end)
    sim = start_sim!(["--channels", "#{length(names)}"])
    start_uro_discord!(sim)

    for {name, faults} <- @arrives, do: add_faults(sim, channels[name], faults)
    for {name, fault, _code} <- @refused, do: add_faults(sim, channels[name], [%{times: 1, delay_ms: 0}, fault])

    # The first of every channel, then the second: all begin at once.
    deliveries = for content <- @sent, name <- names, do: {name, notify!(sim, channels[name], content)}
    %{sim: sim, channels: channels, deliveries: Enum.group_by(deliveries, &elem(&1, 0), &elem(&1, 1))}
  end

  # Every answer of discord-sim but these comes from its own limits, which are on.
  setup %{sim: sim} do
    on_exit(fn -> assert %{"too_early" => 0, "over_global" => 0} = DiscordSim.get(sim, "/limits") end)
  end

  defp notify!(sim, channel, content) do
    {:ok, delivery} = UroDiscord.notify(sim.info["channels"][channel], content)
    delivery
  end

  defp path(sim, channel), do: "/channels/#{sim.info["channels"][channel]}/messages"

  defp add_faults(sim, channel, faults) do
    rules = for fault <- faults, do: Map.merge(%{method: "POST", route: path(sim, channel)}, fault)
    DiscordSim.post(sim, "/faults", rules)
  end

  defp outcomes(deliveries) do
    for delivery <- deliveries do
      assert {:ok, outcome} = UroDiscord.await(delivery, 90_000)
      outcome
    end
  end

  defp contents(sim, channel), do: sim |> DiscordSim.messages(channel) |> Enum.map(& &1["content"])

  defp requests(sim, channel) do
    path = path(sim, channel)
    sim |> DiscordSim.get("/requests") |> Enum.filter(&(&1["path"] == path))
  end

  for {name, _faults} <- @arrives do
    test "#{name}: all arrive once, in order", %{sim: sim, channels: channels, deliveries: deliveries} do
      channel = channels[unquote(name)]
      delivered = outcomes(deliveries[unquote(name)])
      assert Enum.all?(delivered, &match?(%Delivery{status: :delivered, error: nil}, &1))
      assert contents(sim, channel) == @sent
      assert Enum.map(DiscordSim.messages(sim, channel), & &1["id"]) == Enum.map(delivered, & &1.message_id)
    end
  end

  for {name, _fault, code} <- @refused do
    test "#{name}: a dead letter, and the others arrive", %{sim: sim, channels: channels, deliveries: deliveries} do
      channel = channels[unquote(name)]
      assert [first, failed | others] = outcomes(deliveries[unquote(name)])
      assert Enum.all?([first | others], &match?(%Delivery{status: :delivered}, &1))
      assert %Delivery{status: :failed, error: %Error{kind: :api, code: unquote(code)}} = failed
      assert {:ok, dead_letters} = UroDiscord.dead_letters()
      assert failed in dead_letters
      assert contents(sim, channel) == List.delete_at(@sent, 1)
    end
  end

  test "the limit of one channel is waited for as long as header and body say", %{sim: sim} = context do
    for {name, ms} <- [{"429, scope user", 2_000}, {"429, scope shared", 3_500}] do
      outcomes(context.deliveries[name])
      assert [limited, again | _] = requests(sim, context.channels[name])
      assert limited["status"] == 429
      assert again["time"] - (limited["time"] + limited["took"]) >= ms
    end
  end

  test "a channel without rights, or that is not there: dead letters with Discord's own reason", %{sim: sim} do
    for {channel, code} <- [
          {sim.info["channels"]["rules"], 50_013},
          {sim.info["channels"]["staff"], 50_001},
          {"1100000000000000001", 10_003}
        ] do
      {:ok, delivery} = UroDiscord.notify(channel, "hello")
      assert {:ok, %Delivery{status: :failed} = failed} = UroDiscord.await(delivery)
      assert %Error{kind: :api, code: ^code, message: message} = failed.error
      assert message != ""
      assert {:ok, dead_letters} = UroDiscord.dead_letters()
      assert failed in dead_letters
    end
  end
end

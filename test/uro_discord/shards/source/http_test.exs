defmodule UroDiscord.Shards.Source.HTTPTest do
  # A Uro elsewhere: its JSON, and all that can go wrong with a server.
  use UroDiscord.Case
  alias UroDiscord.{HTTPServer, JSON, Shards}

  # As `Uro.VSekai.Shard.to_json_schema/1` and `Uro.Accounts.User.to_limited_json_schema/1` have it.
  @plaza %{
    "user" => %{
      "id" => "0192f3a1-0000-7000-8000-000000000001",
      "username" => "fire",
      "display_name" => "iFire",
      "icon" => nil,
      "banner" => nil,
      "biography" => nil,
      "status" => "offline",
      "status_message" => nil,
      "created_at" => "2025-06-04T14:39:29"
    },
    "address" => "203.0.113.7",
    "port" => 7777,
    "map" => "uro://plaza",
    "name" => "Plaza"
  }
  @lobby %{"user" => nil, "address" => "203.0.113.8", "port" => 7777, "map" => "uro://lobby", "name" => "Lobby"}

  # What the server answers now.
  defp serve!(answer) do
    {:ok, current} = Agent.start_link(fn -> answer end)
    server = HTTPServer.start!(fn request -> Agent.get(current, & &1).(request) end)
    %{server: server, current: current}
  end

  defp answer(uro, answer), do: Agent.update(uro.current, fn _ -> answer end)

  defp shards(shards, headers \\ []) do
    {:ok, json} = JSON.encode(%{"data" => %{"shards" => shards}})
    fn _request -> {200, headers, json} end
  end

  defp start!(url, options \\ []) do
    options = Keyword.merge([source: {:http, url <> "/api/v1/shards"}, poll: 100, freshness: 1_500], options)
    start_uro_discord!(start_sim!(), shards: options)
    UroDiscord.subscribe(:shards)
  end

  # It answers when the test hears of it, and not before.
  defp start_with!(uro, options \\ []) do
    :sys.suspend(uro.current)
    start!(uro.server.url, options)
    :sys.resume(uro.current)
  end

  test "its shards open, change and close; they have no counts, and an id of our making" do
    uro = serve!(shards([@plaza]))
    start_with!(uro)
    assert_receive {:uro_discord, :shards, {:opened, plaza}}, 5_000

    assert %{
             name: "Plaza",
             map: "uro://plaza",
             host: "iFire",
             host_id: "0192f3a1-0000-7000-8000-000000000001",
             address: "203.0.113.7",
             port: 7777,
             players: nil,
             max_players: nil,
             source: :http
           } = plaza

    answer(uro, shards([@lobby, @plaza]))
    assert_receive {:uro_discord, :shards, {:opened, %{name: "Lobby", host: nil} = lobby}}, 5_000
    assert lobby.id != plaza.id
    answer(uro, shards([%{@plaza | "name" => "Plaza 2"}, @lobby]))
    assert_receive {:uro_discord, :shards, {:changed, ^plaza, changed}}, 5_000
    assert changed == %{plaza | name: "Plaza 2"}
    answer(uro, shards([@lobby]))
    assert_receive {:uro_discord, :shards, {:closed, ^changed}}, 5_000
    assert [%{path: "/api/v1/shards", headers: %{"accept" => "application/json"}} | _] = HTTPServer.requests(uro.server)
  end

  test "a shard that is there twice is one, and one with an id and counts keeps them" do
    told = Map.merge(@lobby, %{"id" => "7", "current_users" => 2, "max_users" => 32})
    secret = Map.merge(@lobby, %{"id" => "8", "public" => false})
    uro = serve!(shards([@plaza, @plaza, told, secret]))
    start_with!(uro)
    assert_receive {:uro_discord, :shards, {:opened, %{id: "7", players: 2, max_players: 32}}}, 5_000
    assert_receive {:uro_discord, :shards, {:opened, %{name: "Plaza"}}}, 5_000
    assert length(Shards.list()) == 2
  end

  test "an answer that has not changed is not sent again" do
    {200, _headers, json} = shards([@plaza]).(nil)
    etag = ~s("v1")

    uro =
      serve!(fn
        %{headers: %{"if-none-match" => ^etag}} -> {304, [{"ETag", etag}], ""}
        _first -> {200, [{"ETag", etag}], json}
      end)

    # Were "unchanged" no sign of life, it would close.
    start_with!(uro, freshness: 1_000)
    assert_receive {:uro_discord, :shards, {:opened, _}}, 5_000
    refute_receive {:uro_discord, :shards, _}, 2_500
    assert [first | rest] = HTTPServer.requests(uro.server)
    refute Map.has_key?(first.headers, "if-none-match")
    assert length(rest) > 5 and Enum.all?(rest, &(&1.headers["if-none-match"] == etag))
    # A new version is seen.
    {200, _headers, json} = shards([@lobby]).(nil)
    answer(uro, fn _ -> {200, [{"ETag", ~s("v2")}], json} end)
    assert_receive {:uro_discord, :shards, {:opened, %{name: "Lobby"}}}, 5_000
  end

  @tag :capture_log
  test "whatever it answers instead, its shards stay until their freshness is over, and come back with it" do
    good = shards([@plaza])
    uro = serve!(good)

    faults = [
      {fn _ -> {500, [], "oops"} end, "the server answered 500"},
      {fn _ -> {200, [], "<html>"} end, "the answer is no JSON"},
      {fn _ -> {200, [], ~s({"shards": []})} end, "the answer is no list of shards"},
      {fn _ -> {200, [], ~s({"data": {"shards": {}}})} end, "the answer is no list of shards"},
      {fn _ -> {200, [], ~s({"data": {"shards": [) <> :binary.copy("1,", 5_000_000) <> "1]}}"} end,
       "more than 5242880 bytes"},
      {fn _ -> {301, [{"Location", "http://127.0.0.1:1/"}], ""} end, "the server sends elsewhere (301)"}
    ]

    start_with!(uro, freshness: 1_000)

    for {fault, reason} <- faults do
      assert_receive {:uro_discord, :shards, {:opened, _}}, 5_000
      answer(uro, fault)
      why = wait_for_source(:unreachable)
      assert why =~ reason
      assert_receive {:uro_discord, :shards, {:closed, _}}, 10_000
      answer(uro, good)
      wait_for_source(:reachable)
    end

    assert_receive {:uro_discord, :shards, {:opened, _}}, 5_000
  end

  @tag :capture_log
  test "junk among its shards is left out" do
    junk = [1, nil, "x", [], %{}, %{"user" => 1, "port" => "7777", "address" => [], "map" => %{"a" => 1}, "name" => -1}]
    uro = serve!(shards(junk ++ [@plaza]))
    start_with!(uro)
    assert_receive {:uro_discord, :shards, {:opened, %{name: "Plaza"}}}, 5_000
    # Objects are shards of which nothing is known.
    assert [_, _, _] = Shards.list()
  end

  @tag :capture_log
  test "while it is down it is asked ever more rarely, and as it asks us to when it is too busy" do
    start!("http://127.0.0.1:1")
    assert wait_for_source(:unreachable) =~ "the server cannot be reached: Connection refused"
    UroDiscord.unsubscribe(:shards)
    UroDiscord.unsubscribe(:status)
    stop_supervised!(UroDiscord)

    uro = serve!(shards([@plaza]))
    start_with!(uro, freshness: 1_000)
    assert_receive {:uro_discord, :shards, {:opened, _}}, 5_000
    answer(uro, fn _ -> {429, [{"Retry-After", "3"}], ""} end)
    assert_receive {:uro_discord, :shards, {:closed, _}}, 10_000
    asked = length(HTTPServer.requests(uro.server))
    answer(uro, shards([@plaza]))
    refute_receive {:uro_discord, :shards, {:opened, _}}, 1_000
    assert length(HTTPServer.requests(uro.server)) == asked
    assert_receive {:uro_discord, :shards, {:opened, _}}, 10_000
  end

  @tag :capture_log
  test "that wants to be left alone for ever is asked again within minutes, which status/0 tells" do
    uro = serve!(shards([@plaza]))
    start_with!(uro, poll: 100)
    assert_receive {:uro_discord, :shards, {:opened, _}}, 5_000

    in_an_hour = System.os_time(:second) + 3_600

    for {wait, least} <- [{String.duplicate("9", 30), 500}, {in_an_hour, 500}, {"Fri, 31 Dec 9999 23:59:59 GMT", 500}] do
      answer(uro, fn _ -> {429, [{"Retry-After", "#{wait}"}], ""} end)
      assert eventually(fn -> (retry_in() || 0) > least end)
      assert retry_in() in least..600
      # The next time it is asked again at once.
      :sys.replace_state(UroDiscord.Shards.Source, &%{&1 | not_before: System.monotonic_time(:millisecond)})
      answer(uro, shards([@plaza]))
      assert eventually(fn -> retry_in() == nil end)
    end
  end

  defp retry_in do
    {:ok, %{shards: %{source_retry_at: at}}} = UroDiscord.status()
    at && DateTime.diff(at, DateTime.utc_now())
  end
end

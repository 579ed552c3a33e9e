defmodule UroDiscord.Web.SignedTest do
  # Discord's two endpoints, with a key of our own: what is signed well, and all that is not.
  use UroDiscord.WebCase
  import ExUnit.CaptureLog
  alias UroDiscord.Interactions.{ReplayGuard, Signature}
  alias UroDiscord.TestCommands.Plain

  setup_all do
    {public, private} = :crypto.generate_key(:eddsa, :ed25519)
    %{public: public, private: private}
  end

  setup %{public: public} = context do
    sim = start_sim!()
    options = Map.get(context, :options, interactions: :http)
    start_uro_discord!(sim, [commands: [Plain], public_key: Base.encode16(public, case: :lower)] ++ options)
    :ok
  end

  defp signed(context, body, options \\ []) do
    timestamp = Keyword.get(options, :timestamp, "#{System.os_time(:second)}")
    signature = :crypto.sign(:eddsa, :none, timestamp <> body, [context.private, :ed25519])
    [{"x-signature-ed25519", Base.encode16(signature, case: :lower)}, {"x-signature-timestamp", timestamp}]
  end

  defp post(path, body, headers),
    do: call("POST", path, body: body, headers: [{"content-type", "application/json"} | headers])

  defp post_signed(context, path, body), do: post(path, body, signed(context, body))

  defp interaction(options \\ []) do
    id = Keyword.get(options, :id, "13#{Enum.random(10_000_000_000_000_000..99_999_999_999_999_999)}")

    json!(%{
      type: 2,
      id: id,
      application_id: "1300000000000000001",
      token: "aW50ZXJhY3Rpb24",
      user: %{id: "1300000000000000003", username: "bob"},
      data: %{name: "plain", type: 1, options: [%{name: "say", type: 3, value: "hi"}]}
    })
  end

  describe "what Discord sends" do
    test "a PING, an interaction and an event have their answers", context do
      assert {200, %{"type" => 1}, %{"content-type" => "application/json"}} =
               post_signed(context, "/interactions", ~s({"type":1}))

      assert {200, %{"type" => 4, "data" => data}, _} = post_signed(context, "/interactions", interaction())
      assert data == %{"content" => "hi", "flags" => 64, "allowed_mentions" => %{"parse" => []}}
      assert {204, nil, _} = post_signed(context, "/webhook-events", ~s({"version":1,"type":0}))
      event = json!(%{version: 1, type: 1, event: %{type: "APPLICATION_AUTHORIZED", timestamp: "x", data: %{}}})
      assert {204, nil, _} = post_signed(context, "/webhook-events", event)
    end

    test "in whatever case its hex is", context do
      body = ~s({"type":1})
      [{name, signature} | rest] = signed(context, body)
      assert {200, _, _} = post("/interactions", body, [{name, String.upcase(signature)} | rest])
    end

    test "what is signed and no JSON of Discord's is a bad request", context do
      for body <- [
            "",
            "{",
            "[]",
            "5",
            "null",
            ~s({"type":2}),
            ~s({"type":99}),
            ~s({"type":2,"id":"x","application_id":"y","token":"z"})
          ],
          do: assert({400, _, _} = post_signed(context, "/interactions", body))

      for body <- [
            "",
            "{",
            "[]",
            ~s({"type":1}),
            ~s({"type":1,"event":{}}),
            ~s({"type":1,"event":{"type":5}}),
            ~s({"type":7})
          ],
          do: assert({400, _, _} = post_signed(context, "/webhook-events", body))

      deep = String.duplicate("[", 10_000) <> String.duplicate("]", 10_000)
      for path <- ["/interactions", "/webhook-events"], do: assert({400, _, _} = post_signed(context, path, deep))
    end
  end

  describe "401" do
    test "is for every kind of bad signature, on both endpoints", context do
      body = ~s({"type":1})
      [{_, signature}, {_, timestamp}] = signed(context, body)
      {_, other_private} = :crypto.generate_key(:eddsa, :ed25519)
      [{_, others} | _] = signed(%{private: other_private}, body)
      flipped = flip(signature)

      for path <- ["/interactions", "/webhook-events"],
          {signature, timestamp} <- [
            {nil, nil},
            {signature, nil},
            {nil, timestamp},
            {"", timestamp},
            {signature, ""},
            {others, timestamp},
            {flipped, timestamp},
            {signature, "#{String.to_integer(timestamp) + 1}"},
            {String.slice(signature, 0, 126), timestamp},
            {signature <> "00", timestamp},
            {String.duplicate("g", 128), timestamp},
            {String.duplicate("0", 128), timestamp},
            {String.duplicate("f", 128), timestamp},
            {Base.decode16!(signature, case: :lower), timestamp},
            {signature, String.duplicate("1", 21)},
            {signature, timestamp <> " "},
            {signature, <<0xFF>>}
          ] do
        headers =
          for {name, value} <- [{"x-signature-ed25519", signature}, {"x-signature-timestamp", timestamp}],
              value,
              do: {name, value}

        assert {401, %{"error" => "bad_signature"}, _} = post(path, body, headers)
      end

      twice = signed(context, body) ++ signed(context, body)
      assert {401, _, _} = post("/interactions", body, twice)
      assert {401, _, _} = post("/interactions", body <> " ", signed(context, body))
    end

    test "is for what was signed too long ago, or ahead of time; the log says so once", context do
      now = System.os_time(:second)
      body = ~s({"type":1})

      log =
        capture_log(fn ->
          for timestamp <- [
                "#{now - 330}",
                "#{now + 330}",
                "0",
                "-1",
                "#{now}.5",
                "99999999999999999999",
                "soon",
                "0x5"
              ],
              do: assert({401, _, _} = post("/interactions", body, signed(context, body, timestamp: timestamp)))
        end)

      assert log =~ "Discord signed"
      # Once a minute; the minute may end in between.
      assert length(String.split(log, "Discord signed")) <= 3
      assert {200, _, _} = post("/interactions", body, signed(context, body, timestamp: "#{now - 250}"))
    end

    test "is for an interaction that came before", context do
      body = interaction()
      headers = signed(context, body)
      assert {200, _, _} = post("/interactions", body, headers)
      assert {401, %{"message" => "this came before"}, _} = post("/interactions", body, headers)
      # Signed anew it is the same interaction still.
      assert {401, _, _} =
               post("/interactions", body, signed(context, body, timestamp: "#{System.os_time(:second) - 1}"))
    end

    test "comes before the JSON is looked at, and before the body is read if it can", context do
      assert {401, _, _} = post("/interactions", "{", [])
      bad = [{"x-signature-ed25519", "x"}, {"x-signature-timestamp", "1"}, {"content-type", "application/json"}]
      assert %Response{status: 401} = "POST" |> request("/interactions", headers: bad) |> Web.begin()
      good = [{"content-type", "application/json"} | signed(context, "")]

      assert {:read, %{limit: 131_072, signed: true}, _} =
               "POST" |> request("/interactions", headers: good) |> Web.begin()
    end

    defp flip(hex) do
      <<first, rest::binary>> = Base.decode16!(hex, case: :lower)
      Base.encode16(<<Bitwise.bxor(first, 1), rest::binary>>, case: :lower)
    end
  end

  describe "without configuration" do
    @describetag options: [interactions: :gateway]

    test "interactions are not for HTTP", context do
      assert {404, %{"error" => "not_configured"}, _} = post_signed(context, "/interactions", ~s({"type":1}))
      assert {204, _, _} = post_signed(context, "/webhook-events", ~s({"type":0}))
    end
  end

  test "random signatures, timestamps and bodies are refused, and none is too much" do
    :rand.seed(:exsss, {1, 2, 3})

    for _ <- 1..3_000 do
      signature =
        Enum.random([&:rand.bytes/1, &Base.encode16(:rand.bytes(&1)), &String.duplicate("0", &1)]).(:rand.uniform(130))

      timestamp = Enum.random(["#{:rand.uniform(10_000_000_000)}", :rand.bytes(:rand.uniform(20)), ""])
      headers = [{"x-signature-ed25519", signature}, {"x-signature-timestamp", timestamp}]
      path = Enum.random(["/interactions", "/webhook-events"])
      assert {401, %{"error" => "bad_signature"}, _} = post(path, :rand.bytes(:rand.uniform(200)), headers)
    end
  end

  test "random JSON that is signed is answered, and nothing crashes", context do
    :rand.seed(:exsss, {4, 5, 6})

    log =
      capture_log(fn ->
        for _ <- 1..1_500 do
          body = interaction() |> decoded() |> mutated() |> json!()
          {status, _, _} = post_signed(context, "/interactions", body)
          assert status in [200, 400, 401]
          {status, _, _} = post_signed(context, "/webhook-events", body)
          assert status in [204, 400]
        end
      end)

    refute log =~ "UroDiscord.Web."
  end

  # One or two of its values are something else.
  defp mutated(object), do: Enum.reduce(1..:rand.uniform(2), object, fn _, object -> mutate(object) end)

  defp mutate(object) when is_map(object) and map_size(object) > 0 do
    key = object |> Map.keys() |> Enum.random()
    Map.update!(object, key, &if(:rand.uniform(2) == 1, do: mutate(&1), else: anything()))
  end

  defp mutate([first | rest]), do: [mutate(first) | rest]
  defp mutate(_value), do: anything()

  defp anything do
    Enum.random([
      nil,
      true,
      -1,
      3,
      1.0e300,
      18_446_744_073_709_551_615,
      "",
      "1300000000000000001",
      "../..",
      String.duplicate("a", 5_000),
      [],
      [nil, 5, %{}],
      [%{"type" => 1, "name" => "x", "options" => [%{"type" => 2, "name" => 5}]}],
      %{},
      %{"id" => 1, "name" => nil}
    ])
  end

  describe "Signature" do
    test "is good for five minutes on either side", %{private: private, public: public} do
      signature = fn timestamp ->
        %{timestamp: timestamp, signature: :crypto.sign(:eddsa, :none, timestamp <> "body", [private, :ed25519])}
      end

      for {signed, now, expected} <- [
            {"1000", 1_300, :ok},
            {"1000", 1_301, :stale},
            {"1000", 700, :ok},
            {"1000", 699, :stale}
          ],
          do: assert(Signature.check(signature.(signed), "body", public, now) == expected)

      assert Signature.check(signature.("1000"), "Body", public, 1_000) == :bad
    end
  end

  describe "ReplayGuard" do
    test "remembers the newest, and of many who ask one is told that it is new" do
      answers = 1..50 |> Enum.map(fn _ -> Task.async(fn -> ReplayGuard.new?("same") end) end) |> Task.await_many()
      assert Enum.count(answers, & &1) == 1

      for n <- 1..20, do: assert(ReplayGuard.new?({:test, n}, 10))
      for n <- 11..20, do: refute(ReplayGuard.new?({:test, n}, 10))
      assert ReplayGuard.new?({:test, 1}, 10)
      assert :ets.info(ReplayGuard, :size) <= 22
    end
  end
end

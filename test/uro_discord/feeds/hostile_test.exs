defmodule UroDiscord.Feeds.HostileTest do
  @moduledoc false
  # Everything that GitHub publishes, changed in every place: nothing crashes, and each change gets an answer.

  use UroDiscord.WebCase, async: false
  import UroDiscord.Hooks
  alias UroDiscord.Feeds.{Card, Event, GitHub, GitLab, Listing}
  alias UroDiscord.Notify

  @known ~w(workflow_run check_suite deployment_status release push pull_request)

  setup_all do
    %{examples: examples()}
  end

  defp odd do
    Enum.random([
      nil,
      true,
      0,
      -1,
      1.0e300,
      9_007_199_254_740_993,
      18_446_744_073_709_551_615,
      "",
      " ",
      "\0",
      "\u202E@everyone\u2066",
      "9999-12-31T23:59:59Z",
      "-0001-01-01T00:00:00Z",
      String.duplicate("a" <> String.duplicate("\u0301", 6), 900),
      String.duplicate("\u1100", 3_000),
      "```" <> String.duplicate("`", 1_200),
      "https://x.example/" <> String.duplicate("^|", 600),
      "key_#{System.unique_integer()}",
      [],
      [nil, %{}, [[]]],
      %{},
      %{"key_#{System.unique_integer()}" => %{"id" => []}},
      nested(100)
    ])
  end

  defp nested(0), do: 1
  defp nested(depth), do: if(rem(depth, 2) == 0, do: [nested(depth - 1)], else: %{"a" => nested(depth - 1)})

  # Every place of a term.
  defp places(%{} = map), do: [[] | for({key, value} <- map, place <- places(value), do: [key | place])]
  defp places([first | _]), do: [[] | for(place <- places(first), do: [0 | place])]
  defp places(_leaf), do: [[]]

  defp change(_term, [], value), do: value
  defp change(%{} = map, [key], :missing), do: Map.delete(map, key)
  defp change(%{} = map, [key | place], value), do: Map.update!(map, key, &change(&1, place, value))
  defp change([first | rest], [0 | place], value), do: [change(first, place, value) | rest]

  defp value([]), do: %{}
  defp value([_ | _] = place), do: if(List.last(place) != 0 and :rand.uniform(5) == 1, do: :missing, else: odd())

  defp understood(result) do
    case result do
      {:ok, %Event{} = event} ->
        assert event.kind in Event.kinds() and event.state in Event.states() and is_boolean(event.fork)
        # It goes into a BIGINT.
        assert event.position in 0..9_223_372_036_854_775_807
        assert {:ok, [_]} = event |> Card.message() |> Notify.Message.new()

      :ignore ->
        :ok

      {:error, problem} ->
        assert is_binary(problem)
    end
  end

  test "any value in any place is an event, is passed over, or is refused", %{examples: examples} do
    :rand.seed(:exsss, {1, 2, 3})

    # Most of a payload's places are those of others, too.
    for {name, payload} <- examples, name in @known, place <- payload |> places() |> Enum.take_random(80) do
      case change(payload, place, value(place)) do
        %{} = changed -> name |> GitHub.event(changed) |> understood()
        _no_object -> :ok
      end
    end
  end

  test "so it is with GitLab's" do
    :rand.seed(:exsss, {1, 2, 3})

    for file <- Path.wildcard("test/fixtures/gitlab/*.json"),
        {:ok, payload} = UroDiscord.JSON.decode(File.read!(file)),
        place <- places(payload),
        _ <- 1..5 do
      case change(payload, place, value(place)) do
        %{} = changed -> changed |> GitLab.event("delivery") |> understood()
        _no_object -> :ok
      end
    end
  end

  test "and with what is polled" do
    :rand.seed(:exsss, {1, 2, 3})
    %{"workflow_run" => run} = run()
    head = %{"id" => 1, "updated_at" => "2026-11-21 10:00:00", "user_version" => "1"}

    for {source, kind, answer} <- [
          {:github, :runs, %{"workflow_runs" => [run]}},
          {:github, :releases, [%{"id" => 1, "tag_name" => "v1", "body" => "x"}]},
          {:gitlab, :pipelines, [%{"id" => 1, "status" => "success", "ref" => "main", "source" => "push"}]},
          {:gitlab, :releases, [%{"tag_name" => "v1", "description" => "x", "created_at" => "2026-11-21T10:00:00Z"}]},
          {:itch, :builds,
           %{"channels" => %{"linux" => %{"head" => head, "pending" => head, "upload" => %{"filename" => "x"}}}}}
        ],
        place <- places(answer),
        _ <- 1..20 do
      for found <- Listing.events(source, kind, change(answer, place, value(place)), "v-sekai/game"),
          do: understood(found)
    end
  end

  test "none of them gets a 5xx by HTTP, makes an atom, or puts a secret into the log", %{examples: examples} do
    :rand.seed(:exsss, {1, 2, 3})
    sim = start_sim!()
    rules = [[channel: :builds, forks: true]]
    start_connected!(sim, feeds: [hub: [source: :github, secret: secret(), per_hour: 10_000, rules: rules]])

    hostile =
      for {name, payload} <- Enum.shuffle(examples), places = places(payload), place <- Enum.take_random(places, 3) do
        {name, change(payload, place, value(place))}
      end

    log =
      ExUnit.CaptureLog.capture_log(fn ->
        for {name, payload} <- examples,
            do: assert({status, _, _} = send_hook(payload, event: name)) && assert(status in [200, 202])

        before = :erlang.system_info(:atom_count)

        for {name, payload} <- hostile do
          {status, _, _} = send_hook(payload, event: name)
          # 429: as many wait as may.
          assert status in [200, 202, 400, 422, 429], "#{status} for #{name}: #{inspect(payload)}"
        end

        # Whatever else this VM does meanwhile makes a few.
        assert :erlang.system_info(:atom_count) - before < 100
      end)

    refute log =~ secret()
    assert length(hostile) > 900
  end

  test "a body that is no JSON" do
    start_connected!(start_sim!(), feeds: github())

    for body <- ["", "{", "nul", "[1,", "{\"a\":1}x", "\xFF", "1", "\"a\""],
        do: assert({400, _, _} = send_hook(nil, body: body))

    deep = String.duplicate("[", 100_000) <> String.duplicate("]", 100_000)
    assert {400, %{"error" => "invalid_json"}, _} = send_hook(nil, body: deep)
  end

  test "half a surrogate pair, where a title was cut, is no reason to refuse it" do
    sim = start_sim!()
    start_connected!(sim, feeds: github())

    for {half, id} <- Enum.with_index(["\\ud83d", "\\ude00", "\\ud83d\\ud83d"], 1) do
      body = %{"id" => id, "name" => "CI HALF"} |> run() |> json!() |> String.replace("HALF", half)
      assert {202, _, _} = send_hook(nil, body: body)
    end

    wait_for_count(sim, 3)
    assert Enum.all?(titles(sim), &String.starts_with?(&1, "🕓 CI"))
  end
end

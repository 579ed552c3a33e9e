defmodule UroDiscord.Feeds.GitHubTest do
  # The payloads that GitHub publishes (npm: @octokit/webhooks-examples, installed by test/clients/install).
  use ExUnit.Case, async: true

  alias UroDiscord.Feeds.{Card, Event, GitHub}
  alias UroDiscord.{Native, Notify}

  @kinds ~w(workflow_run check_suite deployment_status release push pull_request)

  setup_all do
    # Where bin/test installs it.
    modules = System.get_env("URO_DISCORD_NODE_MODULES", Path.expand("~/.cache/uro_discord/clients/node_modules"))
    json = File.read!(Path.join(modules, "@octokit/webhooks-examples/api.github.com/index.json"))
    {:ok, examples} = Native.json_decode(json)
    %{examples: for(%{"name" => name, "examples" => payloads} <- examples, payload <- payloads, do: {name, payload})}
  end

  defp events(examples, name), do: for({^name, payload} <- examples, do: GitHub.event(name, payload))

  test "each of them is an event or is passed over, and each event is a message that Discord takes", %{
    examples: examples
  } do
    assert length(examples) > 300

    for {name, payload} <- examples do
      case GitHub.event(name, payload) do
        {:ok, %Event{} = event} ->
          assert name in @kinds
          assert event.kind in Event.kinds() and event.state in Event.states()
          assert {:ok, [_]} = event |> Card.message() |> Notify.Message.new()

        :ignore ->
          assert name not in (@kinds -- ["release", "check_suite"])
      end
    end
  end

  test "a workflow run is a build by its status, whatever its action says", %{examples: examples} do
    events = for {:ok, event} <- events(examples, "workflow_run"), do: event
    assert length(events) == 5
    assert Enum.all?(events, &(&1.kind == :build))
    assert Enum.sort(Enum.map(events, & &1.state)) == [:failed, :passed, :passed, :queued, :queued]
    # One whose action is "completed".
    assert %{state: :queued, branch: "main", title: "Manually triggered workflow #36"} =
             Enum.find(events, &(&1.key == "github/run/1589141559"))
  end

  test "the life of a run is in order", %{examples: examples} do
    {_, %{"workflow_run" => run} = payload} = List.keyfind(examples, "workflow_run", 0)

    life = [
      {%{"status" => "requested", "updated_at" => "2021-12-16T19:37:22Z"}, :queued},
      {%{"status" => "in_progress", "updated_at" => "2021-12-16T19:37:22Z"}, :running},
      {%{"status" => "completed", "conclusion" => "failure", "updated_at" => "2021-12-16T19:40:00Z"}, :failed},
      {%{"status" => "queued", "conclusion" => nil, "run_attempt" => 2, "updated_at" => "2021-12-16T20:00:00Z"},
       :queued},
      {%{"status" => "completed", "conclusion" => "success", "updated_at" => "2021-12-16T20:03:00Z"}, :passed}
    ]

    events =
      for {change, state} <- life do
        assert {:ok, %{state: ^state} = event} =
                 GitHub.event("workflow_run", %{payload | "workflow_run" => Map.merge(run, change)})

        event
      end

    assert events |> Enum.map(& &1.key) |> Enum.uniq() |> length() == 1
    positions = Enum.map(events, & &1.position)
    assert positions == positions |> Enum.sort() |> Enum.uniq()
  end

  test "deployments, releases, pushes and pull requests", %{examples: examples} do
    assert [{:ok, %{kind: :deployment, state: :passed, title: "Deployment to production"}} | _] =
             events(examples, "deployment_status")

    releases = for {:ok, event} <- events(examples, "release"), do: event.state
    assert :published in releases and :deleted in releases

    pushes = for {:ok, event} <- events(examples, "push"), do: {event.state, event.title}
    assert {:created, "Tag created"} in pushes
    assert {:deleted, "Tag deleted"} in pushes

    pulls = for {:ok, event} <- events(examples, "pull_request"), do: event
    assert pulls |> Enum.map(& &1.state) |> Enum.uniq() |> Enum.sort() == [:closed, :draft, :opened]
    assert Enum.all?(pulls, &(&1.title =~ ~r/^#\d+ ./))
  end

  test "what a payload lacks is said" do
    assert {:error, "has no repository, no id, no status"} = GitHub.event("workflow_run", %{})
    assert {:error, "has no repository, no ref, no after"} = GitHub.event("push", %{"repository" => 1, "ref" => []})
  end

  test "any values where others are expected make no crash", %{examples: examples} do
    :rand.seed(:exsss, {1, 2, 3})

    for {name, payload} <- examples, name in @kinds, _ <- 1..20 do
      case GitHub.event(name, spoil(payload)) do
        {:ok, event} -> assert {:ok, [_]} = event |> Card.message() |> Notify.Message.new()
        :ignore -> :ok
        {:error, problem} -> assert is_binary(problem)
      end
    end
  end

  defp spoil(%{} = map), do: Map.new(map, fn {key, value} -> {key, spoil(value)} end)

  defp spoil(value) do
    if :rand.uniform(12) == 1,
      do: Enum.random([nil, 1, -1.5, true, "", "\0\u202E@everyone", [], [1], %{}, %{"a" => 1}]),
      else: value
  end
end

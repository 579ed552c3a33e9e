defmodule UroDiscord.Feeds.GitHubTest do
  # The payloads that GitHub publishes (npm: @octokit/webhooks-examples, installed by test/clients/install).
  use ExUnit.Case, async: true

  alias UroDiscord.Feeds.{Card, Event, GitHub}
  alias UroDiscord.{Hooks, Notify}

  @kinds ~w(workflow_run check_suite deployment_status release push pull_request)

  setup_all do
    %{examples: Hooks.examples()}
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
    assert Enum.sort(Enum.map(events, & &1.state)) == [:passed, :passed, :queued, :queued, :waiting]
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
      {%{
         "status" => "completed",
         "conclusion" => "cancelled",
         "run_attempt" => 2,
         "updated_at" => "2021-12-16T20:03:00Z"
       }, :cancelled},
      # In the second in which it ended.
      {%{"status" => "queued", "conclusion" => nil, "run_attempt" => 3, "updated_at" => "2021-12-16T20:03:00Z"},
       :queued},
      {%{
         "status" => "completed",
         "conclusion" => "action_required",
         "run_attempt" => 3,
         "updated_at" => "2021-12-16T20:03:01Z"
       }, :waiting},
      {%{
         "status" => "completed",
         "conclusion" => "success",
         "run_attempt" => 3,
         "updated_at" => "2021-12-16T20:05:00Z"
       }, :passed}
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

  describe "what comes from a fork is told apart:" do
    @own %{"id" => 1, "full_name" => "V-Sekai/uro"}
    @fork %{"id" => 2, "full_name" => "stranger/uro"}

    defp fork?(event, payload) do
      assert {:ok, %Event{fork: fork}} = GitHub.event(event, Map.put(payload, "repository", @own))
      fork
    end

    test "a workflow run" do
      for {change, fork} <- [
            {%{"head_repository" => @own}, false},
            {%{"head_repository" => @fork}, true},
            # The fork was deleted.
            {%{"head_repository" => nil}, true},
            {%{}, true},
            # The repository was renamed in between.
            {%{"head_repository" => %{@own | "full_name" => "V-Sekai/uro-old"}}, false}
          ] do
        run =
          Map.merge(%{"id" => 1, "status" => "completed", "conclusion" => "failure", "head_branch" => "main"}, change)

        assert fork?("workflow_run", %{"workflow_run" => run}) == fork
        assert {:ok, %{fork: ^fork}} = GitHub.run(run, @own, "V-Sekai/uro")
      end
    end

    test "a check suite, which has no branch then" do
      requests = fn repository -> [%{"head" => %{"repo" => repository}, "base" => %{"repo" => @own}}] end

      for {branch, requests, fork} <- [
            {"main", [], false},
            {nil, [], true},
            {"main", requests.(@own), false},
            {"main", requests.(@fork), true},
            {"main", requests.(@fork) ++ requests.(@own), false}
          ] do
        suite = %{"id" => 1, "status" => "completed", "head_branch" => branch, "pull_requests" => requests}
        assert fork?("check_suite", %{"check_suite" => suite}) == fork
      end
    end

    test "a deployment, by the run that made it, or its ref" do
      own_request = [%{"head" => %{"repo" => @own}}]

      for {ref, run, fork} <- [
            {"main", nil, false},
            {"refs/pull/7/merge", nil, true},
            {"main", %{"head_repository" => @fork}, true},
            {"main", %{"head_repository" => @own}, false},
            # As they are within a deployment.
            {"main", %{"event" => "push", "pull_requests" => []}, false},
            {"main", %{"event" => "pull_request", "pull_requests" => []}, true},
            {"main", %{"event" => "pull_request_target", "pull_requests" => []}, true},
            {"topic", %{"event" => "pull_request", "pull_requests" => own_request}, false}
          ] do
        payload = %{
          "deployment" => %{"id" => 1, "ref" => ref},
          "deployment_status" => %{"state" => "success"},
          "workflow_run" => run
        }

        assert fork?("deployment_status", payload) == fork
      end
    end

    test "a pull request" do
      for {head, fork} <- [{@own, false}, {@fork, true}, {nil, true}] do
        request = %{
          "number" => 1,
          "title" => "x",
          "head" => %{"repo" => head},
          "base" => %{"repo" => @own, "ref" => "main"}
        }

        assert fork?("pull_request", %{"pull_request" => request}) == fork
      end
    end

    test "a push, a release and what is in a repository that is a fork itself are the repository's own" do
      fork_of_ours = Map.merge(@own, %{"fork" => true})
      push = %{"repository" => fork_of_ours, "ref" => "refs/heads/main", "after" => "1"}
      assert {:ok, %{fork: false}} = GitHub.event("push", push)
      release = %{"repository" => fork_of_ours, "release" => %{"id" => 1, "tag_name" => "v1"}}
      assert {:ok, %{fork: false}} = GitHub.event("release", release)
    end
  end

  test "a branch that is created again at the same commit is another push" do
    push = fn at ->
      {:ok, event} =
        GitHub.event("push", %{
          "repository" => %{"full_name" => "V-Sekai/uro", "pushed_at" => at},
          "ref" => "refs/heads/topic",
          "before" => String.duplicate("0", 40),
          "after" => String.duplicate("a", 40)
        })

      event.key
    end

    assert push.(1_795_000_000) == push.(1_795_000_000)
    assert push.(1_795_000_000) != push.(1_795_000_050)
  end

  test "a deleted release is the last step, and an edit of one is told where it was told" do
    release = fn action ->
      {:ok, event} =
        GitHub.event("release", %{
          "action" => action,
          "repository" => %{"full_name" => "V-Sekai/uro"},
          "release" => %{"id" => 1, "tag_name" => "v1", "published_at" => "2026-11-21T10:00:00Z"}
        })

      event
    end

    assert release.("published").position == release.("edited").position
    assert release.("deleted").position > release.("edited").position
    assert release.("edited").correction and not release.("released").correction
  end

  test "Gitea's words for an edited release and for the link of a push" do
    repository = %{"id" => 5, "full_name" => "a/b"}
    release = %{"id" => 1, "tag_name" => "v1", "published_at" => "2026-11-21T10:00:00Z"}
    edited = %{"action" => "updated", "repository" => repository, "release" => release}
    assert {:ok, %{state: :published, correction: true}} = GitHub.event("release", edited)

    [before, later] = for letter <- ["a", "b"], do: String.duplicate(letter, 40)
    link = "https://git.example/a/b/compare/#{before}...#{later}"
    ref = %{"ref" => "refs/heads/main", "before" => before, "after" => later}
    push = Map.merge(ref, %{"compare_url" => link, "repository" => repository, "commits" => [%{"id" => later}]})
    assert {:ok, %{state: :pushed, url: ^link}} = GitHub.event("push", push)
  end

  test "a check suite that has not begun has no status, and a deployment may have a state that is new" do
    repository = %{"id" => 1, "full_name" => "V-Sekai/uro"}
    suite = %{"id" => 1, "status" => nil, "head_branch" => "main"}
    assert {:ok, %{state: :queued}} = GitHub.event("check_suite", %{"repository" => repository, "check_suite" => suite})

    deployment = %{
      "deployment" => %{"id" => 1},
      "deployment_status" => %{"state" => "beamed_up"},
      "repository" => repository
    }

    assert :ignore = GitHub.event("deployment_status", deployment)
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

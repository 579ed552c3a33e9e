defmodule UroDiscord.Feeds.GitLabTest do
  # The examples of https://docs.gitlab.com/user/project/integrations/webhook_events/, without what nobody here reads.
  use ExUnit.Case, async: true

  alias UroDiscord.Feeds.{Card, GitLab}
  alias UroDiscord.{JSON, Notify}

  defp payload(name) do
    {:ok, payload} = JSON.decode(File.read!("test/fixtures/gitlab/#{name}.json"))
    payload
  end

  defp event(name) do
    assert {:ok, event} = GitLab.event(payload(name))
    assert {:ok, [_]} = event |> Card.message() |> Notify.Message.new()
    event
  end

  test "a pipeline" do
    assert %{
             kind: :build,
             state: :passed,
             key: "gitlab/pipeline/gitlab-org/gitlab-test/31",
             branch: "master",
             title: "Pipeline for branch: master #31",
             text: "test",
             actor: "root"
           } = event("pipeline")
  end

  test "a pipeline that runs again goes on from where it was" do
    passed = event("pipeline")
    again = [%{"started_at" => "2016-08-12 15:30:00 UTC", "created_at" => "2016-08-12 15:29:59 UTC"}]

    assert {:ok, running} =
             payload("pipeline")
             |> put_in(["object_attributes", "status"], "running")
             |> Map.update!("builds", &(again ++ &1))
             |> GitLab.event()

    assert running.state == :running and running.key == passed.key
    assert running.position > passed.position
  end

  test "a deployment, a release and a push" do
    assert %{kind: :deployment, state: :passed, title: "Deployment to staging", url: "https://staging.example.com"} =
             event("deployment")

    assert %{kind: :release, state: :published, title: "v1.1", text: "v1.1 has been released"} = event("release")

    push = event("push")
    assert %{kind: :push, state: :pushed, branch: "master", title: "4 commits", actor: "jsmith"} = push
    assert push.text == "da15608 fixed readme\nb6568db Update Catalan translation to e38cb41."
  end

  test "a release that is deleted" do
    assert {:ok, deleted} = payload("release") |> Map.put("action", "delete") |> GitLab.event()
    assert deleted.state == :deleted and deleted.position > event("release").position
  end

  test "a release that is made again is another step, whatever people write as its time" do
    deleted = %{payload("release") | "action" => "delete"}

    again = %{
      payload("release")
      | "created_at" => "2020-11-03 10:00:00 UTC",
        "released_at" => "2020-01-01 00:00:00 UTC"
    }

    assert {:ok, deleted} = GitLab.event(deleted)
    assert {:ok, again} = GitLab.event(again)
    assert again.position > deleted.position
    assert {:ok, %{correction: true, state: :published}} = GitLab.event(%{payload("release") | "action" => "update"})
  end

  test "a branch that is created again at the same commit is another push" do
    keys =
      for delivery <- ["one", "two", "two"] do
        assert {:ok, %{key: key}} = GitLab.event(payload("push"), delivery)
        key
      end

    assert [one, two, two] = keys
    assert one != two
  end

  test "what comes from a fork is told apart" do
    assert event("pipeline").fork == false

    assert {:ok, %{fork: true}} =
             payload("pipeline") |> put_in(["merge_request", "source_project_id"], 2) |> GitLab.event()

    assert {:ok, %{fork: true}} = payload("pipeline") |> put_in(["merge_request"], nil) |> GitLab.event()

    assert {:ok, %{fork: false}} =
             payload("pipeline")
             |> put_in(["merge_request"], nil)
             |> put_in(["object_attributes", "source"], "push")
             |> GitLab.event()

    for {source, ref, fork} <- [
          {"push", "main", false},
          {"merge_request_event", "refs/merge-requests/1/head", true},
          {"external_pull_request_event", "main", true},
          # Before GitLab 14.
          {nil, "refs/merge-requests/1/train", true}
        ] do
      listed = %{"id" => 1, "status" => "success", "source" => source, "ref" => ref}
      assert {:ok, %{fork: ^fork}} = GitLab.listed_pipeline(listed, "a/b")
    end

    request = fn source, target ->
      attributes = %{"iid" => 1, "title" => "x", "source_project_id" => source, "target_project_id" => target}

      {:ok, event} =
        GitLab.event(Map.merge(payload("push"), %{"object_kind" => "merge_request", "object_attributes" => attributes}))

      event.fork
    end

    # Its numbers may be strings.
    assert {request.(1, 1), request.(1, "1"), request.(2, 1), request.(nil, 1)} == {false, false, true, true}

    deployment = Map.put(payload("deployment"), "ref", "refs/merge-requests/3/head")
    assert {event("deployment").fork, match?({:ok, %{fork: true}}, GitLab.event(deployment))} == {false, true}
  end

  test "numbers that are strings" do
    assert {:ok, %{title: "4 commits"}} = GitLab.event(%{payload("push") | "total_commits_count" => "4"})
    assert {:ok, %{title: "1 commit"}} = GitLab.event(%{payload("push") | "total_commits_count" => "1"})
  end

  test "what has only an event_name is passed over: GitLab turns off a hook that answers it with errors" do
    # https://docs.gitlab.com/user/project/integrations/webhook_events/, group member, subgroup and project events
    for name <-
          ~w(user_add_to_group user_update_for_group user_remove_from_group subgroup_create subgroup_destroy project_create) do
      assert :ignore = GitLab.event(%{"event_name" => name, "group_id" => 1, "created_at" => "2020-12-11T04:57:22Z"})
    end
  end

  test "other kinds are passed over, and what is none of GitLab's is an error" do
    assert :ignore = GitLab.event(%{"object_kind" => "note"})
    assert {:error, "has no object_kind" <> _} = GitLab.event(%{})
    assert {:error, "has no project, no id, no status"} = GitLab.event(%{"object_kind" => "pipeline"})
  end

  test "what the API lists" do
    listed = %{
      "id" => 31,
      "status" => "success",
      "ref" => "master",
      "updated_at" => "2016-08-12T15:26:29.000Z",
      "web_url" => "https://x/31"
    }

    assert {:ok, event} = GitLab.listed_pipeline(listed, "gitlab-org/gitlab-test")
    assert %{key: "gitlab/pipeline/gitlab-org/gitlab-test/31", state: :passed, url: "https://x/31"} = event
  end
end

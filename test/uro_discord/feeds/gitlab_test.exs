defmodule UroDiscord.Feeds.GitLabTest do
  # The examples of https://docs.gitlab.com/user/project/integrations/webhook_events/, without what nobody here reads.
  use ExUnit.Case, async: true

  alias UroDiscord.Feeds.{Card, GitLab}
  alias UroDiscord.{Native, Notify}

  defp payload(name) do
    {:ok, payload} = Native.json_decode(File.read!("test/fixtures/gitlab/#{name}.json"))
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

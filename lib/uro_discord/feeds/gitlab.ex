defmodule UroDiscord.Feeds.GitLab do
  @moduledoc false
  # GitLab's webhooks, and what its API lists.
  # https://docs.gitlab.com/user/project/integrations/webhook_events/

  alias UroDiscord.Feeds.{Event, Payload}
  import Payload, only: [get: 2, id: 2, line: 1, list: 2, need: 1, text: 2]

  @doc "What a webhook says, which came by this delivery. `:ignore` for what is none of our kinds."
  @spec event(map(), String.t() | nil) :: {:ok, Event.t()} | :ignore | {:error, String.t()}
  def event(payload, delivery \\ nil)

  def event(%{"object_kind" => "pipeline"} = payload, _delivery) do
    # There is no time of the last change: a job that ran again is the later step.
    times = for job <- list(payload, ["builds"]), field <- ~w(created_at started_at finished_at), do: text(job, [field])
    pipeline(payload["object_attributes"], payload, times)
  end

  def event(%{"object_kind" => "deployment"} = payload, _delivery), do: deployment(payload)

  def event(%{"object_kind" => "release"} = payload, _delivery),
    do: release(payload, project(payload), payload["action"])

  def event(%{"object_kind" => kind} = payload, delivery) when kind in ["push", "tag_push"], do: push(payload, delivery)
  def event(%{"object_kind" => "merge_request"} = payload, _delivery), do: merge_request(payload)
  def event(%{"object_kind" => kind}, _delivery) when is_binary(kind), do: :ignore
  # Those of members, subgroups and projects have this alone. GitLab turns a hook off that answers with errors.
  def event(%{"event_name" => name}, _delivery) when is_binary(name), do: :ignore
  def event(_payload, _delivery), do: {:error, "has no object_kind: it is not a webhook of GitLab's"}

  defp project(payload), do: text(payload, ["project", "path_with_namespace"])

  @doc "A pipeline as the API lists it, of this project."
  @spec listed_pipeline(term(), String.t()) :: {:ok, Event.t()} | {:error, String.t()}
  def listed_pipeline(pipeline, project) do
    pipeline(pipeline, %{"project" => %{"path_with_namespace" => project}}, [text(pipeline, ["updated_at"])])
  end

  @of_merge_requests ["merge_request_event", "external_pull_request_event"]

  # https://docs.gitlab.com/api/pipelines/: the others wait for something, these for somebody.
  defp state("success"), do: :passed
  defp state("failed"), do: :failed
  defp state(canceled) when canceled in ["canceled", "canceling"], do: :cancelled
  defp state("skipped"), do: :skipped
  defp state("running"), do: :running
  defp state(manual) when manual in ["manual", "blocked"], do: :waiting
  defp state(status) when is_binary(status), do: :queued
  defp state(_none), do: nil

  defp pipeline(pipeline, payload, times) do
    project = project(payload)
    id = id(pipeline, ["id"])
    state = state(get(pipeline, ["status"]))

    with :ok <- need(project: project, id: id, status: state) do
      {:ok,
       %Event{
         key: "gitlab/pipeline/#{project}/#{id}",
         position: Event.position([text(pipeline, ["created_at"]), text(pipeline, ["finished_at"]) | times], state),
         kind: :build,
         state: state,
         project: project,
         branch: text(pipeline, ["ref"]),
         fork: pipeline_of_fork?(pipeline, payload["merge_request"]),
         title: "#{text(pipeline, ["name"]) || "Pipeline"} ##{id}",
         url: text(pipeline, ["url"]) || text(pipeline, ["web_url"]) || page(payload, "pipelines/#{id}"),
         text: line(text(payload, ["commit", "title"]) || text(payload, ["commit", "message"])),
         actor: text(payload, ["user", "username"])
       }}
    end
  end

  # A pipeline of a merge request may run in the project that it is for. The API's list does not say whose it is.
  defp pipeline_of_fork?(_pipeline, %{} = request), do: from_other?(request)

  defp pipeline_of_fork?(pipeline, _none),
    do: text(pipeline, ["source"]) in @of_merge_requests or merge_request_ref?(text(pipeline, ["ref"]))

  defp from_other?(request),
    do:
      id(request, ["source_project_id"]) == nil or
        id(request, ["source_project_id"]) != id(request, ["target_project_id"])

  defp merge_request_ref?(ref), do: ref != nil and String.starts_with?(ref, "refs/merge-requests/")

  defp page(payload, path),
    do: with(url when is_binary(url) <- text(payload, ["project", "web_url"]), do: "#{url}/-/#{path}")

  defp deployment(payload) do
    project = project(payload)
    id = id(payload, ["deployment_id"])
    state = state(get(payload, ["status"]))

    with :ok <- need(project: project, deployment_id: id, status: state) do
      {:ok,
       %Event{
         key: "gitlab/deployment/#{project}/#{id}",
         position: Event.position([text(payload, ["status_changed_at"])], state),
         kind: :deployment,
         state: state,
         project: project,
         branch: text(payload, ["ref"]),
         fork: merge_request_ref?(text(payload, ["ref"])),
         title: "Deployment to " <> (text(payload, ["environment"]) || "somewhere"),
         url: text(payload, ["environment_external_url"]) || text(payload, ["deployable_url"]),
         text: line(text(payload, ["commit_title"])),
         actor: text(payload, ["user", "username"])
       }}
    end
  end

  @doc "A release, as webhooks have it and as the API lists it."
  @spec release(term(), String.t() | nil, String.t() | nil) :: {:ok, Event.t()} | {:error, String.t()}
  def release(release, project, action) do
    tag = text(release, ["tag"]) || text(release, ["tag_name"])
    state = if action == "delete", do: :deleted, else: :published

    with :ok <- need(project: project, tag: tag) do
      {:ok,
       %Event{
         key: "gitlab/release/#{project}/#{tag}",
         # Its times do not change with it, but for released_at, which is written by people.
         position: Event.position([text(release, ["created_at"]) || text(release, ["released_at"])], state),
         kind: :release,
         state: state,
         project: project,
         branch: tag,
         title: text(release, ["name"]) || tag,
         url: text(release, ["url"]) || text(release, ["_links", "self"]),
         text: text(release, ["description"]),
         actor: text(release, ["author", "username"]),
         correction: action == "update"
       }}
    end
  end

  @zero String.duplicate("0", 40)

  defp push(payload, delivery) do
    project = project(payload)
    ref = text(payload, ["ref"])
    {before, later} = {text(payload, ["before"]), text(payload, ["after"])}

    with :ok <- need(project: project, ref: ref, after: later) do
      state =
        cond do
          later == @zero -> :deleted
          before == @zero -> :created
          true -> :pushed
        end

      {:ok,
       %Event{
         # A branch may be created again at the same commit, and there is no time of it.
         key: "gitlab/push/#{project}/#{ref}/#{before}/#{later}/#{delivery}",
         position: 0,
         kind: :push,
         state: state,
         project: project,
         branch: String.replace(ref, ~r"^refs/(heads|tags)/", ""),
         title: pushed(state, ref, id(payload, ["total_commits_count"])),
         url: page(payload, if(state == :pushed, do: "compare/#{before}...#{later}", else: "commits/#{later}")),
         # Newest last, as GitHub has them.
         text: UroDiscord.Feeds.GitHub.commits(list(payload, ["commits"])),
         actor: text(payload, ["user_username"]) || text(payload, ["user_name"])
       }}
    end
  end

  defp pushed(:deleted, "refs/tags/" <> _, _count), do: "Tag deleted"
  defp pushed(_state, "refs/tags/" <> _, _count), do: "Tag created"
  defp pushed(:deleted, _ref, _count), do: "Branch deleted"
  defp pushed(:created, _ref, "0"), do: "Branch created"
  defp pushed(_state, _ref, "1"), do: "1 commit"
  defp pushed(_state, _ref, nil), do: "Push"
  defp pushed(_state, _ref, count), do: "#{count} commits"

  defp merge_request(payload) do
    request = payload["object_attributes"]
    project = project(payload)
    number = id(request, ["iid"])

    with :ok <- need(project: project, iid: number, title: text(request, ["title"])) do
      state =
        case {get(request, ["state"]), get(request, ["draft"])} do
          {"merged", _} -> :merged
          {"closed", _} -> :closed
          {_, true} -> :draft
          _ -> :opened
        end

      {:ok,
       %Event{
         key: "gitlab/merge_request/#{project}/#{number}",
         position: Event.position([text(request, ["updated_at"])], state),
         kind: :pull_request,
         state: state,
         project: project,
         branch: text(request, ["target_branch"]),
         fork: from_other?(request),
         title: "!#{number} #{text(request, ["title"])}",
         url: text(request, ["url"]),
         actor: text(payload, ["user", "username"])
       }}
    end
  end
end

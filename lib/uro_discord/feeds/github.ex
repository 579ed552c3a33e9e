defmodule UroDiscord.Feeds.GitHub do
  @moduledoc false
  # GitHub's webhooks (also as Gitea and Forgejo send them, where these agree), and what its API lists.
  # https://docs.github.com/webhooks/webhook-events-and-payloads

  alias UroDiscord.Feeds.{Event, Payload}
  import Payload, only: [get: 2, id: 2, line: 1, list: 2, need: 1, text: 2]

  @doc "What a webhook says, by its `X-GitHub-Event`. `:ignore` for what is none of our kinds."
  @spec event(String.t(), map()) :: {:ok, Event.t()} | :ignore | {:error, String.t()}
  def event("workflow_run", payload), do: run(payload["workflow_run"], payload["repository"], project(payload))
  def event("check_suite", payload), do: check_suite(payload["check_suite"], payload["repository"], project(payload))
  def event("deployment_status", payload), do: deployment(payload)
  def event("release", payload), do: release(payload["release"], project(payload), payload["action"])
  def event("push", payload), do: push(payload)
  def event("pull_request", payload), do: pull_request(payload["pull_request"], project(payload))
  def event(_other, _payload), do: :ignore

  defp project(payload), do: text(payload, ["repository", "full_name"])

  @doc "A workflow run, as webhooks have it and as the API lists it, of this repository."
  @spec run(term(), repository :: term(), String.t() | nil) :: {:ok, Event.t()} | {:error, String.t()}
  def run(run, repository, project) do
    id = id(run, ["id"])

    with :ok <- need(repository: project, id: id, status: text(run, ["status"])) do
      state = build(run)
      attempt = get(run, ["run_attempt"])

      {:ok,
       %Event{
         key: "github/run/#{id}",
         # It may be run again in the second in which it ended.
         position: Event.position([text(run, ["run_started_at"]), text(run, ["updated_at"])], state, attempt),
         kind: :build,
         state: state,
         project: project,
         branch: text(run, ["head_branch"]),
         fork: run_of_fork?(run, repository),
         title: Enum.join([text(run, ["name"]) || "Workflow", number(run), attempt(attempt)], ""),
         url: text(run, ["html_url"]),
         text: line(text(run, ["display_title"]) || text(run, ["head_commit", "message"])),
         actor: text(run, ["triggering_actor", "login"]) || text(run, ["actor", "login"])
       }}
    end
  end

  # The runs within a deployment have no head_repository.
  defp run_of_fork?(%{"head_repository" => head}, repository), do: other?(head, repository)

  defp run_of_fork?(run, repository) do
    case text(run, ["event"]) do
      "pull_request" <> _ -> not own_pull_request?(run, repository)
      event -> event == nil
    end
  end

  # The pull requests that a run or suite lists are those of the repository's own branches.
  defp own_pull_request?(run, repository),
    do: Enum.any?(list(run, ["pull_requests"]), &(not other?(get(&1, ["head", "repo"]), repository)))

  # By their ids: names change.
  defp other?(one, repository), do: id(one, ["id"]) == nil or id(one, ["id"]) != id(repository, ["id"])

  defp number(run),
    do: with(number when is_integer(number) <- get(run, ["run_number"]), do: " ##{number}", else: (_ -> ""))

  defp attempt(attempt) when is_integer(attempt) and attempt > 1, do: " (attempt #{attempt})"
  defp attempt(_first), do: ""

  # The suites of GitHub Actions are told better by their workflow runs.
  defp check_suite(%{"app" => %{"slug" => "github-actions"}}, _repository, _project), do: :ignore

  defp check_suite(suite, repository, project) do
    id = id(suite, ["id"])

    # Before anything has begun its status may be null.
    with :ok <- need(repository: project, id: id) do
      state = build(suite)

      {:ok,
       %Event{
         key: "github/suite/#{id}",
         position: Event.position([text(suite, ["updated_at"])], state),
         kind: :build,
         state: state,
         project: project,
         branch: text(suite, ["head_branch"]),
         fork: suite_of_fork?(suite, repository),
         title: text(suite, ["app", "name"]) || "Checks",
         url: commit_url(project, text(suite, ["head_sha"]), text(suite, ["url"])),
         text: line(text(suite, ["head_commit", "message"]))
       }}
    end
  end

  # https://docs.github.com/rest/checks/suites: what was pushed to a fork has no branch here.
  defp suite_of_fork?(suite, repository) do
    text(suite, ["head_branch"]) == nil or
      (list(suite, ["pull_requests"]) != [] and not own_pull_request?(suite, repository))
  end

  # A suite has no page of its own; its commit's page shows it.
  defp commit_url(project, sha, "https://api.github.com/" <> _) when is_binary(sha),
    do: "https://github.com/#{project}/commit/#{sha}/checks"

  defp commit_url(_project, _sha, _url), do: nil

  # https://docs.github.com/rest/checks/runs: status, and conclusion once it is completed.
  defp build(run) do
    case {get(run, ["status"]), get(run, ["conclusion"])} do
      {"completed", conclusion} when conclusion in ["success", "neutral"] -> :passed
      {"completed", "cancelled"} -> :cancelled
      {"completed", conclusion} when conclusion in ["skipped", "stale"] -> :skipped
      # Somebody who may is to let it run, such as what a stranger's pull request would do.
      {"completed", "action_required"} -> :waiting
      {"completed", _failure_timed_out_startup_failure} -> :failed
      {"in_progress", _} -> :running
      # An environment's protection.
      {"waiting", _} -> :waiting
      {_queued_requested_pending, _} -> :queued
    end
  end

  @deployment %{
    "success" => :passed,
    "failure" => :failed,
    "error" => :failed,
    "in_progress" => :running,
    "queued" => :queued,
    "pending" => :queued,
    "waiting" => :waiting,
    "inactive" => :inactive
  }

  defp deployment(payload) do
    project = project(payload)
    id = id(payload, ["deployment", "id"])
    given = text(payload, ["deployment_status", "state"])

    with :ok <- need(repository: project, deployment: id, state: given),
         {:ok, state} <- Map.fetch(@deployment, given) do
      {:ok,
       %Event{
         key: "github/deployment/#{id}",
         position: Event.position([text(payload, ["deployment_status", "updated_at"])], state),
         kind: :deployment,
         state: state,
         project: project,
         branch: text(payload, ["deployment", "ref"]),
         fork: deployment_of_fork?(payload),
         title: "Deployment to " <> (text(payload, ["deployment", "environment"]) || "somewhere"),
         url:
           text(payload, ["deployment_status", "environment_url"]) || text(payload, ["deployment_status", "log_url"]) ||
             text(payload, ["deployment_status", "target_url"]),
         text: line(text(payload, ["deployment_status", "description"])),
         actor: text(payload, ["deployment", "creator", "login"])
       }}
    else
      # A state that we have not heard of.
      :error -> :ignore
      error -> error
    end
  end

  # Refs of pull requests are in the repository, whosever they are.
  defp deployment_of_fork?(payload) do
    ref = text(payload, ["deployment", "ref"])

    case payload["workflow_run"] do
      %{} = run -> run_of_fork?(run, payload["repository"])
      _none -> ref != nil and ref =~ ~r"\A(refs/)?pull/"
    end
  end

  @doc "A release; a draft is nobody's business yet."
  @spec release(term(), String.t() | nil, String.t() | nil) :: {:ok, Event.t()} | :ignore | {:error, String.t()}
  def release(%{"draft" => true}, _project, _action), do: :ignore
  def release(_release, _project, "unpublished"), do: :ignore

  def release(release, project, action) do
    id = id(release, ["id"])

    with :ok <- need(repository: project, id: id, tag: text(release, ["tag_name"])) do
      state =
        cond do
          action == "deleted" -> :deleted
          get(release, ["prerelease"]) == true -> :prereleased
          true -> :published
        end

      {:ok,
       %Event{
         key: "github/release/#{id}",
         position: Event.position([text(release, ["updated_at"]), text(release, ["published_at"])], state),
         kind: :release,
         state: state,
         project: project,
         branch: text(release, ["tag_name"]),
         title: text(release, ["name"]) || text(release, ["tag_name"]),
         url: text(release, ["html_url"]),
         text: text(release, ["body"]),
         actor: text(release, ["author", "login"]),
         # Gitea says "updated".
         correction: action in ["edited", "updated"]
       }}
    end
  end

  @zero String.duplicate("0", 40)

  defp push(payload) do
    project = project(payload)
    ref = text(payload, ["ref"])
    later = text(payload, ["after"])

    with :ok <- need(repository: project, ref: ref, after: later) do
      state =
        cond do
          later == @zero or get(payload, ["deleted"]) == true -> :deleted
          get(payload, ["forced"]) == true -> :forced
          get(payload, ["created"]) == true -> :created
          true -> :pushed
        end

      name = String.replace(ref, ~r"^refs/(heads|tags)/", "")

      {:ok,
       %Event{
         # A branch may be pushed back to where it was, deleted, and created again at the same commit: the time of the push
         # belongs to it, too.
         key:
           "github/push/#{project}/#{ref}/#{text(payload, ["before"])}/#{later}/#{id(payload, ["repository", "pushed_at"])}",
         position: 0,
         kind: :push,
         state: state,
         project: project,
         branch: name,
         title: pushed(state, ref, list(payload, ["commits"])),
         # Gitea has "compare_url".
         url: text(payload, ["compare"]) || text(payload, ["compare_url"]),
         text: commits(list(payload, ["commits"])),
         actor: text(payload, ["sender", "login"]) || text(payload, ["pusher", "name"])
       }}
    end
  end

  defp pushed(:deleted, "refs/tags/" <> _, _commits), do: "Tag deleted"
  defp pushed(_state, "refs/tags/" <> _, _commits), do: "Tag created"
  defp pushed(:deleted, _ref, _commits), do: "Branch deleted"
  defp pushed(:created, _ref, []), do: "Branch created"
  defp pushed(_state, _ref, [_one]), do: "1 commit"
  # GitHub lists at most 2048 commits.
  defp pushed(_state, _ref, commits), do: "#{length(commits)} commits"

  @doc "The last commits of a push, a line each."
  @spec commits(list()) :: String.t() | nil
  def commits([]), do: nil

  def commits(commits) do
    {shown, hidden} = commits |> Enum.reverse() |> Enum.split(5)
    more = if hidden == [], do: [], else: ["and #{length(hidden)} before"]
    Enum.map_join(Enum.map(shown, &commit/1) ++ more, "\n", & &1)
  end

  defp commit(commit) do
    String.slice(id(commit, ["id"]) || "", 0, 7) <> " " <> (line(text(commit, ["message"])) || "")
  end

  defp pull_request(request, project) do
    number = id(request, ["number"])

    with :ok <- need(repository: project, number: number, title: text(request, ["title"])) do
      state =
        cond do
          get(request, ["merged"]) == true or text(request, ["merged_at"]) != nil -> :merged
          get(request, ["state"]) == "closed" -> :closed
          get(request, ["draft"]) == true -> :draft
          true -> :opened
        end

      {:ok,
       %Event{
         key: "github/pull/#{project}/#{number}",
         position: Event.position([text(request, ["updated_at"])], state),
         kind: :pull_request,
         state: state,
         project: project,
         branch: text(request, ["base", "ref"]),
         # The repository of one that was deleted is null.
         fork: other?(get(request, ["head", "repo"]), get(request, ["base", "repo"])),
         title: "##{number} #{text(request, ["title"])}",
         url: text(request, ["html_url"]),
         actor: text(request, ["user", "login"])
       }}
    end
  end
end

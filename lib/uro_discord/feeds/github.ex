defmodule UroDiscord.Feeds.GitHub do
  @moduledoc false
  # GitHub's webhooks (also as Gitea and Forgejo send them, where these agree), and what its API lists.
  # https://docs.github.com/webhooks/webhook-events-and-payloads

  alias UroDiscord.Feeds.{Event, Payload}
  import Payload, only: [get: 2, id: 2, line: 1, list: 2, need: 1, text: 2]

  @doc "What a webhook says, by its `X-GitHub-Event`. `:ignore` for what is none of our kinds."
  @spec event(String.t(), map()) :: {:ok, Event.t()} | :ignore | {:error, String.t()}
  def event("workflow_run", payload), do: run(payload["workflow_run"], project(payload))
  def event("check_suite", payload), do: check_suite(payload["check_suite"], project(payload))
  def event("deployment_status", payload), do: deployment(payload)
  def event("release", payload), do: release(payload["release"], project(payload), payload["action"])
  def event("push", payload), do: push(payload)
  def event("pull_request", payload), do: pull_request(payload["pull_request"], project(payload))
  def event(_other, _payload), do: :ignore

  defp project(payload), do: text(payload, ["repository", "full_name"])

  @doc "A workflow run, as webhooks have it and as the API lists it."
  @spec run(term(), String.t() | nil) :: {:ok, Event.t()} | {:error, String.t()}
  def run(run, project) do
    id = id(run, ["id"])

    with :ok <- need(repository: project, id: id, status: text(run, ["status"])) do
      state = build(run)
      attempt = get(run, ["run_attempt"])

      {:ok,
       %Event{
         key: "github/run/#{id}",
         position: Event.position([text(run, ["run_started_at"]), text(run, ["updated_at"])], state),
         kind: :build,
         state: state,
         project: project,
         branch: text(run, ["head_branch"]),
         title: Enum.join([text(run, ["name"]) || "Workflow", number(run), attempt(attempt)], ""),
         url: text(run, ["html_url"]),
         text: line(text(run, ["display_title"]) || text(run, ["head_commit", "message"])),
         actor: text(run, ["triggering_actor", "login"]) || text(run, ["actor", "login"])
       }}
    end
  end

  defp number(run),
    do: with(number when is_integer(number) <- get(run, ["run_number"]), do: " ##{number}", else: (_ -> ""))

  defp attempt(attempt) when is_integer(attempt) and attempt > 1, do: " (attempt #{attempt})"
  defp attempt(_first), do: ""

  # The suites of GitHub Actions are told better by their workflow runs.
  defp check_suite(%{"app" => %{"slug" => "github-actions"}}, _project), do: :ignore

  defp check_suite(suite, project) do
    id = id(suite, ["id"])

    with :ok <- need(repository: project, id: id, status: text(suite, ["status"])) do
      state = build(suite)

      {:ok,
       %Event{
         key: "github/suite/#{id}",
         position: Event.position([text(suite, ["updated_at"])], state),
         kind: :build,
         state: state,
         project: project,
         branch: text(suite, ["head_branch"]),
         title: text(suite, ["app", "name"]) || "Checks",
         url: commit_url(project, text(suite, ["head_sha"]), text(suite, ["url"])),
         text: line(text(suite, ["head_commit", "message"]))
       }}
    end
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
      {"completed", _failure_timed_out_action_required} -> :failed
      {"in_progress", _} -> :running
      {_queued_requested_waiting_pending, _} -> :queued
    end
  end

  @deployment %{
    "success" => :passed,
    "failure" => :failed,
    "error" => :failed,
    "in_progress" => :running,
    "queued" => :queued,
    "pending" => :queued,
    "waiting" => :queued,
    "inactive" => :inactive
  }

  defp deployment(payload) do
    project = project(payload)
    id = id(payload, ["deployment", "id"])
    state = @deployment[get(payload, ["deployment_status", "state"])]

    with :ok <- need(repository: project, deployment: id, state: state) do
      {:ok,
       %Event{
         key: "github/deployment/#{id}",
         position: Event.position([text(payload, ["deployment_status", "updated_at"])], state),
         kind: :deployment,
         state: state,
         project: project,
         branch: text(payload, ["deployment", "ref"]),
         title: "Deployment to " <> (text(payload, ["deployment", "environment"]) || "somewhere"),
         url:
           text(payload, ["deployment_status", "environment_url"]) || text(payload, ["deployment_status", "log_url"]) ||
             text(payload, ["deployment_status", "target_url"]),
         text: line(text(payload, ["deployment_status", "description"])),
         actor: text(payload, ["deployment", "creator", "login"])
       }}
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
         actor: text(release, ["author", "login"])
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
         # What was there before belongs to it: a branch may be pushed back to where it was.
         key: "github/push/#{project}/#{ref}/#{text(payload, ["before"])}/#{later}",
         position: 0,
         kind: :push,
         state: state,
         project: project,
         branch: name,
         title: pushed(state, ref, list(payload, ["commits"])),
         url: text(payload, ["compare"]),
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
         title: "##{number} #{text(request, ["title"])}",
         url: text(request, ["html_url"]),
         actor: text(request, ["user", "login"])
       }}
    end
  end
end

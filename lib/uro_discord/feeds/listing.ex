defmodule UroDiscord.Feeds.Listing do
  @moduledoc false
  # What is polled of a project, and the events in an answer.

  alias UroDiscord.Feeds.{Event, GitHub, GitLab, Itch, Payload}

  @type kind :: :runs | :pipelines | :releases | :builds

  @doc """
  The paths below the API's URL.

      iex> UroDiscord.Feeds.Listing.paths(:gitlab, "group/project")
      [
        pipelines: "/projects/group%2Fproject/pipelines?order_by=updated_at&per_page=50",
        releases: "/projects/group%2Fproject/releases?per_page=20"
      ]
  """
  @spec paths(:github | :gitlab | :itch, String.t()) :: [{kind(), String.t()}]
  # https://docs.github.com/rest/actions/workflow-runs, https://docs.github.com/rest/releases/releases
  def paths(:github, project),
    do: [runs: "/repos/#{project}/actions/runs?per_page=50", releases: "/repos/#{project}/releases?per_page=20"]

  # https://docs.gitlab.com/api/pipelines/, https://docs.gitlab.com/api/releases/
  def paths(:gitlab, project) do
    project = URI.encode_www_form(project)

    [
      pipelines: "/projects/#{project}/pipelines?order_by=updated_at&per_page=50",
      releases: "/projects/#{project}/releases?per_page=20"
    ]
  end

  def paths(:itch, project), do: [builds: "/wharf/channels?target=#{URI.encode_www_form(project)}"]

  @doc "The events that an answer has; an entry that is not understood is an error of its own."
  @spec events(:github | :gitlab | :itch, kind(), term(), String.t()) :: [{:ok, Event.t()} | {:error, String.t()}]
  def events(:github, :runs, answer, project),
    do:
      for(
        run <- Payload.list(answer, ["workflow_runs"]),
        do: GitHub.run(run, Payload.get(run, ["repository"]), project)
      )

  def events(:github, :releases, answer, project),
    do: for(release <- entries(answer), event = GitHub.release(release, project, nil), event != :ignore, do: event)

  def events(:gitlab, :pipelines, answer, project),
    do: for(pipeline <- entries(answer), do: GitLab.listed_pipeline(pipeline, project))

  def events(:gitlab, :releases, answer, project),
    do: for(release <- entries(answer), do: GitLab.release(release, project, nil))

  def events(:itch, :builds, answer, project), do: Itch.builds(answer, project)

  defp entries(answer) when is_list(answer), do: answer
  defp entries(_other), do: []
end

defmodule UroDiscord.Feeds do
  @moduledoc """
  Builds, deployments, releases, pushes and pull requests of GitHub, GitLab and itch.io, and anybody's JSON, in Discord
  channels. One run is one message, which is edited as it goes.

      config :uro_discord,
        channels: [builds: "1100000000000000001"],
        feeds: [
          uro: [
            source: :github,
            secret: System.get_env("GITHUB_WEBHOOK_SECRET"),
            rules: [
              [channel: :builds, project: "V-Sekai/*", branch: "main", kinds: [:build, :deployment]],
              [channel: :builds, kinds: [:build], states: [:failed]]
            ]
          ]
        ]

  A feed has

    * `source`: `:github`, `:gitlab`, `:itch` or `:generic`;
    * `secret`: for its webhooks, which go to `POST /discord/feeds/<name>`. GitHub signs with it (`X-Hub-Signature-256`), GitLab
      sends it (`X-Gitlab-Token`), a generic one sends it as `Authorization: Bearer <secret>`;
    * `poll`: for those who cannot receive webhooks, the projects to ask for every `interval` ms (60,000): `"V-Sekai/uro"` (GitHub:
      workflow runs and releases), a path or an id (GitLab: pipelines and releases), `"user/game"` (itch.io: builds), with `token`
      where one is needed, and `url` where it is not github.com, gitlab.com or itch.io. What was there before the first look is
      not posted;
    * `rules`: what goes where. Each has a `channel`, and perhaps `project` and `branch` (patterns in which `*` is anything),
      `kinds` and `states` (see `UroDiscord.Feeds.Event`). An event goes to the channel of every rule that takes it. When only
      its state is not among those of the rule, a message that is already there is edited, but none is posted: `states:
      [:failed]` leaves out what passes, and tells when what failed is mended. What comes from a fork (a stranger's pull request,
      and what is built or deployed for it) is left out, since anybody may call his branch `main`: a rule with `forks: true`
      takes it too. So is what is not surely the project's own, such as a pipeline of a merge request in GitLab's list;
    * `per_hour`: how many new messages it may have in an hour, on each node (120); edits do not count. A webhook over it is refused
      with 429, and nothing of it is kept; a poller comes back later. `UroDiscord.status/0` has what is left;
    * for `:generic`: `template`, such as `"{monitor.name} is {status}"`, and perhaps `url` and `key` as templates too; messages of the
      same key are one, which is edited.
  """

  use Supervisor

  alias UroDiscord.{Config, Domain}
  alias UroDiscord.Feeds.{Editor, Poller, Status}

  @doc false
  def start_link(config), do: Supervisor.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(%Config{feeds: feeds}) do
    :ok = Status.init(feeds)
    Domain.group([Editor], :one_for_one)
  end

  @doc false
  @spec pollers(Config.t()) :: [{module(), term()}]
  def pollers(%Config{feeds: feeds}),
    do: for({_name, feed} <- feeds, source <- feed.poll, do: {Poller, {feed, source}})
end

defmodule UroDiscord.Feeds do
  @moduledoc """
  Builds, deployments, releases, pushes and pull requests of GitHub, GitLab and itch.io, and anybody's JSON, in Discord
  channels. One run is one message, which is edited as it goes.

      config :uro_discord,
        channels: [builds: "1100000000000000001"],
        feeds: [
          uro: [
            source: :github,
            secret: System.fetch_env!("GITHUB_WEBHOOK_SECRET"),
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
      [:failed]` leaves out what passes, and tells when what failed is mended;
    * for `:generic`: `template`, such as `"{monitor.name} is {status}"`, and perhaps `url` and `key` as templates too; messages of the
      same key are one, which is edited.
  """

  use Supervisor

  alias UroDiscord.{Config, Error, Notify, Runtime}
  alias UroDiscord.Feeds.{Card, Cards, Editor, Event, Poller, Rule}

  @doc false
  def start_link(config), do: Supervisor.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(%Config{feeds: feeds}) do
    pollers = for {_name, feed} <- feeds, source <- feed.poll, do: {Poller, {feed, source}}
    Supervisor.init([Editor | pollers], strategy: :one_for_one)
  end

  @doc false
  # An event, to the channels that its feed's rules name. When this returns `:ok` it is stored, and will be shown.
  @spec accept(map(), Event.t(), Runtime.t()) :: :ok | {:error, Error.t()}
  def accept(feed, event, runtime) do
    message = Card.message(event)

    feed.rules
    |> Enum.group_by(& &1.channel, &Rule.apply(&1, event))
    |> Enum.reduce_while(:ok, fn {channel_id, verdicts}, :ok ->
      case show(channel_id, verdict(verdicts), feed, event, message, runtime) do
        {:error, error} -> {:halt, {:error, error}}
        _done -> {:cont, :ok}
      end
    end)
  end

  defp verdict(verdicts), do: Enum.find([:post, :follow], &(&1 in verdicts))

  defp show(_channel_id, nil, _feed, _event, _message, _runtime), do: :ok

  defp show(channel_id, verdict, feed, event, message, runtime) do
    case {Cards.step(runtime.store, feed.name, event, channel_id, message), verdict} do
      {:current, _} -> Editor.wake()
      {:none, :post} -> post(channel_id, feed, event, message, runtime)
      {:none, :follow} -> :ok
      {{:error, error}, _} -> {:error, error}
    end
  end

  defp post(channel_id, feed, event, message, runtime) do
    case Notify.notify(channel_id, message,
           producer: {:feed, feed.name},
           also: &[Cards.insert(feed.name, event, message, &1)]
         ) do
      {:ok, _delivery} -> :ok
      # Another request was quicker with another step of it.
      {:error, %Error{kind: :conflict}} -> show(channel_id, :post, feed, event, message, runtime)
      {:error, error} -> {:error, error}
    end
  end
end

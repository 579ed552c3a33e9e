defmodule UroDiscord.Hooks do
  @moduledoc """
  What GitHub sends to a feed called `:hub`, and what is seen of it in the channel `builds`.
  """

  import UroDiscord.WebCase, only: [call: 3, json!: 1]
  alias UroDiscord.DiscordSim

  # The one of GitHub's documentation.
  @secret "It's a Secret to Everybody"

  def secret, do: @secret

  @doc "The feed; `rule` is merged into its only rule, `feed` into itself."
  def github(rule \\ [], feed \\ []) do
    [hub: Keyword.merge([source: :github, secret: @secret, rules: [Keyword.merge([channel: :builds], rule)]], feed)]
  end

  @doc "The payload of a workflow run that is queued, with this changed in the run."
  def run(change \\ %{}) do
    run = %{
      "id" => 1,
      "name" => "CI",
      "run_number" => 7,
      "run_attempt" => 1,
      "status" => "queued",
      "conclusion" => nil,
      "head_branch" => "main",
      "head_repository" => %{"id" => 5, "full_name" => "V-Sekai/uro"},
      "repository" => %{"id" => 5, "full_name" => "V-Sekai/uro"},
      "html_url" => "https://github.com/V-Sekai/uro/actions/runs/1",
      "display_title" => "Fix the [preload](https://evil.example) @everyone",
      "actor" => %{"login" => "fire"},
      "run_started_at" => "2026-11-21T10:00:00Z",
      "updated_at" => "2026-11-21T10:00:00Z"
    }

    %{"workflow_run" => Map.merge(run, change), "repository" => %{"id" => 5, "full_name" => "V-Sekai/uro"}}
  end

  @doc "Sends it. Options: `:event`, `:delivery`, `:secret`; `:body` for other bytes than its JSON."
  def send_hook(payload, options \\ []) do
    body = Keyword.get_lazy(options, :body, fn -> json!(payload) end)
    signature = :crypto.mac(:hmac, :sha256, Keyword.get(options, :secret, @secret), body)

    call("POST", "/feeds/hub",
      body: body,
      headers: [
        {"content-type", "application/json"},
        {"x-github-event", Keyword.get(options, :event, "workflow_run")},
        {"x-github-delivery", Keyword.get_lazy(options, :delivery, fn -> "#{System.unique_integer([:positive])}" end)},
        {"x-hub-signature-256", "sha256=" <> Base.encode16(signature, case: :lower)}
      ]
    )
  end

  @doc "Ends UroDiscord; the database in which it kept what it knew."
  def stop! do
    {:ok, %{config: config}} = UroDiscord.Runtime.fetch()
    # A subscriber ends with what it is subscribed to.
    UroDiscord.unsubscribe(:status)
    ExUnit.Callbacks.stop_supervised!(UroDiscord)
    config.database
  end

  @doc "The titles of the messages, in the order in which they came."
  def titles(sim),
    do: for(message <- DiscordSim.messages(sim, "builds"), [embed] = message["embeds"], do: embed["title"])

  @doc "Waits until there are so many messages."
  def wait_for_count(sim, count), do: wait_until(sim, "message_create", fn -> length(titles(sim)) == count end)

  @doc "Waits until a message has this title."
  def wait_for_title(sim, title) do
    # It may be the first one, or an edit.
    wait_until(sim, "message_create,message_update", fn -> title in titles(sim) end)
  end

  # It may have come before we looked.
  defp wait_until(sim, types, there?) do
    at = DiscordSim.now(sim)
    unless there?.(), do: DiscordSim.wait_for(sim, types, fn _ -> there?.() end, after: max(at - 5, 0))
  end

  @doc "Everything that GitHub publishes: `{event, payload}` (npm: @octokit/webhooks-examples, installed by test/clients/install)."
  def examples do
    json =
      File.read!(Path.join(UroDiscord.Clients.node_modules(), "@octokit/webhooks-examples/api.github.com/index.json"))

    {:ok, examples} = UroDiscord.JSON.decode(json)
    for %{"name" => name, "examples" => payloads} <- examples, payload <- payloads, do: {name, payload}
  end
end

defmodule Mix.Tasks.UroDiscord.Shards.Hide do
  @shortdoc "Hides shards from Discord"
  @moduledoc """
  Hides the shards whose id, name, map, host, host id or address is the pattern. In it `*` stands for anything; letters may be large
  or small.

      mix uro_discord.shards.hide 1049382716
      mix uro_discord.shards.hide "*casino*"
      mix uro_discord.shards.hide 203.0.113.7

  The pattern is kept in the store; a running UroDiscord heeds it within seconds. `mix uro_discord.shards.hidden` lists the patterns, and
  `mix uro_discord.shards.unhide` takes one back. In a release: `bin/uro rpc 'UroDiscord.Shards.hide("*casino*")'`.
  """
  use Mix.Task

  import Mix.UroDiscord.Store, only: [open!: 0, result!: 1]
  alias UroDiscord.Shards.Hidden.Patterns

  @impl true
  def run([pattern]) do
    open!().store |> Patterns.hide(pattern) |> result!()
    Mix.shell().info("hidden: #{pattern}")
  end

  def run(_arguments), do: Mix.raise("say what to hide: mix uro_discord.shards.hide PATTERN")
end

defmodule Mix.Tasks.UroDiscord.Shards.Unhide do
  @shortdoc "Shows shards again that were hidden"
  @moduledoc """
  Takes back a pattern of `mix uro_discord.shards.hide`.

      mix uro_discord.shards.unhide "*casino*"
  """
  use Mix.Task

  import Mix.UroDiscord.Store, only: [open!: 0, result!: 1]
  alias UroDiscord.Shards.Hidden.Patterns

  @impl true
  def run([pattern]) do
    open!().store |> Patterns.unhide(pattern) |> result!()
    Mix.shell().info("not hidden any more: #{pattern}")
  end

  def run(_arguments), do: Mix.raise("say what to show again: mix uro_discord.shards.unhide PATTERN")
end

defmodule Mix.Tasks.UroDiscord.Shards.Hidden do
  @shortdoc "Lists what hides shards from Discord"
  @moduledoc """
  Lists the patterns of `mix uro_discord.shards.hide`, the oldest first.

      mix uro_discord.shards.hidden
  """
  use Mix.Task

  import Mix.UroDiscord.Store, only: [open!: 0, result!: 1]
  alias UroDiscord.Shards.Hidden.Patterns

  @impl true
  def run([]) do
    case open!().store |> Patterns.all() |> result!() do
      [] ->
        Mix.shell().info("nothing is hidden")

      entries ->
        for entry <- entries, do: Mix.shell().info("#{DateTime.truncate(entry.hidden_at, :second)}  #{entry.pattern}")
    end
  end

  def run(_arguments), do: Mix.raise("it takes no arguments: mix uro_discord.shards.hidden")
end

defmodule Mix.Tasks.UroDiscord.Keys.List do
  @shortdoc "Lists the keys of the HTTP API"
  @moduledoc """
  Lists all keys that were made, also those that are no longer good, without what is secret.

      mix uro_discord.keys.list
  """
  use Mix.Task

  import Mix.UroDiscord.Store, only: [open!: 0, result!: 1]
  alias Mix.UroDiscord.Arguments
  alias UroDiscord.Keys

  @impl true
  def run(arguments) do
    Arguments.read!(arguments, 0, [], "mix uro_discord.keys.list")

    for key <- result!(Keys.list(open!())) do
      until = if key.expires_at, do: ", until #{key.expires_at}", else: ""
      channels = Enum.join(key.channels, ",")

      Mix.shell().info(
        "#{key.name}: #{key.state}#{until}; #{channels}; #{key.per_minute} a minute; made #{key.created_at}"
      )
    end
  end
end

defmodule Mix.Tasks.UroDiscord.Keys.Revoke do
  @shortdoc "Ends the keys of a name, at once"
  @moduledoc """
  Ends every key of a name, at once.

      mix uro_discord.keys.revoke ci
  """
  use Mix.Task

  import Mix.UroDiscord.Store, only: [open!: 0, result!: 1]
  alias Mix.UroDiscord.Arguments
  alias UroDiscord.Keys

  @impl true
  def run(arguments) do
    {[name], []} = Arguments.read!(arguments, 1, [], "mix uro_discord.keys.revoke NAME")
    result!(Keys.revoke(name, open!()))
    Mix.shell().info("#{name} is revoked")
  end
end

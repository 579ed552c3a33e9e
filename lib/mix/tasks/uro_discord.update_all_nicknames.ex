defmodule Mix.Tasks.UroDiscord.UpdateAllNicknames do
  @shortdoc "Gives all linked users the nicknames that are theirs"
  @moduledoc """
  Goes over all linked users in all servers of `config :uro_discord, accounts: [guilds: …]`, and renames whom the template calls otherwise.

      mix uro_discord.update_all_nicknames

  `mix help uro_discord.update_all` tells how it goes, its options, and how it is run in a release.
  """
  use Mix.Task

  @impl true
  def run(arguments), do: Mix.UroDiscord.Accounts.task(:nicknames, arguments)
end

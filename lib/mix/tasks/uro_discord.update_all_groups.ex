defmodule Mix.Tasks.UroDiscord.UpdateAllGroups do
  @shortdoc "Gives all linked users the roles that are theirs"
  @moduledoc """
  Goes over all linked users in all servers of `config :uro_discord, accounts: [guilds: …]`, and gives and takes roles until each has those that the rules
  say.

      mix uro_discord.update_all_groups

  `mix help uro_discord.update_all` tells how it goes, its options, and how it is run in a release.
  """
  use Mix.Task

  @impl true
  def run(arguments), do: Mix.UroDiscord.Accounts.task(:groups, arguments)
end

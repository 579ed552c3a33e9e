defmodule Mix.Tasks.UroDiscord.UpdateAllUsernames do
  @shortdoc "Asks Discord what all linked users are called there"
  @moduledoc """
  Goes over all linked users, and stores what Discord calls their accounts: `@name`, or `name#1234` of an old one. By itself that is done every 12 hours
  (`accounts: [tasks: [schedule: [usernames: 43_200_000]]]`).

      mix uro_discord.update_all_usernames

  `mix help uro_discord.update_all` tells how it goes, its options, and how it is run in a release.
  """
  use Mix.Task

  @impl true
  def run(arguments), do: Mix.UroDiscord.Accounts.task(:usernames, arguments)
end

defmodule Mix.Tasks.UroDiscord.Roles.Plan do
  @shortdoc "Shows which roles and nicknames a sync would change"
  @moduledoc """
  Shows what a sync of all linked members would do, in each server of `config :uro_discord, accounts: [guilds: …]`: who gets and loses which roles, who is
  called what, and what is left alone, with the reason. It changes nothing, and takes one request for 1,000 members.

      mix uro_discord.roles.plan

  The exit status is 1 where a server could not be looked at.

  In a release that is running: `bin/uro rpc 'UroDiscord.Accounts.Preview.print()'`.
  """
  use Mix.Task

  alias Mix.UroDiscord.{Accounts, Arguments}
  alias UroDiscord.Accounts.Preview

  @impl true
  def run(arguments) do
    {[], []} = Arguments.read!(arguments, 0, [], "mix uro_discord.roles.plan")
    Accounts.start!()
    if Preview.print() != 0, do: exit({:shutdown, 1})
  end
end

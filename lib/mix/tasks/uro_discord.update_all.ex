defmodule Mix.Tasks.UroDiscord.UpdateAll do
  @shortdoc "Sees to roles, nicknames and usernames of all linked users"
  @moduledoc """
  Does what update_all_groups, update_all_nicknames and update_all_usernames do, at once: who needs a role and a nickname costs one request.

      mix uro_discord.update_all

      mix uro_discord.update_all --restart

  A bar shows how far it is, or where there is no terminal a line every 10 seconds; the summary says how many were looked at, changed, had left, were
  skipped and failed, and why. Members are read by pages of 1,000: who is as he should be costs nothing more. Changes go as fast as Discord allows, and
  behind what else waits in the same VM. What fails for a passing reason is tried again, while the others go on (`accounts: [tasks: [max_retries: 3,
  retry_pause: 60]]`). Who is in none of the servers any more is unlinked (`leave_grace`).

  How far it is, is kept in the store. Ctrl-C, a crash or a power cut costs nothing: the next run goes on there, and says so. While another node is at it, it
  is refused.

    * `--restart`: begins anew in place of going on with a run that was interrupted;
    * `--no-wait`: does not wait until it is clear whether another node, whose run was interrupted, is still there (up to 40 s).

  The exit status is 0 where everybody was done, and 1 where somebody or a server was not.

  The host is started as by `mix run`, with UroDiscord off. In a release, where there is no mix, see `UroDiscord.Apart`.
  """
  use Mix.Task

  @impl true
  def run(arguments), do: Mix.UroDiscord.Accounts.task(:all, arguments)
end

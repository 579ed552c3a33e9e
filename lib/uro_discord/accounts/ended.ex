defmodule UroDiscord.Accounts.Ended do
  @moduledoc false
  # What follows on the end of a link, whoever ended it: the roles that he took as a linked user are taken back, and the host is told.

  require Logger

  alias UroDiscord.{Accounts, Backoff, Error}
  alias UroDiscord.Accounts.{Link, Running}
  alias UroDiscord.Accounts.SelfRoles.Release

  # What fails is tried so often again, with these pauses.
  @tries 6
  @pauses {1_000, 60_000}

  @doc "Each in a process of its own, which nobody waits for; or once and at once, where no process of ours runs, as in a Mix task."
  @spec told(Link.t(), atom()) :: :ok
  def told(link, reason) do
    start("taking back what user #{link.discord_id} took himself", fn -> Release.run(link) end)

    with {:ok, %{config: %{accounts: %{on_unlinked: {module, function}}}}} <- Running.fetch() do
      start("on_unlinked (#{inspect(module)}.#{function}/2), for user #{Error.short(link.user_id)}", fn ->
        apply(module, function, [link, reason])
        :ok
      end)
    end

    :ok
  end

  defp start(what, function) do
    run = fn -> run(what, function, 0) end
    {:ok, _pid} = Task.Supervisor.start_child(Accounts.TaskSupervisor, run, shutdown: 5_000)
    :ok
  catch
    :exit, _not_there -> run(what, function, @tries)
  end

  defp run(what, function, failures) do
    with {:error, error} <- function.(), do: failed(what, Exception.message(error), function, failures)
  catch
    kind, reason -> failed(what, Exception.format_banner(kind, reason, __STACKTRACE__), function, failures)
  end

  defp failed(what, why, function, failures) when failures < @tries do
    pause = Backoff.delay(@pauses, failures)
    Logger.error("#{what} failed, and is tried again in #{pause} ms: #{why}")
    Process.sleep(pause)
    run(what, function, failures + 1)
  end

  defp failed(what, why, _function, _failures), do: Logger.error("#{what} failed, and is not tried again: #{why}")
end

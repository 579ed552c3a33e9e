defmodule UroDiscord.Accounts.Work do
  @moduledoc false
  # Tasks for GenServers that must not wait. A task answers its server by messages, as those of `Task.Supervisor` do.

  # Until the supervisor of the tasks, which has ended, is there again.
  @again_ms 200

  @doc """
  Starts a task. Its result comes as `{ref, result}`; where it ends without one, `{:DOWN, ref, :process, _pid, _reason}` comes. The latter comes too, with the
  reason `:noproc`, where the supervisor of the tasks is not there just now: the calling server lives on.
  """
  @spec start((() -> term())) :: reference()
  def start(fun) do
    Task.Supervisor.async_nolink(UroDiscord.Accounts.TaskSupervisor, fun).ref
  catch
    :exit, _not_there ->
      ref = make_ref()
      Process.send_after(self(), {:DOWN, ref, :process, self(), :noproc}, @again_ms)
      ref
  end
end

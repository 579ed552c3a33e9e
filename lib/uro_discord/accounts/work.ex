defmodule UroDiscord.Accounts.Work do
  @moduledoc false
  # What takes its time, for servers that wait for nobody: a task that answers its server by a message, as those of `Task.Supervisor` do.

  # Until a supervisor that ended is there again.
  @again_ms 200

  @doc """
  Starts a task. Its result comes as `{ref, result}`, and its end without one as `{:DOWN, ref, :process, _pid, _reason}`; so does that there is no
  supervisor just now, which is not its server's end.
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

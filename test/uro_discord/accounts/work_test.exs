defmodule UroDiscord.Accounts.WorkTest do
  # A supervisor of this name is there, or is not.
  use ExUnit.Case
  alias UroDiscord.Accounts.{TaskSupervisor, Work}

  test "a server is told what a task has found, that it ended without that, and that nobody can do it now" do
    ref = Work.start(fn -> :found end)
    assert_receive {:DOWN, ^ref, :process, _pid, :noproc}
    start_supervised!({Task.Supervisor, name: TaskSupervisor})
    ref = Work.start(fn -> :found end)
    assert_receive {^ref, :found}
    ref = Work.start(fn -> Process.sleep(:infinity) end)
    stop_supervised!(TaskSupervisor)
    assert_receive {:DOWN, ^ref, :process, _pid, _reason}
  end
end

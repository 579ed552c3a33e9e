defmodule UroDiscord.Store.NodeIdTest do
  use UroDiscord.Case
  alias UroDiscord.Store.NodeId

  # A process with a child, which it does not ask for when that has ended.
  setup do
    port =
      Port.open({:spawn_executable, "/bin/sh"}, [
        :binary,
        {:line, 80},
        args: ["-c", "sleep 60 & echo $!; exec sleep 60"]
      ])

    {:os_pid, parent} = Port.info(port, :os_pid)
    assert_receive {^port, {:data, {:eol, child}}}, 5_000

    on_exit(fn ->
      for pid <- [to_string(parent), child], do: System.cmd("kill", ["-KILL", pid], stderr_to_stdout: true)
    end)

    %{parent: to_string(parent), child: child}
  end

  defp name(pid) do
    [place, _pid, _started] = String.split(NodeId.name(), "/")
    # The names of these processes have no blanks.
    started = "/proc/#{pid}/stat" |> File.read!() |> String.split() |> Enum.at(21)
    Enum.join([place, pid, started], "/")
  end

  defp kill!(pid), do: {_, 0} = System.cmd("kill", ["-KILL", pid])

  test "we are not dead" do
    assert name(System.pid()) == NodeId.name()
    refute NodeId.dead?(NodeId.name())
  end

  test "one that has ended is dead", %{parent: parent} do
    name = name(parent)
    refute NodeId.dead?(name)
    kill!(parent)
    assert eventually(fn -> NodeId.dead?(name) end)
  end

  test "one that was killed and stays in the books is dead", %{child: child} do
    name = name(child)
    refute NodeId.dead?(name)
    kill!(child)
    assert eventually(fn -> NodeId.dead?(name) end)
    assert File.read!("/proc/#{child}/stat") =~ ") Z "
  end

  test "one that had the id of another process is dead" do
    [place, pid, started] = String.split(NodeId.name(), "/")
    assert NodeId.dead?(Enum.join([place, pid, String.to_integer(started) - 1], "/"))
  end

  test "of other places nothing is known" do
    [_place, pid, _started] = String.split(NodeId.name(), "/")
    refute NodeId.dead?("elsewhere/#{pid}/1")
    refute NodeId.dead?("vm/c29tZXRoaW5n")
    refute NodeId.dead?("")
  end
end

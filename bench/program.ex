defmodule Bench.Program do
  @moduledoc """
  A program that is measured from outside, in whatever language: it says "ready" when it has started, does its work when it
  gets a line, says "sent" when that is done, and ends after another line, or when its stdin closes.
  """

  @enforce_keys [:port, :os_pid]
  defstruct @enforce_keys

  # Of /proc's times: 1 / sysconf(_SC_CLK_TCK) on Linux.
  @tick_ms 10
  @timeout 120_000
  @log_lines 20

  @doc "Starts it, and returns when it is ready."
  def start!([executable | arguments], environment) do
    port =
      Port.open({:spawn_executable, System.find_executable(executable) || raise("#{executable} is not there")}, [
        :binary,
        :exit_status,
        :stderr_to_stdout,
        {:line, 65_536},
        args: arguments,
        env: for({name, value} <- environment, do: {to_charlist(name), to_charlist(value)})
      ])

    {:os_pid, os_pid} = Port.info(port, :os_pid)
    program = %__MODULE__{port: port, os_pid: os_pid}
    said!(program, "ready")
    program
  end

  @doc "Has it do its work; the seconds until it says that it is done."
  def work!(program) do
    {microseconds, :ok} =
      :timer.tc(fn ->
        Port.command(program.port, "go\n")
        said!(program, "sent")
      end)

    microseconds / 1.0e6
  end

  def stop!(%{port: port}) do
    Port.command(port, "end\n")
    ended!(port)
  end

  @doc "What it and all its children have used so far: ms of CPU, and the MiB that each held at its peak, together."
  def account(%{os_pid: os_pid}) do
    stats = for path <- Path.wildcard("/proc/[0-9]*/stat"), {:ok, stat} <- [File.read(path)], do: stat(stat)
    tree = tree([os_pid], Enum.group_by(stats, & &1.parent, & &1.pid))
    ticks = for %{pid: pid, ticks: ticks} <- stats, pid in tree, do: ticks
    peaks = for pid <- tree, {:ok, status} <- [File.read("/proc/#{pid}/status")], do: peak_kib(status)
    %{cpu_ms: Enum.sum(ticks) * @tick_ms, peak_mib: Enum.sum(peaks) / 1024}
  end

  defp tree([], _children), do: []
  defp tree(pids, children), do: pids ++ tree(Enum.flat_map(pids, &Map.get(children, &1, [])), children)

  # proc(5): the name may hold blanks and brackets; utime, stime and those of children that have ended are the 14th to 17th.
  defp stat(stat) do
    [_, pid, fields] = Regex.run(~r/\A(\d+) .*\) (.*)/s, stat)
    [_state, parent | rest] = String.split(fields)
    ticks = rest |> Enum.slice(9, 4) |> Enum.map(&String.to_integer/1) |> Enum.sum()
    %{pid: String.to_integer(pid), parent: String.to_integer(parent), ticks: ticks}
  end

  defp peak_kib(status) do
    case Regex.run(~r/^VmHWM:\s+(\d+) kB$/m, status) do
      [_, kib] -> String.to_integer(kib)
      # One that has just ended.
      nil -> 0
    end
  end

  # Whatever else it says is its log, whose end tells what went wrong.
  defp said!(%{port: port} = program, word, log \\ []) do
    receive do
      {^port, {:data, {:eol, ^word}}} -> :ok
      {^port, {:data, {_eol, line}}} -> said!(program, word, Enum.take([line | log], @log_lines))
      {^port, {:exit_status, status}} -> fail!("it ended with status #{status} before it said #{word}", log)
    after
      @timeout -> fail!("it did not say #{word} within #{@timeout} ms", log)
    end
  end

  defp ended!(port, log \\ []) do
    receive do
      {^port, {:exit_status, 0}} -> :ok
      {^port, {:exit_status, status}} -> fail!("it ended with status #{status}", log)
      {^port, {:data, {_eol, line}}} -> ended!(port, Enum.take([line | log], @log_lines))
    after
      @timeout -> fail!("it did not end within #{@timeout} ms", log)
    end
  end

  defp fail!(reason, log), do: raise(Enum.join([reason | Enum.reverse(log)], "\n"))
end

defmodule Bench.Program do
  @moduledoc """
  A program that is measured from outside, in whatever language: it says "ready" when it has started, and what its bench
  waits for as it works, each on a line of its own. It ends after a line, or when its stdin closes.
  """

  @enforce_keys [:port, :os_pid]
  defstruct @enforce_keys

  # Of /proc's times: 1 / sysconf(_SC_CLK_TCK) on Linux.
  @tick_ms 10
  @timeout 300_000
  @log_lines 20

  @doc "The command of an Elixir script with UroDiscord, in a VM that is started with these flags; as in a release, protocols are consolidated."
  def elixir(script, flags \\ "") do
    paths = [Mix.Project.consolidation_path(), Mix.Project.compile_path()]
    flags = if flags == "", do: [], else: ["--erl", flags]
    ["elixir" | flags] ++ Enum.flat_map(paths, &["-pa", &1]) ++ [script]
  end

  @doc "A program that bin/bench has built with Cargo."
  def rust(name), do: Path.join([System.get_env("CARGO_TARGET_DIR", "target"), "release", name])

  @doc "The Python that has the client libraries of the tests."
  def python, do: System.fetch_env!("URO_DISCORD_PYTHON")

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
    "" = said!(program, "ready")
    program
  end

  @doc "Gives it a line, for it to begin."
  def go!(program), do: tell!(program, "go")

  @doc "Gives it a line."
  def tell!(program, line), do: Port.command(program.port, [line, "\n"])

  @doc "Waits until it says this word, and returns what follows it on the line."
  # Whatever else it says is its log, whose end tells what went wrong.
  def said!(%{port: port} = program, word, log \\ []) do
    receive do
      {^port, {:data, {_eol, line}}} ->
        case String.split(line, " ", parts: 2) do
          [^word | rest] -> Enum.join(rest)
          _log -> said!(program, word, Enum.take([line | log], @log_lines))
        end

      {^port, {:exit_status, status}} ->
        fail!("it ended with status #{status} before it said #{word}", log)
    after
      @timeout -> fail!("it did not say #{word} within #{@timeout} ms", log)
    end
  end

  def stop!(%{port: port}) do
    Port.command(port, "end\n")
    ended!(port)
  end

  @doc """
  What it and all its children have used so far: ms of CPU, and the MiB that each held at its peak, together. `parts` has
  the same by the name of the process.
  """
  def account(%{os_pid: os_pid}) do
    stats = for path <- Path.wildcard("/proc/[0-9]*/stat"), {:ok, stat} <- [File.read(path)], do: stat(stat)
    tree = tree([os_pid], Enum.group_by(stats, & &1.parent, & &1.pid))

    parts =
      for %{pid: pid} = stat <- stats, pid in tree do
        {stat.name, %{cpu_ms: stat.ticks * @tick_ms, peak_mib: peak_mib(pid)}}
      end

    parts
    |> Enum.map(&elem(&1, 1))
    |> sum()
    |> Map.put(
      :parts,
      parts |> Enum.group_by(&elem(&1, 0), &elem(&1, 1)) |> Map.new(fn {name, parts} -> {name, sum(parts)} end)
    )
  end

  @doc "What CPU each thread of its process has used, for `cpu_us/2`."
  def cpu(%{os_pid: os_pid}) do
    # By the scheduler, which counts finer than the ticks of /proc's stat; a thread may end in between.
    for path <- Path.wildcard("/proc/#{os_pid}/task/*/schedstat"),
        {:ok, text} <- [File.read(path)],
        into: %{},
        do: {path, first(text)}
  end

  @doc "Microseconds of CPU between two looks, without its children and without threads that have ended by the second."
  def cpu_us(before, later),
    do: later |> Enum.map(fn {thread, ns} -> ns - Map.get(before, thread, 0) end) |> Enum.sum() |> div(1_000)

  @doc "The ms of CPU a second that this VM uses while `fun` runs, that each of these processes uses, how many seconds it ran, and what it says."
  def used(os_pids, fun) do
    all = [%{os_pid: System.pid()} | Enum.map(os_pids, &%{os_pid: &1})]
    {before, began} = {Enum.map(all, &cpu/1), System.monotonic_time(:microsecond)}
    answer = fun.()
    took = System.monotonic_time(:microsecond) - began
    [vm | others] = for {program, before} <- Enum.zip(all, before), do: cpu_us(before, cpu(program)) / took * 1_000
    {vm, others, took / 1.0e6, answer}
  end

  defp first(text), do: text |> String.split() |> hd() |> String.to_integer()

  @doc "KiB that its process holds now."
  def rss_kib(%{os_pid: os_pid}) do
    [_, kib] = Regex.run(~r/^VmRSS:\s+(\d+) kB$/m, File.read!("/proc/#{os_pid}/status"))
    String.to_integer(kib)
  end

  @doc "The most memory that a process has held so far, in MiB."
  def peak_mib(pid) do
    with {:ok, status} <- File.read("/proc/#{pid}/status"),
         [_, kib] <- Regex.run(~r/^VmHWM:\s+(\d+) kB$/m, status) do
      String.to_integer(kib) / 1024
    else
      # One that has just ended.
      _gone -> 0.0
    end
  end

  defp sum(parts) do
    Enum.reduce(parts, %{cpu_ms: 0, peak_mib: 0.0}, fn part, sum -> Map.merge(sum, part, fn _key, a, b -> a + b end) end)
  end

  defp tree([], _children), do: []
  defp tree(pids, children), do: pids ++ tree(Enum.flat_map(pids, &Map.get(children, &1, [])), children)

  # proc(5): the name may hold blanks and brackets; utime, stime and those of children that have ended are the 14th to 17th.
  defp stat(stat) do
    [_, pid, name, fields] = Regex.run(~r/\A(\d+) \((.*)\) (.*)/s, stat)
    [_state, parent | rest] = String.split(fields)
    ticks = rest |> Enum.slice(9, 4) |> Enum.map(&String.to_integer/1) |> Enum.sum()
    %{pid: String.to_integer(pid), name: name, parent: String.to_integer(parent), ticks: ticks}
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

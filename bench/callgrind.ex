defmodule Bench.Callgrind do
  @moduledoc "What a program does between two moments, in instructions of user space."

  @doc "The command of a program that is counted, into this file."
  def command(command, file),
    do: ["valgrind", "--quiet", "--tool=callgrind", "--fair-sched=yes", "--callgrind-out-file=#{file}" | command]

  @doc "From now on it counts."
  def zero!(program), do: control!(program, "--zero")

  @doc "How many instructions it was, for all threads."
  def total!(program, file) do
    control!(program, "--dump")
    # The dump that was asked for; the one at the end of the program has another name.
    [_, total] = Regex.run(~r/^totals: (\d+)$/m, File.read!("#{file}.1"))
    String.to_integer(total)
  end

  @doc "How many of those that `total!/2` dumped were in a function whose name matches, and in what it called."
  def within!(file, name) do
    {table, 0} = System.cmd("callgrind_annotate", ["--inclusive=yes", "--threshold=100", "#{file}.1"])

    line =
      table |> String.split("\n") |> Enum.find(&(&1 =~ name)) ||
        raise("#{inspect(name)} was not called, or has no symbol")

    [count] = Regex.run(~r/^\s*([\d,]+)/, line, capture: :all_but_first)
    count |> String.replace(",", "") |> String.to_integer()
  end

  @doc "A new folder for such files, which is gone afterwards."
  def folder(fun) do
    folder = Path.join(System.tmp_dir!(), "bench-callgrind-#{System.unique_integer([:positive])}")
    File.mkdir_p!(folder)
    answer = fun.(folder)
    File.rm_rf!(folder)
    answer
  end

  defp control!(%{os_pid: os_pid}, what) do
    {output, 0} = System.cmd("callgrind_control", [what, "#{os_pid}"], stderr_to_stdout: true)
    unless output =~ "OK", do: raise(output)
  end
end

defmodule Bench do
  @moduledoc "What the benchmarks share: timing, percentiles, and one way to print them."

  @doc """
  The first, or the second in `bin/bench --small`, which measures nothing: it tries in a second or two that a bench still prints its
  figures.
  """
  def size(full, small), do: if(small?(), do: small, else: full)

  @doc "Whether this is `bin/bench --small`."
  def small?, do: System.get_env("BENCH_SMALL") == "1"

  @doc "Calls `fun` so many times and returns the microseconds of each call, sorted."
  def sample(times, fun) do
    for(_ <- 1..times, do: fun |> :timer.tc() |> elem(0) |> Kernel.*(1.0)) |> Enum.sort()
  end

  @doc "The mean microseconds of a call that is too short to be timed by itself."
  def mean(times, fun) do
    fun.()
    {microseconds, _} = :timer.tc(fn -> repeat(times, fun) end)
    microseconds / times
  end

  defp repeat(0, _fun), do: :ok

  defp repeat(times, fun) do
    fun.()
    repeat(times - 1, fun)
  end

  def percentile(sorted, percent),
    do: Enum.at(sorted, min(length(sorted) - 1, div(length(sorted) * percent, 100)))

  def title(text), do: IO.puts("\n#{text}\n#{String.duplicate("-", String.length(text))}")

  def row(name, figures) do
    figures =
      Enum.map_join(figures, "   ", fn {what, figure, unit} ->
        "#{what} #{format(figure)} #{unit}"
      end)

    IO.puts(String.pad_trailing(name, 44) <> figures)
  end

  defp format(figure) when is_integer(figure), do: Integer.to_string(figure)
  defp format(figure) when figure >= 1_000, do: figure |> round() |> Integer.to_string()
  defp format(figure), do: :erlang.float_to_binary(figure * 1.0, decimals: 1)
end

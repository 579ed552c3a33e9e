defmodule Bench.Portal.Program do
  @moduledoc "How bench-portal is started, and what it says."

  alias Bench.{Program, VoiceServer}

  @doc "Its command: on this core (or these: \"0,1\"), before all else on the machine."
  def command(arguments, core),
    do: VoiceServer.pinned(core, [Program.rust("bench-portal") | Enum.map(arguments, &"#{&1}")])

  @doc "Starts it."
  def start!(arguments, core), do: Program.start!(command(arguments, core), %{})

  @doc "What it says after each of these words, until it has ended."
  def told(arguments, core, words) do
    program = start!(arguments, core)
    told = for word <- words, do: figures(program, word)
    Program.stop!(program)
    told
  end

  @doc "`name=number …` after a word."
  def figures(program, word) do
    for part <- program |> Program.said!(word) |> String.split(), [name, number] = String.split(part, "="), into: %{} do
      {number, ""} = Float.parse(number)
      {String.to_atom(name), number}
    end
  end

  @doc "A row of delays."
  def delays(name, figures) do
    Bench.row(
      name,
      for(
        {label, key} <- [{"p50", :p50_us}, {"p95", :p95_us}, {"p99", :p99_us}],
        do: {label, figures[key] / 1_000, "ms"}
      )
    )
  end

  @doc "A row of how late frames were."
  def late(name, figures, more \\ []) do
    Bench.row(
      name,
      [
        {"late p99.9", figures.p999_us / 1_000, "ms"},
        {"max", figures.max_us / 1_000, "ms"},
        {"over 5 ms", round(figures.late), "of #{round(figures.frames)}"}
      ] ++ more
    )
  end
end

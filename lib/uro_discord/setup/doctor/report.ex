defmodule UroDiscord.Setup.Doctor.Report do
  @moduledoc false
  # The findings as text, coloured on a terminal, or as JSON.

  alias UroDiscord.JSON
  alias UroDiscord.Setup.Doctor.Finding

  @words [
    ok: {:green, "ok     "},
    warning: {:yellow, "warning"},
    wrong: {:red, "wrong  "},
    unknown: {:magenta, "unknown"}
  ]

  @doc "JSON is made by the NIF: without it there is the text."
  @spec render([Finding.t()], json :: boolean()) :: String.t()
  def render(findings, true) do
    if Enum.any?(findings, &match?(%{check: :nif, state: :wrong}, &1)),
      do: render(findings, false),
      else: json(findings)
  end

  def render(findings, false) do
    [Enum.map(findings, &line/1), "\n", summary(findings)] |> IO.ANSI.format() |> IO.iodata_to_binary()
  end

  defp line(finding) do
    {colour, word} = Keyword.fetch!(@words, finding.state)
    ["  ", [colour, word, :reset], "  #{finding.check}: #{finding.found}\n", advice(finding.advice)]
  end

  defp advice(nil), do: []
  defp advice(text), do: "           #{text}\n"

  defp summary(findings) do
    counts = Enum.frequencies_by(findings, & &1.state)
    count = fn state -> Map.get(counts, state, 0) end
    "#{count.(:ok)} all right, #{count.(:warning)} warnings, #{count.(:wrong)} wrong, #{count.(:unknown)} not known"
  end

  defp json(findings) do
    {:ok, json} =
      JSON.encode(%{
        "exit_status" => Finding.exit_status(findings),
        "findings" => for(finding <- findings, do: Map.from_struct(finding))
      })

    json
  end
end

defmodule UroDiscord.Accounts.Tasks.Text do
  @moduledoc false
  # What a task says of itself: its progress on a terminal and in a log, and its summary.

  alias UroDiscord.Accounts.Tasks.Tally

  @typedoc "`here` is what this run has done in `ms`, without what one before it did."
  @type progress :: %{
          task: atom(),
          done: non_neg_integer(),
          total: non_neg_integer(),
          here: non_neg_integer(),
          ms: non_neg_integer(),
          changed: non_neg_integer(),
          failed: non_neg_integer(),
          waiting: non_neg_integer()
        }

  @shortest_bar 10
  @longest_bar 40

  @doc """
  A line that fits into so many columns.

      iex> alias UroDiscord.Accounts.Tasks.Text
      iex> progress = %{task: :groups, done: 4_310, total: 10_000, here: 4_310, ms: 360_000, changed: 31, failed: 0, waiting: 0}
      iex> Text.bar(progress, 80)
      "groups [########-----------] 43 %  4,310 of 10,000  31 changed  7 min 55 s left"
      iex> String.length(Text.bar(progress, 200))
      100
      iex> Text.bar(progress, 40)
      "groups 43 %  4,310 of 10,000  31 changed"
      iex> Text.bar(%{progress | done: 10_000, failed: 2, waiting: 1}, 110)
      "groups [#######################] 100 %  10,000 of 10,000  31 changed  2 failed  1 to be tried again  0 s left"
  """
  @spec bar(progress(), pos_integer()) :: String.t()
  def bar(progress, columns) do
    facts = Enum.join(["#{percent(progress)} %" | facts(progress)], "  ")
    name = "#{progress.task} "
    room = columns - String.length(name) - String.length(facts) - 4

    if room < @shortest_bar,
      do: String.slice(name <> facts, 0, columns),
      else: name <> drawn(progress, min(room, @longest_bar)) <> " " <> facts
  end

  defp drawn(progress, width) do
    full = div(width * percent(progress), 100)
    "[" <> String.duplicate("#", full) <> String.duplicate("-", width - full) <> "]"
  end

  defp facts(progress) do
    ["#{number(progress.done)} of #{number(progress.total)}", "#{number(progress.changed)} changed"] ++
      if(progress.failed > 0, do: ["#{number(progress.failed)} failed"], else: []) ++
      if(progress.waiting > 0, do: ["#{number(progress.waiting)} to be tried again"], else: []) ++
      case left_ms(progress) do
        nil -> []
        ms -> ["#{duration(ms)} left"]
      end
  end

  @doc """
  The same where there is no terminal.

      iex> progress = %{task: :groups, done: 4_310, total: 10_000, here: 310, ms: 60_000, changed: 31, failed: 1, waiting: 0}
      iex> UroDiscord.Accounts.Tasks.Text.plain(progress)
      "groups: 43 %, 4,310 of 10,000, 31 changed, 1 failed, 18 min 21 s left"
  """
  @spec plain(progress()) :: String.t()
  def plain(progress), do: "#{progress.task}: " <> Enum.join(["#{percent(progress)} %" | facts(progress)], ", ")

  defp percent(%{total: 0}), do: 100
  # Links may be made and go while a task runs.
  defp percent(%{done: done, total: total}), do: min(div(done * 100, total), 100)

  @doc """
  How long it takes still, if it goes on as it has so far; nil before it can be told.

      iex> alias UroDiscord.Accounts.Tasks.Text
      iex> {Text.left_ms(%{done: 300, total: 400, here: 100, ms: 5_000}), Text.left_ms(%{done: 0, total: 400, here: 0, ms: 5_000})}
      {5_000, nil}
  """
  @spec left_ms(map()) :: non_neg_integer() | nil
  def left_ms(%{here: 0}), do: nil
  def left_ms(%{done: done, total: total, here: here, ms: ms}), do: div(max(total - done, 0) * ms, here)

  @doc """
  A time in words.

      iex> Enum.map([0, 45_300, 472_000, 7_500_000], &UroDiscord.Accounts.Tasks.Text.duration/1)
      ["0 s", "45 s", "7 min 52 s", "2 h 5 min"]
  """
  @spec duration(non_neg_integer()) :: String.t()
  def duration(ms) do
    case div(ms, 1_000) do
      s when s < 60 -> "#{s} s"
      s when s < 3_600 -> "#{div(s, 60)} min #{rem(s, 60)} s"
      s -> "#{div(s, 3_600)} h #{div(rem(s, 3_600), 60)} min"
    end
  end

  @doc """
  A number with its thousands apart.

      iex> Enum.map([0, 999, 1_000, 1_234_567], &UroDiscord.Accounts.Tasks.Text.number/1)
      ["0", "999", "1,000", "1,234,567"]
  """
  @spec number(non_neg_integer()) :: String.t()
  def number(n), do: n |> Integer.to_string() |> String.replace(~r/(?<=\d)(?=(\d{3})+$)/, ",")

  @doc """
  What became of everybody, in lines.

      iex> alias UroDiscord.Accounts.Tasks.{Tally, Text}
      iex> tally = %Tally{looked: 10_000, changed: 31, left: 1, skipped: %{"the owner" => 2}, failed: %{"HTTP 500" => 1}, who: [{"7", "HTTP 500"}]}
      iex> Text.summary(%{task: :groups, tally: tally, guilds: %{"99" => "missing access"}, took_ms: 372_000})
      ["groups: looked at 10,000, changed 31, left 1, skipped 2, failed 1; it took 6 min 12 s",
       "  skipped 2: the owner",
       "  failed 1: HTTP 500 (7)",
       "  server 99 was left out: missing access"]
  """
  @spec summary(map()) :: [String.t()]
  def summary(%{tally: tally} = run) do
    counts =
      for {what, count} <- [
            {"looked at", tally.looked},
            {"changed", tally.changed},
            {"left", tally.left},
            {"skipped", Tally.sum(tally.skipped)},
            {"failed", Tally.sum(tally.failed)}
          ],
          do: "#{what} #{number(count)}"

    ["#{run.task}: #{Enum.join(counts, ", ")}; it took #{duration(run.took_ms)}"] ++
      for({reason, count} <- by_count(tally.skipped), do: "  skipped #{number(count)}: #{reason}") ++
      for({reason, count} <- by_count(tally.failed), do: "  failed #{number(count)}: #{reason}#{who(tally, reason)}") ++
      for({id, reason} <- Enum.sort(run.guilds), do: "  server #{id} was left out: #{reason}")
  end

  defp by_count(reasons), do: Enum.sort_by(reasons, fn {reason, count} -> {-count, reason} end)

  defp who(tally, reason) do
    case for {who, ^reason} <- tally.who, do: who do
      [] -> ""
      named -> " (#{Enum.join(named, ", ")}#{if length(named) < tally.failed[reason], do: " …"})"
    end
  end
end

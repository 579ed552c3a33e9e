defmodule UroDiscord.Accounts.Tasks.OutputTest do
  use ExUnit.Case, async: true
  import ExUnit.CaptureIO
  alias UroDiscord.Accounts.Tasks.Output

  @progress %{task: :all, done: 5, total: 10, here: 5, ms: 1_000, changed: 1, failed: 0, waiting: 0}

  defp told(output, times),
    do: capture_io(fn -> Enum.reduce(times, output, &Output.progress(&2, @progress, &1)) end)

  test "on a terminal one line is written over, five times a second at most" do
    said = told(%Output{kind: :terminal}, [0, 100, 199, 200, 300])
    assert [_nothing, line, line] = String.split(said, "\r")
    assert line =~ ~r/\Aall \[#+-+\] 50 %  5 of 10  1 changed  1 s left\e\[K\z/
    assert capture_io(fn -> Output.say(%Output{kind: :terminal}, "done") end) == "\r\e[Kdone\n"
  end

  test "elsewhere a line comes every ten seconds, after the first ten" do
    said = told(%Output{kind: :plain}, [0, 9_999, 10_000, 15_000, 20_001])
    assert said == String.duplicate("all: 50 %, 5 of 10, 1 changed, 1 s left\n", 2)
  end
end

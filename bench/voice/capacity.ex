defmodule Bench.Voice.Capacity do
  @moduledoc """
  How many sessions one core carries that all send 50 frames a second, none of them late: their process is pinned to core 0, the
  voice server to core 1. The number is doubled until it is too much, and then halved in between.

  A level is carried when in one window of five seconds no frame of any session is more than 5 ms late, none is missing and each
  session sent all of its own. A frame's lateness is how much later than the session's most punctual frame of that window it
  came, by the session's grid of 20 ms. If fewer than a twentieth are late, that may be the doing of somebody else on the machine or
  its host: a level has a second attempt then. For the same reason programs and server go before all else on the machine (`chrt --rr`),
  if that may be had.
  """

  alias Bench.Program
  alias Bench.VoiceServer, as: Server

  @window Bench.size(5, 1)
  @attempts Bench.size(2, 1)
  @first Bench.size(256, 32)
  # How far the search goes: to an eighth of what is carried, and not below this.
  @least 32
  @most Bench.size(4_096, 32)
  @programs Bench.size(
              [
                {"UroDiscord", "uro", "clear"},
                {"UroDiscord, DAVE", "uro", "dave"},
                {"songbird", "songbird", "clear"},
                {"songbird, DAVE", "songbird", "dave"}
              ],
              [{"UroDiscord, DAVE", "uro", "dave"}]
            )

  def run do
    Bench.title(
      "Voice: sessions on one core that send 50 frames a second, with no frame over 5 ms late in #{@window} s"
    )

    runs = for {name, program, encryption} <- @programs, do: {name, run(name, program, encryption)}

    for encryption <- ["", ", DAVE"], List.keymember?(runs, "songbird" <> encryption, 0) do
      [ours, theirs] =
        for name <- ["UroDiscord", "songbird"], do: runs |> List.keyfind!(name <> encryption, 0) |> elem(1)

      if ours > 0 and theirs > 0,
        do: Bench.row("UroDiscord beside songbird#{encryption}", [{"", ours / theirs, "times as many"}]),
        # Even a few were late then, which is the machine's doing.
        else: IO.puts("UroDiscord beside songbird#{encryption}: not to be said; run it when nothing else runs")
    end
  end

  defp run(name, kind, encryption) do
    server = Server.start!(1)
    command = Server.pinned(0, Server.sessions(server, kind, encryption, "speak", 2))
    program = Program.start!(command, Server.environment(server))
    empty = alive(program)
    Program.tell!(program, "speak")
    bench = %{server: server, program: program}

    # What is shared is there with the first few.
    grow!(bench, 16)
    few = Program.rss_kib(program)
    grow!(bench, @first)
    each = (Program.rss_kib(program) - few) / (@first - 16)

    {carried, figures, refused} = search(bench, @first, nil, nil)
    grow!(bench, 0)
    Process.sleep(1_000)
    left = alive(program)
    Program.stop!(program)
    Server.stop!(server)

    Bench.row(name, [{"", carried, "sessions"} | figures(figures || refused)] ++ [{"memory", each, "KiB each"}])
    if refused, do: Bench.row("  more were too much", [{"", refused.streams, "sessions"} | figures(refused)])

    Bench.row("  after all have left", [
      {"tasks", left.tasks - empty.tasks, ""},
      {"file descriptors", left.files - empty.files, ""}
    ])

    carried
  end

  defp figures(nil), do: []

  defp figures(window) do
    [
      {"late p99.9", window.p999_us / 1_000, "ms"},
      {"max", window.max_us / 1_000, "ms"},
      {"over 5 ms", window.late, ""},
      {"CPU", window.cpu, "%"}
    ]
  end

  # The most that was carried, with its window, and that of the least that was not.
  defp search(bench, sessions, carried, refused) do
    {good?, window} = attempt(bench, sessions, @attempts)
    {carried, refused} = if good?, do: {{sessions, window}, refused}, else: {carried, {sessions, window}}
    {low, high} = {number(carried, 0), number(refused, 2 * @most)}

    cond do
      high - low <= max(div(low, 8), @least) or low >= @most -> {low, figures_of(carried), figures_of(refused)}
      refused == nil -> search(bench, min(2 * low, @most), carried, refused)
      true -> search(bench, div(low + high, 4) * 2, carried, refused)
    end
  end

  defp number(nil, default), do: default
  defp number({number, _window}, _default), do: number
  defp figures_of(nil), do: nil
  defp figures_of({_number, window}), do: window

  defp attempt(bench, sessions, attempts) do
    grow!(bench, sessions)
    Process.sleep(1_000)
    before = Program.account(bench.program).cpu_ms
    window = Server.window!(bench.server, @window)
    cpu = (Program.account(bench.program).cpu_ms - before) / @window / 10
    window = Map.put(window, :cpu, cpu)

    cond do
      window.streams == sessions and window.late + window.lost + window.thin == 0 -> {true, window}
      attempts == 1 or window.late * 20 > window.frames -> {false, window}
      true -> attempt(bench, sessions, attempts - 1)
    end
  end

  defp grow!(bench, sessions) do
    Program.tell!(bench.program, "sessions #{sessions}")
    told = "#{sessions}"
    ^told = Program.said!(bench.program, "sessions")
  end

  defp alive(program) do
    Program.tell!(program, "alive")
    [tasks, _threads, files] = program |> Program.said!("alive") |> String.split() |> Enum.map(&String.to_integer/1)
    %{tasks: tasks, files: files}
  end
end

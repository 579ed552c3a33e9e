defmodule Bench.Portal.Quality do
  @moduledoc """
  How speech sounds at the other end of a room, on a good network and on one that loses 3 % of the packets and holds up each by up to 50 ms:
  PESQ-WB of pieces of 10 s, and zimtohrli beside it. The speech is espeak-ng's, in Opus with in-band FEC; time is simulated.
  """

  import Bench.Portal.Program

  @text Path.expand("speech.txt", __DIR__)
  @paths [{"call", "a world's voice in the call"}, {"world", "the call's voice in a world"}]

  def run do
    Bench.title("Portal: speech after 3 % loss and 50 ms jitter (PESQ-WB, zimtohrli; 1 to 5)")
    folder = Path.join(System.tmp_dir!(), "bench-quality-#{System.pid()}")
    File.mkdir_p!(folder)
    [wav, said, heard] = for name <- ["said.wav", "said.s16", "heard"], do: Path.join(folder, name)
    {_, 0} = System.cmd("espeak-ng", ["-v", "en", "-s", "150", "-f", @text, "-w", wav])
    score = Bench.Program.start!([System.fetch_env!("BENCH_PYTHON"), "bench/portal/score.py", wav, said], %{})
    Bench.Program.said!(score, "said")

    names = for {path, _} <- @paths, network <- ["clean", "bad"], do: "#{network}-#{path}"
    in_order = for network <- ["clean", "bad"], {path, _} <- @paths, do: "#{network}-#{path}"
    held = in_order |> Enum.zip(told(["quality", said, heard], nil, in_order)) |> Map.new()

    for name <- names do
      Bench.Program.tell!(score, "#{heard}-#{name}.s16")
      [mean, least, other] = score |> Bench.Program.said!("score") |> String.split() |> Enum.map(&String.to_float/1)
      [network, path] = String.split(name, "-")
      {_, title} = List.keyfind!(@paths, path, 0)

      Bench.row(
        title <> if(network == "bad", do: ", bad network", else: ""),
        [
          {"PESQ mean", mean, ""},
          {"least", least, ""},
          {"zimtohrli", other, ""},
          {"buffered", held[name].delay_ms, "ms"}
        ]
      )
    end

    Bench.Program.stop!(score)
    File.rm_rf!(folder)
  end
end

defmodule Bench.Pictures.Anew do
  @moduledoc """
  What it would cost to encode JPEG worlds anew, for viewers who see no JPEG: one camera of such a recording as viewers.ex shows, decoded and encoded by FFmpeg's libraries (anew.py), 15 pictures a
  second at their times. CPU is of all the encoder's threads; the delay is from a whole JPEG to the whole picture in the other codec.
  """

  alias Bench.Portal.Program, as: Portal
  alias Bench.Program

  @seconds Bench.size(10, 1)

  def run(file) do
    Bench.title("Pictures: JPEGs of 640x360 at 15 a second, encoded anew (FFmpeg's libraries, for one camera)")

    for {codec, name} <- [{"libvpx", "VP8 (libvpx, realtime)"}, {"libx264", "H264 (x264, ultrafast)"}],
        threads <- [1, 2] do
      program =
        Program.start!([Program.python(), "bench/pictures/anew.py", file, codec, "#{threads}", "#{@seconds}"], %{})

      figures = Portal.figures(program, "anew")
      Program.stop!(program)

      Bench.row("#{name}, #{threads} threads", [
        {"CPU", 100 * figures.cpu_us / figures.took_us, "% of a core"},
        {"decoding", figures.decode_us / 1_000, "ms"},
        {"delay p50", figures.p50_us / 1_000, "ms"},
        {"p95", figures.p95_us / 1_000, "ms"},
        {"out", figures.bits / 1.0e6, "Mbit/s"}
      ])
    end
  end
end

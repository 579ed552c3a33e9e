defmodule Bench.Voice.Instructions do
  @moduledoc """
  What a frame costs in instructions, by callgrind: all that our process does for it in user space from `try_send_opus` to `sendto`,
  and from `recv` to whoever takes frames, with a timer and a turn of the reactor for each; beside its two AEAD operations alone, from
  the same crates. Counters are set to zero when everybody is in the call, and written out after the window.

  valgrind knows AES-NI and no VAES, so both are a little dearer here than on a newer processor.
  """

  alias Bench.Program
  alias Bench.VoiceServer, as: Server

  @window 10
  @bare 10_000

  def run do
    Bench.title("Voice: instructions a frame, end-to-end encrypted (callgrind)")
    folder = Path.join(System.tmp_dir!(), "bench-callgrind-#{System.pid()}")
    File.mkdir_p!(folder)
    server = Server.start!()

    programs =
      for {role, user} <- [{"speak", 2}, {"listen", 3}] do
        command = Server.sessions(server, "uro", "dave", role, user)
        program = Program.start!(callgrind(command, folder, role), Server.environment(server))
        Program.tell!(program, "sessions 1")
        program
      end

    for program <- programs, do: "1" = Program.said!(program, "sessions")
    [speaker, _listener] = programs
    Program.tell!(speaker, "speak")
    Process.sleep(1_000)
    for program <- programs, do: control!(program, "--zero")
    began = System.monotonic_time(:millisecond)
    %{frames: frames} = Server.window!(server, @window)
    for program <- programs, do: control!(program, "--dump")
    took = System.monotonic_time(:millisecond) - began
    # Setting to zero and writing out take their time too.
    frames = frames * took / (@window * 1_000)
    for program <- programs, do: Program.stop!(program)
    Server.stop!(server)

    for {name, role, way} <- [{"sending", "speak", "send"}, {"receiving", "listen", "receive"}] do
      ours = total(folder, role) / frames
      bare = bare(way, folder)

      Bench.row("#{name} a frame", [
        {"", ours, "instructions"},
        {"its two AEAD operations", bare, ""},
        {"", ours / bare, "times"}
      ])
    end

    File.rm_rf!(folder)
  end

  defp bare(way, folder) do
    command = callgrind([Program.rust("voice-bare"), way, "#{@bare}"], folder, way)
    program = Program.start!(command, %{})
    control!(program, "--zero")
    Program.go!(program)
    Program.said!(program, "done")
    control!(program, "--dump")
    Program.stop!(program)
    total(folder, way) / @bare
  end

  defp callgrind(command, folder, name),
    do: ["valgrind", "--quiet", "--tool=callgrind", "--callgrind-out-file=#{folder}/#{name}" | command]

  defp control!(program, what) do
    {output, 0} = System.cmd("callgrind_control", [what, "#{program.os_pid}"], stderr_to_stdout: true)
    unless output =~ "OK", do: raise(output)
  end

  # The dump that was asked for; the one at the end of the program has another name.
  defp total(folder, name) do
    [_, total] = Regex.run(~r/^totals: (\d+)$/m, File.read!("#{folder}/#{name}.1"))
    String.to_integer(total)
  end
end

defmodule Bench.Voice.Instructions do
  @moduledoc """
  What a frame costs in instructions, by callgrind: all that our process does for it in user space from `try_send_opus` to `sendto`,
  and from `recv` to whoever takes frames, with a timer and a turn of the reactor for each; beside its two AEAD operations alone, from
  the same crates. Counters are set to zero when everybody is in the call, and written out after the window.

  valgrind knows AES-NI and no VAES, so both are a little dearer here than on a newer processor.
  """

  alias Bench.Callgrind
  alias Bench.Program
  alias Bench.VoiceServer, as: Server

  @window 10
  @bare 10_000

  def run do
    Bench.title("Voice: instructions a frame, end-to-end encrypted (callgrind)")
    Callgrind.folder(&run/1)
  end

  defp run(folder) do
    server = Server.start!()

    programs =
      for {role, user} <- [{"speak", 2}, {"listen", 3}] do
        command = Server.sessions(server, "uro", "dave", role, user)
        program = Program.start!(Callgrind.command(command, "#{folder}/#{role}"), Server.environment(server))
        Program.tell!(program, "sessions 1")
        program
      end

    for program <- programs, do: "1" = Program.said!(program, "sessions")
    [speaker, _listener] = programs
    Program.tell!(speaker, "speak")
    Process.sleep(1_000)
    for program <- programs, do: Callgrind.zero!(program)
    began = System.monotonic_time(:millisecond)
    %{frames: frames} = Server.window!(server, @window)

    totals =
      for {program, role} <- Enum.zip(programs, ["speak", "listen"]), do: Callgrind.total!(program, "#{folder}/#{role}")

    took = System.monotonic_time(:millisecond) - began
    # Setting to zero and writing out take their time too.
    frames = frames * took / (@window * 1_000)
    for program <- programs, do: Program.stop!(program)
    Server.stop!(server)

    for {name, way, total} <- Enum.zip_with([["sending", "receiving"], ["send", "receive"], totals], &List.to_tuple/1) do
      ours = total / frames
      bare = bare(way, folder)

      Bench.row("#{name} a frame", [
        {"", ours, "instructions"},
        {"its two AEAD operations", bare, ""},
        {"", ours / bare, "times"}
      ])
    end
  end

  defp bare(way, folder) do
    file = "#{folder}/#{way}"
    program = Program.start!(Callgrind.command([Program.rust("voice-bare"), way, "#{@bare}"], file), %{})
    Callgrind.zero!(program)
    Program.go!(program)
    Program.said!(program, "done")
    total = Callgrind.total!(program, file)
    Program.stop!(program)
    total / @bare
  end
end

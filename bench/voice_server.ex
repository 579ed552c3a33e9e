defmodule Bench.VoiceServer do
  @moduledoc """
  The voice server of voice/program, and the programs with sessions against it. It measures when frames come: the kernel stamps
  each datagram as the sender hands it over.
  """

  alias Bench.Program

  @enforce_keys [:program, :endpoint, :ca_file]
  defstruct @enforce_keys

  @doc "Starts it, on this core and with priority if one is named."
  def start!(core \\ nil) do
    ca_file = Path.join(System.tmp_dir!(), "bench-voice-#{System.unique_integer([:positive])}.pem")
    program = Program.start!(pinned(core, [binary("voice-server"), ca_file]), %{})
    %__MODULE__{program: program, endpoint: "localhost:#{Program.said!(program, "port")}", ca_file: ca_file}
  end

  def stop!(server) do
    Program.stop!(server.program)
    File.rm!(server.ca_file)
  end

  @doc "The command of a program with sessions, each of which speaks or listens. Users 2 and 3 are in a channel, 4 and 5, and so on."
  def sessions(server, name, encryption, role, first_user),
    do: [binary("voice-#{name}"), server.endpoint, server.ca_file, encryption, role, "#{first_user}"]

  def environment(server), do: %{"SSL_CERT_FILE" => server.ca_file}

  def pinned(nil, command), do: command
  def pinned(core, command), do: ["taskset", "-c", "#{core}" | realtime() ++ command]

  # nice would not do: it counts within a session of the system's only (sched_autogroup). Not everybody may have it.
  defp realtime do
    case System.cmd("chrt", ["--rr", "1", "true"], stderr_to_stdout: true) do
      {_, 0} -> ["chrt", "--rr", "1"]
      _refused -> []
    end
  end

  def binary(name), do: Path.join([System.get_env("CARGO_TARGET_DIR", "target"), "release", name])

  @doc "Measures for so many seconds: streams, frames, late ones (by more than 5 ms), lost, thin (streams that had too few)."
  def window!(server, seconds) do
    Program.tell!(server.program, "window #{seconds}")

    for figure <- server.program |> Program.said!("window") |> String.split(), into: %{} do
      [name, number] = String.split(figure, "=")
      {String.to_atom(name), String.to_integer(number)}
    end
  end
end

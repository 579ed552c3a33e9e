defmodule Bench.VoiceServer do
  @moduledoc """
  The voice server of voice/program, and the programs with sessions against it. It measures when frames come: the kernel stamps
  each datagram as the sender hands it over.
  """

  alias Bench.Program

  @enforce_keys [:program, :endpoint, :ca_file]
  defstruct @enforce_keys

  @doc "Starts one without TLS, whose clients have been sent there by discord-sim."
  def start_plain!(core) do
    program = Program.start!(pinned(core, [Program.rust("voice-server"), "plain"]), %{})
    %__MODULE__{program: program, endpoint: "127.0.0.1:#{Program.said!(program, "port")}", ca_file: "plain"}
  end

  @doc "Starts it, on this core and with priority if one is named."
  def start!(core \\ nil) do
    ca_file = Path.join(System.tmp_dir!(), "bench-voice-#{System.unique_integer([:positive])}.pem")
    program = Program.start!(pinned(core, [Program.rust("voice-server"), ca_file]), %{})
    %__MODULE__{program: program, endpoint: "localhost:#{Program.said!(program, "port")}", ca_file: ca_file}
  end

  def stop!(server) do
    Program.stop!(server.program)
    if server.ca_file != "plain", do: File.rm!(server.ca_file)
  end

  @doc "The command of a program with sessions, each of which speaks or listens. Users 2 and 3 are in a channel, 4 and 5, and so on."
  def sessions(server, name, encryption, role, first_user),
    do: [Program.rust("voice-#{name}"), server.endpoint, server.ca_file, encryption, role, "#{first_user}"]

  def environment(server), do: %{"SSL_CERT_FILE" => server.ca_file}

  def pinned(nil, command), do: command
  def pinned(core, command), do: ["taskset", "-c", "#{core}" | realtime() ++ command]

  @doc "The same for a process that runs, and what it starts from now on."
  def pin!(core, os_pid) do
    {_, 0} = System.cmd("taskset", ["-a", "-c", "-p", "#{core}", "#{os_pid}"])
    if realtime() != [], do: {_, 0} = System.cmd("chrt", ["-a", "--rr", "-p", "1", "#{os_pid}"])
  end

  # nice would not do: it counts within a session of the system's only (sched_autogroup). Not everybody may have it.
  defp realtime do
    case System.cmd("chrt", ["--rr", "1", "true"], stderr_to_stdout: true) do
      {_, 0} -> ["chrt", "--rr", "1"]
      _refused -> []
    end
  end

  @doc "Measures for so many seconds: streams, frames, late ones (by more than 5 ms), lost, thin (streams that had too few)."
  def window!(server, seconds) do
    Program.tell!(server.program, "window #{seconds}")
    figures(Program.said!(server.program, "window"))
  end

  @doc "What a program counted: `name=number …`."
  def figures(told) do
    for figure <- String.split(told), into: %{} do
      [name, number] = String.split(figure, "=")
      {String.to_atom(name), String.to_integer(number)}
    end
  end
end

defmodule UroDiscord.RemoteBridge do
  @moduledoc """
  The bridge as a program that runs elsewhere and dials Uro, as whoever runs one starts it. It ends with the process that started it.
  """

  @enforce_keys [:port, :os_pid, :cookie_file]
  defstruct @enforce_keys

  @doc """
  Starts it, with the cookie in a file; `arguments` are those of the program beside the file. `within` is a command that runs it somewhere else.
  """
  def start!(cookie, arguments, within \\ []) do
    cookie_file = Path.join(System.tmp_dir!(), "cookie-#{System.pid()}-#{System.unique_integer([:positive])}")
    File.write!(cookie_file, cookie <> "\n")
    File.chmod!(cookie_file, 0o600)
    executable = Application.app_dir(:uro_discord, "priv/native/uro-discord-bridge")

    # What is said on stderr comes as lines; a shell is what joins it to stdout. When its stdin closes, which it does with us, it ends the bridge.
    script =
      ~S[exec 3<&0; "$@" 2>&1 </dev/null & child=$!; exec 2>/dev/null; echo "pid $child"; cat <&3 >/dev/null; kill -9 $child 2>/dev/null; wait $child]

    arguments = ["-c", script, "bridge"] ++ within ++ [executable, "--cookie-file", cookie_file | arguments]
    port = Port.open({:spawn_executable, "/bin/sh"}, [:binary, :exit_status, {:line, 4_096}, args: arguments])
    "pid " <> os_pid = line!(port, ~r/^pid /)
    %__MODULE__{port: port, os_pid: String.to_integer(os_pid), cookie_file: cookie_file}
  end

  @doc "The next line that it says on stderr which is like this; those before it are passed over."
  def said!(%__MODULE__{port: port}, like), do: line!(port, like)

  defp line!(port, like) do
    receive do
      {^port, {:data, {_whole, line}}} -> if line =~ like, do: line, else: line!(port, like)
      {^port, {:exit_status, status}} -> raise "the bridge ended with status #{status}"
    after
      15_000 -> raise "the bridge did not say #{inspect(like)}"
    end
  end

  @doc "Sends it a signal, such as STOP."
  def signal(%__MODULE__{os_pid: os_pid}, name), do: {_, 0} = System.cmd("kill", ["-#{name}", "#{os_pid}"])

  @doc "SIGKILL; returns when it is gone."
  def kill!(%__MODULE__{} = bridge) do
    signal(bridge, "KILL")
    stop(bridge)
    gone(bridge)
  end

  defp gone(%{os_pid: os_pid} = bridge) do
    if File.exists?("/proc/#{os_pid}") do
      Process.sleep(10)
      gone(bridge)
    end
  end

  def stop(%__MODULE__{port: port, cookie_file: cookie_file}) do
    if Port.info(port), do: Port.close(port)
    File.rm(cookie_file)
  end
end

defmodule UroDiscord.Bridge.Transport.Port do
  @moduledoc false
  # The bridge as an OS process of ours, with the frames on its stdin and stdout. It ends when its stdin closes, which is also
  # what the end of this VM does. Its stderr is ours, and carries panics only.

  import Kernel, except: [send: 2]

  @behaviour UroDiscord.Bridge.Transport

  alias UroDiscord.Native

  @enforce_keys [:port, :os_pid]
  defstruct @enforce_keys

  @type t :: %__MODULE__{port: port(), os_pid: pos_integer()}

  # A sound bridge ends within a second; this long on a machine under load.
  @farewell_ms 1_500
  @killed_ms 1_000

  # All that the bridge gets of our environment: it reads media of strangers, and a host's variables are full of secrets.
  @environment ~w(URO_DISCORD_LOG RUST_BACKTRACE SSL_CERT_FILE SSL_CERT_DIR TZ LANG LC_ALL)c

  @typedoc "nil: the executable that was built with this library, and as many workers as it thinks right."
  @type program :: %{executable: Path.t() | nil, media_workers: pos_integer() | nil}

  @doc "Starts the bridge."
  @impl true
  def open(%{executable: executable, media_workers: workers}) do
    path = executable || built()
    args = if workers, do: ["--media-workers", Integer.to_string(workers)], else: []
    # With limits the port would suspend its owner, or refuse what a bridge that is busy for a moment has yet to read.
    options = [:binary, :exit_status, :hide, args: args, busy_limits_port: :disabled, busy_limits_msgq: :disabled]
    port = Port.open({:spawn_executable, path}, [{:env, withheld()} | options])

    case Port.info(port, :os_pid) do
      {:os_pid, os_pid} -> {:ok, %__MODULE__{port: port, os_pid: os_pid}}
      nil -> {:error, "the bridge ended as it was started"}
    end
  rescue
    error in ErlangError -> {:error, "#{executable || built()}: #{:file.format_error(error.original)}"}
    error in ArgumentError -> {:error, "#{executable || built()}: #{Exception.message(error)}"}
  end

  defp withheld, do: for({name, _value} <- :os.env(), name not in @environment, do: {name, false})

  @impl true
  def heard(%{port: port}, {port, {:data, bytes}}), do: {:data, bytes}
  def heard(%{port: port}, {port, {:exit_status, status}}), do: {:ended, {:status, status}}
  # A write met a bridge that was gone already. Its exit status is lost then.
  def heard(%{port: port}, {:EXIT, port, :epipe}), do: {:ended, {:reason, "was gone when it was written to"}}
  def heard(_transport, _message), do: :unknown

  @impl true
  def send(%{port: port}, frame) do
    true = Port.command(port, frame)
    :ok
  rescue
    # The port closed before its exit status reached us; that message tells.
    ArgumentError -> :ok
  end

  @impl true
  def kill(transport) do
    kill_process(transport)
    close(transport)
  end

  @impl true
  def finish(%{port: port} = transport, stop) do
    :ok = send(transport, stop)

    unless ended?(port, @farewell_ms) do
      kill_process(transport)
      ended?(port, @killed_ms)
    end

    close(transport)
  end

  defp ended?(port, timeout) do
    receive do
      {^port, {:exit_status, _status}} -> true
      {:EXIT, ^port, :epipe} -> true
    after
      # A port that was closed before has told its end before.
      if(Port.info(port), do: timeout, else: 0) -> Port.info(port) == nil
    end
  end

  # The process id is another process's once ours has ended and the VM has seen it: while the port has it, it is ours.
  defp kill_process(%{port: port, os_pid: os_pid}) do
    if Port.info(port, :os_pid) == {:os_pid, os_pid}, do: Native.kill(os_pid), else: :ok
  end

  defp close(%{port: port}) do
    Port.close(port)
    :ok
  rescue
    # It has closed by itself.
    ArgumentError -> :ok
  end

  @impl true
  def os_pid(%{os_pid: os_pid}), do: os_pid

  defp built, do: Application.app_dir(:uro_discord, "priv/native/uro-discord-bridge")
end

defmodule UroDiscord.Bridge.Transport do
  @moduledoc false
  # The bridge as an OS process of ours: frames on its stdin and stdout, logs on its stderr. The process that opens it gets
  # `{port, {:data, bytes}}` and, at the end, `{port, {:exit_status, status}}`.

  alias UroDiscord.Bridge.Log

  @enforce_keys [:port, :os_pid, :log]
  defstruct @enforce_keys

  @type t :: %__MODULE__{port: port(), os_pid: pos_integer(), log: pid()}

  # What may wait in the port's queue for a bridge that is slow to read: low and high mark in bytes.
  @queue {65_536, 4 * 1024 * 1024}

  # How often it is looked whether a bridge has ended, and how many times.
  @farewell_ms 20
  @farewell_tries 75

  @doc "Starts the bridge: the one that was built with this library, or another."
  @spec open(Path.t() | nil) :: {:ok, t()} | {:error, String.t()}
  def open(executable) do
    with {:ok, log} <- Log.start_link(),
         {:ok, fifo} <- Log.fifo(log) do
      # The shell only opens the FIFO (both ways, which does not wait for a reader) and becomes the bridge; paths are
      # arguments, never part of the script.
      port =
        Port.open({:spawn_executable, "/bin/sh"}, [
          :binary,
          :exit_status,
          :hide,
          busy_limits_port: @queue,
          args: ["-c", ~S([ -p "$1" ] && exec "$0" 2<>"$1"), executable || built(), fifo]
        ])

      case Port.info(port, :os_pid) do
        {:os_pid, os_pid} ->
          {:ok, %__MODULE__{port: port, os_pid: os_pid, log: log}}

        nil ->
          Log.read(log)
          {:error, "the bridge ended as it was started"}
      end
    end
  end

  @doc "Queues a frame. `:busy` when the bridge does not read: it is hung, since it reads whatever else it does."
  @spec send(t(), iodata()) :: :ok | :busy
  def send(%__MODULE__{port: port}, frame) do
    if Port.command(port, frame, [:nosuspend]), do: :ok, else: :busy
  rescue
    # The port closed before its exit status reached us; that message tells.
    ArgumentError -> :ok
  end

  @doc "The bridge runs, so its log can be read."
  @spec up(t()) :: :ok
  def up(%__MODULE__{log: log}), do: Log.read(log)

  @doc "Closes its stdin, which a sound bridge takes for the order to end."
  @spec close(t()) :: :ok
  def close(%__MODULE__{port: port} = transport) do
    if Port.info(port), do: Port.close(port)
    up(transport)
  end

  @doc "Closes its stdin, and waits until it has ended: it closes its gateway before, and that takes less than a second."
  @spec finish(t()) :: :ok
  def finish(%__MODULE__{os_pid: os_pid} = transport) do
    close(transport)
    if not gone?(Integer.to_string(os_pid), @farewell_tries), do: kill(transport)
    :ok
  end

  defp gone?(os_pid, tries) do
    case System.cmd("kill", ["-0", os_pid], stderr_to_stdout: true) do
      {_, 0} when tries > 0 ->
        Process.sleep(@farewell_ms)
        gone?(os_pid, tries - 1)

      {_, status} ->
        status != 0
    end
  end

  @doc "Ends a bridge that does not react. Its exit status still comes."
  @spec kill(t()) :: :ok
  def kill(%__MODULE__{os_pid: os_pid}) do
    {_, _} = System.cmd("kill", ["-KILL", Integer.to_string(os_pid)], stderr_to_stdout: true)
    :ok
  end

  defp built, do: Application.app_dir(:uro_discord, "priv/native/uro-discord-bridge")
end

defmodule UroDiscord.Bridge.Log do
  @moduledoc false
  # The bridge's stderr as Logger events. A port carries stdout only, so stderr goes through a FIFO, and a `cat` of it is a
  # port of ours: it ends with the bridge, whichever way that ends.
  #
  # Opening one end of a FIFO waits for the other, and the VM may be killed in between. So the reader holds both ends until
  # it is told that the bridge has opened its own (or until our end of its stdin closes), and only then reads on to the end.

  use UroDiscord.Server
  require Logger
  alias UroDiscord.Native

  @reader ~S(exec 3<>"$0" 4<"$0"; read -r _; rm -f "$0"; exec cat <&4 3>&- 2>/dev/null)

  # A longer line comes in pieces, which are not JSON and are logged as they are.
  @line_limit 65_536

  @levels %{
    "error" => :error,
    "warn" => :warning,
    "info" => :info,
    "debug" => :debug,
    "trace" => :debug
  }

  @spec start_link() :: GenServer.on_start()
  def start_link, do: GenServer.start_link(__MODULE__, nil)

  @doc "The FIFO that the bridge's stderr is to be."
  @spec fifo(pid()) :: {:ok, Path.t()} | {:error, String.t()}
  def fifo(log), do: GenServer.call(log, :fifo)

  @doc "The bridge has opened the FIFO, or is over: read what there is, to the end."
  @spec read(pid()) :: :ok
  def read(log), do: GenServer.cast(log, :read)

  @impl true
  def init(nil) do
    # To remove the FIFO however early we are stopped.
    Process.flag(:trap_exit, true)
    fifo = Path.join(System.tmp_dir!(), "uro_discord-#{System.pid()}-#{System.unique_integer([:positive])}")
    {:ok, %{port: nil, fifo: fifo, reading: false}}
  end

  @impl true
  def handle_call(:fifo, _from, state) do
    case System.cmd("mkfifo", ["-m", "600", state.fifo], stderr_to_stdout: true) do
      {_, 0} -> {:reply, {:ok, state.fifo}, %{state | port: reader(state.fifo)}}
      {output, _} -> {:stop, :normal, {:error, String.trim(output)}, state}
    end
  end

  defp reader(fifo) do
    Port.open({:spawn_executable, "/bin/sh"}, [
      :binary,
      :exit_status,
      {:line, @line_limit},
      args: ["-c", @reader, fifo]
    ])
  end

  @impl true
  def handle_cast(:read, %{reading: true} = state), do: {:noreply, state}

  def handle_cast(:read, state) do
    Port.command(state.port, "\n")
    {:noreply, %{state | reading: true}}
  end

  @impl true
  def handle_info({port, {:data, {_end_of_line?, line}}}, %{port: port} = state) do
    log(line)
    {:noreply, state}
  end

  def handle_info({port, {:exit_status, _status}}, %{port: port} = state), do: {:stop, :normal, state}
  # A port's own end: the reader's, of which the exit status tells, or that of mkfifo.
  def handle_info({:EXIT, port, _reason}, state) when is_port(port), do: {:noreply, state}

  @impl true
  def terminate(_reason, state), do: File.rm(state.fifo)

  defp log(line) do
    case Native.json_decode(line) do
      {:ok, %{"level" => level, "target" => target, "message" => message} = entry}
      when is_map_key(@levels, level) ->
        fields = Map.get(entry, "fields", %{})

        Logger.log(@levels[level], fn -> "bridge: " <> text(message, fields) end,
          bridge: %{target: target, fields: fields}
        )

      # A panic, or something that is not the bridge.
      _ ->
        Logger.error("bridge: " <> if(String.valid?(line), do: line, else: inspect(line)))
    end
  end

  defp text(message, fields) when map_size(fields) == 0, do: message
  defp text(message, fields), do: message <> Enum.map_join(fields, &field/1)

  defp field({name, value}) when is_binary(value), do: " #{name}=#{value}"
  defp field({name, value}), do: " #{name}=#{inspect(value)}"
end

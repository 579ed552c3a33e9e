defmodule UroDiscord.Bridge.Log do
  @moduledoc false
  # The bridge's stderr as Logger events. A port carries stdout only, so stderr goes through a FIFO, and a `cat` of it is a
  # port of ours: it ends with the bridge, whichever way that ends.
  #
  # Opening one end of a FIFO waits for the other, and the VM may be killed in between. So the reader holds both ends until
  # it is told that the bridge has opened its own (or until our end of its stdin closes), and only then reads on to the end.

  use GenServer
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

  @doc "A FIFO of our own, for the stderr of one run of the bridge."
  @spec make_fifo() :: {:ok, Path.t()} | {:error, String.t()}
  def make_fifo do
    path =
      Path.join(
        System.tmp_dir!(),
        "uro_discord-#{System.pid()}-#{System.unique_integer([:positive])}"
      )

    case System.cmd("mkfifo", ["-m", "600", path], stderr_to_stdout: true) do
      {_, 0} -> {:ok, path}
      {output, _} -> {:error, String.trim(output)}
    end
  end

  @spec start_link(Path.t()) :: GenServer.on_start()
  def start_link(fifo), do: GenServer.start_link(__MODULE__, fifo)

  @doc "The bridge has opened the FIFO, or is over: read what there is, to the end."
  @spec read(pid()) :: :ok
  def read(log), do: GenServer.cast(log, :read)

  @impl true
  def init(fifo) do
    # To remove the FIFO also when the reader never came to run.
    Process.flag(:trap_exit, true)

    port =
      Port.open({:spawn_executable, "/bin/sh"}, [
        :binary,
        :exit_status,
        {:line, @line_limit},
        args: ["-c", @reader, fifo]
      ])

    {:ok, %{port: port, fifo: fifo, reading: false}}
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
  # The port's own end, of which the exit status tells.
  def handle_info({:EXIT, port, _reason}, %{port: port} = state), do: {:noreply, state}

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

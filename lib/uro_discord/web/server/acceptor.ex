defmodule UroDiscord.Web.Server.Acceptor do
  @moduledoc false
  # Takes connections from the listening socket, each to a process of its own. There is one acceptor, so that the room which
  # is made for a connection is not taken by another; it takes thousands a second.

  use Task, restart: :permanent

  alias UroDiscord.Web.Server.{Connection, Waiting}

  # How long a client waits for room at most. Those behind it would find none either.
  @patience_ms 1_000
  @pause_ms 2

  @spec start_link(:gen_tcp.socket()) :: {:ok, pid()}
  def start_link(listening), do: Task.start_link(__MODULE__, :accept, [listening])

  @doc false
  def accept(listening) do
    case :gen_tcp.accept(listening) do
      {:ok, socket} -> hand_over(socket, now() + @patience_ms)
      # The client has gone again.
      {:error, :econnaborted} -> :ok
      # No file descriptors: some are given back soon. Not a crash, which would be one for each connection.
      {:error, reason} when reason in [:emfile, :enfile] -> Process.sleep(100)
      {:error, reason} -> exit({:accept, reason})
    end

    accept(listening)
  end

  # Connections that have just begun are left alone, and the supervisor hears of an ended one a little later than we do: there may be
  # neither room nor anybody to make it, for a moment.
  defp hand_over(socket, deadline) do
    with :full <- start(socket),
         _ = Waiting.evict(),
         :full <- start(socket) do
      if now() < deadline do
        Process.sleep(@pause_ms)
        hand_over(socket, deadline)
      else
        :gen_tcp.send(socket, "HTTP/1.1 503 \r\ncontent-length: 0\r\nretry-after: 1\r\nconnection: close\r\n\r\n")
        :gen_tcp.close(socket)
      end
    end
  end

  defp start(socket) do
    case Task.Supervisor.start_child(Connection.Supervisor, Connection, :serve, [socket], shutdown: 5_000) do
      {:ok, pid} ->
        # If this fails the client has gone, and the connection finds out.
        _ = :gen_tcp.controlling_process(socket, pid)
        send(pid, {:yours, socket})
        :ok

      {:error, :max_children} ->
        :full
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end

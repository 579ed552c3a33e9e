defmodule UroDiscord.Web.Server.Acceptor do
  @moduledoc false
  # Takes connections from the listening socket, each to a process of its own. There is one acceptor, so that the room which
  # is made for a connection is not taken by another; it takes thousands a second.

  use Task, restart: :permanent

  alias UroDiscord.Web.Server.{Connection, Waiting}

  # The supervisor may hear of an ended connection a little later than we do.
  @tries 3

  @spec start_link(:gen_tcp.socket()) :: {:ok, pid()}
  def start_link(listening), do: Task.start_link(__MODULE__, :accept, [listening])

  @doc false
  def accept(listening) do
    case :gen_tcp.accept(listening) do
      {:ok, socket} -> hand_over(socket, @tries)
      # The client has gone again.
      {:error, :econnaborted} -> :ok
      # No file descriptors: some are given back soon. Not a crash, which would be one for each connection.
      {:error, reason} when reason in [:emfile, :enfile] -> Process.sleep(100)
      {:error, reason} -> exit({:accept, reason})
    end

    accept(listening)
  end

  defp hand_over(socket, 0) do
    :gen_tcp.send(socket, "HTTP/1.1 503 \r\ncontent-length: 0\r\nretry-after: 1\r\nconnection: close\r\n\r\n")
    :gen_tcp.close(socket)
  end

  defp hand_over(socket, tries) do
    case Task.Supervisor.start_child(Connection.Supervisor, Connection, :serve, [socket], shutdown: 5_000) do
      {:ok, pid} ->
        # If this fails the client has gone, and the connection finds out.
        _ = :gen_tcp.controlling_process(socket, pid)
        send(pid, {:yours, socket})

      {:error, :max_children} ->
        Waiting.evict()
        hand_over(socket, tries - 1)
    end
  end
end

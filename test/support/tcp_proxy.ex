defmodule UroDiscord.TcpProxy do
  @moduledoc """
  A port of loopback, or of another address, that leads to one of loopback, and can be closed for a while: connections are then refused, and those that
  there are end.
  """
  use GenServer
  import UroDiscord.FreePort

  @doc "Leads to `port`. Ends with whoever started it."
  @spec start_link(:inet.port_number(), :inet.ip4_address()) :: GenServer.on_start()
  def start_link(port, ip \\ {127, 0, 0, 1}), do: GenServer.start_link(__MODULE__, {port, ip})

  @spec port(pid()) :: :inet.port_number()
  def port(proxy), do: GenServer.call(proxy, :port)

  @doc "The URL with our port in place of that it leads to."
  @spec url(pid(), String.t()) :: String.t()
  def url(proxy, url), do: %{URI.parse(url) | port: GenServer.call(proxy, :port)} |> URI.to_string()

  @spec close(pid()) :: :ok
  def close(proxy), do: GenServer.call(proxy, :close)

  @spec open(pid()) :: :ok
  def open(proxy), do: GenServer.call(proxy, :open)

  @impl true
  def init({target, ip}), do: {:ok, serve(free_port(ip), target, ip)}

  @impl true
  def handle_call(:port, _from, state), do: {:reply, state.port, state}

  def handle_call(:close, _from, %{acceptor: acceptor} = state) do
    # The sockets are its own and its connections' own, and end with them.
    Process.unlink(acceptor)
    ref = Process.monitor(acceptor)
    Process.exit(acceptor, :shutdown)
    receive do: ({:DOWN, ^ref, :process, _, _} -> {:reply, :ok, %{state | acceptor: nil}})
  end

  def handle_call(:open, _from, %{acceptor: nil} = state), do: {:reply, :ok, serve(state.port, state.target, state.ip)}

  defp serve(port, target, ip) do
    proxy = self()

    acceptor =
      spawn_link(fn ->
        {:ok, listener} = :gen_tcp.listen(port, [:binary, ip: ip, active: false, reuseaddr: true])
        send(proxy, {:listening, self()})
        accept(listener, target)
      end)

    receive do: ({:listening, ^acceptor} -> %{port: port, target: target, ip: ip, acceptor: acceptor})
  end

  defp accept(listener, target) do
    {:ok, client} = :gen_tcp.accept(listener)
    connection = spawn_link(fn -> connection(target) end)
    :ok = :gen_tcp.controlling_process(client, connection)
    send(connection, {:client, client})
    accept(listener, target)
  end

  defp connection(target) do
    receive do
      {:client, client} ->
        {:ok, server} = :gen_tcp.connect({127, 0, 0, 1}, target, [:binary, active: true])
        :ok = :inet.setopts(client, active: true)
        pump(client, server)
    end
  end

  # Until either side has closed; closing the other is what the end of this process does.
  defp pump(client, server) do
    receive do
      {:tcp, ^client, data} -> forward(server, data, client, server)
      {:tcp, ^server, data} -> forward(client, data, client, server)
      {:tcp_closed, _} -> :ok
      {:tcp_error, _, _} -> :ok
    end
  end

  defp forward(to, data, client, server) do
    with :ok <- :gen_tcp.send(to, data), do: pump(client, server)
  end
end

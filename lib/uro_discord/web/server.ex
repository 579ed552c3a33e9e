defmodule UroDiscord.Web.Server do
  @moduledoc false
  # HTTP/1.1 for those without Phoenix: the routes of `UroDiscord.Web` under /discord. It is meant to stand behind what does
  # TLS, and holds its own in front of anybody: every wait has an end, every buffer a size, and the connections a number. When
  # that is reached, the one that has kept us waiting longest makes room.

  use Supervisor
  require Logger

  alias UroDiscord.ConfigError
  alias UroDiscord.Web.Server.{Acceptor, Connection, Waiting}

  # Each connection may hold a body: 512 KiB at most, and only for those who may post.
  @type options :: %{ip: :inet.ip_address(), port: :inet.port_number(), connections: pos_integer()}

  @spec start_link(options()) :: Supervisor.on_start()
  def start_link(options), do: Supervisor.start_link(__MODULE__, options, name: __MODULE__)

  @doc "Where it listens, or nil while it does not run."
  @spec url() :: String.t() | nil
  def url do
    with pid when is_pid(pid) <- Process.whereis(__MODULE__), do: :persistent_term.get({__MODULE__, :url}, nil)
  end

  @impl true
  def init(options) do
    # Opened here, by the supervisor: it is there as long as this is, whatever becomes of an acceptor.
    socket = listen(options)
    {:ok, {ip, port}} = :inet.sockname(socket)
    :persistent_term.put({__MODULE__, :url}, url(ip, port))
    Logger.info("HTTP is served at #{url(ip, port)}")

    connections = {Task.Supervisor, name: Connection.Supervisor, max_children: options.connections}
    Supervisor.init([Waiting, connections, {Acceptor, socket}], strategy: :one_for_one)
  end

  defp listen(%{ip: ip, port: port}) do
    family = if tuple_size(ip) == 8, do: :inet6, else: :inet

    options = [
      :binary,
      family,
      ip: ip,
      packet: :raw,
      active: false,
      reuseaddr: true,
      nodelay: true,
      backlog: 1024,
      # What is read at once; the rest waits in the client.
      buffer: 16 * 1024,
      send_timeout: 10_000,
      send_timeout_close: true
    ]

    case :gen_tcp.listen(port, options) do
      {:ok, socket} ->
        socket

      {:error, reason} ->
        raise ConfigError,
          problems: [
            %{
              key: :web,
              wrong: "#{:inet.ntoa(ip)} port #{port} cannot be listened on: #{:inet.format_error(reason)}",
              allowed: "an address of this machine, and a port that nobody else listens on",
              example: ~s|web: [port: 4001, ip: "127.0.0.1"]|
            }
          ]
    end
  end

  defp url(ip, port) do
    host = if tuple_size(ip) == 8, do: "[#{:inet.ntoa(ip)}]", else: "#{:inet.ntoa(ip)}"
    "http://#{host}:#{port}/discord"
  end
end

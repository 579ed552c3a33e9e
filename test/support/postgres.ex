defmodule UroDiscord.Postgres do
  @moduledoc """
  A PostgreSQL server for the tests: Debian's, on a free port of loopback, in a folder of its own, with fsync on.

  It starts when first asked for and serves the whole run. It cannot outlive the VM: the shell around it stops it, and
  removes the folder, when the VM's end of its stdin closes, however that came about.
  """
  use GenServer

  @start_timeout 60_000

  # Whoever runs initdb and postgres must not be root.
  @script """
  set -e
  folder=$1 port=$2 bin=$3
  as=; [ "$(id -u)" != 0 ] || { chown postgres "$folder"; as="setpriv --reuid=postgres --regid=postgres --clear-groups"; }
  trap 'rm -rf "$folder"' EXIT
  $as "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
  $as "$bin/postgres" -D "$folder/data" -h 127.0.0.1 -p "$port" -k "$folder" -c max_connections=200 -c deadlock_timeout=20ms >>"$folder/log" 2>&1 </dev/null &
  server=$!
  # By its own socket: at the port somebody else's may be ready.
  until "$bin/pg_isready" -q -h "$folder" -p "$port"; do
    kill -0 $server 2>/dev/null || { cat "$folder/log"; exit 1; }
    sleep 0.05
  done
  echo ready
  cat >/dev/null
  kill -INT $server
  wait $server || true
  """

  @doc "A new, empty database: the options that `UroDiscord.TestRepo.start_link/1` connects with."
  @spec database!() :: keyword()
  def database! do
    port = port!()
    name = "test_#{System.unique_integer([:positive])}"
    connection = connect!(connection_options("postgres", port))
    ["CREATE DATABASE"] = query(connection, "CREATE DATABASE #{name}")
    Process.exit(connection, :kill)
    connection_options(name, port)
  end

  # p1_pgsql is Debian's and no dependency of ours: the compiler would warn of calls to it, and Mix (since 1.15) takes it
  # from the code path.
  @doc "A connection, which is a process."
  @spec connect!(keyword()) :: pid()
  def connect!(options) do
    {:ok, connection} = apply(:pgsql, :connect, [options])
    # It joins what it receives anew for each packet: a blob of 9 MiB in packets of 1460 bytes takes it minutes.
    [reader] = linked(connection, &is_pid/1) -- [self()]
    [socket] = linked(reader, &is_port/1)
    :ok = :inet.setopts(socket, buffer: 4_194_304, recbuf: 4_194_304)
    connection
  end

  defp linked(pid, kind?), do: pid |> Process.info(:links) |> elem(1) |> Enum.filter(kind?)

  @doc "The results of each statement of a text, as p1_pgsql gives them."
  @spec query(pid(), String.t()) :: list()
  def query(connection, sql) do
    {:ok, results} = apply(:pgsql, :squery, [connection, sql])
    results
  end

  defp connection_options(database, port) do
    [
      host: ~c"127.0.0.1",
      port: port,
      user: ~c"postgres",
      password: ~c"",
      database: to_charlist(database),
      as_binary: true
    ]
  end

  defp port! do
    case GenServer.start(__MODULE__, nil, name: __MODULE__, timeout: @start_timeout) do
      {:ok, _pid} -> :ok
      {:error, {:already_started, _pid}} -> :ok
      {:error, reason} -> raise "PostgreSQL does not start:\n#{reason}"
    end

    GenServer.call(__MODULE__, :port)
  end

  @impl true
  def init(nil) do
    port = UroDiscord.FreePort.free_port()
    folder = Path.join(System.tmp_dir!(), "uro_discord_postgres_#{port}")

    with {:ok, bin} <- binaries() do
      File.mkdir_p!(folder)
      # The server's own user has to come in.
      File.chmod!(folder, 0o755)

      shell =
        Port.open({:spawn_executable, "/bin/sh"}, [
          :binary,
          :exit_status,
          :stderr_to_stdout,
          args: ["-c", @script, "postgres", folder, to_string(port), bin]
        ])

      started(shell, port, "")
    else
      {:error, reason} -> {:stop, reason}
    end
  end

  defp started(shell, port, said) do
    receive do
      {^shell, {:data, data}} ->
        said = said <> data

        if String.ends_with?(said, "ready\n"),
          do: {:ok, {shell, port}},
          else: started(shell, port, said)

      {^shell, {:exit_status, _status}} ->
        {:stop, said}
    end
  end

  @impl true
  def handle_call(:port, _from, {_shell, port} = state), do: {:reply, port, state}

  @impl true
  def handle_info({shell, {:exit_status, status}}, {shell, _port} = state),
    do: {:stop, {:postgres_ended, status}, state}

  def handle_info({shell, {:data, data}}, {shell, _port} = state) do
    IO.write(:stderr, data)
    {:noreply, state}
  end

  defp binaries do
    with [_ | _] = servers <- Path.wildcard("/usr/lib/postgresql/*/bin/postgres"),
         [_ | _] = drivers <- Path.wildcard("#{:code.lib_dir()}/p1_pgsql-*/ebin") do
      true = drivers |> List.last() |> Code.append_path()
      {:ok, servers |> List.last() |> Path.dirname()}
    else
      [] -> {:error, "it is not installed: apt-get install postgresql erlang-p1-pgsql"}
    end
  end
end

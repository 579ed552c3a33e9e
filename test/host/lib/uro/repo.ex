defmodule Uro.Repo do
  @moduledoc """
  A Repo of Ecto on Postgrex, as far as UroDiscord asks it, over Debian's driver. As with these its start does not wait for the database,
  and a query while that is away returns an error.
  """
  use GenServer
  alias UroDiscord.TestRepo

  def start_link(options \\ []), do: GenServer.start_link(__MODULE__, options, name: __MODULE__)

  def query(sql, parameters, options \\ []),
    do: with(:ok <- connected(), do: TestRepo.query(sql, parameters, options))

  def transaction(fun, options \\ []), do: with(:ok <- connected(), do: TestRepo.transaction(fun, options))
  defdelegate rollback(value), to: TestRepo
  defdelegate in_transaction?, to: TestRepo

  defp connected do
    case Process.whereis(TestRepo.Pool) || GenServer.call(__MODULE__, :connect) do
      pool when is_pid(pool) -> :ok
      {:error, error} -> {:error, error}
    end
  end

  @impl true
  def init(_options) do
    # Debian's, which is no dependency of anybody's.
    for ebin <- Path.wildcard("#{:code.lib_dir()}/p1_pgsql-*/ebin"), do: true = Code.append_path(ebin)
    Process.flag(:trap_exit, true)
    {:ok, nil}
  end

  @impl true
  def handle_call(:connect, _from, state) do
    answer =
      with uri when is_binary(uri) <- System.get_env("DATABASE_URL"),
           %URI{host: host, port: port, path: "/" <> database} = URI.parse(uri),
           options = [
             host: to_charlist(host),
             port: port,
             user: ~c"postgres",
             password: ~c"",
             database: to_charlist(database)
           ],
           {:ok, pool} <- TestRepo.start_link([as_binary: true] ++ options) do
        pool
      else
        _away -> {:error, %DBConnection.ConnectionError{message: "connection not available"}}
      end

    {:reply, answer, state}
  end

  @impl true
  def handle_info({:EXIT, _pool, _reason}, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, _state), do: if(pool = Process.whereis(TestRepo.Pool), do: GenServer.stop(pool))
end

defmodule UroDiscord.Stores do
  @moduledoc "A store of each kind, empty and of the current version, for a test."

  alias UroDiscord.{DiscordSim, Postgres, Store, TestRepo}
  alias UroDiscord.Store.Schema

  @doc "Opens it; it ends with the test."
  @spec open!(:sqlite | :postgres) :: Store.t()
  def open!(:sqlite) do
    path = Path.join(DiscordSim.scratch(), "store-#{System.unique_integer([:positive])}.sqlite3")
    {:ok, store} = Store.open({:sqlite, path})
    store
  end

  def open!(:postgres) do
    [repo: repo] = options!(:postgres)
    {:ok, store} = Store.open({:repo, repo})
    store
  end

  @doc "What `UroDiscord` is started with to have it."
  @spec options!(:sqlite | :postgres) :: keyword()
  def options!(:sqlite), do: []

  def options!(:postgres) do
    database = Postgres.database!()
    connection = Postgres.connect!(database)
    for sql <- Schema.up(:postgres, 0), do: [_] = Postgres.query(connection, sql)
    Process.exit(connection, :kill)
    ExUnit.Callbacks.start_supervised!({TestRepo, database})
    [repo: TestRepo]
  end
end

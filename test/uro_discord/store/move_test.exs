defmodule UroDiscord.Store.MoveTest do
  use UroDiscord.Case
  import ExUnit.CaptureLog
  alias UroDiscord.{Clock, Config, Error, Keys, Postgres, Store, TestRepo}
  alias UroDiscord.Store.{Advice, Move, NodeId}

  doctest Advice

  setup do
    file = Path.join(DiscordSim.scratch(), "move-#{System.unique_integer([:positive])}.sqlite3")
    File.mkdir_p!(DiscordSim.scratch())
    {:ok, from} = Store.open({:sqlite, file})
    %{database: file, from: from}
  end

  defp rows(store, sql, parameters \\ []) do
    {:ok, [%{rows: rows}]} = Store.run(store, [{sql, parameters}], :read)
    rows
  end

  # What the file itself says there is.
  defp columns(store) do
    for [table] <-
          rows(
            store,
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'uro_discord_schema' ORDER BY name"
          ) do
      {table, rows(store, "SELECT name, type FROM pragma_table_info('#{table}')")}
    end
  end

  defp value("TEXT", n), do: "text #{n} é"
  defp value("INTEGER", _n), do: 0
  defp value("BLOB", n), do: {:blob, <<0, 255, n>>}

  # Rows in each table, as many as make several batches of them.
  defp fill!(store, table, columns, count) do
    names = Enum.map_join(columns, ", ", &hd/1)
    places = Enum.map_join(1..length(columns), ", ", &"$#{&1}")

    statements =
      for n <- 1..count,
          do: {"INSERT INTO #{table} (#{names}) VALUES (#{places})", for([_name, type] <- columns, do: value(type, n))}

    {:ok, _} = Store.run(store, statements, :write)
  end

  defp content(store, columns) do
    for {table, columns} <- columns,
        do: {table, store |> rows("SELECT #{Enum.map_join(columns, ", ", &hd/1)} FROM #{table}") |> Enum.sort()}
  end

  defp repo! do
    start_supervised!({TestRepo, Postgres.database!()})
    for sql <- Store.Schema.up(:postgres, 0), do: {:ok, _} = TestRepo.query(sql, [])
    {:ok, store} = Store.open({:repo, TestRepo})
    for {table, _columns} <- tables(), do: {:ok, _} = TestRepo.query("DELETE FROM #{table}", [])
    store
  end

  defp tables do
    {:ok, empty} =
      Store.open({:sqlite, Path.join(DiscordSim.scratch(), "empty-#{System.unique_integer([:positive])}.sqlite3")})

    columns(empty)
  end

  test "every table of the schema moves, and what is there stays", %{from: from} do
    to = repo!()
    columns = columns(from)
    assert length(columns) > 10
    for {table, columns} <- columns, do: fill!(from, table, columns, if(table == "uro_discord_files", do: 3, else: 450))
    assert {:ok, counts} = Move.content(from)
    assert Enum.map(counts, &elem(&1, 0)) == Enum.map(columns, &elem(&1, 0))
    assert {:ok, moved} = Move.copy(from, to)
    assert for(%{table: table, moved: count, there: 0} <- moved, do: {table, count}) == counts
    assert content(to, columns) == content(from, columns)
    # Again, and nothing is twice.
    assert {:ok, moved} = Move.copy(from, to)
    assert for(%{table: table, moved: 0, there: count} <- moved, do: {table, count}) == counts
    assert content(to, columns) == content(from, columns)
  end

  test "a file that a node works with is refused, until that has gone", %{from: from} do
    to = repo!()

    lease = fn owner ->
      {"INSERT INTO uro_discord_gateway (bot_id, owner, fence, lease_until) VALUES ('1', $1, 1, $2)",
       [owner, Clock.local() + 60_000]}
    end

    {:ok, _} = Store.run(from, [lease.(NodeId.name())], :write)
    assert {:error, %Error{kind: :busy} = error} = Move.copy(from, to)
    assert Exception.message(error) =~ "stop every UroDiscord"
    {:ok, _} = Store.run(from, [{"DELETE FROM uro_discord_gateway", []}, lease.("")], :write)
    assert {:ok, _moved} = Move.copy(from, to)
  end

  test "a node says at its start what is left behind, and the task moves it", %{database: file, from: from} do
    to = repo!()
    config = Config.new!(enabled: false, repo: TestRepo, database: file)
    assert Advice.advice(config) == []
    {:ok, key} = Keys.new("ci", [channels: ["*"]], %{store: from, config: config})
    assert [advice] = Advice.advice(config)
    assert advice =~ "keys 1" and advice =~ "mix uro_discord.store.move"

    log =
      capture_log(fn ->
        start_uro_discord!(start_sim!(), repo: TestRepo, database: file)
        UroDiscord.unsubscribe(:status)
        stop_supervised!(UroDiscord)
      end)

    assert log =~ "is not seen any more" and log =~ "mix uro_discord.store.move"

    for {option, value} <- [repo: TestRepo, database: file], do: Application.put_env(:uro_discord, option, value)
    on_exit(fn -> for option <- [:repo, :database], do: Application.delete_env(:uro_discord, option) end)
    Mix.shell(Mix.Shell.Process)
    on_exit(fn -> Mix.shell(Mix.Shell.IO) end)
    Mix.Tasks.UroDiscord.Store.Move.run([])
    assert_received {:mix_shell, :info, ["keys: 1 moved"]}
    assert [["ci"]] = rows(to, "SELECT name FROM uro_discord_keys")
    assert is_binary(key)
    # Nothing of it is sent twice, and nothing is said any more.
    refute File.exists?(file)
    assert File.regular?(file <> ".moved")
    assert Advice.advice(config) == []
    assert_raise Mix.Error, ~r/there is no file/, fn -> Mix.Tasks.UroDiscord.Store.Move.run([]) end
    {:ok, moved} = Store.open({:sqlite, file <> ".moved"})
    assert [["ci"]] = rows(moved, "SELECT name FROM uro_discord_keys")
  end

  test "a file that cannot be read is said to be there", %{database: file} do
    other = file <> ".other"
    File.write!(other, String.duplicate("no database", 1_000))
    assert [advice] = Advice.advice(Config.new!(enabled: false, repo: TestRepo, database: other))
    assert advice =~ "cannot be read"
  end

  test "the task without a Repo says what to do", %{database: file} do
    Application.put_env(:uro_discord, :database, file)
    on_exit(fn -> Application.delete_env(:uro_discord, :database) end)
    assert_raise Mix.Error, ~r/config :uro_discord, repo:/, fn -> Mix.Tasks.UroDiscord.Store.Move.run([]) end
    assert_raise Mix.Error, ~r/usage/, fn -> Mix.Tasks.UroDiscord.Store.Move.run(["--to", "x"]) end
  end
end

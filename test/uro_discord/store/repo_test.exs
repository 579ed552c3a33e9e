Code.require_file("conformance.ex", __DIR__)

defmodule UroDiscord.Store.RepoTest do
  use UroDiscord.Store.Conformance, async: false

  alias UroDiscord.{Postgres, TestRepo}
  alias UroDiscord.Store.Schema

  @tables ~w(uro_discord_outbox uro_discord_files uro_discord_channels)

  setup_all do
    database = Postgres.database!()
    folder = Path.join(System.tmp_dir!(), "uro_discord_migrations_#{database[:port]}")
    Mix.Task.rerun("uro_discord.gen.migration", ["--repo-path", folder])
    on_exit(fn -> File.rm_rf!(folder) end)
    %{database: database, folder: folder}
  end

  setup %{database: database, folder: folder} do
    start_supervised!({TestRepo, database})
    migration = folder |> migrations() |> Enum.concat()
    for {up, _down} <- migration, do: {:ok, _} = TestRepo.query(up, [])
    {:ok, store} = Store.open({:repo, TestRepo})
    for table <- @tables, do: {:ok, _} = TestRepo.query("DELETE FROM #{table}", [])
    %{store: store, migration: migration}
  end

  # Ecto is not here to run them. What it would run is what `execute/2` is given.
  defp migrations(folder) do
    for file <- Path.wildcard("#{folder}/migrations/*.exs") do
      {_, statements} =
        file
        |> File.read!()
        |> Code.string_to_quoted!()
        |> Macro.prewalk([], fn
          {:execute, _, [up, down]} = call, found -> {call, [{up, down} | found]}
          other, found -> {other, found}
        end)

      Enum.reverse(statements)
    end
  end

  describe "the migration" do
    test "is written once", %{folder: folder} do
      before = File.ls!(Path.join(folder, "migrations"))
      assert length(before) == length(Schema.versions())

      for {name, version} <- Enum.zip(Enum.sort(before), Schema.versions()),
          do: assert(name =~ ~r/^\d{14}_uro_discord_v#{version}\.exs$/)

      Mix.Task.rerun("uro_discord.gen.migration", ["--repo-path", folder])
      assert File.ls!(Path.join(folder, "migrations")) == before
    end

    test "is what the store asks for, and can be undone", %{migration: migration} do
      for {_up, down} <- Enum.reverse(migration), do: {:ok, _} = TestRepo.query(down, [])
      tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
      assert {:ok, %{rows: []}} = TestRepo.query(tables, [])

      assert {:error, %Error{kind: :schema, message: message}} = Store.open({:repo, TestRepo})
      assert message =~ "TestRepo"
      assert message =~ "mix uro_discord.gen.migration" and message =~ "mix ecto.migrate"

      # It stopped half way, and is run again.
      for {up, _down} <- Enum.take(migration, 3), do: {:ok, _} = TestRepo.query(up, [])
      assert {:error, %Error{kind: :schema}} = Store.open({:repo, TestRepo})
      for {up, _down} <- migration, do: {:ok, _} = TestRepo.query(up, [])
      assert {:ok, _store} = Store.open({:repo, TestRepo})
    end

    test "of a new version keeps what waits", %{migration: migration} do
      for {_up, down} <- Enum.reverse(migration), do: {:ok, _} = TestRepo.query(down, [])
      [version_3 | _] = for {up, _down} <- migration, up =~ "ADD COLUMN", do: up
      {older, newer} = Enum.split_while(migration, fn {up, _down} -> up != version_3 end)
      for {up, _down} <- older, do: {:ok, _} = TestRepo.query(up, [])
      {sql, parameters} = insert("1")
      {:ok, _} = TestRepo.query(sql, parameters)
      assert {:error, %Error{kind: :schema}} = Store.open({:repo, TestRepo})
      for {up, _down} <- newer, do: {:ok, _} = TestRepo.query(up, [])
      assert {:ok, store} = Store.open({:repo, TestRepo})
      assert read!(store, "SELECT id, producer FROM uro_discord_outbox") == [["1", "host"]]
    end

    test "by a newer uro_discord is respected" do
      {:ok, _} = TestRepo.query("INSERT INTO uro_discord_schema (version) VALUES (1000)", [])
      assert {:error, %Error{kind: :schema, message: message}} = Store.open({:repo, TestRepo})
      assert message =~ "version 1000"
      {:ok, _} = TestRepo.query("DELETE FROM uro_discord_schema WHERE version = 1000", [])
    end
  end

  test "a module that is no Repo, and a Repo that does not run, are errors" do
    for module <- [NoSuchModule, String] do
      assert {:error, %Error{kind: :invalid, message: message}} = Store.open({:repo, module})
      assert message =~ inspect(module)
    end

    stop_supervised!(TestRepo)
    assert {:error, %Error{kind: :unavailable, message: message}} = Store.open({:repo, TestRepo})
    assert message =~ "TestRepo"
  end

  test "a batch inside the host's transaction is part of it", %{store: store} do
    assert {:error, :changed_my_mind} =
             TestRepo.transaction(fn ->
               write!(store, [insert("1"), insert("2")])
               assert ids(store) == ["1", "2"]
               TestRepo.rollback(:changed_my_mind)
             end)

    assert ids(store) == []
    assert {:ok, _} = TestRepo.transaction(fn -> write!(store, [insert("1"), insert("2")]) end)
    assert ids(store) == ["1", "2"]

    # A batch that fails there fails the transaction: PostgreSQL takes nothing more in it.
    assert {:error, :rollback} =
             TestRepo.transaction(fn ->
               assert error_kind(store, [insert("3"), insert("1")]) == :conflict
               assert error_kind(store, insert("4")) == :unavailable
             end)

    assert ids(store) == ["1", "2"]
  end

  test "deadlocks are tried again", %{store: store} do
    write!(store, for(id <- ["a", "b"], do: insert(id, expires_at: 0)))
    add = "UPDATE uro_discord_outbox SET expires_at = expires_at + 1 WHERE id = $1"
    # While it sleeps, the other takes the row that this one wants next.
    sleep = {"SELECT CAST(pg_sleep(0.05) AS TEXT)", []}

    concurrently(4, fn number ->
      [first, second] = if rem(number, 2) == 0, do: ["a", "b"], else: ["b", "a"]
      for _ <- 1..5, do: write!(store, [{add, [first]}, sleep, {add, [second]}])
    end)

    assert read!(store, "SELECT expires_at FROM uro_discord_outbox") == [[20], [20]]
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert {:ok, %{rows: [[count]]}} = TestRepo.query(deadlocks, [])
    assert count > 0
  end

  test "serialization failures are tried again", %{database: database} do
    stop_supervised!(TestRepo)
    # As CockroachDB always is.
    start_supervised!({TestRepo, [isolation: "serializable"] ++ database})
    {:ok, store} = Store.open({:repo, TestRepo})
    write!(store, insert("a", expires_at: 0))
    read = {"SELECT expires_at FROM uro_discord_outbox WHERE id = 'a'", []}
    add = {"UPDATE uro_discord_outbox SET expires_at = expires_at + 1 WHERE id = 'a'", []}

    # A few each: who loses again and again gives up after 2.5 s, and on a busy machine all of them together must take less.
    concurrently(4, fn _ -> for _ <- 1..5, do: write!(store, [read, add]) end)
    assert read!(store, elem(read, 0)) == [[20]]
  end

  test "an error does not show parameters", %{store: store} do
    statement = insert("1", position: "hunter2")
    assert {:error, %Error{kind: :statement, message: message}} = Store.run(store, [statement], :write)
    assert message =~ "INSERT INTO uro_discord_outbox" and not (message =~ "hunter2")
  end

  test "a lost connection is an error, and the next one works", %{store: store} do
    write!(store, insert("1"))
    cut = {"SELECT CAST(pg_terminate_backend(pg_backend_pid()) AS TEXT)", []}
    assert error_kind(store, cut) == :unavailable
    assert error_kind(store, [insert("2"), cut]) == :unavailable
    assert ids(store) == ["1"]
  end
end

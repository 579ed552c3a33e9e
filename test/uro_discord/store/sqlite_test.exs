Code.require_file("conformance.ex", __DIR__)

defmodule UroDiscord.Store.SQLiteTest do
  use UroDiscord.Store.Conformance, async: true
  alias UroDiscord.Store.Schema

  setup do
    folder = Path.join(System.tmp_dir!(), "uro_discord_store_#{System.unique_integer([:positive])}")

    on_exit(fn -> File.rm_rf!(folder) end)
    path = Path.join([folder, "data", "uro.db"])
    {:ok, store} = Store.open({:sqlite, path})
    %{store: store, path: path, folder: folder}
  end

  defp refused(path) do
    assert {:error, %Error{kind: kind, message: message}} = Store.open({:sqlite, path})
    assert message =~ path
    {kind, message}
  end

  test "is there when it is opened again", %{store: store, path: path} do
    write!(store, insert("1"))
    {:ok, again} = Store.open({:sqlite, path})
    assert ids(again) == ["1"]
    write!(again, insert("2"))
    assert ids(store) == ["1", "2"]
    assert read!(store, "SELECT version FROM uro_discord_schema ORDER BY version") == Enum.map(Schema.versions(), &[&1])
  end

  test "can be made by many at once", %{folder: folder} do
    path = Path.join(folder, "new.db")

    concurrently(8, fn number ->
      {:ok, store} = Store.open({:sqlite, path})
      write!(store, insert("#{number}"))
    end)

    {:ok, store} = Store.open({:sqlite, path})
    assert length(ids(store)) == 8
  end

  # As the version before this one left it, with a notification that waits.
  defp of_version_2(folder) do
    path = Path.join(folder, "old.db")
    {:ok, database} = UroDiscord.Native.store_open(path)
    statements = for version <- [1, 2], {up, _down} <- Schema.statements(:sqlite, version), do: {up, []}
    {:ok, _} = UroDiscord.Store.SQLite.run(database, statements ++ [insert("1")], :write)
    path
  end

  test "an older one is brought up to date, and what waits in it is kept", %{folder: folder} do
    {:ok, store} = folder |> of_version_2() |> then(&Store.open({:sqlite, &1}))

    assert read!(store, "SELECT id, status, producer, publish_at FROM uro_discord_outbox") == [
             ["1", "queued", "host", nil]
           ]

    assert read!(store, "SELECT version FROM uro_discord_schema ORDER BY version") == Enum.map(Schema.versions(), &[&1])
  end

  test "an older one is brought up to date by many at once", %{folder: folder} do
    path = of_version_2(folder)
    concurrently(8, fn _ -> assert {:ok, _store} = Store.open({:sqlite, path}) end)
    {:ok, store} = Store.open({:sqlite, path})
    assert ids(store) == ["1"]
  end

  test "is not opened by an older uro_discord than made it", %{store: store, path: path} do
    write!(store, {"INSERT INTO uro_discord_schema (version) VALUES (1000)", []})
    assert {:schema, message} = refused(path)
    assert message =~ "version 1000" and message =~ "newer uro_discord"
  end

  test "says why it cannot be opened", %{folder: folder} do
    garbage = Path.join(folder, "garbage.db")
    File.write!(garbage, String.duplicate("no database ", 1000))
    assert {:corrupt, _} = refused(garbage)
    assert {:unavailable, _} = refused(folder)
    assert {:unavailable, _} = refused(Path.join(garbage, "uro.db"))
    assert {:unavailable, _} = refused("/proc/uro/uro.db")
  end

  test "takes no other modes, and no other parameters", %{store: store} do
    assert_raise FunctionClauseError, fn -> Store.run(store, [], :delete) end

    for parameter <- [:atom, {:blob, 1}, [], %{}, 2 ** 64, <<1::1>>] do
      assert error_kind(store, insert("1", body: parameter)) == :invalid
    end

    assert error_kind(store, :not_a_statement) == :statement
    assert error_kind(store, [{"SELECT 1"}]) == :statement
    assert {:error, %Error{kind: :statement}} = Store.run(store, [insert("1")], :read)
    assert ids(store) == []
  end

  test "copies nothing large while a scheduler waits", %{store: {_adapter, database}} do
    blob = {:blob, :binary.copy(<<7>>, 9 * 1024 * 1024)}
    text = String.duplicate("x", 1024 * 1024)
    statements = [{"SELECT LENGTH($1), LENGTH($2)", [blob, text]} | List.duplicate(insert("1", body: text), 9)]

    call = fn ->
      ref = make_ref()
      {time, :ok} = :timer.tc(fn -> UroDiscord.Native.store_run(database, ref, statements, :write) end)
      assert_receive {:uro_discord_store, ^ref, {:error, %{kind: :conflict}}}, 10_000
      time
    end

    {:blob, bytes} = blob
    copy = fn -> elem(:timer.tc(fn -> :binary.copy(bytes) end), 0) end

    # The fastest of some, as the thread that it wakes may take the core from it. It handed over twice as much as is copied here.
    assert Enum.min(for _ <- 1..30, do: call.()) < Enum.min(for _ <- 1..30, do: copy.())
  end
end

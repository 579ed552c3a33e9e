defmodule UroDiscord.KeysTest do
  use ExUnit.Case, async: false
  alias UroDiscord.{Config, Error, Keys, Postgres, Store, TestRepo}

  @config Config.new!(enabled: false, channels: [builds: "1100000000000000001", releases: "1100000000000000002"])

  setup context do
    %{place: %{store: store(context[:store]), config: @config}}
  end

  defp store(:postgres) do
    start_supervised!({TestRepo, Postgres.database!()})
    for sql <- Store.Schema.up(:postgres, 0), do: {:ok, _} = TestRepo.query(sql, [])
    {:ok, store} = Store.open({:repo, TestRepo})
    store
  end

  defp store(_sqlite) do
    path = Path.join(UroDiscord.DiscordSim.scratch(), "keys-#{System.unique_integer([:positive])}.sqlite3")
    {:ok, store} = Store.open({:sqlite, path})
    store
  end

  defp new!(place, options \\ [channels: ["builds"]]) do
    {:ok, key} = Keys.new("ci", options, place)
    key
  end

  defp state(place, key) do
    with {:ok, %Keys{state: state}} <- Keys.find(place.store, key), do: state
  end

  defp at_once(count, fun) do
    1..count |> Enum.map(fn _ -> Task.async(fun) end) |> Task.await_many(30_000)
  end

  for store <- [:sqlite, :postgres] do
    describe "in #{store}" do
      @describetag store: store

      test "a key is found by itself, and by nothing else", %{place: place} do
        key = new!(place)

        assert {:ok, %Keys{name: "ci", channels: ["builds"], per_minute: 60, state: :active}} =
                 Keys.find(place.store, key)

        <<"urod_", id::binary-size(12), "_", secret::binary>> = key
        other = "urod_#{id}_#{String.reverse(secret)}"

        for wrong <- [
              other,
              key <> "A",
              String.slice(key, 0..-2//1),
              String.upcase(key),
              "",
              "urod_",
              String.duplicate("x", 61)
            ],
            do: assert(Keys.find(place.store, wrong) == :error)

        # What is no text is not asked of the database.
        assert Keys.find(place.store, "urod_" <> :binary.copy(<<0xFF>>, 12) <> "_" <> secret) == :error
        assert Keys.find(place.store, "urod_" <> :binary.copy(<<0>>, 12) <> "_" <> secret) == :error
      end

      test "what is stored is not the key", %{place: %{store: store} = place} do
        key = new!(place)
        {:ok, [%{rows: [row]}]} = Store.run(store, [{"SELECT * FROM uro_discord_keys", []}], :read)
        <<_prefix::binary-size(18), secret::binary>> = key
        refute inspect(row) =~ secret
        assert Enum.member?(row, Base.encode16(:crypto.hash(:sha256, key), case: :lower))
      end

      test "a name has one key, until it is revoked", %{place: place} do
        key = new!(place)
        assert {:error, %Error{field: "name", message: message}} = Keys.new("ci", [channels: ["*"]], place)
        assert message =~ "rotate or revoke"
        assert Keys.revoke("ci", place) == :ok
        assert state(place, key) == :revoked
        assert {:error, %Error{field: "name"}} = Keys.revoke("ci", place)
        assert {:error, %Error{field: "name"}} = Keys.rotate("ci", [], place)
        assert state(place, new!(place)) == :active
        assert state(place, key) == :revoked
        assert {:ok, [%{state: :revoked}, %{state: :active}]} = Keys.list(place)
      end

      test "a rotated key is good for a while beside the new one, which is like it", %{place: place} do
        first = new!(place, channels: ["builds", "1100000000000000009"], per_minute: 7)
        {:ok, second} = Keys.rotate("ci", [overlap_ms: 60_000], place)
        assert [:active, :active] = [state(place, first), state(place, second)]
        assert {:ok, %Keys{channels: ["builds", "1100000000000000009"], per_minute: 7}} = Keys.find(place.store, second)

        {:ok, third} = Keys.rotate("ci", [overlap_ms: 0], place)
        assert [:expired, :expired, :active] = Enum.map([first, second, third], &state(place, &1))
        assert Keys.revoke("ci", place) == :ok
        assert [:expired, :expired, :revoked] = Enum.map([first, second, third], &state(place, &1))
      end

      test "of eight who make or rotate the same key at once, what is left is one current key", %{place: place} do
        made = at_once(8, fn -> Keys.new("ci", [channels: ["*"]], place) end)
        assert [{:ok, key}] = Enum.filter(made, &match?({:ok, _}, &1))
        assert state(place, key) == :active

        rotated = at_once(8, fn -> Keys.rotate("ci", [overlap_ms: 0], place) end)
        keys = for {:ok, key} <- rotated, do: key
        assert keys != []
        assert Enum.count(keys, &(state(place, &1) == :active)) == 1
        assert state(place, key) == :expired
      end
    end
  end

  test "what is asked for is checked", %{place: place} do
    for {name, options, field} <- [
          {"CI", [channels: ["*"]], "name"},
          {"", [channels: ["*"]], "name"},
          {String.duplicate("a", 65), [channels: ["*"]], "name"},
          {"ci", [], "channels"},
          {"ci", [channels: []], "channels"},
          {"ci", [channels: ["nowhere"]], "channels"},
          {"ci", [channels: ["builds", "*"]], "channels"},
          {"ci", [channels: ["*"], per_minute: 0], "per_minute"}
        ] do
      assert {:error, %Error{kind: :invalid, field: ^field}} = Keys.new(name, options, place)
    end

    assert {:error, error} = Keys.new("ci", [channels: ["nowhere"]], place)
    assert Exception.message(error) =~ "there: :builds, :releases"
  end

  test "without UroDiscord there are none" do
    assert {:error, %Error{kind: :not_started}} = Keys.list()
  end

  describe "mix uro_discord.keys" do
    setup do
      path = Path.join(UroDiscord.DiscordSim.scratch(), "key-task-#{System.unique_integer([:positive])}.sqlite3")
      Mix.shell(Mix.Shell.Process)
      before = Application.get_all_env(:uro_discord)
      Application.put_all_env(uro_discord: [database: path, channels: [builds: "1100000000000000001"]])

      on_exit(fn ->
        Mix.shell(Mix.Shell.IO)
        for {key, _value} <- Application.get_all_env(:uro_discord), do: Application.delete_env(:uro_discord, key)
        Application.put_all_env(uro_discord: before)
      end)

      {:ok, store} = Store.open({:sqlite, path})
      %{store: store}
    end

    defp key_task([task | arguments]) do
      Mix.Task.rerun("uro_discord.keys.#{task}", arguments)
      assert_received {:mix_shell, :info, [text]}
      text
    end

    test "makes, lists, rotates and revokes keys in the configured store", %{store: store} do
      text = key_task(["new", "ci", "--channels", "builds,1100000000000000009", "--per-minute", "5"])
      key = text |> String.split("\n") |> List.last()
      assert {:ok, %Keys{channels: ["builds", "1100000000000000009"], per_minute: 5}} = Keys.find(store, key)

      assert key_task(["rotate", "ci", "--overlap", "0s"]) =~ "urod_"
      assert {:ok, %Keys{state: :expired}} = Keys.find(store, key)
      assert key_task(["list"]) =~ ~r/^ci: expired, until .*; builds,1100000000000000009; 5 a minute; made /
      assert_received {:mix_shell, :info, ["ci: active; " <> _]}
      assert key_task(["revoke", "ci"]) == "ci is revoked"
    end

    test "says what is wrong" do
      for {arguments, message} <- [
            {["new"], "usage: mix uro_discord.keys.new NAME"},
            {["list", "ci"], "usage: mix uro_discord.keys.list"},
            {["new", "ci"], "channels: must name"},
            {["new", "ci", "--chanels", "builds"], "--chanels is not understood"},
            {["rotate", "ci"], "there is no key"},
            {["rotate", "ci", "--overlap", "soon"], "--overlap soon is not a time"},
            {["revoke", "ci"], "there is no key"}
          ] do
        error = assert_raise Mix.Error, fn -> key_task(arguments) end
        assert error.message =~ message
      end
    end
  end

  # One transaction is held open until the other waits for it.
  defp while_open(first, second) do
    test = self()

    open =
      Task.async(fn ->
        TestRepo.transaction(fn ->
          result = first.()
          send(test, :done)
          receive do: (:commit -> result)
        end)
      end)

    assert_receive :done, 5_000
    waiting = Task.async(second)
    wait_for_lock()
    send(open.pid, :commit)
    {:ok, result} = Task.await(open)
    {result, Task.await(waiting)}
  end

  defp wait_for_lock do
    {:ok, %{rows: [[waiting]]}} =
      TestRepo.query("SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'", [])

    if waiting == 0, do: Process.sleep(20) && wait_for_lock()
  end

  @tag store: :postgres
  test "a key that is made anew while its name is revoked does not outlive that", %{place: place} do
    first = new!(place)
    {{:ok, second}, :ok} = while_open(fn -> Keys.rotate("ci", [], place) end, fn -> Keys.revoke("ci", place) end)
    assert {state(place, first), state(place, second)} == {:revoked, :revoked}

    third = new!(place)
    revoked = while_open(fn -> Keys.revoke("ci", place) end, fn -> Keys.rotate("ci", [], place) end)
    assert {:ok, {:error, %Error{kind: :invalid}}} = revoked
    assert state(place, third) == :revoked
    {:ok, keys} = Keys.list(place)
    assert Enum.all?(keys, &(&1.state == :revoked))
  end
end

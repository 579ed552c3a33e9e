defmodule UroDiscord.Accounts.TurnsTest do
  @moduledoc false
  # One after the other, here and among nodes, in both stores. Another node is what it wrote.

  use UroDiscord.Case
  alias UroDiscord.Accounts.{Applied, Changes, Plan, Turns}
  alias UroDiscord.{Clock, Error, Postgres, Runtime, Store, TestDirectory, TestRepo}
  alias UroDiscord.Store.Schema

  doctest Changes.Hint

  for store <- [:sqlite, :postgres] do
    describe "#{store}:" do
      setup do
        options = options(unquote(store)) ++ TestDirectory.accounts(poll: 3_600_000)
        start_sim!() |> start_uro_discord!(options)
        {:ok, %{store: store}} = Runtime.fetch()
        %{store: store}
      end

      test "of many who want it one has it, and all get it", %{store: store} do
        counter = :counters.new(2, [])

        1..20
        |> Enum.map(fn n ->
          Task.async(fn ->
            Turns.run("member", fn ->
              :counters.add(counter, 1, 1)
              assert :counters.get(counter, 1) == 1
              Process.sleep(2)
              :counters.sub(counter, 1, 1)
              :counters.add(counter, 2, 1)
              n
            end)
          end)
        end)
        |> Task.await_many()
        |> then(&assert &1 == Enum.to_list(1..20))

        assert :counters.get(counter, 2) == 20
        # Nothing is left behind.
        assert {:ok, [%{rows: []}]} = Store.run(store, [{"SELECT name FROM uro_discord_account_locks", []}], :read)
      end

      test "who does not wait is told that somebody is at it" do
        test = self()
        hold = fn -> send(test, :held) && receive(do: (:go_on -> :done)) end
        holder = Task.async(fn -> Turns.if_free("member", hold) end)
        assert_receive :held
        assert Turns.if_free("member", fn -> :mine end) == :busy
        assert Turns.if_free("another", fn -> :free end) == :free
        send(holder.pid, :go_on)
        assert Task.await(holder) == :done
        assert eventually(fn -> Turns.if_free("member", fn -> :mine end) == :mine end)
      end

      test "who crashes, or is killed, gives it back; and others' names are others' turns" do
        Process.flag(:trap_exit, true)
        test = self()

        holder =
          spawn_link(fn ->
            Turns.run("member", fn ->
              send(test, :held)
              Process.sleep(:infinity)
            end)
          end)

        assert_receive :held
        assert Turns.run("another", fn -> :free end) == :free
        waiting = Task.async(fn -> Turns.run("member", fn -> :mine end) end)
        refute Task.yield(waiting, 100)
        Process.exit(holder, :kill)
        # Its lease is this node's own.
        assert Task.await(waiting) == :mine

        assert {{%RuntimeError{}, _}, _} =
                 catch_exit(Task.await(Task.async(fn -> Turns.run("member", fn -> raise "x" end) end)))

        assert Turns.run("member", fn -> :again end) == :again
      end

      test "another node's is waited for", %{store: store} do
        elsewhere =
          {"INSERT INTO uro_discord_account_locks (name, owner, fence, lease_until) VALUES ($1, $2, 3, $3)",
           ["member", "elsewhere/1/2", Clock.local() + 60_000]}

        {:ok, _} = Store.run(store, [elsewhere], :write)
        waiting = Task.async(fn -> Turns.run("member", fn -> :mine end) end)
        refute Task.yield(waiting, 300)
        {:ok, _} = Store.run(store, [{"DELETE FROM uro_discord_account_locks", []}], :write)
        assert Task.await(waiting) == :mine
      end

      test "of a node that is gone, whose clock was wrong, it is taken when it was watched for long enough", %{
        store: store
      } do
        elsewhere =
          {"INSERT INTO uro_discord_account_locks (name, owner, fence, lease_until) VALUES ($1, $2, 3, $3)",
           ["member", "elsewhere/1/2", Clock.local() + 86_400_000]}

        {:ok, _} = Store.run(store, [elsewhere], :write)
        watching = spawn(fn -> Turns.run("member", fn -> :mine end) end)
        assert eventually(fn -> Runtime.lookup({:account_watch, "member"}) end)
        Process.exit(watching, :kill)
        # As if that had been 200 s ago.
        {row, since} = Runtime.lookup({:account_watch, "member"})
        Runtime.put({:account_watch, "member"}, {row, since - 200_000})
        assert Task.await(Task.async(fn -> Turns.run("member", fn -> :mine end) end)) == :mine
        assert Runtime.lookup({:account_watch, "member"}) == nil
      end

      test "what a node had when it ended is others' at once, and what nobody wants is forgotten", %{store: store} do
        test = self()

        sql =
          "INSERT INTO uro_discord_account_locks (name, owner, fence, lease_until) VALUES ('old', 'a', 1, $1), ('new', 'b', 1, $2)"

        {:ok, _} = Store.run(store, [{sql, [Clock.local() - 86_400_001, Clock.local() - 86_000_000]}], :write)
        :ok = Turns.sweep(store)

        {:ok, _pid} =
          Task.Supervisor.start_child(UroDiscord.Accounts.TaskSupervisor, fn ->
            Turns.run("member", fn ->
              send(test, :held)
              Process.sleep(:infinity)
            end)
          end)

        assert_receive :held
        :ok = Supervisor.stop(UroDiscord.Domain.supervisor(:accounts))

        assert {:ok, [%{rows: [["new"]]}]} =
                 Store.run(store, [{"SELECT name FROM uro_discord_account_locks", []}], :read)
      end

      test "who has lost his turn to another node writes nothing of it", %{store: store} do
        # Rows go, and their fences begin anew.
        lost = {"UPDATE uro_discord_account_locks SET owner = $1", ["elsewhere/1/2"]}
        :ok = Applied.put(store, "100", "8", Plan.nothing_applied())

        Turns.run("100/7", fn turn ->
          assert turn.until > System.monotonic_time(:millisecond)
          assert :ok = Applied.put(store, "100", "7", %{Plan.nothing_applied() | roles_set: ["1"]}, turn)
          {:ok, _} = Store.run(store, [lost], :write)

          assert {:error, %Error{kind: :conflict}} = Applied.put(store, "100", "7", Plan.nothing_applied(), turn)
          assert {:error, %Error{kind: :conflict}} = Applied.delete(store, "100", "8", turn)
        end)

        assert {:ok, %{roles_set: ["1"]}} = Applied.get(store, "100", "7")
        assert {:ok, %{roles_set: []}} = Applied.get(store, "100", "8")
        # The row is the other node's.
        assert {:ok, [%{rows: [["100/7"]]}]} =
                 Store.run(store, [{"SELECT name FROM uro_discord_account_locks", []}], :read)
      end

      test "what was set of members is kept, and what nobody is linked to is found", %{store: store} do
        applied = %{Plan.nothing_applied() | nick_set: "Ada", nick_before: "x", roles_set: ["1", "2"]}
        :ok = Applied.put(store, "100", "7", applied)
        :ok = Applied.put(store, "100", "8", Plan.nothing_applied())
        assert Applied.get(store, "100", "7") == {:ok, applied}
        assert {:ok, %{"7" => _, "8" => _} = found} = Applied.of(store, "100", Enum.map(1..1_200, &to_string/1))
        assert map_size(found) == 2
        :ok = Applied.put(store, "100", "7", %{applied | altered: {"a", "b"}})
        assert {:ok, %{altered: {"a", "b"}}} = Applied.get(store, "100", "7")
        assert Applied.ids(store, "100") |> elem(1) |> Enum.sort() == ["7", "8"]
        assert {:ok, orphans} = Applied.orphans(store)
        assert orphans == [{"100", "7"}, {"100", "8"}]
        assert Applied.orphans(store, {"100", "7"}) == {:ok, [{"100", "8"}]}
        :ok = Applied.delete(store, "100", "7")
        assert Applied.get(store, "100", "7") == {:ok, nil}
      end
    end
  end

  test "without a UroDiscord that runs it is an error" do
    assert {:error, %Error{kind: :unavailable}} = Turns.run("member", fn -> :never end)
  end

  defp options(:sqlite), do: []

  defp options(:postgres) do
    start_supervised!({TestRepo, Postgres.database!()})
    for sql <- Schema.up(:postgres, 0), do: {:ok, _} = TestRepo.query(sql, [])
    [repo: TestRepo]
  end
end

defmodule UroDiscord.Accounts.Tasks.CursorTest do
  use ExUnit.Case, async: false
  alias UroDiscord.Accounts.Links
  alias UroDiscord.Accounts.Tasks.{Cursor, Tally}
  alias UroDiscord.{Error, Store, Stores}
  alias UroDiscord.Store.NodeId

  # A database takes a second to make.
  setup_all do
    %{stores: %{sqlite: Stores.open!(:sqlite), postgres: Stores.open!(:postgres)}}
  end

  setup %{stores: stores, store: kind} do
    tables = ["uro_discord_task_cursors", "uro_discord_links"]
    {:ok, _} = Store.run(stores[kind], for(table <- tables, do: {"DELETE FROM #{table}", []}), :write)
    %{store: stores[kind]}
  end

  defp at(store, milliseconds) do
    {:ok, [%{num_rows: 1}]} =
      Store.run(store, [{"UPDATE uro_discord_task_cursors SET progress = $1", [milliseconds]}], :write)
  end

  for store <- [:sqlite, :postgres] do
    describe "in #{store}" do
      @describetag store: store

      test "a run goes on where the one before it ended, with its counts", %{store: store} do
        assert {:ok, %{begun: :new, cursor: nil, fence: 1} = first} = Cursor.take(store, :groups, "dead/1/1", 7)
        tally = Tally.add(%Tally{}, "u1", [:changed, {:failed, "a reason"}])
        assert :ok = Cursor.keep(store, first, "100", tally, 7)
        assert :ok = Cursor.release(store, first)

        assert {:ok, %{begun: :goes_on, cursor: "100", tally: ^tally, fence: 2} = second} =
                 Cursor.take(store, :groups, "b", 7)

        assert second.started_at == first.started_at
        assert :ok = Cursor.finish(store, second, tally, 7)
        assert {:ok, %{finished_at: at}} = Cursor.last(store, :groups)
        assert_in_delta at, System.os_time(:millisecond), 60_000
        assert {:ok, %{begun: :new, cursor: nil, tally: %Tally{looked: 0}}} = Cursor.take(store, :groups, "b", 7)
        # Another task has a cursor of its own.
        assert {:ok, %{started_at: nil, finished_at: nil}} = Cursor.last(store, :all)
      end

      test "who waits for another's end does not run it again", %{store: store} do
        assert {:ok, first} = Cursor.take(store, :all, NodeId.name(), 7)
        assert {:held, watch} = Cursor.take(store, :all, "other", 7)
        assert :ok = Cursor.keep(store, first, "5", %Tally{looked: 5}, 7)
        assert :ok = Cursor.finish(store, first, %Tally{looked: 9}, 7)
        assert {:error, %Error{kind: :busy, message: message}} = Cursor.take(store, :all, "other", 7, watch)
        assert message =~ "to its end"
        # Whoever comes later has waited for nobody.
        assert {:ok, %{begun: :new}} = Cursor.take(store, :all, "another", 7)
      end

      test "of two one has it, and who has lost it writes nothing", %{store: store} do
        us = NodeId.name()
        assert {:ok, first} = Cursor.take(store, :all, us, 7)
        assert {:held, watch} = Cursor.take(store, :all, "other", 7)
        assert {:held, ^watch} = Cursor.take(store, :all, "other", 7, watch)
        assert :ok = Cursor.keep(store, first, "5", %Tally{looked: 5}, 7)
        assert {:held, seen} = Cursor.take(store, :all, "other", 7, watch)
        # It was renewed before our eyes.
        assert elem(seen, 0) != elem(watch, 0)

        assert {:ok, %{begun: :goes_on, cursor: "5"}} = Cursor.take(store, :all, us, 7)
        assert {:error, %Error{kind: :conflict}} = Cursor.keep(store, first, "1", %Tally{}, 7)
        assert {:error, %Error{kind: :conflict}} = Cursor.finish(store, first, %Tally{}, 7)
        assert {:ok, %{finished_at: nil}} = Cursor.last(store, :all)
      end

      test "what a VM that was killed has left is taken up at once", %{store: store} do
        gone = gone()
        assert {:ok, first} = Cursor.take(store, :all, gone, 7)
        assert :ok = Cursor.keep(store, first, "5", %Tally{looked: 5}, 7)
        assert {:ok, %{begun: :goes_on, cursor: "5"}} = Cursor.take(store, :all, NodeId.name(), 7)
      end

      test "it begins anew with another configuration, after a day, and when asked", %{store: store} do
        for {again, why} <- [
              {fn -> Cursor.take(store, :all, "us", 8) end, "configuration"},
              {fn -> Cursor.take(store, :all, "us", 7, nil, restart: true) end, "asked"},
              {fn ->
                 at(store, ~s({"tally":{"looked":5},"settings":7,"at":#{System.os_time(:millisecond) - 86_500_000}}))
                 Cursor.take(store, :all, "us", 7)
               end, "day"}
            ] do
          assert {:ok, taken} = Cursor.take(store, :all, "us", 7)
          assert :ok = Cursor.keep(store, taken, "5", %Tally{looked: 5}, 7)
          assert {:ok, %{begun: {:anew, reason}, cursor: nil, tally: %Tally{looked: 0}} = taken} = again.()
          assert reason =~ why
          assert :ok = Cursor.finish(store, taken, %Tally{}, 7)
        end
      end

      test "links come in the order of Discord's numbers", %{store: store} do
        ids = ~w(99999999999999999 100000000000000000 1000000000000000000 18446744073709551615)
        for id <- Enum.shuffle(ids), do: {:ok, :new, _link} = Links.put(store, "u" <> id, id, "@x")
        assert {:ok, links} = Links.page(store, nil, 1_000)
        assert Enum.map(links, & &1.discord_id) == ids
        assert {:ok, links} = Links.page(store, "100000000000000000", 1_000)
        assert Enum.map(links, & &1.discord_id) == Enum.drop(ids, 2)

        assert :ok = Links.put_usernames(store, for(id <- Enum.take(ids, 2), do: {id, "@new"}))
        assert {:ok, links} = Links.page(store, nil, 1_000)
        assert Enum.map(links, & &1.username) == ["@new", "@new", "@x", "@x"]
      end
    end
  end

  # The name of a VM that has ended: this one's, of another process that is not there.
  defp gone do
    {pid, 0} = System.cmd("sh", ["-c", "echo $$"])
    [place, _pid, started] = String.split(NodeId.name(), "/")
    Enum.join([place, String.trim(pid), started], "/")
  end
end

defmodule UroDiscord.Store.LeaseTest do
  @moduledoc false
  # Leases in both stores. How long they last is an argument, and other nodes' clocks are what they wrote.

  use UroDiscord.Case
  alias UroDiscord.{Clock, Postgres, Store, TestRepo}
  alias UroDiscord.Store.{Lease, Schema}

  doctest Lease

  @hours 3 * 3_600_000
  @kind %{table: "uro_discord_channels", key: "channel_id", ms: 400}

  for store <- [:sqlite, :postgres] do
    describe "#{store}" do
      setup do
        %{store: store!(unquote(store))}
      end

      test "one whose holder's clock was hours ahead when it died is free as soon as any other", %{store: store} do
        write!(store, "elsewhere/1/2", 7, Clock.local() + @hours)
        began = System.monotonic_time(:millisecond)
        assert {:held, watch} = Lease.claim(store, @kind, "c", "us", nil)
        assert {:ok, 8, []} = claim(store, watch)
        assert (System.monotonic_time(:millisecond) - began) in 400..5_000
      end

      test "one that is renewed is held, however wrong its holder's clock is", %{store: store} do
        write!(store, "elsewhere/1/2", 7, Clock.local() + @hours)
        {:held, watch} = Lease.claim(store, @kind, "c", "us", nil)

        watch =
          Enum.reduce(1..8, watch, fn n, watch ->
            Process.sleep(div(@kind.ms, 4))
            write!(store, "elsewhere/1/2", 7, Clock.local() + @hours + n)
            assert {:held, watch} = Lease.claim(store, @kind, "c", "us", watch)
            watch
          end)

        assert {:ok, 8, []} = claim(store, watch)
      end

      test "one that is over by the clock needs no watching", %{store: store} do
        write!(store, "elsewhere/1/2", 7, Clock.local() - 6_000)
        assert {:ok, 8, []} = Lease.claim(store, @kind, "c", "us", nil)
      end

      test "one of many gets it, and whoever lost it changes nothing", %{store: store} do
        write!(store, "", 0, 0)

        results =
          1..8
          |> Enum.map(fn n -> Task.async(fn -> Lease.claim(store, @kind, "c", "node #{n}", nil) end) end)
          |> Task.await_many()

        assert [{:ok, 1, []}] = Enum.filter(results, &match?({:ok, _, _}, &1))
        # The holder dies, and another one takes it.
        assert {:ok, [%{num_rows: 1}]} = Store.run(store, [Lease.renewal(@kind, "c", 1)], :write)
        {:held, watch} = Lease.claim(store, @kind, "c", "us", nil)
        assert {:ok, 2, []} = claim(store, watch)
        assert {:ok, [%{num_rows: 0}]} = Store.run(store, [Lease.renewal(@kind, "c", 1)], :write)
        assert :ok = Lease.release(store, @kind, "c", 1)
        assert {:held, _} = Lease.claim(store, @kind, "c", "another", nil)
        assert :ok = Lease.release(store, @kind, "c", 2)
        assert {:ok, 3, []} = Lease.claim(store, @kind, "c", "another", nil)
      end
    end
  end

  # Watches until it is free.
  defp claim(store, watch) do
    case Lease.claim(store, @kind, "c", "us", watch) do
      {:held, watch} -> Process.sleep(20) && claim(store, watch)
      result -> result
    end
  end

  defp write!(store, owner, fence, until) do
    sql = """
    INSERT INTO uro_discord_channels (channel_id, owner, fence, lease_until) VALUES ('c', $1, $2, $3)
    ON CONFLICT (channel_id) DO UPDATE SET owner = excluded.owner, fence = excluded.fence, lease_until = excluded.lease_until
    """

    {:ok, _} = Store.run(store, [{sql, [owner, fence, until]}], :write)
  end

  defp store!(:sqlite) do
    folder = Path.join(System.tmp_dir!(), "uro_discord_lease_#{System.unique_integer([:positive])}")
    on_exit(fn -> File.rm_rf!(folder) end)
    {:ok, store} = Store.open({:sqlite, Path.join(folder, "uro.db")})
    store
  end

  defp store!(:postgres) do
    start_supervised!({TestRepo, Postgres.database!()})
    for sql <- Schema.up(:postgres, 0), do: {:ok, _} = TestRepo.query(sql, [])
    {:ok, store} = Store.open({:repo, TestRepo})
    store
  end
end

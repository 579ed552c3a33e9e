defmodule UroDiscord.Accounts.StatesTest do
  use ExUnit.Case, async: false

  alias UroDiscord.Accounts.States
  alias UroDiscord.{Store, Stores}

  @ada "1100000000000000901"
  @login %{session: "of this browser", user_id: "u1", discord_id: nil, verifier: "v", return_to: "/settings"}

  defp count(store) do
    {:ok, [%{rows: [[count]]}]} = Store.run(store, [{"SELECT COUNT(*) FROM uro_discord_link_states", []}], :read)
    count
  end

  defp let_all_expire(store) do
    {:ok, _} = Store.run(store, [{"UPDATE uro_discord_link_states SET expires_at = 1", []}], :write)
  end

  # One that was asked for so many seconds ago.
  defp personal(store, seconds) do
    with {:ok, token} <- States.personal(store, @ada) do
      sql = "UPDATE uro_discord_link_states SET expires_at = expires_at - $1 WHERE hash = $2"
      {:ok, _} = Store.run(store, [{sql, [1_000 * seconds, States.hash(token)]}], :write)
      {:ok, token}
    end
  end

  for adapter <- [:sqlite, :postgres] do
    describe "in #{adapter}" do
      @describetag adapter: adapter
      setup %{adapter: adapter}, do: %{store: Stores.open!(adapter)}

      test "a login goes on once, in its browser, by its user", %{store: store} do
        {:ok, state} = States.begin(store, @login)
        assert States.random?(state)
        assert States.take(store, state, "of another browser", "u1") == :error
        assert States.take(store, state, "of this browser", "u2") == :error
        assert States.take(store, States.random(), "of this browser", "u1") == :error
        assert States.take_personal(store, state) == :error
        # None of these has cost him his login.
        assert States.take(store, state, "of this browser", "u1") == {:ok, @login}
        assert States.take(store, state, "of this browser", "u1") == :error
      end

      test "of many who bring a state at once, one goes on", %{store: store} do
        {:ok, state} = States.begin(store, @login)

        taken =
          1..8
          |> Task.async_stream(fn _ -> States.take(store, state, "of this browser", "u1") end, max_concurrency: 8)
          |> Enum.map(fn {:ok, answer} -> answer end)

        assert Enum.count(taken, &(&1 == {:ok, @login})) == 1
        assert Enum.count(taken, &(&1 == :error)) == 7
      end

      test "what is secret is kept as a hash", %{store: store} do
        {:ok, state} = States.begin(store, @login)
        {:ok, token} = States.personal(store, @ada)

        {:ok, [%{rows: rows}]} = Store.run(store, [{"SELECT hash FROM uro_discord_link_states", []}], :read)
        assert Enum.sort(rows) == Enum.sort([[States.hash(state)], [States.hash(token)]])
      end

      test "a personal link is good once, and is no state", %{store: store} do
        {:ok, token} = States.personal(store, @ada)
        assert States.take(store, token, "of this browser", "u1") == :error
        assert States.take_personal(store, token) == {:ok, @ada}
        assert States.take_personal(store, token) == :error

        # Of one account the newest two are: who asks once more, or clicks where one must be linked, may have the other open.
        {:ok, old} = personal(store, 3)
        {:ok, other} = States.personal(store, "1100000000000000902")
        {:ok, before} = personal(store, 2)
        {:ok, new} = personal(store, 1)
        assert States.take_personal(store, old) == :error
        assert States.take_personal(store, before) == {:ok, @ada}
        assert States.take_personal(store, new) == {:ok, @ada}
        assert {:ok, _} = States.take_personal(store, other)
      end

      test "what is over is over, and goes with what comes", %{store: store} do
        {:ok, state} = States.begin(store, @login)
        {:ok, token} = States.personal(store, @ada)
        let_all_expire(store)
        assert States.take(store, state, "of this browser", "u1") == :error
        assert States.take_personal(store, token) == :error
        assert count(store) == 2
        {:ok, _} = States.begin(store, @login)
        assert count(store) == 1
      end
    end
  end
end

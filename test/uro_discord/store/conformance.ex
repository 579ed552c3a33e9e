defmodule UroDiscord.Store.Conformance do
  @moduledoc """
  What every store does, in the same words. A test module that uses this gives `:store`, empty, in its context.
  """

  use ExUnit.CaseTemplate
  import ExUnit.Assertions
  alias UroDiscord.{Error, Store}

  @insert """
  INSERT INTO uro_discord_outbox
    (id, channel_id, position, status, body, crosspost, accepted_at, expires_at, message_id)
  VALUES ($1, $2, $3, 'queued', $4, 0, 1, $5, $6)
  """

  @doc "A statement that stores a message."
  def insert(id, options \\ []) do
    channel = Keyword.get(options, :channel, "1")
    position = Keyword.get(options, :position, 1)
    body = Keyword.get(options, :body, "{}")
    {@insert, [id, channel, position, body, options[:expires_at], options[:message_id]]}
  end

  def write!(store, statements) do
    assert {:ok, answers} = Store.run(store, List.wrap(statements), :write)
    answers
  end

  @doc "The rows of one statement that reads."
  def read!(store, sql, parameters \\ []) do
    assert {:ok, [%{rows: rows, num_rows: num_rows}]} = Store.run(store, [{sql, parameters}], :read)

    assert num_rows == length(rows)
    rows
  end

  def ids(store),
    do: store |> read!("SELECT id FROM uro_discord_outbox ORDER BY id") |> Enum.concat()

  def error_kind(store, statements) do
    assert {:error, %Error{kind: kind, message: message}} = Store.run(store, List.wrap(statements), :write)

    assert is_binary(message) and message != ""
    kind
  end

  @doc "What each of `count` processes returns, all at it at once."
  def concurrently(count, fun) do
    1..count
    |> Enum.map(fn number -> Task.async(fn -> fun.(number) end) end)
    |> Task.await_many(60_000)
  end

  using do
    quote do
      import UroDiscord.Store.Conformance
      alias UroDiscord.{Error, Store}

      @channel "INSERT INTO uro_discord_channels (channel_id, owner, fence, lease_until) VALUES ($1, $2, 0, 0)"

      describe "values" do
        test "come back as they went in", %{store: store} do
          texts = [
            "",
            "plain",
            "quote ' \" \\ ''",
            "\n\t\r",
            "héllo 👋 👩‍🚀",
            String.duplicate("長", 100_000)
          ]

          numbers = [nil, 0, -1, 2 ** 63 - 1, -(2 ** 63)]

          for {text, at} <- Enum.with_index(texts), number <- numbers do
            id = "#{at}/#{number}"
            options = [body: text, message_id: text, expires_at: number]
            assert [%{rows: [], num_rows: 1}] = write!(store, insert(id, options))
            sql = "SELECT body, message_id, expires_at FROM uro_discord_outbox WHERE id = $1"
            assert read!(store, sql, [id]) == [[text, text, number]]
          end

          write!(store, insert("null"))
          sql = "SELECT message_id, error FROM uro_discord_outbox WHERE id = 'null'"
          assert read!(store, sql) == [[nil, nil]]
          float = "SELECT CAST($1 AS DOUBLE PRECISION), CAST($2 AS DOUBLE PRECISION)"
          assert read!(store, float, [0.1, -1.0e300]) == [[0.1, -1.0e300]]
        end

        test "may be any bytes, 9 MiB of them too", %{store: store} do
          insert = "INSERT INTO uro_discord_files (delivery_id, number, name, data) VALUES ('1', $1, 'x', $2)"

          large = :crypto.strong_rand_bytes(9 * 1024 * 1024)
          blobs = ["", <<0>>, :binary.list_to_bin(Enum.to_list(0..255)), "text", large]

          for {blob, number} <- Enum.with_index(blobs) do
            write!(store, {insert, [number, {:blob, blob}]})
            sql = "SELECT data FROM uro_discord_files WHERE number = $1"
            # Not ==, which would print 9 MiB.
            assert [[stored]] = read!(store, sql, [number])
            assert byte_size(stored) == byte_size(blob)
            assert :crypto.hash(:sha256, stored) == :crypto.hash(:sha256, blob)
          end
        end

        test "that are no text are refused, and nothing is stored", %{store: store} do
          for text <- ["a\0b", "\0", <<255>>, "half " <> <<0xF0, 0x9F>>] do
            assert error_kind(store, [insert("before"), insert("1", body: text)]) == :invalid
          end

          assert ids(store) == []
        end

        test "go by the number of their parameter", %{store: store} do
          write!(store, insert("1", expires_at: 5))

          sql =
            "UPDATE uro_discord_outbox SET body = $3, expires_at = expires_at + $2 + $2 WHERE id = $1 RETURNING body, expires_at"

          assert [%{rows: [["new", 25]]}] = write!(store, {sql, ["1", 10, "new"]})
        end
      end

      describe "a batch" do
        test "is done whole or not at all", %{store: store} do
          write!(store, insert("there"))
          nonsense = {"INSERT INTO uro_discord_nowhere VALUES (1)", []}
          assert error_kind(store, [insert("1"), insert("2"), insert("there")]) == :conflict
          assert error_kind(store, [insert("1"), nonsense, insert("2")]) in [:schema, :statement]
          assert ids(store) == ["there"]
          write!(store, [insert("1"), insert("2")])
          assert ids(store) == ["1", "2", "there"]
        end

        test "answers each statement, in order, each seeing those before", %{store: store} do
          count = {"SELECT COUNT(*) FROM uro_discord_outbox", []}
          delete = {"DELETE FROM uro_discord_outbox WHERE id <> 'b'", []}

          assert [
                   %{rows: [[0]]},
                   %{num_rows: 1},
                   _,
                   _,
                   %{rows: [[3]]},
                   %{rows: [], num_rows: 2},
                   %{rows: [[1]]}
                 ] =
                   write!(store, [
                     count,
                     insert("a"),
                     insert("b"),
                     insert("c"),
                     count,
                     delete,
                     count
                   ])

          assert write!(store, []) == []
        end

        test "is seen by whoever reads after it", %{store: store} do
          for number <- 1..50 do
            id = String.pad_leading("#{number}", 2, "0")
            write!(store, insert(id))
            assert id in ids(store)
          end
        end

        test "survives the death of who asked, or was never begun", %{store: store} do
          for number <- 1..20 do
            {pid, monitor} = spawn_monitor(fn -> write!(store, [insert("#{number}a"), insert("#{number}b")]) end)

            if rem(number, 2) == 0, do: Process.exit(pid, :kill)
            assert_receive {:DOWN, ^monitor, :process, ^pid, _reason}, 10_000
          end

          # It works still; and no half of a batch is there.
          write!(store, insert("last"))
          stored = ids(store)
          for number <- 1..20, do: assert("#{number}a" in stored == "#{number}b" in stored)
          assert "1a" in stored and "last" in stored
        end
      end

      describe "statements" do
        test "return what they changed", %{store: store} do
          write!(store, for(n <- 1..3, do: insert("#{n}", position: n)))

          sql = "UPDATE uro_discord_outbox SET status = 'failed' WHERE position >= $1 RETURNING id, status"

          assert [%{rows: rows, num_rows: 2}] = write!(store, {sql, [2]})
          assert Enum.sort(rows) == [["2", "failed"], ["3", "failed"]]
          assert [%{rows: [], num_rows: 0}] = write!(store, {sql, [9]})
          sql = "DELETE FROM uro_discord_outbox WHERE id = $1 RETURNING position"
          assert [%{rows: [[1]], num_rows: 1}] = write!(store, {sql, ["1"]})
        end

        test "may say what to do on a conflict", %{store: store} do
          {sql, parameters} = insert("1")
          ignore = {sql <> " ON CONFLICT (id) DO NOTHING", parameters}
          assert [%{num_rows: 1}, %{num_rows: 0}] = write!(store, [ignore, ignore])

          upsert =
            "INSERT INTO uro_discord_channels (channel_id, owner, fence, lease_until) VALUES ($1, $2, 1, $3) " <>
              "ON CONFLICT (channel_id) DO UPDATE SET owner = excluded.owner, fence = uro_discord_channels.fence + 1, " <>
              "lease_until = excluded.lease_until WHERE uro_discord_channels.lease_until < $4 RETURNING fence"

          assert [%{rows: [[1]]}] = write!(store, {upsert, ["7", "a", 100, 50]})
          assert [%{rows: [], num_rows: 0}] = write!(store, {upsert, ["7", "b", 200, 60]})
          assert [%{rows: [[2]]}] = write!(store, {upsert, ["7", "b", 200, 101]})
          assert read!(store, "SELECT owner FROM uro_discord_channels") == [["b"]]
        end

        test "keep the order they are asked for", %{store: store} do
          for n <- Enum.shuffle(1..200),
              do: write!(store, insert("#{n}", channel: "#{rem(n, 3)}", position: n))

          sql = "SELECT channel_id, position FROM uro_discord_outbox ORDER BY channel_id, position LIMIT $1"

          expected = for(n <- 1..200, do: ["#{rem(n, 3)}", n]) |> Enum.sort() |> Enum.take(150)
          assert read!(store, sql, [150]) == expected
        end

        test "that are wrong are errors, and the store goes on", %{store: store} do
          for statement <- [
                {"SELEC 1", []},
                {"SELECT nothing FROM uro_discord_outbox", []},
                {"SELECT id FROM uro_discord_outbox WHERE id = $1", []},
                {"SELECT id FROM uro_discord_outbox WHERE id = $1", ["1", "2"]},
                insert("1", position: "no number")
              ] do
            assert {statement, error_kind(store, statement)} == {statement, :statement}
          end

          assert error_kind(store, insert("1", body: nil)) == :constraint
          assert error_kind(store, [insert("1"), insert("1")]) == :conflict
          write!(store, insert("1"))
          assert ids(store) == ["1"]
        end
      end

      describe "many at once" do
        test "lose no increment", %{store: store} do
          write!(store, {@channel, ["1", "a"]})

          sql = "UPDATE uro_discord_channels SET fence = fence + 1 WHERE channel_id = '1' RETURNING fence"

          seen =
            concurrently(20, fn _ ->
              for _ <- 1..25 do
                [%{rows: [[fence]]}] = write!(store, {sql, []})
                fence
              end
            end)

          assert seen |> Enum.concat() |> Enum.sort() == Enum.to_list(1..500)
        end

        test "get each their own answer", %{store: store} do
          concurrently(100, fn number ->
            for round <- 1..5 do
              id = "#{number}/#{round}"
              sql = "SELECT body FROM uro_discord_outbox WHERE id = $1"

              assert [%{num_rows: 1}, %{rows: [[^id]]}] = write!(store, [insert(id, body: id), {sql, [id]}])

              assert read!(store, sql, [id]) == [[id]]
            end
          end)

          assert read!(store, "SELECT COUNT(*) FROM uro_discord_outbox") == [[500]]
        end

        test "fail one by one", %{store: store} do
          kinds =
            concurrently(50, fn number ->
              case Store.run(store, [insert("#{div(number, 2)}"), insert("x#{number}")], :write) do
                {:ok, _} -> :ok
                {:error, %Error{kind: kind}} -> kind
              end
            end)

          # 0 and 25 come once, the others twice.
          assert Enum.frequencies(kinds) == %{:ok => 26, :conflict => 24}
          assert length(ids(store)) == 52
        end

        test "agree on who has a lease", %{store: store} do
          write!(store, {@channel, ["1", "nobody"]})

          sql =
            "UPDATE uro_discord_channels SET owner = $1, fence = fence + 1, lease_until = $2 " <>
              "WHERE channel_id = '1' AND lease_until < $3 RETURNING fence"

          for round <- 1..10 do
            claims =
              concurrently(20, fn number ->
                [%{rows: rows}] = write!(store, {sql, ["#{number}", round * 10 + 9, round * 10]})
                rows
              end)

            assert Enum.filter(claims, &(&1 != [])) == [[[round]]]
          end
        end
      end
    end
  end
end

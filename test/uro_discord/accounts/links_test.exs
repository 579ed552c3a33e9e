defmodule UroDiscord.Accounts.LinksTest do
  use ExUnit.Case, async: false

  alias UroDiscord.Accounts.{Link, Links}
  alias UroDiscord.Stores

  @ada "1100000000000000901"
  @bob "1100000000000000902"

  defp tokens(access),
    do: %{access: access, refresh: "r" <> access, expires_at: ~U[2026-12-01 00:00:00.000Z], scopes: "identify"}

  for adapter <- [:sqlite, :postgres] do
    describe "in #{adapter}" do
      @describetag adapter: adapter
      setup %{adapter: adapter}, do: %{store: Stores.open!(adapter)}

      test "a link is found by both its ends, and is forgotten", %{store: store} do
        assert Links.get(store, "u1") == :error

        assert {:ok, :new, %Link{user_id: "u1", discord_id: @ada, left_at: nil} = link} =
                 Links.put(store, "u1", @ada, "@ada")

        assert Links.get(store, "u1") == {:ok, link}
        assert Links.by_discord(store, @ada) == {:ok, link}
        assert {:ok, :again, %Link{username: "@ada.l"} = again} = Links.put(store, "u1", @ada, "@ada.l")
        assert again.linked_at == link.linked_at
        assert Links.delete(store, %{link | discord_id: @bob}) == {:ok, false}
        assert Links.delete(store, link) == {:ok, true}
        assert Links.delete(store, link) == {:ok, false}
        assert Links.by_discord(store, @ada) == :error
      end

      test "neither end is taken from its link", %{store: store} do
        {:ok, :new, ada} = Links.put(store, "u1", @ada, "@ada", tokens("a"))
        assert Links.put(store, "u1", @bob, "@bob", tokens("b")) == {:clash, :user, ada}
        assert Links.put(store, "u2", @ada, "@ada", tokens("b")) == {:clash, :account, ada}
        {:ok, :new, _bob} = Links.put(store, "u2", @bob, "@bob")
        # Both ends are somebody's: what concerns this user comes first.
        assert Links.put(store, "u1", @bob, "@bob", tokens("b")) == {:clash, :user, ada}
        assert {:ok, [^ada, %{user_id: "u2", discord_id: @bob}]} = Links.page(store, nil, 10)
        assert {:ok, %{access: "a"}, nil} = Links.tokens(store, @ada)
      end

      test "of many who want the same account at once, one gets it", %{store: store} do
        answers =
          1..8
          |> Task.async_stream(&Links.put(store, "u#{&1}", @ada, "@ada"), max_concurrency: 8)
          |> Enum.map(fn {:ok, answer} -> answer end)

        assert [%Link{} = link] = for({:ok, :new, link} <- answers, do: link)
        assert Enum.count(answers, &(&1 == {:clash, :account, link})) == 7
      end

      test "one who links while the link ends has one then, or had one", %{store: store} do
        ends =
          Task.async(fn -> for _ <- 1..300, {:ok, link} <- [Links.get(store, "u1")], do: Links.delete(store, link) end)

        links =
          for _ <- 1..2, do: Task.async(fn -> for _ <- 1..200, do: elem(Links.put(store, "u1", @ada, "@ada"), 0) end)

        for answers <- Task.await_many(links, 30_000), do: assert(Enum.uniq(answers) == [:ok])
        Task.await(ends, 30_000)
      end

      test "pages go on where the one before ended, and many are read at once", %{store: store} do
        # An old account's id is shorter, and comes first.
        {:ok, :new, _} = Links.put(store, "u7", "90000000000000001", "@n7")
        for n <- 1..6, do: {:ok, :new, _} = Links.put(store, "u#{n}", "110000000000000090#{n}", "@n#{n}")
        assert {:ok, first} = Links.page(store, nil, 3)
        assert Enum.map(first, & &1.user_id) == ~w(u7 u1 u2)
        assert {:ok, rest} = Links.page(store, @bob, 10)
        assert Enum.map(rest, & &1.user_id) == ~w(u3 u4 u5 u6)
        assert Links.count(store) == {:ok, 7}
        assert {:ok, %{"u2" => %Link{discord_id: @bob}} = found} = Links.of_users(store, ["u2", "u9"])
        assert map_size(found) == 1
        assert {:ok, %{@ada => %Link{user_id: "u1"}, @bob => %Link{}}} = Links.of_accounts(store, [@ada, @bob])
        assert Links.of_users(store, []) == {:ok, %{}}
      end

      test "when somebody left is known until he is back", %{store: store} do
        {:ok, :new, _} = Links.put(store, "u1", @ada, "@ada")
        assert Links.left(store, nil) == {:ok, []}
        :ok = Links.put_left(store, @ada, ~U[2026-11-01 00:00:00.000Z])
        :ok = Links.put_left(store, @ada, ~U[2026-11-05 00:00:00.000Z])
        assert {:ok, [%Link{left_at: ~U[2026-11-01 00:00:00.000Z]}]} = Links.left(store, nil)
        assert {:ok, [_]} = Links.left(store, ~U[2026-11-02 00:00:00Z])
        assert Links.left(store, ~U[2026-10-31 00:00:00Z]) == {:ok, []}
        :ok = Links.put_joined(store, @ada)
        assert Links.left(store, nil) == {:ok, []}
        :ok = Links.put_left(store, @ada, DateTime.utc_now())
        assert {:ok, :again, %Link{left_at: nil}} = Links.put(store, "u1", @ada, "@ada")
      end

      test "those who left are read by pages, and it is known who is next", %{store: store} do
        at = fn second -> DateTime.add(~U[2026-11-01 00:00:00.000Z], second) end
        for n <- 1..3, do: {:ok, :new, _} = Links.put(store, "u#{n}", "110000000000000090#{n}", "@n#{n}")

        for {n, second} <- [{1, 5}, {2, 0}, {3, 0}],
            do: :ok = Links.put_left(store, "110000000000000090#{n}", at.(second))

        assert {:ok, [%{user_id: "u2"} = second, %{user_id: "u3"}, %{user_id: "u1"} = last]} = Links.left(store, nil)
        assert {:ok, [%{user_id: "u3"}, %{user_id: "u1"}]} = Links.left(store, nil, second)
        assert Links.left(store, nil, last) == {:ok, []}
        assert Links.next_left(store, at.(0)) == {:ok, at.(5)}
        assert Links.next_left(store, at.(5)) == {:ok, nil}
      end

      test "who could join no server, and whom the directory does not know, is noted", %{store: store} do
        {:ok, :new, %{joined?: true, missing_at: nil}} = Links.put(store, "u1", @ada, "@ada")
        :ok = Links.put_kept_out(store, @ada)
        assert {:ok, %{joined?: false}} = Links.get(store, "u1")
        :ok = Links.put_left(store, @ada, ~U[2026-11-01 00:00:00.000Z])
        :ok = Links.put_joined(store, @ada)
        assert {:ok, %{joined?: true, left_at: nil}} = Links.get(store, "u1")
        :ok = Links.put_missing(store, @ada, ~U[2026-11-01 00:00:00.000Z])
        :ok = Links.put_missing(store, @ada, ~U[2026-11-02 00:00:00.000Z])
        assert {:ok, %{missing_at: ~U[2026-11-01 00:00:00.000Z]}} = Links.get(store, "u1")
        :ok = Links.put_missing(store, @ada, nil)
        assert {:ok, %{missing_at: nil}} = Links.get(store, "u1")
      end

      test "a login that we are about to make is known before it is made", %{store: store} do
        {:ok, :new, _} = Links.put(store, "u1", @ada, "@ada", nil, identity: true)
        assert Links.identity?(store, @ada) == {:ok, true}
        {:ok, :again, _} = Links.put(store, "u1", @ada, "@ada")
        assert Links.identity?(store, @ada) == {:ok, true}
        {:ok, :new, _} = Links.put(store, "u2", @bob, "@bob")
        {:ok, :again, _} = Links.put(store, "u2", @bob, "@bob", nil, identity: true)
        assert Links.identity?(store, @bob) == {:ok, true}
      end

      test "tokens are replaced by whoever had the last ones", %{store: store} do
        {:ok, :new, link} = Links.put(store, "u1", @ada, "@ada", tokens("a"))
        refute inspect(link) =~ "ra"
        assert Links.tokens(store, @ada) == {:ok, tokens("a"), nil}
        assert Links.replace_tokens(store, @ada, "a", tokens("b")) == {:ok, true}
        assert Links.replace_tokens(store, @ada, "a", tokens("c")) == {:ok, false}
        :ok = Links.put_connection(store, @ada, "hash")
        assert Links.tokens(store, @ada) == {:ok, tokens("b"), "hash"}
        assert Links.replace_tokens(store, @ada, "b", nil) == {:ok, true}
        assert Links.tokens(store, @ada) == {:ok, nil, nil}
        assert Links.tokens(store, @bob) == {:ok, nil, nil}
      end

      test "a login that we made is known to be ours, and names change", %{store: store} do
        {:ok, :new, _} = Links.put(store, "u1", @ada, "@ada")
        assert Links.identity?(store, @ada) == {:ok, false}
        :ok = Links.put_identity(store, @ada, true)
        assert Links.identity?(store, @ada) == {:ok, true}
        :ok = Links.put_usernames(store, [{@ada, "ada#0001"}])
        assert {:ok, %Link{username: "ada#0001"}} = Links.get(store, "u1")
      end

      if adapter == :postgres do
        test "the store that is away is told", %{store: store} do
          stop_supervised!(UroDiscord.TestRepo)
          assert {:error, %UroDiscord.Error{}} = Links.get(store, "u1")
          assert {:error, %UroDiscord.Error{}} = Links.put(store, "u1", @ada, "@ada")
        end
      end
    end
  end
end

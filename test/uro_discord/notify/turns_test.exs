defmodule UroDiscord.Notify.TurnsTest do
  @moduledoc false
  # Who sends to one channel, and how much of it may wait. On both stores.

  use UroDiscord.Case
  alias UroDiscord.{Delivery, Error, Notify, Postgres, Runtime, Store, TestRepo}
  alias UroDiscord.Notify.{Backlog, Outbox, Producer}
  alias UroDiscord.Store.Schema

  for kind <- [:sqlite, :postgres] do
    describe "#{kind}" do
      setup context do
        sim = start_sim!()
        # Discord answers late, so that all are accepted while the first is under way.
        late = %{method: "POST", route: "/channels/*/messages", answer_delay_ms: context[:held_ms] || 3_000, times: 1}
        DiscordSim.post(sim, "/faults", [late])
        DiscordSim.post(sim, "/settings", %{rate_limit_factor: 1_000})
        start_uro_discord!(sim, store!(unquote(kind)))
        %{sim: sim}
      end

      test "take turns, and each producer's stay in their order", %{sim: sim} do
        first = notify!("first", :host)
        DiscordSim.wait_for(sim, "message_create")
        leaked = for n <- 1..30, do: notify!("leaked #{n}", {:key, "leaked"})
        feed = for n <- 1..3, do: notify!("feed #{n}", {:feed, :game})
        host = for n <- 1..2, do: notify!("host #{n}", :host)

        for delivery <- [first | leaked ++ feed ++ host],
            do: assert({:ok, %Delivery{status: :delivered}} = UroDiscord.await(delivery, 60_000))

        contents = sim |> DiscordSim.messages("builds") |> Enum.map(& &1["content"])

        for {name, count} <- [{"leaked", 30}, {"feed", 3}, {"host", 2}] do
          assert Enum.filter(contents, &String.starts_with?(&1, name)) == for(n <- 1..count, do: "#{name} #{n}")
        end

        # Nobody waits for more than one message of each of the others.
        assert contents |> Enum.take(9) |> Enum.filter(&String.starts_with?(&1, "leaked")) |> length() <= 4
        assert Enum.find_index(contents, &(&1 == "feed 3")) <= 9
        assert Enum.find_index(contents, &(&1 == "host 2")) <= 9
      end

      @tag held_ms: 60_000
      test "a long text counts as its parts, and what is too much is refused whole", %{sim: sim} do
        notify!("first", :host)
        DiscordSim.wait_for(sim, "message_create")
        # One of the longest is 50 messages, of which ten fill the key's room.
        long = [content: String.duplicate("a", 100_000), overflow: :split]
        key = [producer: {:key, "leaked"}]
        for _ <- 1..10, do: assert({:ok, _} = Notify.notify(:builds, long, key))
        assert {:error, %Error{kind: :full, message: message}} = Notify.notify(:builds, "one more", key)
        assert message =~ "the key leaked" and message =~ "500"
        {:ok, %{store: store}} = Runtime.fetch()
        assert {:ok, waiting} = Outbox.waiting(store, "key:leaked", 1_000)
        assert waiting <= 500

        # The others are not concerned.
        assert {:ok, _} = Notify.notify(:builds, "host", [])
        assert {:ok, _} = Notify.notify(:builds, "feed", producer: {:feed, "leaked"})
        assert {:ok, _} = Notify.notify(:builds, "other", producer: {:key, "other"})
      end

      test "who admits is told of every message, before anything is stored" do
        long = [content: String.duplicate("a", 5_000), overflow: :split]
        refusal = Error.invalid(nil, "too fast")
        test = self()

        admit = fn count ->
          send(test, {:asked, count})
          {:error, refusal}
        end

        assert Notify.notify(:builds, long, admit: admit) == {:error, refusal}
        assert_received {:asked, 3}
        assert {:ok, %{notifications: %{queued: 0, failed: 0}}} = UroDiscord.status()
      end

      test "there is room again when something was sent", %{sim: sim} do
        notify!("first", :host)
        DiscordSim.wait_for(sim, "message_create")
        {:ok, %{store: store}} = Runtime.fetch()
        key = {:key, "ci"}
        most = Producer.most_waiting(key)
        assert :ok = Backlog.reserve(store, key, most)
        assert {:error, %Error{kind: :full}} = Backlog.reserve(store, key, most + 1)
        # What was reserved and not stored is not counted for ever.
        assert eventually(fn -> Backlog.reserve(store, key, 1) == :ok end)
      end
    end
  end

  defp notify!(content, producer) do
    assert {:ok, delivery} = Notify.notify(:builds, content, producer: producer)
    delivery
  end

  defp store!(:sqlite), do: []

  defp store!(:postgres) do
    start_supervised!({TestRepo, Postgres.database!()})
    for sql <- Schema.up(:postgres, 0), do: {:ok, _} = TestRepo.query(sql, [])
    {:ok, _} = Store.open({:repo, TestRepo})
    [repo: TestRepo]
  end
end

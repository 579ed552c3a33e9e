defmodule UroDiscord.Portal.StoreTest do
  use ExUnit.Case, async: false

  alias UroDiscord.{DiscordSim, Error, Postgres, TestRepo}
  alias UroDiscord.Portal.Store, as: Portals
  alias UroDiscord.Store
  alias UroDiscord.Store.Schema

  @guild "1100000000000000100"
  @channel "1100000000000000003"

  defp portal(id, more \\ []) do
    Map.merge(
      %{id: id, guild_id: @guild, channel_id: @channel, world: nil, bots: false, origin: :host},
      Map.new(more)
    )
  end

  defp open_store!(:sqlite) do
    path = Path.join(DiscordSim.scratch(), "portals-#{System.unique_integer([:positive])}.sqlite3")
    {:ok, store} = Store.open({:sqlite, path})
    store
  end

  defp open_store!(:postgres) do
    database = Postgres.database!()
    connection = Postgres.connect!(database)
    for sql <- Schema.up(:postgres, 0), do: [_] = Postgres.query(connection, sql)
    start_supervised!({TestRepo, database})
    {:ok, store} = Store.open({:repo, TestRepo})
    store
  end

  defp kind(answer) do
    assert {:error, %Error{kind: kind, message: message}} = answer
    assert message != ""
    kind
  end

  for adapter <- [:sqlite, :postgres] do
    describe "in #{adapter}" do
      @describetag adapter: adapter

      setup %{adapter: adapter}, do: %{store: open_store!(adapter)}

      test "a portal is there until it is closed, and each opening is another attempt", %{store: store} do
        assert Portals.all(store) == {:ok, %{}}
        assert :ok = Portals.open(store, portal("lobby", world: "7", bots: true))
        assert {:ok, %{"lobby" => row}} = Portals.all(store)

        assert %{guild_id: @guild, channel_id: @channel, world: "7", bots: true, origin: :host, wanted?: true} = row
        assert %{attempt: 1, opened_at: %DateTime{}, settings: %{}} = row
        assert :ok = Portals.open(store, portal("lobby"))
        assert {:ok, %{"lobby" => %{attempt: 2, world: nil, bots: false}}} = Portals.all(store)
        assert :ok = Portals.close(store, "lobby")
        assert Portals.all(store) == {:ok, %{}}
        assert kind(Portals.close(store, "lobby")) == :unknown
      end

      test "a guild has one that is open, and it has one channel", %{store: store} do
        assert :ok = Portals.open(store, portal("lobby"))
        other = "1100000000000000004"
        assert kind(Portals.open(store, portal("lobby", channel_id: other))) == :conflict
        assert {:error, %Error{kind: :conflict} = error} = Portals.open(store, portal("stage", channel_id: other))
        assert Exception.message(error) =~ "portal lobby is open in this server, to channel #{@channel}"
        assert :ok = Portals.open(store, portal("elsewhere", guild_id: "1100000000000000200", channel_id: other))
        assert :ok = Portals.close(store, "lobby")
        assert :ok = Portals.open(store, portal("stage", channel_id: other))
      end

      test "one of the configuration rests, and leaves room for another", %{store: store} do
        assert :ok = Portals.open(store, portal("lobby", origin: :config))
        assert :ok = Portals.set(store, "lobby", "discord:1", nil, true)
        assert :ok = Portals.rest(store, "lobby")
        assert {:ok, %{"lobby" => %{wanted?: false, origin: :config, settings: settings}}} = Portals.all(store)
        assert settings == %{"discord:1" => %{gain: 1_000, muted: true}}
        assert kind(Portals.close(store, "lobby")) == :unknown
        # A moderator's word holds when it opens again.
        until = DateTime.utc_now() |> DateTime.add(60) |> DateTime.truncate(:millisecond)
        assert :ok = Portals.stop(store, "lobby", "ada", until)
        assert :ok = Portals.camera(store, "lobby", "world:ada")
        assert {:ok, %{"lobby" => %{stopped: %{"ada" => ^until}, camera: "world:ada"}}} = Portals.all(store)
        assert :ok = Portals.open(store, portal("other"))
        assert kind(Portals.open(store, portal("lobby", origin: :config))) == :conflict
        # One that the host has opened stays.
        assert :ok = Portals.forget(store, ["lobby", "other"])
        assert {:ok, %{"other" => %{wanted?: true}} = left} = Portals.all(store)
        assert map_size(left) == 1
      end

      test "gain and mute are kept apart, and forgotten with the portal", %{store: store} do
        assert kind(Portals.set(store, "lobby", "world:ada", nil, true)) == :unknown
        assert :ok = Portals.open(store, portal("lobby"))
        settings = fn -> with {:ok, %{"lobby" => row}} <- Portals.all(store), do: row.settings end
        assert :ok = Portals.set(store, "lobby", "world:ada", nil, true)
        assert :ok = Portals.set(store, "lobby", "world:ada", 1_500, nil)
        assert settings.() == %{"world:ada" => %{gain: 1_500, muted: true}}
        assert :ok = Portals.set(store, "lobby", "world:ada", nil, false)
        assert settings.() == %{"world:ada" => %{gain: 1_500, muted: false}}
        # As everybody is.
        assert :ok = Portals.set(store, "lobby", "world:ada", 1_000, nil)
        assert settings.() == %{}

        assert :ok = Portals.set(store, "lobby", "world:ada", 0, nil)
        assert :ok = Portals.close(store, "lobby")
        assert :ok = Portals.open(store, portal("lobby"))
        assert settings.() == %{}
      end

      test "what somebody publishes is ended for its time, whatever becomes of the portal", %{store: store} do
        until = DateTime.utc_now() |> DateTime.add(60) |> DateTime.truncate(:millisecond)
        stopped = fn -> store |> Portals.all() |> elem(1) |> get_in(["lobby", :stopped]) end
        assert kind(Portals.stop(store, "lobby", "ada", until)) == :unknown
        assert :ok = Portals.open(store, portal("lobby"))
        assert :ok = Portals.stop(store, "lobby", "ada", until)
        assert :ok = Portals.stop(store, "lobby", "bob", DateTime.utc_now())
        assert stopped.() == %{"ada" => until}
        assert :ok = Portals.close(store, "lobby")
        assert :ok = Portals.open(store, portal("lobby"))
        assert stopped.() == %{"ada" => until}
        assert :ok = Portals.stop(store, "lobby", "ada", nil)
        assert stopped.() == %{}
      end

      test "so many may be stopped, and those whose time is over do not count", %{store: store} do
        assert :ok = Portals.open(store, portal("lobby"))
        later = DateTime.add(DateTime.utc_now(), 60)
        insert = "INSERT INTO uro_discord_portal_stops (portal_id, who, until) VALUES ('lobby', $1, $2)"
        fill = fn until -> Store.run(store, for(n <- 1..1_000, do: {insert, ["#{n}", until]}), :write) end
        {:ok, _} = fill.(1)
        assert :ok = Portals.stop(store, "lobby", "ada", later)
        assert :ok = Portals.stop(store, "lobby", "ada", nil)
        {:ok, _} = fill.(DateTime.to_unix(later, :millisecond))
        assert kind(Portals.stop(store, "lobby", "ada", later)) == :full
        assert :ok = Portals.stop(store, "lobby", "7", later)
      end

      test "as many settings are kept as one has use for", %{store: store} do
        assert :ok = Portals.open(store, portal("lobby"))

        insert =
          "INSERT INTO uro_discord_portal_settings (portal_id, participant, gain, muted) VALUES ('lobby', $1, 0, 0)"

        {:ok, _} = Store.run(store, for(n <- 1..1_000, do: {insert, ["world:#{n}"]}), :write)
        assert kind(Portals.set(store, "lobby", "world:ada", nil, true)) == :full
        assert :ok = Portals.set(store, "lobby", "world:7", nil, true)
      end

      test "of two that open at once in a guild one does", %{store: store} do
        answers =
          for n <- 1..8 do
            Task.async(fn -> Portals.open(store, portal("p#{n}", channel_id: "110000000000000000#{n}")) end)
          end
          |> Task.await_many(30_000)

        assert Enum.count(answers, &(&1 == :ok)) == 1
        assert Enum.all?(answers, &(&1 == :ok or kind(&1) == :conflict))
      end
    end
  end
end

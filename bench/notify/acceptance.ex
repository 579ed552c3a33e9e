defmodule Bench.Notify.Acceptance do
  @moduledoc """
  How many messages a second `notify/2` accepts, each durable when it returns, while those before are being delivered to
  discord-sim at the 50 a second that Discord allows.
  """

  alias UroDiscord.{DiscordSim, Postgres, TestRepo}
  alias UroDiscord.Store.Schema

  @channels 20
  @milliseconds Bench.size(3_000, 200)
  @callers Bench.size([1, 16, 64, 256], [16])

  def run(folder) do
    Bench.title("Notify: accepted a second (PostgreSQL: 8 connections of p1_pgsql)")
    for callers <- @callers, do: rate("SQLite", callers, database: Path.join(folder, "accept-#{callers}.sqlite3"))

    if Path.wildcard("/usr/lib/postgresql/*/bin/postgres") == [] do
      IO.puts("PostgreSQL is not installed, and left out: apt-get install postgresql erlang-p1-pgsql")
    else
      for callers <- @callers do
        {:ok, pool} = TestRepo.start_link(Postgres.database!())
        for sql <- Schema.up(:postgres, 0), do: {:ok, _} = TestRepo.query(sql, [])
        rate("PostgreSQL", callers, repo: TestRepo)
        GenServer.stop(pool)
      end
    end
  end

  defp rate(name, callers, store) do
    sim = DiscordSim.start!(["--channels", "#{@channels}"])
    config = sim |> DiscordSim.config() |> Keyword.merge(store)
    {:ok, _} = UroDiscord.start_link(config)
    ids = List.to_tuple(for number <- 1..@channels, do: sim.info["channels"]["channel-#{number}"])
    began = System.monotonic_time(:microsecond)
    until = began + @milliseconds * 1_000

    times =
      1..callers
      |> Enum.map(fn caller -> Task.async(fn -> call(ids, caller, until, []) end) end)
      |> Task.await_many(:infinity)
      |> List.flatten()

    seconds = (System.monotonic_time(:microsecond) - began) / 1.0e6
    sorted = Enum.sort(times)

    Bench.row("#{name}, #{callers} callers", [
      {"", length(sorted) / seconds, "messages/s"},
      {"p50", Bench.percentile(sorted, 50), "us"},
      {"p99", Bench.percentile(sorted, 99), "us"}
    ])

    Supervisor.stop(UroDiscord)
    DiscordSim.stop(sim)
  end

  defp call(ids, number, until, times) do
    if System.monotonic_time(:microsecond) >= until do
      times
    else
      id = elem(ids, rem(number, @channels))
      {time, {:ok, _}} = :timer.tc(fn -> UroDiscord.notify(id, "Notification #{number}: a new world is open") end)
      call(ids, number + 1, until, [time | times])
    end
  end
end

# Interactions by HTTP on the listener: how long good ones take, each on a connection of its own, while bad ones come.
# Beside it OTP's own httpd answering 404, as the floor of what a server in this VM does. BENCH_SECONDS (60) is how long each runs.
alias UroDiscord.{DiscordSim, HttpClient, Load}

defmodule Bench.Web do
  @moduledoc false

  @good_per_s 20

  # Good ones at a steady pace; sorted microseconds.
  def good(url, seconds, request) do
    started = System.monotonic_time(:millisecond)

    for n <- 1..(seconds * @good_per_s) do
      Process.sleep(max(started + div(n * 1_000, @good_per_s) - System.monotonic_time(:millisecond), 0))
      {status, microseconds} = Load.timed(url, request.())
      true = status in [200, 404]
      microseconds / 1_000
    end
    |> Enum.sort()
  end

  # Bad ones at a pace, or without one as fast as they are answered.
  def bad(url, per_s, counter) do
    fn ->
      socket = HttpClient.connect!(url)

      for _ <- 1..100 do
        HttpClient.send!(socket, Load.forged())
        {401, _, _} = HttpClient.receive_response(socket)
        :counters.add(counter, 1, 1)
        if per_s, do: Process.sleep(div(1_000, per_s))
      end

      :gen_tcp.close(socket)
    end
  end

  # When it is there.
  def url do
    case UroDiscord.status() do
      {:ok, %{web: %{state: :listening, url: url}}} -> url
      _starting -> Process.sleep(10) && url()
    end
  end

  # To the bridge and back, where Discord's events have to pass: sorted milliseconds, until `stop/1`.
  def pings do
    parent = self()

    spawn_link(fn ->
      ping([], parent)
    end)
  end

  defp ping(times, parent) do
    receive do
      :stop -> send(parent, {:pings, Enum.sort(times)})
    after
      10 ->
        {microseconds, {:ok, 1}} = :timer.tc(fn -> UroDiscord.Bridge.ping(1) end)
        ping([microseconds / 1_000 | times], parent)
    end
  end

  def stop(pings) do
    send(pings, :stop)
    receive(do: ({:pings, times} -> times))
  end

  def row(name, times, more \\ []) do
    Bench.row(
      name,
      for(percent <- [50, 99, 100], do: {"p#{percent}", Bench.percentile(times, percent), "ms"}) ++ more
    )
  end
end

seconds = "BENCH_SECONDS" |> System.get_env(Bench.size("60", "1")) |> String.to_integer()
sim = DiscordSim.start!()
{public, private} = Load.key()
Logger.configure(level: :warning)
options = DiscordSim.config(sim) ++ [interactions: :http, public_key: public, web: [port: 0]]
{:ok, _} = Supervisor.start_link([{UroDiscord, options}], strategy: :one_for_one)
url = Bench.Web.url()
{:ok, %{bridge: %{os_pid: bridge}}} = UroDiscord.status()
good = fn -> Load.interaction(private) end

# No part of what is measured; from Elixir 1.15 on Mix hides it unless it is asked for.
if function_exported?(Mix, :ensure_application!, 1), do: apply(Mix, :ensure_application!, [:inets])
{:ok, _} = Application.ensure_all_started(:inets)
root = ~c"#{System.tmp_dir!()}"

{:ok, httpd} =
  :inets.start(:httpd,
    port: 0,
    bind_address: {127, 0, 0, 1},
    server_name: ~c"bench",
    server_root: root,
    document_root: root
  )

httpd_url = "http://127.0.0.1:#{:httpd.info(httpd)[:port]}/"

Bench.title("HTTP: a signed interaction, answered (#{seconds} s each)")

Bench.Web.row(
  "OTP's httpd, 404, nothing else",
  Bench.Web.good(httpd_url, seconds, fn -> HttpClient.request("GET", "/none") end)
)

pings = Bench.Web.pings()
Bench.Web.row("uro_discord, nothing else", Bench.Web.good(url, seconds, good))
Bench.Web.row("  to the bridge and back meanwhile", Bench.Web.stop(pings))

for {name, clients, per_s} <- [{"10,000 bad signatures a minute", 4, 48}, {"as many as it takes, 4 clients", 4, nil}] do
  counter = :counters.new(1, [])
  pings = Bench.Web.pings()
  before = Load.resident(bridge)

  {{microseconds, times}, grown} =
    Load.memory(fn ->
      attackers = Load.start(clients, Bench.Web.bad(url, per_s, counter))
      answer = :timer.tc(fn -> Bench.Web.good(url, seconds, good) end)
      Load.stop(attackers)
      answer
    end)

  Bench.Web.row("uro_discord, #{name}", times, [
    {"bad", :counters.get(counter, 1) / microseconds * 60_000_000, "a minute"},
    {"memory +", grown / 1_048_576, "MiB"},
    {"of the bridge +", (Load.resident(bridge, :peak) - before) / 1_048_576, "MiB"}
  ])

  Bench.Web.row("  to the bridge and back meanwhile", Bench.Web.stop(pings))
end

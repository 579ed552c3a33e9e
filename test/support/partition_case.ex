defmodule UroDiscord.PartitionCase do
  @moduledoc "What tests share that pull cables between machines."

  import ExUnit.{Assertions, Callbacks}
  import UroDiscord.Case, only: [eventually: 2]
  import UroDiscord.NodeCase, only: [cookie: 0, start!: 2]
  alias UroDiscord.{DiscordSim, Listener, Network, Peer, RemoteBridge, TestRepo}

  @type_of_event "CHANNEL_UPDATE"

  def type_of_event, do: @type_of_event

  @doc "How many partitions there are."
  def partitions, do: String.to_integer(System.get_env("PARTITIONS", "3"))

  @doc "Machines, each with the networks that it is in, beside one that is Discord."
  def start!(machines) do
    network = Network.start!([{:discord, [:discord]} | machines])
    address = Network.address(network, :discord, :discord)
    sim = DiscordSim.start!([], ip: address, within: Network.within(network, :discord))
    on_exit(fn -> DiscordSim.stop(sim) end)
    DiscordSim.post(sim, "/settings", %{identify_interval_ms: 0, max_concurrency: 4, session_timeout_ms: 600_000})
    File.mkdir_p!(DiscordSim.scratch())
    # Without TLS a token goes to loopback only.
    %URI{host: discord, port: port} = URI.parse(sim.info["api"])
    for {machine, _networks} <- machines, do: Network.lead(network, machine, port, discord)
    seed = String.to_integer(System.get_env("SEED", "#{:rand.uniform(1_000_000)}"))
    IO.puts("#{partitions()} partitions of seed #{seed}")
    %{sim: sim, network: network, seed: seed}
  end

  # A machine of its own has this port free.
  @port 4_370

  def bridge_of(network, machine), do: :"#{machine}@#{Network.address(network, machine, :control)}"

  def bridge_on!(network, machine, uro) do
    at = Network.address(network, uro, :control)
    arguments = ["--node", "#{bridge_of(network, machine)}", "--uro", "#{at}:#{@port}", "--media-workers", "1"]
    started = RemoteBridge.start!(cookie(), arguments, Network.within(network, machine))
    on_exit(fn -> RemoteBridge.stop(started) end)
    started
  end

  @doc "A Uro, and what it has heard."
  def uro_on!(%{sim: sim, network: network} = context, machine, options) do
    at = Network.address(network, machine, :control)
    peer = Peer.start!(node: {"uro", @port, cookie()}, host: at, within: Network.within(network, machine))
    heard = Path.join(DiscordSim.scratch(), "heard-#{machine}-#{System.unique_integer([:positive])}")
    if repo = context[:repo], do: Peer.start_child!(peer, {TestRepo, repo})
    config = Keyword.merge(DiscordSim.config(here(sim)), [bridge_restart: {10, 200}] ++ options)
    start!(peer, config)
    Peer.start_child!(peer, {Listener, {heard, @type_of_event}})
    %{peer: peer, heard: heard}
  end

  defp here(sim) do
    here = fn url -> URI.to_string(%{URI.parse(url) | host: "127.0.0.1"}) end
    %{sim | info: sim.info |> Map.update!("api", here) |> Map.update!("gateway", here)}
  end

  # Numbered events, to this many shards in turn, until it is told to stop; the next number then.
  defp dispatch(sim, n, shards) do
    DiscordSim.post(sim, "/dispatch", %{type: @type_of_event, data: %{n: n}, shard: rem(n, shards)})
    receive(do: (:stop -> n + 1), after: (50 -> dispatch(sim, n + 1, shards)))
  end

  def heard(sides),
    do: for(side <- sides, entry <- Listener.read(side.heard), do: %{entry | n: String.to_integer(entry.n)})

  @doc "What Discord logged since then."
  def log(sim, number) do
    types = "connect,disconnect,identify,resume,resume_refused,session_end,violation"
    DiscordSim.get(sim, "/events?types=#{types}&after=#{number}&timeout_ms=0")["events"]
  end

  @doc """
  Nobody took up a session of which another connection was there, as Discord saw it, but for those that were cut off from it. Returns the connections that
  there are, each with its session.
  """
  def alone!(what, log, open, cut_off) do
    {twice, _open} = twice(log, Map.drop(open, cut_off))
    assert twice == [], "#{what}: #{inspect(log)}"
    {_twice, open} = twice(log, open)
    open
  end

  defp twice(log, open) do
    Enum.reduce(log, {[], open}, fn
      %{"type" => "disconnect", "connection" => id}, {twice, open} ->
        {twice, Map.delete(open, id)}

      %{"type" => type, "connection" => id, "session_id" => session} = event, {twice, open}
      when type in ["identify", "resume"] ->
        others = for {other, ^session} <- open, other != id, do: other
        {if(others == [], do: twice, else: [event | twice]), Map.put(open, id, session)}

      _other, acc ->
        acc
    end)
  end

  @doc "What was heard again, and not from a session that was resumed from before it."
  def unexplained(heard, log) do
    resumes = for %{"type" => "resume", "session_id" => id, "sequence" => sequence} <- log, do: {id, sequence}

    for {{session, seq}, times} <- Enum.frequencies_by(heard, &{&1.session, &1.seq}),
        times > 1 + Enum.count(resumes, fn {id, sequence} -> id == session and sequence < seq end),
        do: {seq, times}
  end

  @doc "Pulls cables of machines for some time, while events come. Returns what Discord logged, with the next number, when all is well again."
  def pull(what, cables, length, next, shards, %{sim: sim, network: network}, well!, sides) do
    before = DiscordSim.now(sim)
    dispatching = Task.async(fn -> dispatch(sim, next, shards) end)
    for {machine, name} <- cables, do: Network.cut(network, machine, name)
    Process.sleep(length)
    for {machine, name} <- cables, do: Network.mend(network, machine, name)
    well!.()
    send(dispatching.pid, :stop)
    next = Task.await(dispatching)

    # Every event is heard.
    missing = fn -> Enum.to_list(1..(next - 1)) -- Enum.map(heard(sides), & &1.n) end
    assert eventually(fn -> missing.() == [] end, 400), "#{what}: not heard: #{inspect(missing.())}"
    # What was cut off has gone when it is back.
    assert eventually(fn -> length(gateway(sim)["connections"]) == shards end, 200), what
    log = log(sim, before)
    wrong = Enum.filter(log, &(&1["type"] in ["violation", "resume_refused", "identify"]))
    assert wrong == [], "#{what}: #{inspect(log)}"
    {log, next}
  end

  def gateway(sim), do: DiscordSim.get(sim, "/gateway")
end

defmodule UroDiscord.NodeCase do
  @moduledoc """
  What tests of bridges that run elsewhere share: UroDiscord in a VM of its own that is a node, and a bridge that dials it.
  """

  import ExUnit.Assertions
  alias UroDiscord.{Bridge, DiscordSim, Peer, RemoteBridge}

  @cookie "of_these_tests"

  # A VM that is a node which a bridge finds at a port, and UroDiscord in it.
  def uro!(port, config, alive \\ "uro") do
    peer = Peer.start!(node: {alive, port, @cookie})
    start!(peer, config)
    peer
  end

  def start!(peer, config), do: Peer.start_child!(peer, {UroDiscord, config})

  def config(sim, bridge, options \\ []),
    do:
      DiscordSim.config(sim)
      |> Keyword.merge(bridges: [{:node, bridge}], bridge_restart: {10, 200})
      |> Keyword.merge(options)

  def name(alive), do: :"#{alive}-#{System.unique_integer([:positive])}@127.0.0.1"

  # Of Uro at this port, or at each of several.
  def bridge!(ports, name, options \\ []) do
    uro = Enum.flat_map(List.wrap(ports), &["--uro", "127.0.0.1:#{&1}"])
    arguments = ["--node", "#{name}", "--uro-node", "uro*@*", "--media-workers", "1" | uro]
    bridge = RemoteBridge.start!(options[:cookie] || @cookie, arguments)
    ExUnit.Callbacks.on_exit(fn -> RemoteBridge.stop(bridge) end)
    bridge
  end

  def status(uro) do
    {:ok, status} = Peer.call(uro, UroDiscord, :status, [])
    status
  end

  # Until its bridge is so; its status then.
  def bridge_is(uro, like) do
    found =
      UroDiscord.Case.eventually(fn ->
        bridge = status(uro).bridge
        if like.(bridge), do: bridge
      end)

    assert found, "it is #{inspect(status(uro).bridge)}"
    found
  end

  def up(uro), do: bridge_is(uro, &(&1.state == :up))

  def active(uro),
    do: assert(UroDiscord.Case.eventually(fn -> match?(%{0 => %{state: :active}}, status(uro).gateway.shards) end))

  @doc "In the VM of a Uro: has so many messages of so many bytes said to a bridge, and waits for none."
  def flood(bridge, times, size) do
    bridge = String.to_existing_atom(bridge)
    for _ <- 1..times, do: spawn(fn -> Bridge.ping(bridge, String.duplicate("x", size)) end)
    :ok
  end

  @doc """
  A port that leads to this one, for one connection. What comes from there is carried slowly, 2.5 MB a second, and the caller is told `:carried` when it is so
  many bytes.
  """
  def slow!(port, bytes) do
    {test, options} = {self(), [:binary, active: false, recbuf: 65_536]}
    {:ok, listener} = :gen_tcp.listen(0, [{:ip, {127, 0, 0, 1}} | options])
    {:ok, slow} = :inet.port(listener)

    spawn_link(fn ->
      {:ok, bridge} = :gen_tcp.accept(listener)
      {:ok, uro} = :gen_tcp.connect({127, 0, 0, 1}, port, options)
      spawn_link(fn -> carry(bridge, uro) end)
      drip(uro, bridge, bytes, test)
    end)

    slow
  end

  defp carry(from, to) do
    with {:ok, bytes} <- :gen_tcp.recv(from, 0), :ok <- :gen_tcp.send(to, bytes), do: carry(from, to)
  end

  defp drip(from, to, left, test) do
    with {:ok, bytes} <- :gen_tcp.recv(from, 0), :ok <- :gen_tcp.send(to, bytes) do
      Process.sleep(div(byte_size(bytes), 2_500))
      now = left - byte_size(bytes)
      if left > 0 and now <= 0, do: send(test, :carried)
      drip(from, to, now, test)
    end
  end

  @doc "In the VM of a Uro: another node takes the gateway's lease, and is never heard of again."
  def lose_lease do
    {:ok, %{store: store, bot_id: bot_id}} = UroDiscord.Runtime.fetch()
    sql = "UPDATE uro_discord_gateway SET owner = 'another', fence = fence + 1 WHERE bot_id = $1"
    {:ok, _} = UroDiscord.Store.run(store, [{sql, [bot_id]}], :write)
    :ok
  end

  @doc "In the VM of a Uro: in how many ms the owner of a bridge that is not heard of says that it holds nothing any more; false: never."
  def fence_ms(owner),
    do: with(timer when timer != nil <- fence(owner), do: Process.read_timer(timer), else: (nil -> false))

  @doc "In the VM of a Uro: that time is over."
  def pass_fence(owner) do
    send(owner, {:timeout, fence(owner), :fence})
    :ok
  end

  defp fence(owner), do: :sys.get_state(owner).hold.fence

  def cookie, do: @cookie
end

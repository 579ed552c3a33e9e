defmodule UroDiscord.Network do
  @moduledoc """
  Machines as the network has them: each is a namespace with addresses of its own, joined to the networks that it is in by cables which can be pulled and
  can lose packets. This VM is in all networks. Wants root, `ip` and `iptables`. All of it is gone when the process that made it ends, also when the VM is killed.
  """

  @enforce_keys [:shell, :id, :machines, :networks]
  defstruct @enforce_keys

  # Runs a line at a time, and says how that went. When its stdin closes, whoever wants the networks has gone.
  @script """
  exec 2>&1
  cleanup() {
    for ns in $(ip netns list | sed -n "s/^\\(un$1-[^ ]*\\).*/\\1/p"); do
      ip netns pids $ns | xargs -r kill -9
      ip netns del $ns
    done
    for net in $(ip -o link show type bridge | sed -n "s/^[0-9]*: \\(un$1[^:@]*\\)[:@].*/\\1/p"); do ip link del $net; done
  }
  trap '' INT TERM
  while read -r line; do
    if said=$(eval "$line" 2>&1); then echo ok; else echo "failed $line: $said" | tr '\\n' ' '; echo; fi
  done
  cleanup "$1" >/dev/null
  """

  @doc "Why this machine cannot have it; nil if it can."
  @spec problem() :: String.t() | nil
  def problem do
    name = "un-#{System.pid()}"

    probe =
      "ip netns add #{name} && ip -n #{name} link add veth0 type veth peer name veth1 && ip netns exec #{name} " <>
        "iptables -A INPUT -m statistic --mode random --probability 0.5 -j DROP && ip link add #{name} type bridge"

    if System.find_executable("ip") && System.find_executable("iptables") do
      {_said, status} = System.cmd("sh", ["-c", probe], stderr_to_stdout: true)
      System.cmd("sh", ["-c", "ip netns del #{name}; ip link del #{name}"], stderr_to_stdout: true)
      if status != 0, do: "this machine does not let its user make network namespaces"
    else
      "ip and iptables are not installed"
    end
  end

  @doc "Makes machines, each with the networks that it is in."
  @spec start!([{machine :: atom(), [network :: atom()]}]) :: %__MODULE__{}
  def start!(machines) do
    # The id is part of interfaces' names, of which Linux takes 15 characters.
    id =
      Integer.to_string(rem(System.unique_integer([:positive]) * 7_919 + String.to_integer(System.pid()), 46_656), 36)

    shell = Port.open({:spawn_executable, "/bin/sh"}, [:binary, {:line, 4_096}, args: ["-c", @script, "network", id]])
    names = machines |> Enum.flat_map(&elem(&1, 1)) |> Enum.uniq()
    # Others' tests run beside.
    networks = for name <- names, into: %{}, do: {name, "10.#{Enum.random(100..250)}.#{Enum.random(0..255)}"}

    network = %__MODULE__{
      shell: shell,
      id: id,
      networks: networks,
      machines: Map.new(Enum.with_index(machines, 2), fn {{name, _}, host} -> {name, host} end)
    }

    for {name, _prefix} <- networks do
      run!(network, "ip link add #{switch(network, name)} type bridge && ip link set #{switch(network, name)} up")
      run!(network, "ip addr add #{address(network, :here, name)}/24 dev #{switch(network, name)}")
    end

    for {machine, networks} <- machines do
      run!(network, "ip netns add #{namespace(network, machine)}")
      run!(network, "ip -n #{namespace(network, machine)} link set lo up")
      for name <- networks, do: join!(network, machine, name)
    end

    network
  end

  defp join!(network, machine, name) do
    cable = cable(network, machine, name)
    namespace = namespace(network, machine)

    run!(
      network,
      "ip link add #{cable} type veth peer name #{name} netns #{namespace} && ip link set #{cable} master #{switch(network, name)} up"
    )

    run!(
      network,
      "ip -n #{namespace} addr add #{address(network, machine, name)}/24 dev #{name} && ip -n #{namespace} link set #{name} up"
    )
  end

  @doc "The address of a machine in a network; `:here` is this VM's."
  def address(network, :here, name), do: "#{network.networks[name]}.1"
  def address(network, machine, name), do: "#{network.networks[name]}.#{network.machines[machine]}"

  @doc "The command that runs a program on a machine: what goes before the program."
  def within(network, machine), do: [System.find_executable("ip"), "netns", "exec", namespace(network, machine)]

  @doc "Connections of a machine to this port of its loopback lead to another address."
  def lead(network, machine, port, to) do
    run!(network, "ip netns exec #{namespace(network, machine)} sysctl -qw net.ipv4.conf.all.route_localnet=1")
    nat = "ip netns exec #{namespace(network, machine)} iptables -t nat -A"
    run!(network, "#{nat} OUTPUT -d 127.0.0.1 -p tcp --dport #{port} -j DNAT --to-destination #{to}:#{port}")
    run!(network, "#{nat} POSTROUTING -d #{to} -j MASQUERADE")
  end

  @doc "Pulls the cable between a machine and a network. Nobody is told: packets go nowhere."
  def cut(network, machine, name), do: run!(network, "ip link set #{cable(network, machine, name)} down")

  @doc "Plugs it in again."
  def mend(network, machine, name), do: run!(network, "ip link set #{cable(network, machine, name)} up")

  @doc "So many of the packets that come to a machine from a network are lost from now on, of one."
  def lose(network, machine, name, share) do
    run!(network, "ip netns exec #{namespace(network, machine)} iptables -F INPUT")

    if share > 0,
      do:
        run!(
          network,
          "ip netns exec #{namespace(network, machine)} iptables -A INPUT -i #{name} -m statistic --mode random --probability #{share} -j DROP"
        )
  end

  defp namespace(network, machine), do: "un#{network.id}-#{machine}"
  defp switch(network, name), do: "un#{network.id}#{name}"
  defp cable(network, machine, name), do: "v#{network.id}#{network.machines[machine]}#{name}"

  defp run!(%{shell: shell}, line) do
    Port.command(shell, line <> "\n")

    receive do
      {^shell, {:data, {:eol, "ok"}}} -> :ok
      {^shell, {:data, {_whole, said}}} -> raise said
    after
      15_000 -> raise "no answer to: #{line}"
    end
  end
end

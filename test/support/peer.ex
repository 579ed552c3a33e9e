defmodule UroDiscord.Peer do
  @moduledoc """
  Another BEAM: a process of the operating system with the code of this one, to be killed or stopped. It ends with the test
  that started it. Calls go over its stdin and stdout, and its logs nowhere. It is no node of a cluster, unless it is started with a name.
  """

  @enforce_keys [:pid, :os_pid]
  defstruct @enforce_keys

  @type t :: %__MODULE__{pid: pid(), os_pid: String.t()}

  @quiet ~w(-kernel logger [{handler,default,undefined}] -logger backends [] -logger default_handler false)

  @doc """
  Starts one, with the applications that UroDiscord needs. With `node: {name, port, cookie}` it is a node of this name at `host:` (127.0.0.1 unless said), which
  others reach at this port, and which no EPMD knows. `within:` is a command that runs it somewhere else.
  """
  @spec start!(node: {String.t(), :inet.port_number(), String.t()}, host: String.t(), within: [String.t()]) :: t()
  def start!(options \\ []) do
    # Started by Mix, these are on the path of the VM only.
    paths = Enum.flat_map(:code.get_path(), &["-pa", to_string(&1)])
    {node, arguments} = named(options[:node], options[:host] || "127.0.0.1")

    node =
      with [program | before] <- options[:within],
           do: Map.put(node, :exec, within(program, before)),
           else: (_here -> node)

    arguments = Enum.map(@quiet ++ arguments ++ paths, &to_charlist/1)

    # Not linked: whoever kills it means to go on. On a busy machine a VM takes longer to start than the 15 s that OTP gives it.
    {:ok, pid, _node} = :peer.start(Map.merge(%{connection: :standard_io, args: arguments, wait_boot: 60_000}, node))
    peer = %__MODULE__{pid: pid, os_pid: to_string(:peer.call(pid, :os, :getpid, []))}
    end_with_test(peer)
    {:ok, _} = call(peer, Application, :ensure_all_started, [:uro_discord])
    peer
  end

  defp within(program, before),
    do: {to_charlist(program), Enum.map(before ++ [System.find_executable("erl")], &to_charlist/1)}

  defp named(nil, _host), do: {%{}, []}

  defp named({name, port, cookie}, host) do
    interface = "{#{String.replace(host, ".", ",")}}"

    arguments =
      ~w(-start_epmd false -erl_epmd_port #{port} -setcookie #{cookie} -kernel inet_dist_use_interface #{interface} -kernel logger_level none)

    {%{name: to_charlist(name), host: to_charlist(host), longnames: true}, arguments}
  end

  # The test, also where a task of its starts the peer.
  defp end_with_test(peer) do
    test = List.last([self() | Process.get(:"$callers", [])])

    spawn(fn ->
      ref = Process.monitor(test)
      receive do: ({:DOWN, ^ref, :process, _, _} -> if(Process.alive?(peer.pid), do: kill!(peer)))
    end)
  end

  @doc "Calls a function there."
  @spec call(t(), module(), atom(), list()) :: term()
  def call(peer, module, function, arguments), do: :peer.call(peer.pid, module, function, arguments, 60_000)

  @doc "Has a function run there; returns at once."
  @spec cast(t(), module(), atom(), list()) :: :ok
  def cast(peer, module, function, arguments), do: :peer.cast(peer.pid, module, function, arguments)

  @doc "Starts a process there by its `start_link/1`; it ends with the VM."
  @spec start_child!(t(), {module(), term()}) :: :ok
  def start_child!(peer, {module, argument}), do: :ok = call(peer, __MODULE__, :start_here, [module, argument])

  @doc false
  def start_here(module, argument) do
    {:ok, pid} = module.start_link(argument)
    # From the process of this call, which ends.
    Process.unlink(pid)
    :ok
  end

  @doc "SIGKILL; returns when it is gone."
  @spec kill!(t()) :: :ok
  def kill!(peer) do
    ref = Process.monitor(peer.pid)
    signal!(peer, "KILL")
    receive do: ({:DOWN, ^ref, :process, _, _} -> :ok)
  end

  @spec signal!(t(), String.t()) :: :ok
  def signal!(peer, signal) do
    {_, 0} = System.cmd("kill", ["-#{signal}", peer.os_pid], stderr_to_stdout: true)
    :ok
  end
end

defmodule UroDiscord.Bridge.Transport.Node do
  @moduledoc false
  # The bridge as a node of an Erlang cluster, on this machine or another one. It dials us; until it has, it is absent. A process of its own
  # (`Link`) holds the connection to it, so that a bridge which does not read, or a network that does not carry, holds up nobody: the owner of the
  # bridge hears of it what it would hear of a port. Nothing is sent to a node that would have this VM connect to it, or wait.

  import Kernel, except: [send: 2]

  @behaviour UroDiscord.Bridge.Transport

  alias UroDiscord.Bridge.Transport.Node.Link

  @enforce_keys [:link]
  defstruct @enforce_keys

  @type t :: %__MODULE__{link: pid()}

  # A sound bridge ends its session within a second; this long over a network.
  @farewell_ms 2_500

  @doc "Waits for this node."
  @impl true
  def open(node) when is_atom(node) do
    {:ok, link} = Link.start_link(node, self())
    {:absent, %__MODULE__{link: link}, "#{node} has not connected yet"}
  end

  @impl true
  def heard(%{link: link}, {Link, link, said}), do: said
  # Why, its own crash report tells.
  def heard(%{link: link}, {:EXIT, link, _reason}),
    do: {:ended, {:reason, "is held by no process here any more: that crashed, as the log has it"}}

  def heard(_transport, _message), do: :unknown

  @impl true
  def send(%{link: link}, frame), do: Link.send(link, frame)

  @impl true
  def kill(%{link: link}), do: forget(link, &Link.disconnect/1)

  @impl true
  def finish(%{link: link}, stop) do
    monitor = Process.monitor(link)
    :ok = Link.finish(link, stop)

    receive do
      {:DOWN, ^monitor, :process, ^link, _reason} ->
        :ok
    after
      @farewell_ms ->
        # Its owner may go on.
        Process.demonitor(monitor, [:flush])
        Link.disconnect(link)
    end

    forget(link, fn _link -> :ok end)
  end

  # What it had said by then is of no bridge any more: `stray?/1`.
  defp forget(link, ending) do
    Process.unlink(link)
    ending.(link)
  end

  @impl true
  def os_pid(_transport), do: nil

  @doc "Whether a message is one of a transport's that is over."
  @spec stray?(term()) :: boolean()
  def stray?({Link, link, _said}) when is_pid(link), do: true
  def stray?(_message), do: false
end

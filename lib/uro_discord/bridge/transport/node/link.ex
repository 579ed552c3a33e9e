defmodule UroDiscord.Bridge.Transport.Node.Link do
  @moduledoc false
  # What joins this VM and a bridge that is a node ("Over Erlang distribution" of docs/bridge-protocol.md). When the node is there it attaches to the
  # bridge, and then carries bytes both ways, and a heartbeat a second: three that are missed end the connection, long before the VM would notice.
  #
  # It is linked to the owner of the bridge, and ends with it; the bridge monitors it, so it learns that too.

  # What is queued has the bot's token in it, among others.
  use UroDiscord.Server, hidden: [:queue]

  alias UroDiscord.Server

  # The name under which a bridge hears who wants to attach.
  @bridge :uro_discord_bridge
  # Never connects, never waits. Without `:nosuspend` a sender would wait until the node reads, or is gone.
  @options [:noconnect, :nosuspend]
  # What one message carries at most: what is large goes in pieces, and heartbeats between these.
  @piece 256 * 1024
  # Bytes that wait because the bridge does not read; two of the largest messages.
  @full 32 * 1024 * 1024
  @beat_ms 1_000
  @missed 3
  # How long a bridge may take to answer who wants to attach, and after which that is tried again.
  @attach_ms 5_000
  # How soon what the connection did not take is tried again.
  @again_ms 5

  defstruct [
    :node,
    :owner,
    # The number that the answer to our wish to attach must have, and then the bridge's pid.
    :wish,
    :session,
    # Heartbeats since something was heard.
    missed: 0,
    beats: 0,
    # What the connection has yet to take.
    queue: :queue.new(),
    queued: 0,
    flushing?: false,
    # Bytes that the connection has taken, and had taken at the last heartbeat.
    taken: 0,
    taken_then: 0,
    # As it was last told.
    reason: nil
  ]

  @spec start_link(node(), owner :: pid()) :: GenServer.on_start()
  def start_link(node, owner), do: GenServer.start_link(__MODULE__, {node, owner})

  @doc "Queues a frame."
  @spec send(pid(), iodata()) :: :ok
  def send(link, frame), do: GenServer.cast(link, {:send, frame})

  @doc "Has the bridge hear this last frame; the process ends when the bridge has ended its session."
  @spec finish(pid(), iodata()) :: :ok
  def finish(link, frame), do: GenServer.cast(link, {:finish, frame})

  @doc "Cuts the connection, and ends."
  @spec disconnect(pid()) :: :ok
  def disconnect(link), do: GenServer.cast(link, :disconnect)

  @impl true
  def init({node, owner}) do
    state = %__MODULE__{node: node, owner: owner}
    if Node.alive?(), do: :ok = :net_kernel.monitor_nodes(true, [:nodedown_reason, node_type: :hidden])
    Process.send_after(self(), :beat, @beat_ms)
    {:ok, state, {:continue, :attach}}
  end

  @impl true
  def handle_continue(:attach, state), do: {:noreply, attach(state)}

  @impl true
  def handle_cast({:send, frame}, state), do: put(frame, state)

  # Nobody is there who would end.
  def handle_cast({:finish, _frame}, %{session: nil} = state), do: {:stop, :normal, state}
  def handle_cast({:finish, frame}, state), do: put(frame, state)
  def handle_cast(:disconnect, state), do: {:stop, :normal, cut(state)}

  @impl true
  def handle_info({session, bytes}, %{session: session} = state) when is_pid(session) and is_binary(bytes) do
    tell({:data, bytes}, state)
    {:noreply, %{state | missed: 0}}
  end

  def handle_info({session, :pong, _beat}, %{session: session} = state) when is_pid(session),
    do: {:noreply, %{state | missed: 0}}

  def handle_info({session, :attached, wish}, %{wish: wish, node: node} = state)
      when is_pid(session) and node(session) == node and wish != nil do
    # To monitor a node that is gone would be to dial it.
    if here?(state), do: Process.monitor(session)
    tell(:arrived, state)
    {:noreply, %{state | session: session, wish: nil, missed: 0}}
  end

  # Another node has it. It is asked again with the next heartbeat.
  def handle_info({:held, wish, by}, %{wish: wish, session: nil} = state) when wish != nil and is_binary(by),
    do: {:noreply, held(%{state | wish: nil}, text(by))}

  def handle_info({:held, _wish, _by}, state), do: {:noreply, state}

  def handle_info({:nodeup, node, _info}, %{node: node} = state), do: {:noreply, attach(%{state | wish: nil})}

  def handle_info({:nodedown, node, info}, %{node: node, session: nil} = state),
    do: {:noreply, absent(%{state | wish: nil}, "#{node} has gone: #{gone(info[:nodedown_reason])}")}

  def handle_info({:nodedown, node, info}, %{node: node} = state),
    do: ended("lost its connection: #{gone(info[:nodedown_reason])}", state)

  # Other bridges.
  def handle_info({up_or_down, _node, _info}, state) when up_or_down in [:nodeup, :nodedown], do: {:noreply, state}

  # What `:nodedown` tells better.
  def handle_info({:DOWN, _monitor, :process, session, :noconnection}, %{session: session} = state),
    do: ended("lost its connection", state)

  def handle_info({:DOWN, _monitor, :process, session, reason}, %{session: session} = state),
    do: ended("ended: #{text(reason)}", state)

  def handle_info({:attach_again, wish}, %{wish: wish, session: nil} = state) when wish != nil do
    reason = "#{state.node} is connected, and does not answer as a bridge does: is it one, of this version?"
    {:noreply, attach(absent(state, reason))}
  end

  def handle_info({:attach_again, _wish}, state), do: {:noreply, state}
  def handle_info(:flush, state), do: flush(%{state | flushing?: false})

  def handle_info(:beat, state) do
    Process.send_after(self(), :beat, @beat_ms)
    beat(state)
  end

  # Of sessions that are over.
  def handle_info({session, _said}, state) when is_pid(session), do: {:noreply, state}
  def handle_info({session, _said, _number}, state) when is_pid(session), do: {:noreply, state}

  def handle_info(message, state) do
    Server.unknown(:message, message)
    {:noreply, state}
  end

  ## The node is there

  defp attach(state) do
    cond do
      not Node.alive?() -> absent(state, "this VM is no node of a cluster: docs/scaling.md has how it becomes one")
      not here?(state) -> state
      true -> wish(state)
    end
  end

  defp wish(state) do
    wish = System.unique_integer([:positive])
    # When it does not reach the bridge it is tried again.
    :erlang.send({@bridge, state.node}, {:attach, self(), wish}, @options)
    Process.send_after(self(), {:attach_again, wish}, @attach_ms)
    %{state | wish: wish}
  end

  defp here?(state), do: state.node in Node.list(:connected)

  # Also where nobody has told of the node: this VM may have become one since.
  defp beat(%{session: nil, wish: nil} = state), do: {:noreply, attach(state)}
  defp beat(%{session: nil} = state), do: {:noreply, state}

  defp beat(%{missed: missed} = state) when missed >= @missed,
    do: ended("has answered nothing for #{@missed * @beat_ms} ms", cut(state))

  # A heartbeat that finds no room behind what is queued is not missed while the connection takes that: it is slow, and not dead.
  defp beat(state) do
    sent = :erlang.send(state.session, {:ping, state.beats}, @options)
    slow? = sent != :ok and state.taken != state.taken_then
    missed = if slow?, do: state.missed, else: state.missed + 1
    {:noreply, %{state | beats: state.beats + 1, missed: missed, taken_then: state.taken}}
  end

  ## What it is told

  # It hears everything when it is there.
  defp put(_frame, %{session: nil} = state), do: {:noreply, state}

  defp put(frame, state) do
    frame = IO.iodata_to_binary(frame)
    state = %{state | queue: :queue.in(frame, state.queue), queued: state.queued + byte_size(frame)}

    if state.queued > @full,
      do: ended("does not read: #{state.queued} bytes wait for it", cut(state)),
      else: flush(state)
  end

  defp flush(%{flushing?: true} = state), do: {:noreply, state}
  defp flush(%{session: nil} = state), do: {:noreply, state}

  defp flush(state) do
    case :queue.out(state.queue) do
      {:empty, _queue} -> {:noreply, state}
      {{:value, bytes}, queue} -> flush(bytes, piece(bytes), %{state | queue: queue})
    end
  end

  defp flush(bytes, {piece, rest}, state) do
    case :erlang.send(state.session, piece, @options) do
      :ok ->
        queue = if rest == "", do: state.queue, else: :queue.in_r(rest, state.queue)
        taken = byte_size(piece)
        flush(%{state | queue: queue, queued: state.queued - taken, taken: state.taken + taken})

      # It is busy; or gone, and then its end is on the way.
      _not_taken ->
        Process.send_after(self(), :flush, @again_ms)
        {:noreply, %{state | queue: :queue.in_r(bytes, state.queue), flushing?: true}}
    end
  end

  defp piece(<<piece::binary-size(@piece), rest::binary>>), do: {piece, rest}
  defp piece(bytes), do: {bytes, ""}

  ## What the owner is told

  defp tell(said, state), do: Kernel.send(state.owner, {__MODULE__, self(), said})

  defp absent(%{reason: reason} = state, reason), do: state

  defp absent(state, reason) do
    tell({:absent, reason}, state)
    %{state | reason: reason}
  end

  defp held(%{reason: {:held, by}} = state, by), do: state

  defp held(state, by) do
    tell({:held, by}, state)
    %{state | reason: {:held, by}}
  end

  defp ended(reason, state) do
    tell({:ended, {:reason, reason}}, state)
    {:stop, :normal, %{state | session: nil}}
  end

  defp cut(state) do
    if here?(state), do: Node.disconnect(state.node)
    state
  end

  # What net_kernel(3) calls it.
  defp gone(:connection_closed), do: "it ended, or the network broke"
  defp gone(:disconnect), do: "this node cut it"
  defp gone(reason) when reason in [:net_tick_timeout, :send_net_tick_failed], do: "nothing was heard for too long"
  defp gone(reason) when reason in [:net_kernel_terminated, :no_network], do: "this VM is no node any more"
  defp gone(reason), do: other(reason)

  # A bridge says it in words.
  defp text(reason) when is_binary(reason),
    do: if(String.valid?(reason), do: String.slice(reason, 0, 500), else: other(reason))

  defp text(:noproc), do: "its session was over already"
  defp text(reason), do: other(reason)

  defp other(reason),
    do: "for a reason that only Erlang has a name for, #{inspect(reason, limit: 5, printable_limit: 100)}"
end

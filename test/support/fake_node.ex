defmodule UroDiscord.FakeNode do
  @moduledoc """
  A hidden node that says what a test wants: it shakes hands with a BEAM as one that has the cookie, answers who attaches, and is hostile then.
  """

  import Bitwise

  @enforce_keys [:socket, :name]
  defstruct [:socket, :name, :owner]

  # What OTP 25 and later demand, with monitors, payloads and aliases.
  @flags 0x4 ||| 0x8 ||| 0x10 ||| 0x20 ||| 0x80 ||| 0x100 ||| 0x200 ||| 0x400 ||| 0x800 ||| 0x10000 ||| 0x20000 |||
           0x40000 |||
           0x80000 ||| 0x100000 ||| 0x400000 ||| 0x1000000 ||| 0x2000000 ||| 1 <<< 34 ||| 1 <<< 35 ||| 1 <<< 36

  @doc "Connects to the BEAM at this port of 127.0.0.1."
  def connect!(port, name, cookie) do
    {:ok, socket} = :gen_tcp.connect({127, 0, 0, 1}, port, [:binary, active: false, packet: 2])
    :ok = :gen_tcp.send(socket, [?N, <<@flags::64, System.os_time(:second)::32, byte_size(name)::16>>, name])
    {:ok, "sok"} = :gen_tcp.recv(socket, 0, 5_000)
    {:ok, <<?N, _flags::64, challenge::32, _rest::binary>>} = :gen_tcp.recv(socket, 0, 5_000)
    :ok = :gen_tcp.send(socket, [?r, <<1::32>>, :erlang.md5("#{cookie}#{challenge}")])
    {:ok, <<?a, _digest::binary-16>>} = :gen_tcp.recv(socket, 0, 5_000)
    :ok = :inet.setopts(socket, packet: 4)
    %__MODULE__{socket: socket, name: name}
  end

  @doc "Waits for a process that attaches, and answers as a bridge does."
  def attached!(%__MODULE__{socket: socket} = node) do
    case :gen_tcp.recv(socket, 0, 10_000) do
      {:ok, <<112, terms::binary>>} ->
        {control, used} = :erlang.binary_to_term(terms, [:used])
        attached!(control, binary_part(terms, used, byte_size(terms) - used), node)

      {:ok, ""} ->
        attached!(node)
    end
  end

  # REG_SEND to the name of bridges.
  defp attached!({6, _from, _unused, :uro_discord_bridge}, message, node) do
    {:attach, owner, wish} = :erlang.binary_to_term(message)
    node = %{node | owner: owner}
    say(node, control(owner), {:raw, [<<104, 3>>, pid(node), atom("attached"), term(wish)]})
    node
  end

  defp attached!(_other, _message, node), do: attached!(node)

  @doc "Bytes of a bridge's, as one message."
  def bytes(node, bytes),
    do: say(node, control(node.owner), {:raw, [<<104, 2>>, pid(node), <<109, byte_size(bytes)::32>>, bytes]})

  @doc "Whatever, in the place of frames."
  def raw(%__MODULE__{socket: socket}, bytes) do
    :ok = :inet.setopts(socket, packet: :raw)
    :gen_tcp.send(socket, bytes)
  end

  @doc "Waits until the BEAM has closed it."
  def closed?(%__MODULE__{socket: socket} = node, timeout \\ 10_000) do
    case :gen_tcp.recv(socket, 0, timeout) do
      {:ok, _bytes} -> closed?(node, timeout)
      {:error, :timeout} -> false
      {:error, _closed} -> true
    end
  end

  def close(%__MODULE__{socket: socket}), do: :gen_tcp.close(socket)

  # SEND
  defp control(owner), do: {2, :"", owner}

  defp say(%{socket: socket}, control, {:raw, message}),
    do: :gen_tcp.send(socket, [112, :erlang.term_to_binary(control), 131, message])

  defp pid(%{name: name}), do: [88, atom(name), <<9::32, 0::32, 77::32>>]
  defp atom(name), do: [119, byte_size(name), name]

  defp term(term) do
    <<131, bytes::binary>> = :erlang.term_to_binary(term)
    bytes
  end
end

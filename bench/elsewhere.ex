defmodule Bench.Elsewhere do
  @moduledoc "Bridges that dial this VM, which bin/bench has made a node; and what this VM holds."

  alias UroDiscord.Bridge.{Protocol, Transport}
  alias UroDiscord.RemoteBridge

  @doc "A bridge of its own name, which ends with this VM."
  def start! do
    name = :"bench-#{System.unique_integer([:positive])}@127.0.0.1"
    {name, start!(name)}
  end

  @doc "One of this name."
  def start!(name) do
    {:ok, [[port]]} = :init.get_argument(:erl_epmd_port)
    arguments = ["--node", "#{name}", "--uro", "127.0.0.1:#{port}", "--media-workers", "1"]
    RemoteBridge.start!(Atom.to_string(Node.get_cookie()), arguments)
  end

  @doc "Says hello, when the bridge has."
  def greet(transport) do
    {[{:hello, _version, _info} | _], _buffer} = messages(transport, Protocol.empty())
    say(transport, [{:hello, Protocol.version(), %{"library" => "bench"}}])
  end

  @doc "Says these."
  def say(transport, messages),
    do: Transport.send(transport, Enum.map(messages, &elem({:ok, _} = Protocol.encode(&1), 1)))

  @doc "The next messages; it logs when it likes, and asks whether it may go on."
  def messages(transport, buffer) do
    receive do
      message ->
        with {:data, bytes} <- Transport.heard(transport, message),
             {:ok, buffer, [_ | _] = said} <- Protocol.decode(buffer, bytes, [], &unless_aside/2) do
          {Enum.reverse(said), buffer}
        else
          {:ok, buffer, []} -> messages(transport, buffer)
          {:ended, how} -> raise "the bridge ended: #{inspect(how)}"
          _not_here_yet_or_what_the_program_says -> messages(transport, buffer)
        end
    after
      30_000 -> raise "the bridge does not answer"
    end
  end

  defp unless_aside(message, messages),
    do: if(elem(message, 0) in [:log, :renew], do: messages, else: [message | messages])

  @doc "Memory of this VM, in KiB, without what nobody holds any more."
  def memory do
    for pid <- Process.list(), do: :erlang.garbage_collect(pid)
    :erlang.memory(:total) / 1_024
  end
end

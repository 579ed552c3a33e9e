# Elixir to the bridge and back, with 1 KiB terms; beside it `cat` as the floor of what a port can do (it reads no term).
alias UroDiscord.Bridge.{Protocol, Transport}

defmodule Bench.Bridge do
  @moduledoc false

  # The bridge, past its hello, as the calling process's port.
  def open do
    {:ok, transport} = Transport.Port.open(%{executable: nil, media_workers: nil})
    {[{:hello, _, _}], buffer} = messages(transport.port, Protocol.empty())
    send_all(transport.port, [{:hello, Protocol.version(), %{"library" => "bench"}}])
    {transport, buffer}
  end

  def send_all(port, messages) do
    Port.command(port, Enum.map(messages, &elem({:ok, _} = Protocol.encode(&1), 1)))
  end

  def messages(port, buffer) do
    receive do
      {^port, {:data, bytes}} ->
        # It logs when it likes.
        case Protocol.decode(buffer, bytes, [], &if(elem(&1, 0) == :log, do: &2, else: [&1 | &2])) do
          {:ok, buffer, []} -> messages(port, buffer)
          {:ok, buffer, messages} -> {Enum.reverse(messages), buffer}
        end
    after
      10_000 -> raise "the bridge does not answer"
    end
  end

  def round_trip(port, term) do
    send_all(port, [{:ping, term}])
    {[{:pong, ^term}], _empty} = messages(port, Protocol.empty())
  end

  # `window` pings are under way at any time; what comes back is replaced.
  def flood(port, term, window, total) do
    send_all(port, List.duplicate({:ping, term}, window))
    flood(port, Protocol.empty(), term, total - window, window)
  end

  defp flood(_port, _buffer, _term, 0, 0), do: :ok

  defp flood(port, buffer, term, left, under_way) do
    {pongs, buffer} = messages(port, buffer)
    back = length(pongs)
    next = min(back, left)
    if next > 0, do: send_all(port, List.duplicate({:ping, term}, next))
    flood(port, buffer, term, left - next, under_way - back + next)
  end
end

defmodule Bench.Cat do
  @moduledoc false

  def open, do: Port.open({:spawn_executable, System.find_executable("cat")}, [:binary])

  def round_trip(port, bytes) do
    Port.command(port, bytes)
    receive_bytes(port, byte_size(bytes))
  end

  def flood(port, bytes, window, total) do
    Port.command(port, List.duplicate(bytes, window))
    flood(port, bytes, byte_size(bytes), 0, total - window, window)
  end

  defp flood(_port, _bytes, _size, _partial, 0, 0), do: :ok

  defp flood(port, bytes, size, partial, left, under_way) do
    got = receive(do: ({^port, {:data, data}} -> byte_size(data)))
    back = div(partial + got, size)
    next = min(back, left)
    if next > 0, do: Port.command(port, List.duplicate(bytes, next))
    flood(port, bytes, size, rem(partial + got, size), left - next, under_way - back + next)
  end

  defp receive_bytes(_port, 0), do: :ok

  defp receive_bytes(port, left),
    do: receive(do: ({^port, {:data, data}} -> receive_bytes(port, left - byte_size(data))))
end

{trips, total, window} = Bench.size({20_000, 400_000, 256}, {500, 10_000, 256})
payload = :binary.copy("x", 1_024)
{transport, _buffer} = Bench.Bridge.open()
cat = Bench.Cat.open()
{:ok, frame} = Protocol.encode({:ping, payload})
frame = IO.iodata_to_binary(frame)

Bench.title("Port: a 1 KiB term there and back")

for {name, fun} <- [
      {"uro-discord-bridge", fn -> Bench.Bridge.round_trip(transport.port, payload) end},
      {"cat", fn -> Bench.Cat.round_trip(cat, frame) end}
    ] do
  Bench.sample(div(trips, 10), fun)
  times = Bench.sample(trips, fun)

  Bench.row(name, [
    {"p50", Bench.percentile(times, 50), "us"},
    {"p99", Bench.percentile(times, 99), "us"}
  ])
end

Bench.title("Port: 1 KiB terms a second, there and back, #{window} under way")

for {name, fun} <- [
      {"uro-discord-bridge", fn -> Bench.Bridge.flood(transport.port, payload, window, total) end},
      {"cat", fn -> Bench.Cat.flood(cat, frame, window, total) end}
    ] do
  {microseconds, :ok} = :timer.tc(fun)
  Bench.row(name, [{"", total / microseconds * 1.0e6, "messages/s"}])
end

{:ok, stop} = Protocol.encode({:stop})
Transport.finish(transport, stop)

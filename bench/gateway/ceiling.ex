defmodule Bench.Gateway.Ceiling do
  @moduledoc "How fast discord-sim sends: a client that logs in, and then does nothing with what it reads."

  alias Bench.Stream
  alias UroDiscord.{DiscordSim, JSON}

  @quiet_ms 300

  def run do
    sim = Stream.sim!()
    told = figures(sim, "none", "peer")
    types = Enum.map_join(told["types"], ", ", fn {type, count} -> "#{count} #{type}" end)

    Bench.title("Gateway: #{told["events"]} events (#{types}; #{mib(told["bytes"])} MiB of JSON)")
    row("discord-sim, to nobody who reads them", told)
    row("the same, zstd-stream", figures(sim, "zstd-stream", "uro"))
    DiscordSim.stop(sim)
  end

  defp row(name, told) do
    Bench.row(name, [
      {"", told["events"] / told.seconds, "events/s"},
      {"took", told.seconds, "s"},
      {"", mib(told["wire_bytes"]) * 1.0, "MiB"}
    ])
  end

  defp figures(sim, compression, user) do
    socket = log_in(sim, compression, user)
    drain(socket)
    reader = Task.async(fn -> read(socket) end)
    told = Stream.play!(sim, %{user: user})
    send(reader.pid, {:bytes, told["wire_bytes"]})
    seconds = Task.await(reader, 60_000)
    :gen_tcp.close(socket)
    Map.put(told, :seconds, seconds)
  end

  # The seconds from the first to the last byte.
  defp read(socket) do
    {:ok, bytes} = :gen_tcp.recv(socket, 0)
    began = now()
    # All of a small stream may come at once.
    max(read(socket, byte_size(bytes), began) - began, 1) / 1.0e6
  end

  defp read(socket, read, last) do
    case :gen_tcp.recv(socket, 0, @quiet_ms) do
      {:ok, bytes} ->
        read(socket, read + byte_size(bytes), now())

      {:error, :timeout} ->
        receive(do: ({:bytes, ^read} -> last))
    end
  end

  # A WebSocket (RFC 6455) on which we say one thing, Identify; a mask of zeros leaves it as it is.
  defp log_in(sim, compression, user) do
    %{host: host, port: port, path: path} = URI.parse(sim.info["gateway"])
    {:ok, socket} = :gen_tcp.connect(String.to_charlist(host), port, [:binary, active: false, recbuf: 1_048_576])

    :ok =
      :gen_tcp.send(socket, [
        "GET #{path}?v=10&encoding=json&compress=#{compression} HTTP/1.1\r\nhost: #{host}:#{port}\r\n",
        "connection: upgrade\r\nupgrade: websocket\r\n",
        "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
      ])

    intents = UroDiscord.Config.Checks.intent_bits(UroDiscord.Config.Checks.intent_names())
    identify = %{token: sim.info["users"][user]["token"], intents: intents, properties: %{}}
    {:ok, json} = JSON.encode(%{op: 2, d: identify})
    :ok = :gen_tcp.send(socket, [<<0x81, 1::1, 126::7, byte_size(json)::16, 0::32>>, json])
    # Of all that follows an identify this comes last.
    DiscordSim.wait_for(sim, "presence", &(&1["user_id"] == sim.info["users"][user]["id"]))
    socket
  end

  defp drain(socket) do
    case :gen_tcp.recv(socket, 0, @quiet_ms) do
      {:ok, _bytes} -> drain(socket)
      {:error, :timeout} -> :ok
    end
  end

  defp mib(bytes), do: div(bytes, 1_048_576)
  defp now, do: System.monotonic_time(:microsecond)
end

defmodule Bench.Notify.Latency do
  @moduledoc """
  From the call of `notify/2` to the request on the wire, when no limit holds it back: one message after the other, at 40 a
  second, below the 50 that a token has. In Discord's place a listener in this VM notes when a request's first bytes come.
  """

  alias UroDiscord.DiscordSim

  @messages Bench.size(1_000, 10)
  @channels Bench.size(20, 4)
  @disk_writes Bench.size(200, 10)
  @pace_ms 25

  def run(folder) do
    Bench.title("Notify: from the call to the request on the wire, #{div(1_000, @pace_ms)} a second, SQLite")
    disk(folder)
    sim = DiscordSim.start!()
    api = listen(self())

    {:ok, _} =
      UroDiscord.start_link(
        enabled: true,
        token: sim.info["token"],
        api_url: "http://127.0.0.1:#{api}/api/v10",
        gateway_url: sim.info["gateway"],
        database: Path.join(folder, "latency.sqlite3")
      )

    channels = for number <- 1..@channels, do: Integer.to_string(1_300_000_000_000_001_000 + number)
    row("the first in its channel (claims it)", Enum.map(channels, &measure/1))
    row("the others", channels |> Stream.cycle() |> Stream.map(&measure/1) |> Enum.take(@messages))
    Supervisor.stop(UroDiscord)
    DiscordSim.stop(sim)
  end

  defp measure(channel) do
    called = now()
    {:ok, delivery} = UroDiscord.notify(channel, "A new world is open")
    accepted = now()
    arrived = receive(do: ({:arrived, at} -> at))
    {:ok, %{status: :delivered}} = UroDiscord.await(delivery)
    Process.sleep(@pace_ms)
    {accepted - called, arrived - called}
  end

  defp row(name, times) do
    {accepted, arrived} = Enum.unzip(times)
    IO.puts(name)
    percentiles("  notify/2 has returned: it is on the disk", accepted)
    percentiles("  the request is on the wire", arrived)
  end

  defp percentiles(name, times) do
    sorted = times |> Enum.map(&(&1 * 1.0)) |> Enum.sort()
    Bench.row(name, for(percent <- [50, 99], do: {"p#{percent}", Bench.percentile(sorted, percent), "us"}))
  end

  # What accepting cannot be quicker than: it has to be on the disk. Written over, as the write-ahead log mostly is: a file
  # that grows costs more.
  defp disk(folder) do
    {:ok, file} = :file.open(Path.join(folder, "floor"), [:raw, :write, :binary])

    write = fn ->
      :ok = :file.pwrite(file, 0, :binary.copy("x", 4_096))
      :ok = :file.datasync(file)
    end

    write.()

    paced = fn ->
      Process.sleep(@pace_ms)
      {microseconds, :ok} = :timer.tc(write)
      microseconds
    end

    percentiles("4 KiB on the disk (pwrite, fdatasync)", for(_ <- 1..@disk_writes, do: paced.()))
    :ok = :file.close(file)
  end

  defp now, do: System.monotonic_time(:microsecond)

  ## In Discord's place

  defp listen(owner) do
    {:ok, socket} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false, nodelay: true])
    {:ok, port} = :inet.port(socket)
    spawn_link(fn -> accept(socket, owner) end)
    port
  end

  # A connection is served by the process that took it, while another waits for the next.
  defp accept(socket, owner) do
    {:ok, connection} = :gen_tcp.accept(socket)
    spawn_link(fn -> accept(socket, owner) end)
    serve(connection, owner)
  end

  defp serve(connection, owner) do
    with {:ok, bytes} <- :gen_tcp.recv(connection, 0) do
      at = now()
      # What we send is a POST; what the library asks by itself is not measured.
      if match?("POST " <> _, bytes), do: send(owner, {:arrived, at})
      rest_of_request(connection, bytes)
      body = answer(bytes)

      answer = [
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: #{byte_size(body)}\r\n",
        "x-ratelimit-bucket: any\r\nx-ratelimit-limit: 5000\r\nx-ratelimit-remaining: 4999\r\n",
        "x-ratelimit-reset-after: 5\r\n\r\n",
        body
      ]

      :ok = :gen_tcp.send(connection, answer)
      serve(connection, owner)
    end
  end

  defp answer("GET /api/v10/gateway/bot " <> _) do
    limit = ~s({"total":1000,"remaining":1000,"reset_after":0,"max_concurrency":1})
    ~s({"url":"wss://gateway.discord.gg","shards":1,"session_start_limit":#{limit}})
  end

  defp answer(_message), do: ~s({"id":"#{1_300_000_000_000_100_000 + System.unique_integer([:positive])}"})

  defp rest_of_request(connection, bytes) do
    with [head, body] <- :binary.split(bytes, "\r\n\r\n"),
         true <- byte_size(body) >= length_of_body(head) do
      :ok
    else
      _incomplete ->
        {:ok, more} = :gen_tcp.recv(connection, 0)
        rest_of_request(connection, bytes <> more)
    end
  end

  # A request without a body, as a GET is, has no length.
  defp length_of_body(head) do
    case Regex.run(~r/^content-length: (\d+)/mi, head) do
      [_, length] -> String.to_integer(length)
      nil -> 0
    end
  end
end

defmodule UroDiscord.Load do
  @moduledoc "What the load tests and the benchmark of HTTP share: interactions signed well and badly, and how long answers take."

  alias UroDiscord.{HttpClient, JSON}

  @doc "A key pair, as `{public key in hex, private key}`."
  def key do
    {public, private} = :crypto.generate_key(:eddsa, :ed25519)
    {Base.encode16(public, case: :lower), private}
  end

  @doc "An interaction that nobody sent before, as the bytes of its request."
  def interaction(private, command \\ "worlds") do
    {:ok, body} =
      JSON.encode(%{
        type: 2,
        id: "13#{Enum.random(10_000_000_000_000_000..99_999_999_999_999_999)}",
        application_id: "1300000000000000001",
        token: "aW50ZXJhY3Rpb24",
        user: %{id: "1300000000000000003", username: "bob"},
        data: %{name: command, type: 1}
      })

    timestamp = "#{System.os_time(:second)}"
    signature = :crypto.sign(:eddsa, :none, timestamp <> body, [private, :ed25519])
    post(body, signature, timestamp)
  end

  @doc "One with a signature of the right shape that is not Discord's."
  def forged(body \\ ~s({"type":2,"id":"1300000000000000999"})),
    do: post(body, :crypto.strong_rand_bytes(64), "#{System.os_time(:second)}")

  defp post(body, signature, timestamp) do
    headers = [
      {"content-type", "application/json"},
      {"x-signature-ed25519", Base.encode16(signature, case: :lower)},
      {"x-signature-timestamp", timestamp}
    ]

    HttpClient.request("POST", "/discord/interactions", headers, body)
  end

  @doc "Sends a request on a connection of its own; its status, and the microseconds that it took with connecting."
  def timed(url, request) do
    {microseconds, status} =
      :timer.tc(fn ->
        socket = HttpClient.connect!(url)
        HttpClient.send!(socket, request)
        answer = HttpClient.receive_response(socket)
        :gen_tcp.close(socket)
        if is_tuple(answer), do: elem(answer, 0), else: answer
      end)

    {status, microseconds}
  end

  @doc "Calls `fun` again and again in `count` processes of their own, until `stop/1`. It may fail: that is its own affair."
  def start(count, fun) do
    for _ <- 1..count do
      spawn(fn -> forever(fun) end)
    end
  end

  def stop(processes) do
    for process <- processes do
      monitor = Process.monitor(process)
      Process.exit(process, :kill)
      receive(do: ({:DOWN, ^monitor, _, _, _} -> :ok))
    end
  end

  defp forever(fun) do
    try do
      fun.()
    catch
      _kind, _reason -> :gone
    end

    forever(fun)
  end

  @doc "The memory of another process of the system: now, or at its peak."
  def resident(os_pid, when_ \\ :now) do
    name = if when_ == :peak, do: "VmHWM", else: "VmRSS"
    [_, kilobytes] = Regex.run(~r/#{name}:\s+(\d+) kB/, File.read!("/proc/#{os_pid}/status"))
    String.to_integer(kilobytes) * 1_024
  end

  @doc "Runs `fun`; its answer, and by how many bytes the memory of the VM grew at most while it ran."
  def memory(fun) do
    :erlang.garbage_collect()
    before = :erlang.memory(:total)
    counter = :atomics.new(1, [])

    watcher =
      spawn(fn ->
        forever(fn ->
          :atomics.put(counter, 1, max(:atomics.get(counter, 1), :erlang.memory(:total)))
          Process.sleep(10)
        end)
      end)

    answer = fun.()
    stop([watcher])
    {answer, max(:atomics.get(counter, 1) - before, 0)}
  end
end

defmodule UroDiscord.SchedulerTest do
  # No NIF call holds a scheduler for more than a millisecond: the VM itself watches, while all kinds of calls are made at once.
  use UroDiscord.Case
  alias UroDiscord.JSON
  alias UroDiscord.Native

  @calls 2_000

  defp long_schedules(load) do
    watcher = self()
    previous = :erlang.system_monitor(watcher, [{:long_schedule, 1}])

    workers =
      for call <- load,
          do: spawn_monitor(fn -> for(_ <- 1..@calls, do: {call.(), :erlang.yield()}) end)

    pids = for {pid, ref} <- workers, do: receive(do: ({:DOWN, ^ref, :process, _, :normal} -> pid))

    :erlang.system_monitor(previous)
    count(pids, 0)
  end

  defp count(pids, found) do
    receive do
      {:monitor, pid, :long_schedule, _info} ->
        count(pids, if(pid in pids, do: found + 1, else: found))
    after
      0 -> found
    end
  end

  test "no call holds a scheduler for over 1 ms" do
    sim = start_sim!()
    start_connected!(sim)
    {:ok, %{rest: rest}} = UroDiscord.Runtime.fetch()
    {public, private} = :crypto.generate_key(:eddsa, :ed25519)
    body = :crypto.strong_rand_bytes(65_536)
    signature = :crypto.sign(:eddsa, :none, body, [private, :ed25519])
    {:ok, json} = JSON.encode(for n <- 1..5_000, do: %{id: n, name: "player #{n}"})
    {:ok, term} = JSON.decode(json)
    # 8 MiB, the size of a file: copied where no scheduler waits for it.
    file = :binary.copy(<<0>>, 8 * 1024 * 1024)

    request = fn ->
      # The route is refused by Discord; what counts here is the call.
      :ok =
        Native.rest_request(
          rest,
          make_ref(),
          request({:raw, :post, nil, "nowhere"}, [%{name: "a.bin", content_type: nil, data: file}])
        )
    end

    calls = [
      fn -> true = Native.verify_ed25519(public, body, signature) end,
      fn -> {:ok, _} = JSON.decode(json) end,
      fn -> {:ok, _} = JSON.encode(term) end,
      fn -> %{} = Native.rest_status(rest) end
    ]

    found = long_schedules(calls)

    # Both cores are busy, and Linux takes one away from a scheduler now and then: that shows as a long schedule too, and
    # is why this is a share. A call that is slow by itself is slow every time.
    assert found < 4 * @calls * 0.02,
           "#{found} of #{4 * @calls} calls held a scheduler for over 1 ms"

    # The fastest of some: the thread that it wakes may take the core from it.
    assert Enum.min(for _ <- 1..50, do: request |> :timer.tc() |> elem(0)) < 1_000

    # The watch sees what it should: the same work, inline.
    large = :binary.copy(body, 64)

    assert long_schedules([fn -> Native.verify_ed25519_inline(public, large, signature) end]) >
             @calls * 0.9
  end

  defp request(route, files) do
    %{
      route: route,
      body: "{}",
      files: files,
      reason: nil,
      priority: :normal,
      retry: :never,
      deadline_ms: 5_000,
      auth: :bot
    }
  end
end

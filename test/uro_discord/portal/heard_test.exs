defmodule UroDiscord.Portal.HeardTest do
  # How soon a portal is heard again when its bridge is killed, by people with libraries of their own on both sides: aiortc in the portal, discord.py in the
  # call, which is encrypted end to end.
  use UroDiscord.Case, async: false

  import UroDiscord.FreePort
  alias UroDiscord.{Portal, PortalClient, VoiceClient}

  @moduletag needs: :clients

  # A whole number of periods is in each of aiortc's frames.
  @hertz 550
  @soon 2_000

  # What has to be there again before anything is heard, in any order.
  @parts [
    bridge: {:status, {:bridge, :up, :_}},
    gateway: {:status, {:gateway, 0, %{state: :active}}},
    portal: {:portal, {"world", {:state, :open, nil}}},
    call: {:voice, {:_, {:joined, :_}}},
    key: {:voice, {:_, {:encryption, %{can_send: true}}}},
    peer: {:portal, {"world", {:peer_joined, :_}}}
  ]

  setup do
    sim = start_sim!(["--tls-beside", "--bots", "1"])
    member = VoiceClient.start!(sim, "bot-1")
    on_exit(fn -> VoiceClient.stop(member) end)

    # The ports are the same ones afterwards, as they are where people have them.
    start_connected!(sim,
      intents: [:guilds, :guild_voice_states],
      web: [port: free_port()],
      portal: [key: String.duplicate("key", 11), udp: [ip: "127.0.0.1", port: free_port()]]
    )

    test = self()
    start_supervised!({Task, fn -> forward(test) end})
    assert_receive :subscribed
    {:ok, "world"} = Portal.open(:world)
    await([:portal])
    VoiceClient.join(member, sim.info["channels"]["world"])
    {:ok, token} = Portal.token("world", role: :peer, who: "ada", name: "Ada")
    {:ok, url} = Portal.url("world", :peer)
    guest = PortalClient.start!(token)
    PortalClient.stay(guest, url, @hertz)
    await([:peer])
    %{member: member, bot: sim.info["application_id"]}
  end

  # Everything that is told, with the time when it is.
  defp forward(test) do
    for topic <- [:status, :portal, :voice], do: :ok = UroDiscord.subscribe(topic)
    send(test, :subscribed)
    forward_each(test)
  end

  defp forward_each(test) do
    receive do
      {:uro_discord, topic, event} -> send(test, {:told, now(), {topic, event}})
    end

    forward_each(test)
  end

  # When each part was told of. The order is not known.
  defp await(parts, times \\ [])
  defp await([], times), do: Enum.sort_by(times, &elem(&1, 1))

  defp await(parts, times) do
    receive do
      {:told, at, told} ->
        case Enum.find(parts, &like?(told, @parts[&1])) do
          nil -> await(parts, times)
          part -> await(List.delete(parts, part), [{part, at} | times])
        end
    after
      30_000 -> flunk("#{inspect(parts)} did not come: #{inspect(UroDiscord.status())}")
    end
  end

  defp like?(_told, :_), do: true

  defp like?(told, %{} = like) when is_map(told),
    do: Enum.all?(like, fn {key, value} -> like?(Map.get(told, key), value) end)

  defp like?(told, like) when is_tuple(like) and tuple_size(told) == tuple_size(like),
    do: Enum.all?(Enum.zip(Tuple.to_list(told), Tuple.to_list(like)), fn {told, like} -> like?(told, like) end)

  defp like?(told, like), do: told == like

  test "a portal whose bridge is killed is heard again within two seconds", %{member: member, bot: bot} do
    VoiceClient.hears(member, bot, 30)
    # A fifth of a second: while a stream catches up, what is heard is four thousandths higher.
    frames = member |> VoiceClient.heard(bot) |> Enum.take(-10)
    assert VoiceClient.share(member, frames, @hertz) > 0.4
    # A machine under load may be late; it is not so each time.
    times = soon(member, bot, 4)
    IO.puts("a portal's parts after SIGKILL, ms:" <> Enum.map_join(times, &"\n  #{inspect(&1)}"))
    assert List.last(times)[:heard] < @soon
    VoiceClient.stop(member)
  end

  defp soon(member, bot, tries) do
    parts = killed_and_heard(member, bot)
    [parts | if(parts[:heard] < @soon or tries == 1, do: [], else: soon(member, bot, tries - 1))]
  end

  defp killed_and_heard(member, bot) do
    flush()
    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    killed = now()
    {"", 0} = System.cmd("kill", ["-KILL", Integer.to_string(os_pid)])
    parts = await(Keyword.keys(@parts))
    # Nothing is under way any more of what was said before.
    VoiceClient.hears(member, bot)
    for {part, at} <- parts ++ [heard: now()], do: {part, at - killed}
  end

  defp flush do
    receive do
      {:told, _at, _told} -> flush()
    after
      0 -> :ok
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end

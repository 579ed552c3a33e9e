defmodule Demo.Portal do
  @moduledoc """
  A portal into the simulated call, and another one of somebody else's bot, whose UroDiscord has a BEAM of its own: who speaks through one is
  heard through the other, by way of Discord. This file is also what that other BEAM runs.
  """

  alias UroDiscord.{DiscordSim, JSON, Portal}

  @channel :world
  @timeout 60_000
  # So loud is a tone of uro-portal-peer at least, in dBFS. Silence is at -90 and below.
  @audible -40

  @doc "What both need of the configuration."
  def config do
    [
      intents: [:guilds, :guild_voice_states],
      web: [port: 0],
      portal: [
        key: Base.encode64(:crypto.strong_rand_bytes(48)),
        udp: [ip: "0.0.0.0", port: 0],
        # A browser may not find loopback, nor a machine without a network anything else.
        public_addresses: addresses()
      ]
    ]
  end

  @doc "Opens a portal; its id, the URL for peers, a token, and the page."
  def open!(id, name) do
    :ok = UroDiscord.subscribe(:portal)
    # Both sides are bots here.
    {:ok, ^id} = Portal.open(@channel, id: id, bots: true)
    wait(id, System.monotonic_time(:millisecond) + @timeout)
    # Who is subscribed ends with UroDiscord.
    :ok = UroDiscord.unsubscribe(:portal)
    # As long as tokens can be: a demo is left open.
    {:ok, token} = Portal.token(id, role: :peer, who: name, name: name, expires_in: 86_400)
    {:ok, url} = Portal.url(id, :peer)
    {:ok, page} = Portal.url(id, {:page, token})
    %{"id" => id, "url" => String.replace_suffix(url, "/peer", ""), "token" => token, "page" => page}
  end

  defp wait(id, deadline) do
    {:ok, %{state: state, reason: reason}} = Portal.status(id)

    unless state == :open do
      receive do
        {:uro_discord, :portal, {^id, {:state, _state, _reason}}} -> wait(id, deadline)
      after
        max(deadline - System.monotonic_time(:millisecond), 0) -> raise "the portal is #{state}: #{reason}"
      end
    end
  end

  defp addresses do
    {:ok, interfaces} = :inet.getifaddrs()

    for {_name, options} <- interfaces,
        flags = options[:flags],
        :up in flags,
        {:addr, {_, _, _, _} = address} <- options,
        do: address |> :inet.ntoa() |> to_string()
  end

  @doc "Starts the other BEAM, which ends with this one; what it opened."
  def start_other!(sim) do
    {:ok, info} = JSON.encode(sim.info)

    port =
      Port.open({:spawn_executable, System.find_executable("elixir")}, [
        :binary,
        :exit_status,
        {:line, 65_536},
        args: ["--erl", "+Bd", "-S", "mix", "run", "--no-compile", "bin/demo_other.exs"],
        env: [{~c"DEMO_SIM", String.to_charlist(info)}]
      ])

    receive do
      {^port, {:data, {:eol, line}}} ->
        {:ok, opened} = JSON.decode(line)
        opened

      {^port, {:exit_status, status}} ->
        raise "the other BEAM ended with status #{status}"
    after
      @timeout -> raise "the other portal is not open within #{@timeout} ms"
    end
  end

  @doc "What the other BEAM does."
  def other!(info) do
    sim = %DiscordSim{port: nil, info: info}
    token = info["users"]["peer"]["token"]
    more = [token: token, channels: [{@channel, info["channels"][to_string(@channel)]}], commands: nil]
    config = sim |> DiscordSim.config() |> Keyword.merge(config()) |> Keyword.merge(more)
    {:ok, supervisor} = Supervisor.start_link([{UroDiscord, config}], strategy: :one_for_one)
    {:ok, line} = "theirs" |> open!("You, in the other world") |> JSON.encode()
    IO.puts(line)
    :eof = IO.read(:stdio, :line)
    Supervisor.stop(supervisor)
    File.rm_rf!(DiscordSim.scratch())
  end

  @doc "Speaks through one and listens at the other; how loud it comes there, as a step of the story."
  def heard(from, to) do
    speaking = Task.async(fn -> peer("publish", from, ~w(--tone 600 --seconds 8)) end)
    said = peer("listen", to, ~w(--seconds 6))
    Task.shutdown(speaking, :brutal_kill)
    levels = for [_, level] <- Regex.scan(~r/(-?\d+\.\d) dB/, said), do: String.to_float(level)
    loud? = Enum.any?(levels, &(&1 > @audible))
    {"a voice from #{from["id"]} to #{to["id"]}, by way of Discord", :heard, if(loud?, do: :heard, else: said)}
  end

  defp peer(what, portal, arguments) do
    options = [env: [{"URO_PORTAL_TOKEN", portal["token"]}], stderr_to_stdout: true]
    program = Path.join([System.get_env("CARGO_TARGET_DIR", "target"), "debug/uro-portal-peer"])
    {output, _status} = System.cmd(program, [what, portal["url"] | arguments], options)
    output
  end
end

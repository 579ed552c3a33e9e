defmodule UroDiscord.Bridge do
  @moduledoc false
  # The owner of the bridge process. It states what is wanted and keeps the bridge running: a bridge that ended, however,
  # is started again after a pause that doubles, is given the whole desired state, and converges. There is no other
  # recovery code.

  use GenServer, shutdown: 2_000
  require Logger

  alias UroDiscord.{Backoff, Config, Events, Secret}
  alias UroDiscord.Bridge.{Gateway, Protocol, Sessions, Transport}

  # A bridge says hello as soon as it runs; this long for a machine under load.
  @hello_timeout 10_000
  # A bridge that answers no ping for three of these is hung.
  @ping_interval 5_000
  # A run of this length forgets the failures before it.
  @stable_after 10_000
  # Events that the bridge may send ahead of our handling them.
  @credit 1_024
  # The bridge may hold the gateway for so long without hearing from us again.
  @lease 60_000
  # The bridge's exit status for "your version of the protocol is not mine" (EX_PROTOCOL of sysexits.h).
  @exit_incompatible 76

  defmodule State do
    @moduledoc false
    @enforce_keys [:config, :since]
    defstruct [
      :config,
      :since,
      :transport,
      :os_pid,
      :last_end,
      phase: :starting,
      run: 0,
      failures: 0,
      buffer: "",
      presence: nil,
      events: [],
      gateway: %{},
      sessions: %{},
      presences: %{},
      handled: 0,
      pings: %{},
      next_ping: 0
    ]
  end

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(%Config{} = config),
    do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @doc "States the presence that is wanted: Discord's Update Presence data, or nil for none."
  @spec desire_presence(map() | nil) :: :ok
  def desire_presence(presence), do: GenServer.cast(__MODULE__, {:desire_presence, presence})

  @doc "Somebody subscribed to gateway events, or does no longer."
  @spec events_wanted() :: :ok
  def events_wanted, do: GenServer.cast(__MODULE__, :events_wanted)

  @doc "What is up and since when; `UroDiscord.status/0` gives the shape."
  @spec status() :: map()
  def status, do: GenServer.call(__MODULE__, :status)

  @doc "A term to the bridge and back."
  @spec ping(term(), timeout()) :: {:ok, term()} | {:error, :down}
  def ping(term, timeout \\ 5_000), do: GenServer.call(__MODULE__, {:ping, term}, timeout)

  @impl true
  def init(config) do
    # A write to a bridge that was killed ends the port with :epipe, and that must not be our end.
    Process.flag(:trap_exit, true)
    Process.send_after(self(), :ping, @ping_interval)
    state = %State{config: config, since: DateTime.utc_now(), events: Events.wanted()}
    {:ok, state, {:continue, :start}}
  end

  @impl true
  def handle_continue(:start, state), do: {:noreply, start(state)}

  @impl true
  def handle_call(:status, _from, state) do
    status = %{
      state: state.phase,
      since: state.since,
      os_pid: state.os_pid,
      restarts: max(state.run - 1, 0),
      last_end: state.last_end,
      gateway: state.gateway,
      presence: state.presences
    }

    {:reply, status, state}
  end

  def handle_call({:ping, term}, from, %{phase: :up} = state) do
    {:noreply, ping(state, from, term)}
  end

  def handle_call({:ping, _term}, _from, state), do: {:reply, {:error, :down}, state}

  @impl true
  def handle_cast({:desire_presence, presence}, state) do
    {:noreply, tell(%{state | presence: presence}, {:desired, %{"presence" => presence}})}
  end

  def handle_cast(:events_wanted, state), do: {:noreply, sync_events(state)}

  @impl true
  def handle_info({port, {:data, bytes}}, %{transport: %{port: port}} = state) do
    case Protocol.decode(state.buffer <> bytes) do
      {:ok, messages, rest} ->
        {:noreply, messages |> Enum.reduce(%{state | buffer: rest}, &handle/2) |> grant()}

      {:error, reason} ->
        {:noreply, stop(state, reason)}
    end
  end

  def handle_info({port, {:exit_status, status}}, %{transport: %{port: port}} = state) do
    {:noreply, ended(state, status)}
  end

  # A write met a bridge that was gone already. Its exit status is lost then.
  def handle_info({:EXIT, port, :epipe}, %{transport: %{port: port} = transport} = state) do
    Transport.close(transport)
    {:noreply, %{down(state) | last_end: "was gone when it was written to"} |> log_end() |> retry()}
  end

  def handle_info({:EXIT, port, _reason}, state) when is_port(port), do: {:noreply, state}
  def handle_info({:EXIT, _log, :normal}, state), do: {:noreply, state}
  def handle_info({:EXIT, _log, reason}, state), do: {:stop, reason, state}

  # From a run that is over.
  def handle_info({port, {kind, _}}, state) when is_port(port) and kind in [:data, :exit_status],
    do: {:noreply, state}

  def handle_info({:start, run}, %{run: run, phase: :waiting} = state),
    do: {:noreply, start(state)}

  def handle_info({:hello_timeout, run}, %{run: run, phase: :starting} = state) do
    {:noreply, stop(state, "the bridge did not say hello within #{@hello_timeout} ms")}
  end

  def handle_info({:stable, run}, %{run: run, phase: :up} = state),
    do: {:noreply, %{state | failures: 0}}

  def handle_info({tag, _run}, state) when tag in [:start, :hello_timeout, :stable],
    do: {:noreply, state}

  def handle_info(:ping, state) do
    Process.send_after(self(), :ping, @ping_interval)
    {:noreply, check_alive(state)}
  end

  ## One run of the bridge

  defp start(state) do
    state = %{state | run: state.run + 1, buffer: "", handled: 0, pings: %{}}

    case Transport.open(state.config.bridge_executable) do
      {:ok, transport} ->
        Process.send_after(self(), {:hello_timeout, state.run}, @hello_timeout)
        phase(%{state | transport: transport, os_pid: transport.os_pid}, :starting)

      {:error, reason} ->
        Logger.error("the bridge cannot be started: #{reason}")
        retry(%{state | last_end: reason})
    end
  end

  # We end it: it said something that is not in the protocol, or nothing at all.
  defp stop(%{transport: transport} = state, reason) do
    Logger.error("#{reason}; starting another bridge")
    Transport.kill(transport)
    Transport.close(transport)
    retry(%{down(state) | last_end: reason})
  end

  defp ended(%{transport: transport} = state, status) do
    Transport.close(transport)
    state = down(%{state | last_end: reason(status, state.buffer)})

    if status == @exit_incompatible,
      do: incompatible(state),
      else: state |> log_end() |> retry()
  end

  defp reason(status, buffer) when status > 128,
    do: "killed by signal #{status - 128}" <> truncated(buffer)

  defp reason(status, buffer), do: "exited with status #{status}" <> truncated(buffer)

  defp truncated(""), do: ""
  defp truncated(buffer), do: ", in the middle of a frame (#{byte_size(buffer)} bytes of it)"

  defp log_end(state) do
    Logger.warning("the bridge #{state.last_end}; starting another one")
    state
  end

  defp incompatible(state) do
    Logger.error(
      "the bridge and this library speak different versions of their protocol (ours is #{Protocol.version()}): they were built " <>
        "apart. Run `mix compile --force` in uro_discord. It is not started again until then"
    )

    phase(state, :incompatible)
  end

  defp down(state) do
    for {_id, from} <- state.pings, from != :alive, do: GenServer.reply(from, {:error, :down})
    %{state | transport: nil, os_pid: nil, gateway: %{}, presences: %{}, pings: %{}, buffer: ""}
  end

  defp retry(state) do
    Process.send_after(self(), {:start, state.run}, Backoff.delay(state.config.bridge_restart, state.failures))
    phase(%{state | failures: state.failures + 1}, :waiting)
  end

  defp phase(state, phase) do
    state = %{state | phase: phase, since: DateTime.utc_now()}

    Events.publish(
      :status,
      {:bridge, phase, %{os_pid: state.os_pid, since: state.since, last_end: state.last_end}}
    )

    state
  end

  # Pings without an answer, one per interval, are how long it has been silent.
  defp check_alive(%{phase: :up} = state) do
    case Enum.count(state.pings, fn {_id, from} -> from == :alive end) do
      silent when silent >= 3 ->
        stop(state, "the bridge has answered nothing for #{3 * @ping_interval} ms")

      _ ->
        state |> tell({:lease, @lease}) |> ping(:alive, nil)
    end
  end

  defp check_alive(state), do: state

  defp ping(%{next_ping: id} = state, from, term),
    do:
      tell(
        %{state | next_ping: id + 1, pings: Map.put(state.pings, id, from)},
        {:ping, {id, term}}
      )

  ## What the bridge says

  defp handle({:hello, version, info}, %{phase: :starting} = state) do
    Transport.up(state.transport)

    if version == Protocol.version() do
      Process.send_after(self(), {:stable, state.run}, @stable_after)
      Logger.info("the bridge is up (version #{info["bridge"]}, process #{state.os_pid})")

      state
      |> phase(:up)
      |> tell({:hello, Protocol.version(), %{"library" => library_version()}})
      |> tell({:desired, %{"gateway" => gateway(state), "presence" => state.presence}})
      |> tell({:lease, @lease})
      |> tell({:credit, @credit})
    else
      Transport.close(state.transport)
      incompatible(down(%{state | last_end: "speaks version #{version} of the protocol"}))
    end
  end

  defp handle({:gateway, shard, gateway_state, info}, state) do
    fact = Gateway.fact(gateway_state, info)
    Gateway.log(shard, gateway_state, info)
    Events.publish(:status, {:gateway, shard, fact})
    state = if gateway_state == :waiting, do: tell(state, {:identify, shard}), else: state

    %{
      state
      | gateway: Map.put(state.gateway, shard, fact),
        sessions: Sessions.fact(state.sessions, shard, gateway_state, info)
    }
  end

  defp handle({:event, shard, session, seq, type, data}, state) do
    event = %{shard: shard, session: session, seq: seq, type: type, data: data}

    state =
      case Events.publish({:gateway, type}, event) do
        0 -> sync_events(state)
        _ -> state
      end

    handled(state, shard, session, seq)
  end

  defp handle({:sequence, shard, session, seq}, state), do: handled(state, shard, session, seq)

  defp handle({:presence, shard, data}, state) do
    Events.publish(:status, {:presence, shard, data})
    %{state | presences: Map.put(state.presences, shard, data)}
  end

  defp handle({:refused, part, reason}, state) do
    Logger.error("the bridge refused #{part}: #{reason}")
    Events.publish(:status, {:refused, part, reason})
    state
  end

  defp handle({:pong, {id, term}}, state) do
    case Map.pop(state.pings, id) do
      {nil, _} -> state
      # One answer shows that it is alive, so the pings before it are settled too.
      {:alive, pings} -> %{state | pings: Map.reject(pings, fn {_id, from} -> from == :alive end)}
      {from, pings} -> reply(from, term, %{state | pings: pings})
    end
  end

  defp handle(other, state) do
    Logger.error("the bridge sent #{elem(other, 0)} out of turn")
    state
  end

  defp handled(state, shard, session, seq) do
    %{state | handled: state.handled + 1, sessions: Sessions.handled(state.sessions, shard, session, seq)}
  end

  defp reply(from, term, state) do
    GenServer.reply(from, {:ok, term})
    state
  end

  ## What is wanted

  defp gateway(state) do
    config = state.config

    %{
      "token" => Secret.reveal(config.token),
      "intents" => Config.Checks.intent_bits(config.intents),
      "url" => config.gateway_url,
      "shards" => 1,
      "sessions" => for({shard, session} <- state.sessions, do: Map.put(session, "shard", shard)),
      "events" => state.events
    }
  end

  defp sync_events(state) do
    case Events.wanted() do
      events when events == state.events -> state
      events -> desire_gateway(%{state | events: events})
    end
  end

  # A gateway that Discord closed for good is tried again only when it is desired again, and nothing has changed for Discord.
  defp desire_gateway(%{gateway: %{0 => %{state: :fatal}}} = state), do: state
  defp desire_gateway(state), do: tell(state, {:desired, %{"gateway" => gateway(state)}})

  defp grant(%{handled: handled} = state) when handled >= div(@credit, 4),
    do: tell(%{state | handled: 0}, {:credit, handled})

  defp grant(state), do: state

  defp tell(%{phase: :up} = state, message) do
    {:ok, frame} = Protocol.encode(message)

    case Transport.send(state.transport, frame) do
      :ok -> state
      :busy -> stop(state, "the bridge does not read what it is sent")
    end
  end

  # A bridge that is not up is told everything when it is.
  defp tell(state, _message), do: state

  defp library_version, do: :uro_discord |> Application.spec(:vsn) |> to_string()
end

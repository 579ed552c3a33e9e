defmodule UroDiscord.Bridge.Owner do
  @moduledoc false
  # The owner of a bridge. It keeps the bridge running: one that ended, however, is started again after a pause that doubles, is
  # given the whole desired state (`UroDiscord.Desired`), and converges. There is no other recovery code. `UroDiscord.Bridge` has what is said to it.

  # A frame that is not complete may have a token of Discord's voice in it.
  use UroDiscord.Server, hidden: [:buffer]
  require Logger

  alias UroDiscord.{Backoff, Bridge, Config, Desired, Events, Runtime, Secret, Server, Telemetry}
  alias UroDiscord.Bridge.{Changes, GatewayState, Hold, Log, Pings, Protocol, Reach, Status, Transport, Words}
  alias UroDiscord.Bridge.Owner.State
  alias UroDiscord.Bridges.{Placement, Share}
  alias UroDiscord.Gateway.Spread

  # A bridge says hello as soon as it runs; this long for a machine under load.
  @hello_timeout 10_000
  # A bridge that answers no ping for three of these is hung.
  @ping_interval 5_000
  # Words: what the events that the port reads at once become. With less there is a garbage collection while they are in use.
  @heap 32_768
  # How often a bridge that has the gateway with others is told for how long it may.
  @renew_interval 1_000
  # How often a full mailbox is looked at.
  @full_interval 50
  # Of what a newer bridge says, and is not known here, so many kinds are told in the log.
  @unknown 8
  # How often one that waits for the gateway's lease looks whether this node has it.
  @lease_interval 200
  @without_lease "this node has not the gateway, and who has it is served"
  # How long one that runs elsewhere and is of another version is left alone.
  @incompatible_pause 30_000
  # The bridge's exit status for "your version of the protocol is not mine" (EX_PROTOCOL of sysexits.h).
  @exit_incompatible 76

  # Who hears what a bridge with a role says.
  @hearers %{gateway: [], media: [:voice, :portal], http: [:http]}

  @typedoc """
    * those of a bridge of the configuration (`t:UroDiscord.Config.Bridges.bridge/0`): one named `:local` with all roles unless said;
    * `parts`: each a `UroDiscord.Bridge.Part`, which hears of voice, of HTTP and of portals; nobody unless said.
  """
  @type options :: [
          name: Bridge.name(),
          roles: [Bridge.role()],
          node: node() | nil,
          parts: [voice: module(), http: module(), portal: module()]
        ]

  @spec child_spec(Config.t() | {Config.t(), options()}) :: Supervisor.child_spec()
  def child_spec({%Config{}, options} = start) do
    id = Bridge.server(Keyword.get(options, :name, :local))
    %{id: id, start: {__MODULE__, :start_link, [start]}, shutdown: 5_000}
  end

  def child_spec(%Config{} = config), do: child_spec({config, []})

  @spec start_link({Config.t(), options()}) :: GenServer.on_start()
  def start_link({%Config{}, options} = start) do
    name = Bridge.server(Keyword.get(options, :name, :local))
    GenServer.start_link(__MODULE__, start, name: name, spawn_opt: [min_heap_size: @heap])
  end

  # For `status/1`.
  defp told(state) do
    bridge = %{
      state: state.phase,
      since: state.since,
      os_pid: state.os_pid,
      restarts: max(state.run - 1, 0),
      last_end: state.last_end,
      presence: if(state.gateway, do: state.gateway.presences, else: %{}),
      web: state.web,
      panics: state.panics
    }

    gateway = state.gateway && GatewayState.status(state.gateway)
    :ok = Status.put(state.name, bridge, gateway)
    %{state | held_back?: gateway != nil and gateway.held_back != nil}
  end

  @impl true
  def init({config, options}) do
    # To end the bridge before we end, and since what ends a transport must not end us.
    Process.flag(:trap_exit, true)
    Process.send_after(self(), :ping, @ping_interval)

    bridge = hd(Config.Bridges.default()) |> Map.merge(options |> Keyword.delete(:parts) |> Map.new())
    %{name: name, node: node, roles: roles} = bridge
    for role <- roles, do: :ok = Runtime.put({:bridge_with, role}, name)
    desires = Share.keys(name, roles)
    :ok = Desired.follow(desires)
    if follows_lease?(bridge), do: :ok = Events.subscribe(:status)
    apart? = Config.Bridges.apart?(config.bridges)
    leased? = node != nil and :media in roles and Config.Bridges.several?(config.bridges)
    spread? = :gateway in roles and Spread.several?(config)

    if spread? do
      :ok = Runtime.put(:gateway_bridges, Spread.names(config))
      :ok = Spread.own(name)
      Process.send_after(self(), :lease, @renew_interval)
    end

    state = %State{
      name: name,
      roles: roles,
      bridge: bridge,
      least_version: if(apart? and roles != [:http], do: Share.apart(), else: 0),
      hold: Hold.new(leased?),
      parts:
        options |> Keyword.get(:parts, []) |> Keyword.take(Enum.flat_map(roles, &Map.fetch!(@hearers, &1))) |> Map.new(),
      node: node,
      open: if(node, do: fn -> Transport.Node.open(node) end, else: fn -> Transport.Port.open(program(config)) end),
      since: DateTime.utc_now(),
      gateway: if(:gateway in roles, do: GatewayState.new(config, name)),
      spread?: spread?,
      desires: desires,
      backoff: Backoff.new(config.bridge_restart),
      panics: Status.no_panics()
    }

    {:ok, state, {:continue, :start}}
  end

  # One that has calls and portals, and no gateway, serves the node that decides where these are: the one that has the gateway's lease.
  defp follows_lease?(%{node: node, roles: roles}), do: node != nil and :media in roles and :gateway not in roles

  defp program(config), do: %{executable: config.bridge_executable, media_workers: config.bridge_media_workers}

  @impl true
  def handle_continue(:start, state), do: {:noreply, start(state)}

  @impl true
  def handle_call({:ping, term}, from, %{phase: :up} = state) do
    {:noreply, ping(state, from, term)}
  end

  def handle_call({:ping, _term}, _from, state), do: {:reply, {:error, :down}, state}

  def handle_call({:clip, _id, _portal, _ms} = wanted, _from, %{phase: :up} = state) do
    if "clip" in state.knows, do: {:reply, :ok, tell(state, wanted)}, else: {:reply, {:error, :unknown}, state}
  end

  def handle_call({:clip, _id, _portal, _ms}, _from, state), do: {:reply, {:error, :down}, state}

  # We end soon; `UroDiscord.Bridge.Farewell`.
  def handle_call(:let_go, _from, %{transport: nil} = state), do: {:reply, :ok, state}

  def handle_call(:let_go, _from, state) do
    let_go(state)
    {:reply, :ok, %{state | transport: nil, phase: :waiting, run: state.run + 1}}
  end

  @impl true
  # A request of a bridge that has ended has a number that no other one knows.
  def handle_cast({:http, message}, state), do: {:noreply, tell(state, message)}

  def handle_cast({:update, update}, state), do: {:noreply, tell(state, Secret.reveal(update))}

  def handle_cast(:subscribed, state),
    do: {:noreply, state.gateway |> GatewayState.subscribed() |> tell_all(state) |> follow()}

  def handle_cast({:unsubscribed, pid, type}, state),
    do: {:noreply, state.gateway |> GatewayState.unsubscribed(pid, type) |> tell_all(state) |> follow()}

  def handle_cast({:acknowledge, place, pid}, state),
    do: {:noreply, follow(%{state | gateway: GatewayState.acknowledge(state.gateway, place, pid)})}

  def handle_cast(:lease_changed, state), do: {:noreply, told(lease(state))}

  def handle_cast({:share, share, releasing}, state) do
    {released, told} = GatewayState.share(state.gateway, share, releasing, state.phase == :up)
    :ok = Spread.released(state.name, released)
    {:noreply, follow(told(tell_all(told, state)))}
  end

  def handle_cast({:identify, shard}, state),
    do: {:noreply, state.gateway |> GatewayState.identify(shard) |> tell_all(state)}

  @impl true
  def handle_info({:desired, part}, state),
    do: {:noreply, tell_changed(%{state | changes: Changes.changed(state.changes, part)})}

  def handle_info(:lease, state) do
    Process.send_after(self(), :lease, @renew_interval)
    {:noreply, lease(state)}
  end

  def handle_info(:look_again, state), do: {:noreply, told(follow(%{state | look_again: nil}))}

  # A subscriber has ended.
  def handle_info({:DOWN, _ref, :process, pid, reason}, %{gateway: %{}} = state),
    do: {:noreply, follow(%{state | gateway: GatewayState.died(state.gateway, pid, reason)})}

  def handle_info({:start, run}, %{run: run, phase: phase} = state) when phase in [:waiting, :incompatible],
    do: {:noreply, start(state)}

  def handle_info({:start, run}, %{run: run, phase: :absent, transport: nil} = state), do: {:noreply, start(state)}

  # Only one that follows the lease has subscribed. Whoever has it now is served by the bridge as soon as we are not.
  def handle_info({:uro_discord, :status, {:lease, :lost}}, %{transport: transport} = state) when transport != nil do
    let_go(state)
    # What it holds, it says when it comes again.
    :ok = Placement.gone(state.name)
    {:noreply, start(%{down(state) | phase: :waiting})}
  end

  def handle_info({:uro_discord, :status, _event}, state), do: {:noreply, state}

  def handle_info({:hello_timeout, run}, %{run: run, phase: :starting} = state) do
    {:noreply, stop(state, "the bridge did not say hello within #{@hello_timeout} ms")}
  end

  def handle_info({tag, _run}, state) when tag in [:start, :hello_timeout], do: {:noreply, state}

  # By its own clock it has given up before.
  def handle_info({:timeout, fence, :fence}, %{hold: %{fence: fence} = hold} = state) do
    if :media in state.roles, do: :ok = Placement.gone(state.name)
    {:noreply, %{state | hold: %{hold | fence: nil}}}
  end

  def handle_info({:timeout, _fence, :fence}, state), do: {:noreply, state}

  def handle_info(:ping, state) do
    Process.send_after(self(), :ping, @ping_interval)
    {:noreply, told(check_alive(watch(state)))}
  end

  def handle_info(message, %{transport: nil} = state), do: {:noreply, unknown(message, state)}

  def handle_info(message, state) do
    case Transport.heard(state.transport, message) do
      {:data, bytes} -> {:noreply, read(bytes, state)}
      {:ended, how} -> {:noreply, ended(state, how)}
      :arrived -> {:noreply, arrived(state)}
      {:absent, reason} -> {:noreply, absent(state, reason)}
      {:held, by} -> {:noreply, held(state, by)}
      :unknown -> {:noreply, unknown(message, state)}
    end
  end

  # Of a port that is over: its own end, and what it had read before.
  defp unknown({:EXIT, port, _reason}, state) when is_port(port), do: state
  defp unknown({port, _said}, state) when is_port(port), do: state
  # Of a transport's process, which has told its end before.
  defp unknown({:EXIT, pid, :normal}, state) when is_pid(pid), do: state

  defp unknown(message, state) do
    if not Transport.Node.stray?(message), do: Server.unknown(:message, message)
    state
  end

  # The gateway is closed when this returns, so that another node can have it.
  @impl true
  def terminate(_reason, %{transport: nil}), do: :ok

  def terminate(_reason, state), do: let_go(state)

  defp let_go(state) do
    {:ok, stop} = Protocol.encode({:stop})
    Transport.finish(state.transport, [farewell(state), stop])
  end

  # Whoever comes next finds calls and portals as they are.
  defp farewell(%{phase: :up, hold: hold, node: node}) when node != nil do
    with {:hold, _number, _ms} = message <- Hold.farewell(hold) do
      {:ok, frame} = Protocol.encode(message)
      frame
    else
      nil -> []
    end
  end

  defp farewell(_state), do: []

  ## One run of the bridge

  defp start(state) do
    if follows_lease?(state.bridge) and not GatewayState.held?() do
      Process.send_after(self(), {:start, state.run}, @lease_interval)
      if state.phase == :absent, do: state, else: phase(%{state | last_end: @without_lease}, :absent)
    else
      open(state)
    end
  end

  defp open(state) do
    state = %{state | run: state.run + 1, buffer: Protocol.empty(), pings: %Pings{}, unknown: [], knows: []}

    case state.open.() do
      {:ok, transport} ->
        arrived(%{state | transport: transport, os_pid: Transport.os_pid(transport)})

      # Why the one before ended says more, until there is news.
      {:absent, transport, reason} ->
        absent(%{state | transport: transport}, state.last_end || reason)

      # Said once for each reason.
      {:error, reason} ->
        if reason != state.last_end,
          do:
            Logger.error(
              "the bridge cannot be started: #{reason}. It is tried again until it can; the other parts go on"
            )

        retry(%{state | last_end: reason})
    end
  end

  defp arrived(state) do
    Process.send_after(self(), {:hello_timeout, state.run}, @hello_timeout)
    phase(state, :starting)
  end

  defp held(state, by) do
    state = absent(state, "it serves #{by}; it serves this node when that one has gone")
    :ok = Reach.put(state.name, :held)
    state
  end

  # How it ended was said before.
  defp absent(state, reason) do
    if reason != state.last_end, do: Logger.warning("the bridge #{state.node} is absent: #{reason}")
    phase(%{state | last_end: reason}, :absent)
  end

  # It has ended before, by what it said in the same bytes.
  defp stop(%{transport: nil} = state, _reason), do: state

  # We end it: it said something that is not in the protocol, or nothing at all.
  defp stop(%{transport: transport} = state, reason) do
    Logger.error("#{Words.at(state.node)}#{reason}; #{Words.next(state.node)}")
    Transport.kill(transport)
    retry(%{down(state) | last_end: reason})
  end

  defp ended(state, how) do
    state = down(%{state | last_end: Words.ended(how, Protocol.size(state.buffer))})

    if how == {:status, @exit_incompatible},
      do: incompatible(state),
      else: state |> log_end() |> retry()
  end

  defp log_end(state) do
    Logger.warning("#{Words.title(state.node)} #{state.last_end}; #{Words.next(state.node)}")
    state
  end

  defp incompatible(state) do
    Logger.error(Words.incompatible(state.node, state.last_end, @incompatible_pause))
    # Another one may come in its place.
    if state.node, do: Process.send_after(self(), {:start, state.run}, @incompatible_pause)
    phase(state, :incompatible)
  end

  defp down(state) do
    for from <- Pings.waiting(state.pings), do: GenServer.reply(from, {:error, :down})
    for {_part, module} <- state.parts, do: :ok = module.ended(state.name)
    # The end of a process of ours is the end of all that it had.
    if state.node == nil and :media in state.roles, do: :ok = Placement.gone(state.name)
    if state.spread?, do: :ok = Spread.ended(state.name)

    %{
      state
      | transport: nil,
        web: nil,
        os_pid: nil,
        gateway: state.gateway && GatewayState.ended(state.gateway),
        pings: %Pings{},
        changes: Changes.read(state.changes),
        buffer: Protocol.empty()
    }
  end

  defp retry(state) do
    {pause, backoff} = Backoff.failed(state.backoff)
    Process.send_after(self(), {:start, state.run}, pause)
    phase(%{state | backoff: backoff}, :waiting)
  end

  defp phase(state, phase) do
    :ok = Reach.put(state.name, if(phase == :up, do: :up, else: :away))
    if phase == :up and state.gateway != nil, do: :ok = GatewayState.up()
    state = told(%{state | phase: phase, since: DateTime.utc_now()})
    Events.publish(:status, {:bridge, phase, Map.take(state, [:name, :roles, :os_pid, :since, :last_end])})
    state
  end

  defp lease(state) do
    state = state.gateway |> GatewayState.lease_changed() |> tell_all(state)
    if state.spread?, do: :ok = Spread.lease()
    state
  end

  # Pings without an answer, one per interval, are how long it has been silent.
  defp check_alive(%{phase: :up} = state) do
    if Pings.silent(state.pings) >= 3,
      do: stop(state, "the bridge has answered nothing for #{3 * @ping_interval} ms"),
      else: ping(state, :alive, nil)
  end

  defp check_alive(state), do: state

  defp ping(state, owner, term) do
    {id, pings} = Pings.add(state.pings, owner)
    tell(%{state | pings: pings}, {:ping, {id, term}})
  end

  ## What the bridge says

  defp read(bytes, state) do
    case Protocol.decode(state.buffer, bytes, state, &handle/2) do
      {:ok, buffer, state} -> follow(%{state | buffer: buffer})
      {:error, reason, state} -> stop(state, reason)
    end
  end

  # What follows a hello that was not understood.
  defp handle(_message, %{transport: nil} = state), do: state

  defp handle({:hello, version, info}, %{phase: :starting} = state) do
    if Protocol.understood?(version) and version >= state.least_version do
      state = %{state | version: min(version, Protocol.version())}
      state = %{state | backoff: Backoff.well(state.backoff), knows: known(info)}
      Logger.info("#{Words.title(state.node)} is up (version #{info["bridge"]}, process #{info["os_pid"]})")
      if version != Protocol.version(), do: Logger.warning(Words.apart(state.node, version))

      state = state |> phase(:up) |> tell({:hello, Protocol.version(), %{"library" => library_version()}})
      # Where others could have its calls and portals it gets none before it is told for how long.
      if Hold.begun?(state.hold, state.run), do: begin(state), else: state
    else
      Transport.kill(state.transport)
      incompatible(down(%{state | last_end: "speaks version #{version} of the protocol"}))
    end
  end

  defp handle(message, %{gateway: %{}} = state) when elem(message, 0) in [:event, :sequence],
    do: %{state | gateway: GatewayState.handle(state.gateway, message)}

  defp handle(message, %{gateway: %{}} = state) when elem(message, 0) in [:gateway, :presence] do
    {gateway, event} = GatewayState.handle(state.gateway, message)
    state = told(%{state | gateway: gateway})
    if event, do: Events.publish(:status, event)
    if match?({:gateway, _shard, :released, _info}, message), do: :ok = Spread.released(state.name, [elem(message, 1)])
    state
  end

  defp handle({:voice_states, states}, %{roles: roles} = state) do
    if :media in roles, do: :ok = Placement.said(state.name, states)
    state
  end

  # Of a call that it has itself it knows already.
  defp handle({:voice_update, guild, _what, _info} = update, %{gateway: %{}} = state) do
    name = Placement.of(guild)
    if name not in [nil, state.name], do: :ok = Bridge.update(name, update)
    state
  end

  defp handle({:renew, number}, %{phase: :up, run: run} = state) do
    begun? = Hold.begun?(state.hold, run)
    {told, hold} = Hold.renew(state.hold, number, run)
    state = tell(%{state | hold: hold}, told)
    if begun?, do: state, else: begin(state)
  end

  defp handle(message, %{parts: %{voice: voice}} = state) when elem(message, 0) == :voice,
    do: heard(voice, message, state)

  defp handle(message, %{parts: %{http: http}} = state) when elem(message, 0) in [:http, :request, :body, :gone],
    do: heard(http, message, state)

  # A listener that is for portals' peers only.
  defp handle({:http, phase, info}, state) do
    if phase == :listening,
      do: Logger.info("#{Words.title(state.node)} serves portals at #{info["ip"]} port #{info["port"]}")

    told(%{state | web: %{state: phase, ip: info["ip"], port: info["port"], reason: info["reason"]}})
  end

  defp handle(message, %{parts: %{portal: portal}} = state) when elem(message, 0) in [:media, :portal, :still, :clip],
    do: heard(portal, message, state)

  # What it has ended says so itself, and its log says why.
  defp handle({:panic, what, which}, state) do
    Telemetry.execute([:bridge, :panic], %{count: 1}, %{bridge: state.name, what: what, which: which})
    state = told(%{state | panics: Map.update!(state.panics, what, &(&1 + 1))})
    Events.publish(:status, {:panic, what, which})
    state
  end

  defp handle({:refused, part, reason}, state) do
    Logger.error("#{Words.title(state.node)} refused #{part}: #{reason}")
    Events.publish(:status, {:refused, part, reason})
    state
  end

  defp handle({:log, level, target, message, fields}, state) do
    Log.write(level, target, message, fields)
    state
  end

  defp handle({:unknown, name}, %{unknown: names} = state) do
    if name in names or length(names) >= @unknown do
      state
    else
      Logger.info("#{Words.title(state.node)} said #{inspect(name)}, which only its version knows: it is passed over")
      %{state | unknown: [name | names]}
    end
  end

  defp handle({:pong, {id, term}}, state) do
    {owner, pings} = Pings.answered(state.pings, id)
    pong(owner, term, %{state | pings: pings})
  end

  defp handle(other, state) do
    Logger.error("#{Words.title(state.node)} sent #{elem(other, 0)} out of turn")
    state
  end

  # Bridges of before said nothing of this.
  defp known(%{"knows" => knows}) when is_list(knows), do: knows
  defp known(_info), do: []

  defp pong(:desired, _term, state), do: tell_changed(%{state | changes: Changes.read(state.changes)})
  defp pong(owner, _term, state) when owner in [nil, :alive], do: state

  defp pong(owner, term, state) do
    GenServer.reply(owner, {:ok, term})
    state
  end

  defp heard(part, message, state), do: state.name |> part.heard(message) |> Enum.reduce(state, &tell(&2, &1))

  # The whole desired state, with the gateway as the lease has it.
  defp begin(%{gateway: nil} = state), do: tell_desired(state, Desired.fetch(state.desires))

  defp begin(state) do
    {gateway, told} = GatewayState.started(state.gateway)
    if state.spread?, do: :ok = Spread.up(state.name)
    tell_all(told, tell_desired(state, Map.put(Desired.fetch(state.desires), "gateway", gateway)))
  end

  defp tell_changed(%{phase: :up} = state) do
    parts = if Hold.begun?(state.hold, state.run), do: Changes.due(state.changes), else: []
    if parts == [], do: state, else: tell_desired(state, Desired.fetch(parts))
  end

  defp tell_changed(state), do: state

  # Its answer to the ping says that it has read them.
  defp tell_desired(state, parts) do
    state = %{state | changes: Changes.told(state.changes, Map.keys(parts))}
    state |> tell({:desired, Share.told(parts, state.bridge, state.version)}) |> ping(:desired, nil)
  end

  defp watch(%{gateway: nil} = state), do: state
  defp watch(state), do: %{state | gateway: GatewayState.watch(state.gateway)}

  # After whatever may have had events handled.
  defp follow(%{gateway: nil} = state), do: state

  defp follow(state) do
    {room, told} = GatewayState.follow(state.gateway)
    state = tell_all(told, state)
    state = if GatewayState.stopped?(state.gateway) == state.held_back?, do: state, else: told(state)

    if room == :full and state.look_again == nil,
      do: %{state | look_again: Process.send_after(self(), :look_again, @full_interval)},
      else: state
  end

  defp tell_all({messages, gateway}, state), do: Enum.reduce(messages, %{state | gateway: gateway}, &tell(&2, &1))

  defp tell(%{phase: :up} = state, message) do
    case Protocol.encode(message) do
      {:ok, frame} -> :ok = Transport.send(state.transport, frame)
      # What it was told before stays. To end would be to say the same to the next bridge.
      {:error, reason} -> Logger.error("#{Words.title(state.node)} is not told #{elem(message, 0)}: #{reason}")
    end

    state
  end

  # A bridge that is not up is told everything when it is.
  defp tell(state, _message), do: state

  defp library_version, do: :uro_discord |> Application.spec(:vsn) |> to_string()
end

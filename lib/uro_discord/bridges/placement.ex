defmodule UroDiscord.Bridges.Placement do
  @moduledoc false
  # Which bridge with the role :media has which guild's call, and with it the guild's portal. `UroDiscord.Voice.Calls` and `UroDiscord.Portal.Rooms` say
  # which guilds they want placed; the owners of the bridges say which bridges are there, and which of them may hold nothing any more. When something
  # moves, those two hear of it, and state the bridges' shares anew.
  #
  # What the calls want Discord to be told of where the bot is goes through here as well, from the bridge that has the call to those that have the gateway.
  #
  # What it goes by are facts of `UroDiscord.Runtime`, so that nothing is lost while this process is started again: `{:media_bridge, name}`, which the owner of
  # that bridge writes, `:drained_bridges`, `:places_wanted` and `{:placed, guild}`.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Config, Desired, Events, Runtime, Server, Snowflake}
  alias UroDiscord.Bridges.Choice
  alias UroDiscord.Config.Bridges
  alias UroDiscord.Gateway.Leader

  # So long after this node has got the gateway's lease nothing is placed while bridges are missing: what they have of whoever had the lease before, be it this
  # node, is to stay there. Bridges that only have calls and portals come after the lease.
  @settle_ms 5_000

  @type kind :: :voice | :portals

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @doc "These guilds want a place for that, and no others; on which bridge each is. One that is missing has none yet."
  @spec place(kind(), [Snowflake.t()]) :: Choice.placed()
  def place(kind, guilds) do
    with {:error, _not_just_now} <- Server.call(__MODULE__, {:place, kind, guilds}),
         do: Map.take(Runtime.all(:placed), guilds)
  end

  @doc "The bridge that has this guild's call; nil: none yet. Waits for nobody."
  @spec of(Snowflake.t()) :: atom() | nil
  def of(guild), do: Runtime.lookup({:placed, guild})

  @doc "Why something new is on no bridge, for people."
  @spec nowhere() :: String.t()
  def nowhere do
    case for({name, %{up?: true}} <- Enum.sort(Runtime.all(:media_bridge)), draining?(name), do: name) do
      [] ->
        "no bridge with the role :media is there that could have it (UroDiscord.status/0 tells)"

      [name | _] = names ->
        "every bridge with the role :media that is there drains (#{Enum.join(names, ", ")}): `mix uro_discord.bridges undrain #{name}`"
    end
  end

  @doc "Whether it gets no more. Waits for nobody."
  @spec draining?(atom()) :: boolean()
  def draining?(name), do: "#{name}" in (Runtime.lookup(:drained_bridges) || [])

  @doc "Whether it may get more. Waits for nobody."
  @spec takes?(atom()) :: boolean()
  def takes?(name), do: there(name).up? and not draining?(name)

  # Of the bridges with the role :media: whether it is there, and what its calls want Discord to be told.
  defp there(name), do: Runtime.lookup({:media_bridge, name}) || %{up?: false, states: %{}}

  @doc """
  What a bridge's calls want Discord to be told; docs/bridge-protocol.md has the form. With all of it, it is there. The owner of the bridge says it, and `gone/1`.
  """
  @spec said(atom(), map()) :: :ok
  def said(name, %{} = said) do
    states =
      for %{"guild" => guild} = one when is_binary(guild) <- List.wrap(said["states"]), into: %{}, do: {guild, one}

    left = for guild when is_binary(guild) <- List.wrap(said["left"]), do: guild
    whole? = said["whole"] == true
    %{up?: up?, states: before} = there(name)
    states = if(whole?, do: %{}, else: before) |> Map.drop(left) |> Map.merge(states)
    changed(name, %{up?: up? or whole?, states: states})
  end

  @doc "A bridge holds no call and no portal any more, for sure; or it says of those when it comes again."
  @spec gone(atom()) :: :ok
  def gone(name), do: changed(name, %{up?: false, states: %{}})

  defp changed(name, there) do
    :ok = Runtime.put({:media_bridge, name}, there)
    GenServer.cast(__MODULE__, {:changed, name})
  end

  @doc "Guilds that were left of late."
  @spec left([Snowflake.t()]) :: :ok
  def left(guilds), do: GenServer.cast(__MODULE__, {:left, guilds})

  @doc "These bridges get nothing more, and what they have moves; no others."
  @spec drain([String.t()]) :: :ok | {:error, UroDiscord.Error.t()}
  def drain(names), do: Server.call(__MODULE__, {:drain, names})

  @impl true
  def init(config) do
    :ok = Events.subscribe(:status)
    bridges = Bridges.having(config.bridges, :media)
    placed = Runtime.all(:placed)

    state = %{
      bridges: bridges,
      several?: Bridges.several?(bridges),
      relay?: Bridges.apart?(config.bridges),
      settled?: placed != %{},
      # Ends the wait for bridges that are missing.
      settle: nil,
      known: Map.new(bridges, &{&1.name, there(&1.name)}),
      drained: Runtime.lookup(:drained_bridges) || [],
      wanted: Runtime.lookup(:places_wanted) || %{},
      placed: placed,
      left: []
    }

    {:ok, if(Leader.held?(), do: held(state), else: lost(state)), {:continue, :again}}
  end

  # Whoever wanted a place meanwhile wants it again.
  @impl true
  def handle_continue(:again, state) do
    state = state |> place_all(nil) |> tell_states()
    Events.publish(:placed, [])
    {:noreply, state}
  end

  @impl true
  def handle_call({:place, kind, guilds}, _from, state) do
    wanted = Map.put(state.wanted, kind, guilds)
    :ok = Runtime.put(:places_wanted, wanted)
    # Whoever asks is told by the answer.
    state = place_all(%{state | wanted: wanted}, kind)
    {:reply, Map.take(state.placed, guilds), state}
  end

  def handle_call({:drain, names}, _from, state) do
    :ok = Runtime.put(:drained_bridges, names)
    {:reply, :ok, place_all(%{state | drained: names}, nil)}
  end

  @impl true
  def handle_cast({:changed, name}, state) when is_map_key(state.known, name) do
    {before, now} = {state.known[name], there(name)}
    state = put_in(state.known[name], now)

    if before.up? and not now.up? and state.several? and name in Map.values(state.placed),
      do: Logger.warning("the bridge #{name} has no calls and portals any more: those are placed on others")

    {:noreply, if(before.up? != now.up?, do: place_all(state, nil), else: state) |> tell_states()}
  end

  def handle_cast({:left, guilds}, state), do: {:noreply, tell_states(%{state | left: guilds})}

  @impl true
  def handle_info({:uro_discord, :status, {:lease, :held}}, state), do: {:noreply, state |> held() |> place_all(nil)}
  def handle_info({:uro_discord, :status, {:lease, :lost}}, state), do: {:noreply, lost(state)}
  def handle_info({:uro_discord, :status, _event}, state), do: {:noreply, state}

  def handle_info({:timeout, settle, :settle}, %{settle: settle} = state),
    do: {:noreply, place_all(%{state | settled?: true}, nil)}

  # Of a lease before.
  def handle_info({:timeout, _settle, :settle}, state), do: {:noreply, state}

  defp held(state), do: %{state | settle: :erlang.start_timer(@settle_ms, self(), :settle)}

  # Whoever has the lease now places anew; what `Calls` and `Rooms` want then, they say then.
  defp lost(state) do
    for {guild, _name} <- state.placed, do: :ok = Runtime.delete({:placed, guild})
    tell_states(%{state | settled?: false, settle: nil, placed: %{}})
  end

  ## Placing

  defp place_all(state, asking) do
    if Leader.held?() and (state.settled? or all_there?(state)) do
      wanted = state.wanted |> Map.values() |> Enum.concat() |> Enum.uniq()
      placed = state |> had(wanted) |> Map.merge(state.placed) |> Choice.place(wanted, bridges(state))
      moved(%{state | settled?: true}, placed, asking)
    else
      state
    end
  end

  # One alone has everything, there or not.
  defp all_there?(%{several?: several?, known: known}),
    do: not several? or Enum.all?(known, fn {_name, known} -> known.up? end)

  # A bridge that outlived the Uro before has calls of it: those stay there.
  defp had(state, wanted) do
    for guild <- wanted,
        not is_map_key(state.placed, guild),
        name = Enum.find_value(state.known, fn {name, known} -> if is_map_key(known.states, guild), do: name end),
        into: %{},
        do: {guild, name}
  end

  # One bridge alone has all of it, whether it is there or not: it is told when it comes.
  defp bridges(%{bridges: [%{name: name, weight: weight}]}),
    do: [%{name: name, weight: weight, takes?: true, has?: true}]

  defp bridges(state) do
    for %{name: name, weight: weight} <- state.bridges do
      takes? = state.known[name].up? and "#{name}" not in state.drained
      %{name: name, weight: weight, takes?: takes?, has?: takes?}
    end
  end

  defp moved(%{placed: placed} = state, placed, _asking), do: state

  defp moved(state, placed, asking) do
    for {guild, _name} <- state.placed, not is_map_key(placed, guild), do: :ok = Runtime.delete({:placed, guild})
    changed = for {guild, name} <- placed, state.placed[guild] != name, do: {guild, name}
    for {guild, name} <- changed, do: :ok = Runtime.put({:placed, guild}, name)
    moved = for {guild, _name} <- changed, is_map_key(state.placed, guild), do: guild
    state = tell_states(%{state | placed: placed})

    # Who asks is told by the answer, but of what else has moved.
    if moved != [] or (changed != [] and asking == nil) do
      Events.publish(:placed, moved)
    end

    state
  end

  ## Where the bot is to be

  defp tell_states(%{relay?: false} = state), do: state

  defp tell_states(state) do
    states = for {guild, name} <- state.placed, said = state.known[name].states[guild], do: {name, said}

    Desired.put("voice_states", %{
      "states" => Enum.sort(states),
      "left" => Enum.reject(state.left, &is_map_key(state.placed, &1))
    })

    state
  end
end

defmodule UroDiscord.Bridges.Placement do
  @moduledoc false
  # Which bridge with the role :media has which guild's call, and with it the guild's portal. `UroDiscord.Voice.Calls` and `UroDiscord.Portal.Rooms` say
  # which guilds they want placed; the owners of the bridges say which bridges are there, and which of them may hold nothing any more. When something
  # moves, those two hear of it, and state the bridges' shares anew.
  #
  # What the calls want Discord to be told of where the bot is goes through here as well, from the bridge that has the call to those that have the gateway.
  #
  # Facts of `UroDiscord.Runtime` outlive this process: `{:placed, guild}`, and `{:media_bridge, name}`.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Config, Desired, Events, Runtime, Server, Snowflake}
  alias UroDiscord.Bridges.Choice
  alias UroDiscord.Config.Bridges

  # So long after the start nothing is placed while bridges are missing: what they have of the Uro before is to stay there.
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

  @doc "Whether it gets no more. Waits for nobody."
  @spec draining?(atom()) :: boolean()
  def draining?(name), do: match?(%{draining?: true}, Runtime.lookup({:media_bridge, name}))

  @doc "Whether it may get more. Waits for nobody."
  @spec takes?(atom()) :: boolean()
  def takes?(name), do: match?(%{up?: true, draining?: false}, Runtime.lookup({:media_bridge, name}))

  @doc "What a bridge's calls want Discord to be told; docs/bridge-protocol.md has the form. With all of it, it is there."
  @spec said(atom(), map()) :: :ok
  def said(name, states), do: GenServer.cast(__MODULE__, {:said, name, states})

  @doc "A bridge holds no call and no portal any more, for sure."
  @spec gone(atom()) :: :ok
  def gone(name), do: GenServer.cast(__MODULE__, {:gone, name})

  @doc "Guilds that were left of late."
  @spec left([Snowflake.t()]) :: :ok
  def left(guilds), do: GenServer.cast(__MODULE__, {:left, guilds})

  @doc "These bridges get nothing more, and what they have moves; no others."
  @spec drain([String.t()]) :: :ok
  def drain(names), do: GenServer.cast(__MODULE__, {:drain, names})

  @impl true
  def init(config) do
    bridges = Bridges.having(config.bridges, :media)
    # What was known before a crash of this process.
    known = Runtime.all(:media_bridge)
    settled? = not Bridges.several?(config.bridges) or known != %{}
    if not settled?, do: Process.send_after(self(), :settle, @settle_ms)

    {:ok,
     %{
       bridges: bridges,
       relay?: Bridges.apart?(config.bridges),
       settled?: settled?,
       known: Map.new(bridges, &{&1.name, known[&1.name] || %{up?: false, draining?: false, states: %{}}}),
       wanted: Runtime.lookup(:places_wanted) || %{},
       placed: Runtime.all(:placed),
       left: []
     }}
  end

  @impl true
  def handle_call({:place, kind, guilds}, _from, state) do
    wanted = Map.put(state.wanted, kind, guilds)
    :ok = Runtime.put(:places_wanted, wanted)
    # Whoever asks is told by the answer.
    state = place_all(%{state | wanted: wanted}, kind)
    {:reply, Map.take(state.placed, guilds), state}
  end

  @impl true
  def handle_cast({:said, name, %{} = said}, state) do
    case state.known do
      %{^name => known} ->
        states =
          for %{"guild" => guild} = one when is_binary(guild) <- List.wrap(said["states"]), into: %{}, do: {guild, one}

        left = for guild when is_binary(guild) <- List.wrap(said["left"]), do: guild
        whole? = said["whole"] == true
        before = if whole?, do: %{}, else: known.states
        known = %{known | states: before |> Map.drop(left) |> Map.merge(states)}
        state = put_known(state, name, known)
        {:noreply, if(whole?, do: change(state, name, &%{&1 | up?: true}), else: state) |> tell_states()}

      _no_media ->
        {:noreply, state}
    end
  end

  def handle_cast({:gone, name}, state) do
    if Bridges.several?(state.bridges) and match?(%{^name => %{up?: true}}, state.known),
      do: Logger.warning("the bridge #{name} has no calls and portals any more: those are placed on others")

    {:noreply, change(state, name, &%{&1 | up?: false, states: %{}})}
  end

  def handle_cast({:left, guilds}, state), do: {:noreply, tell_states(%{state | left: guilds})}

  def handle_cast({:drain, names}, state) do
    state =
      Enum.reduce(state.known, state, fn {name, known}, state ->
        put_known(state, name, %{known | draining?: "#{name}" in names})
      end)

    {:noreply, place_all(state, nil)}
  end

  @impl true
  def handle_info(:settle, state), do: {:noreply, place_all(%{state | settled?: true}, nil)}

  defp change(state, name, change) do
    case state.known do
      %{^name => known} -> state |> put_known(name, change.(known)) |> place_all(nil)
      _no_media -> state
    end
  end

  defp put_known(state, name, known) do
    :ok = Runtime.put({:media_bridge, name}, known)
    put_in(state.known[name], known)
  end

  ## Placing

  defp place_all(state, asking) do
    settled? = state.settled? or Enum.all?(state.known, fn {_name, known} -> known.up? end)
    state = %{state | settled?: settled?}
    wanted = state.wanted |> Map.values() |> Enum.concat() |> Enum.uniq()

    if settled? do
      placed = state |> had(wanted) |> Map.merge(state.placed) |> Choice.place(wanted, bridges(state))
      moved(state, placed, asking)
    else
      state
    end
  end

  # A bridge that outlived the Uro before has calls of it: those stay there.
  defp had(state, wanted) do
    for guild <- wanted,
        not is_map_key(state.placed, guild),
        name = Enum.find_value(state.known, fn {name, known} -> if is_map_key(known.states, guild), do: name end),
        into: %{},
        do: {guild, name}
  end

  # Of one bridge alone it is no matter whether it is there: it is told when it is.
  defp bridges(%{bridges: [%{name: name, weight: weight}]}),
    do: [%{name: name, weight: weight, takes?: true, has?: true}]

  defp bridges(state) do
    for %{name: name, weight: weight} <- state.bridges do
      %{up?: up?, draining?: draining?} = state.known[name]
      takes? = up? and not draining?
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

defmodule UroDiscord.Shards.Board.Displays do
  @moduledoc false
  # Starts the displays: of each channel of the configuration, and of each voice channel where a portal is open, once somebody of the world has spoken
  # there. Nobody waits for this process.

  use UroDiscord.Server

  alias UroDiscord.{Channels, Config, Events, Runtime}
  alias UroDiscord.Shards.Board.{Display, Message, Portals, VoiceStatus}

  @spec start_link({Config.t(), registry :: atom(), supervisor :: atom()}) :: GenServer.on_start()
  def start_link(argument), do: GenServer.start_link(__MODULE__, argument, name: __MODULE__)

  @impl true
  def init({config, registry, supervisor}) do
    :ok = Events.subscribe(:portal_shown)

    configured =
      for(id <- config.board.channels, do: {Message, id}) ++
        for(id <- config.board.voice_channels, do: {VoiceStatus, id})

    state = %{config: config, registry: registry, supervisor: supervisor, configured: configured, spoken: []}
    {:ok, state, {:continue, :show}}
  end

  @impl true
  def handle_continue(:show, state), do: {:noreply, show(state)}

  @impl true
  # One look at all portals serves all the changes that are waiting.
  def handle_info({:uro_discord, :portal_shown, _id}, state) do
    drain()
    {:noreply, show(state)}
  end

  defp drain, do: receive(do: ({:uro_discord, :portal_shown, _id} -> drain()), after: (0 -> :ok))

  defp show(%{registry: registry} = state) do
    spoken = for portal <- Portals.open(), spoken?(portal, state.spoken), do: portal.channel_id
    wanted = Enum.uniq(state.configured ++ for(id <- spoken, do: {VoiceStatus, id}))
    there = Registry.select(registry, [{{:"$1", :"$2", :_}, [], [{{:"$1", :"$2"}}]}])
    for {which, pid} <- there, which not in wanted, do: DynamicSupervisor.terminate_child(state.supervisor, pid)
    for which <- wanted, not List.keymember?(there, which, 0), do: start(which, state)
    %{state | spoken: spoken}
  end

  # A stage has no status.
  defp spoken?(%{channel_id: id} = portal, before), do: id in before or (portal.speakers != [] and not stage?(id))

  defp stage?(channel_id) do
    {:ok, %{rest: rest}} = Runtime.fetch()
    match?({:ok, %{kind: :stage}}, Channels.fetch(channel_id, rest))
  end

  # One that was started again by its supervisor may be there already.
  defp start({module, channel_id}, state) do
    argument = {module, channel_id, state.config, state.registry}

    case DynamicSupervisor.start_child(state.supervisor, {Display, argument}) do
      {:ok, _pid} -> :ok
      {:error, {:already_started, _pid}} -> :ok
    end
  end

  @doc "Whether there can be any."
  @spec needed?(Config.t()) :: boolean()
  def needed?(%{board: board, portal: portal}),
    do: board.channels ++ board.voice_channels != [] or Config.Portal.keys_of(portal) != []
end

defmodule UroDiscord.Portal.Automatic do
  @moduledoc false
  # Opens the portals of the configuration, on the node that has the gateway: those for always once, and those for people while there is somebody on both sides.
  # Nobody waits for this process, so it may wait for the store and for Discord.
  #
  # One that somebody closes stays closed: for always, until UroDiscord starts again; for people, until one side was empty.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Backoff, Channels, Events, Portal, Runtime, Shards, Store}
  alias UroDiscord.Gateway.Leader
  alias UroDiscord.Portal.{Members, Occupancy, Rows}
  alias UroDiscord.Portal.Store, as: Portals
  alias UroDiscord.Voice.Calls

  # What changes in a burst is looked at together.
  @settle_ms 100
  @pauses {1_000, 60_000}
  # When it is not known yet what the store has.
  @unread_ms 1_000

  @spec start_link(UroDiscord.Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  # What has become of each is also a fact of `UroDiscord.Runtime`: one that somebody has closed stays so when this process ends.
  @impl true
  def init(config) do
    for topic <- [:status, :shards, :voice, :portal, :portal_members], do: :ok = Events.subscribe(topic)

    state = %{
      wanted: config.portal.open,
      close_after: config.portal.close_after,
      known: Runtime.lookup(:portal_automatic) || Map.new(config.portal.open, &{&1.id, Occupancy.new()}),
      forgotten?: false,
      # What could not be done, of each portal and of the store: why, and when it is tried again.
      failing: %{},
      timer: nil
    }

    {:ok, wake(state, 0)}
  end

  # Who speaks is no matter here, and there is much of it.
  @impl true
  def handle_info({:uro_discord, _topic, {_of, {what, _who}}}, state) when what in [:speaking, :silent],
    do: {:noreply, state}

  # What other nodes have opened meanwhile, and what was in the configuration of the one before.
  def handle_info({:uro_discord, :status, {:lease, :held}}, state),
    do: {:noreply, wake(%{state | forgotten?: false}, @settle_ms)}

  # What was in the way may be gone.
  def handle_info({:uro_discord, _topic, {_of, what}}, state) when what in [:closed, :left] do
    failing = Map.new(state.failing, fn {id, failure} -> {id, %{failure | until: now()}} end)
    {:noreply, wake(%{state | failing: failing}, @settle_ms)}
  end

  def handle_info({:uro_discord, _topic, _event}, state), do: {:noreply, wake(state, @settle_ms)}
  def handle_info(:look, state), do: {:noreply, look(%{state | timer: nil})}

  # The earlier of two.
  defp wake(%{timer: {timer, at}} = state, ms) do
    if at <= now() + ms do
      state
    else
      Process.cancel_timer(timer)
      wake(%{state | timer: nil}, ms)
    end
  end

  defp wake(state, ms), do: %{state | timer: {Process.send_after(self(), :look, ms), now() + ms}}

  # There is nothing more to do.
  defp look(%{wanted: [], forgotten?: true} = state), do: state

  defp look(state) do
    with true <- Leader.held?(),
         0 <- pause(state, :store),
         {:ok, %{store: store, rest: rest}} <- Runtime.fetch(),
         {:ok, state} <- forget(state, store),
         rows when rows != nil <- Rows.known() do
      state = Enum.reduce(state.wanted, well(state, :store), &look(&2, &1, rows, store, rest))
      :ok = Runtime.put(:portal_automatic, state.known)
      state
    else
      false -> state
      nil -> wake(state, @unread_ms)
      ms when is_integer(ms) -> wake(state, ms)
      {:error, error} -> later(state, :store, error)
    end
  end

  # What was in the configuration once, and is not any more.
  defp forget(%{forgotten?: true} = state, _store), do: {:ok, state}

  defp forget(state, store) do
    ids = Enum.map(state.wanted, & &1.id)

    with {:ok, rows} <- Portals.all(store),
         gone = for({id, %{origin: :config}} <- rows, id not in ids, do: id),
         :ok <- if(gone == [], do: :ok, else: Portals.forget(store, gone)) do
      # Of which another node may have had the gateway until now.
      :ok = Rows.reload()
      {:ok, %{state | forgotten?: true}}
    end
  end

  defp look(state, wanted, rows, store, rest) do
    case pause(state, wanted.id) do
      0 -> ask(state, wanted, rows, store, rest)
      ms -> wake(state, ms)
    end
  end

  defp ask(state, wanted, rows, store, rest) do
    case Channels.voice_guild(wanted.channel, rest) do
      {:ok, guild_id} -> decide(state, wanted, guild_id, open?(rows[wanted.id], wanted), store)
      {:error, error} -> later(state, wanted.id, error)
    end
  end

  # One that the host has opened under this name is not ours, and may be to another channel.
  defp open?(%{wanted?: true, origin: :config, channel_id: id}, %{channel: id}), do: true
  defp open?(%{wanted?: true, origin: :config}, _wanted), do: :elsewhere
  defp open?(%{wanted?: true}, _wanted), do: :others
  defp open?(_none, _wanted), do: false

  defp decide(state, _wanted, _guild_id, :others, _store), do: state

  # The configuration names another channel since the last time.
  defp decide(state, wanted, guild_id, :elsewhere, store) do
    case Portals.forget(store, [wanted.id]) do
      :ok ->
        :ok = Rows.reload()
        decide(state, wanted, guild_id, false, store)

      {:error, error} ->
        later(state, wanted.id, error)
    end
  end

  defp decide(state, wanted, guild_id, open?, store) do
    here = %{
      open?: open?,
      discord: if(wanted.when == :people, do: discord(guild_id, wanted.channel, open?)),
      world: if(wanted.when == :people, do: world(wanted.world) or people_in?(wanted.id))
    }

    {what, known} = Occupancy.decide(state.known[wanted.id], wanted.when, here, state.close_after, now())
    act(put_in(state.known[wanted.id], known), wanted, guild_id, what, store)
  end

  defp act(state, wanted, _guild_id, :nothing, _store), do: well(state, wanted.id)
  defp act(state, wanted, _guild_id, {:wait, ms}, _store), do: state |> well(wanted.id) |> wake(ms)

  defp act(state, wanted, _guild_id, :open, _store) do
    case Portal.open(wanted.channel, [id: wanted.id, world: wanted.world, bots: wanted.bots], :config) do
      {:ok, _id} -> well(put_in(state.known[wanted.id], Occupancy.opened(state.known[wanted.id])), wanted.id)
      {:error, error} -> later(state, wanted.id, error)
    end
  end

  defp act(state, wanted, guild_id, :close, store) do
    # It has looked, and the gateway tells what changes.
    with :unknown <- Members.in_channel(guild_id, wanted.channel),
         {:ok, %{state: :joined, users: users, channel_id: channel_id}} <- Calls.held(guild_id),
         do: Members.seen(guild_id, channel_id, users)

    case Portals.rest(store, wanted.id) do
      :ok ->
        Rows.reload()
        put_in(state.known[wanted.id], Occupancy.new())

      {:error, error} ->
        later(state, wanted.id, error)
    end
  end

  ## What fails, and when it is tried again, whatever happens before

  defp pause(state, what) do
    case state.failing do
      %{^what => %{until: until}} -> max(until - now(), 0)
      _well -> 0
    end
  end

  defp well(state, what), do: %{state | failing: Map.delete(state.failing, what)}

  # Said once for each reason.
  defp later(state, what, error) do
    failure = Map.get(state.failing, what, %{reason: nil, backoff: Backoff.new(@pauses), until: 0})

    if failure.reason != error.message do
      name = if what == :store, do: "the portals of the configuration", else: "portal #{what} of the configuration"
      Store.failed(error, "#{name} cannot be opened or closed now, which is tried again")
    end

    {pause, backoff} = Backoff.failed(failure.backoff)
    failure = %{reason: error.message, backoff: backoff, until: now() + pause}
    wake(%{state | failing: Map.put(state.failing, what, failure)}, pause)
  end

  ## Who is there

  # The gateway tells, or, after a start at which nothing was told anew, the bot looks: it is in the channel while the portal is open. Bots are nobody.
  defp discord(guild_id, channel_id, open?) do
    case Members.in_channel(guild_id, channel_id) do
      {:ok, users} -> Members.people?(guild_id, users)
      :unknown -> if open?, do: looked(guild_id), else: :unknown
    end
  end

  defp looked(guild_id) do
    case Calls.held(guild_id) do
      {:ok, %{state: :joined, users: users}} -> Members.people?(guild_id, users)
      _not_there -> :unknown
    end
  end

  # Who tells no count may have players.
  defp world(nil), do: Enum.any?(Shards.list(), &players?/1)
  defp world(id), do: Enum.any?(Shards.list(), &(&1.id == id and players?(&1)))

  defp players?(%{players: players}), do: players != 0

  # By browser. A world that is connected may be empty: its players are counted above.
  defp people_in?(id) do
    case Runtime.lookup({:portal_room, id}) do
      %{peers: peers} -> Enum.any?(peers, fn {_number, peer} -> not peer.world? end)
      nil -> false
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end

defmodule UroDiscord.Portal.Notices do
  @moduledoc false
  # In the chat of a portal's voice channel one message says that it is open, so that people know that they are heard, with the buttons of /watch and /share.
  # It is edited when the portal closes and when it opens anew, and no restart posts another one. The node that has the gateway does this. Nobody waits for
  # this process, so it may wait for the store and for Discord.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Config, Error, Events, Runtime, Shards}
  alias UroDiscord.Gateway.Leader
  alias UroDiscord.Interactions.Commands.{Clip, Share, Watch}
  alias UroDiscord.Notify.Kept
  alias UroDiscord.Portal.Rows
  alias UroDiscord.Shards.Text

  # Among the messages that are kept.
  @kind "portal"
  @name 48
  # How often a delivery is looked for, or whether it is known which worlds there are.
  @wait_ms 1_000
  # When the store is away.
  @retry_ms 5_000

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(config) do
    for topic <- [:status, :portal_rows], do: :ok = Events.subscribe(topic)
    # `failing`: of a portal what could not be said, why, how often, and when it is tried again.
    {:ok, %{config: config, failing: %{}, timer: nil}, {:continue, :look}}
  end

  @impl true
  def handle_continue(:look, state), do: {:noreply, step(state)}

  @impl true
  def handle_info(:look, state), do: {:noreply, step(%{state | timer: nil})}
  # What another node has done in the meantime is in the store.
  def handle_info({:uro_discord, :status, {:lease, :held}}, state), do: {:noreply, step(state)}
  def handle_info({:uro_discord, :status, _other}, state), do: {:noreply, state}

  # One look at all of them serves all the changes that are waiting.
  def handle_info({:uro_discord, :portal_rows, :changed}, state) do
    drain()
    {:noreply, step(state)}
  end

  defp drain, do: receive(do: ({:uro_discord, :portal_rows, :changed} -> drain()), after: (0 -> :ok))

  defp step(state) do
    with true <- Leader.held?(),
         rows when rows != nil <- Rows.known(),
         {:ok, runtime} <- Runtime.fetch(),
         {:ok, kept} <- Kept.all(runtime.store, @kind) do
      kept = Map.new(kept, &{&1.name, &1})
      open = for {id, %{wanted?: true}} <- rows, do: id
      ids = Enum.uniq(open ++ Map.keys(kept))
      {pauses, state} = Enum.map_reduce(ids, state, &one(&1, rows[&1], kept[&1], runtime, &2))

      wake(
        %{state | failing: Map.take(state.failing, ids)},
        pauses |> Enum.reject(&is_nil/1) |> Enum.min(fn -> nil end)
      )
    else
      # Who has the gateway, and what the store has, is told.
      not_yet when not_yet in [false, nil] -> state
      {:error, _away} -> wake(state, @retry_ms)
    end
  end

  # And in how many ms it is to be looked at again, if it is.
  defp one(id, row, kept, runtime, state) do
    wanted = wanted(state.config, row, kept)

    with %{hash: hash, until: until} when hash == wanted.hash <- state.failing[id],
         left when left > 0 <- until - now() do
      {left, state}
    else
      # The others may have taken long, and another node may do it by now.
      _now ->
        if Leader.held?(),
          do: wanted.what |> bring(id, wanted, kept, runtime) |> done(id, wanted, state),
          else: {nil, state}
    end
  end

  # What is to be there: a message that says that it is open, or that it is not any more, or none.
  defp wanted(%{portal: %{message: false}}, _row, _kept), do: %{what: :nothing, hash: ""}

  defp wanted(config, %{wanted?: true} = row, _kept) do
    # Not of what the world is called, which nobody may know after a start.
    hash = Kept.hash([row.attempt, row.channel_id, row.world, Share.on?(config), Clip.notice(config)])
    %{what: :open, channel_id: row.channel_id, hash: hash, world: row.world, config: config}
  end

  # The configuration opens it for people, who may come again.
  defp wanted(_config, %{}, kept), do: Map.put(closed(kept), :what, :resting)
  defp wanted(_config, nil, kept), do: Map.put(closed(kept), :what, :closed)

  defp bring(:nothing, _id, _wanted, nil, _runtime), do: :ok
  defp bring(:nothing, _id, _wanted, kept, runtime), do: Kept.delete(kept, runtime)

  # It says so already: of a thousand portals the store is not asked about each one whenever one of them is opened.
  defp bring(what, _id, %{channel_id: at, hash: hash}, %{channel_id: at, hash: hash, message_id: message}, _runtime)
       when what in [:open, :resting] and message != nil,
       do: :ok

  defp bring(:open, id, wanted, _kept, runtime) do
    if wanted.world != nil and Shards.source_status() == :starting,
      do: :wait,
      else: keep(id, Map.put(wanted, :body, open(wanted)), runtime)
  end

  defp bring(what, id, wanted, kept, runtime) do
    case keep(id, wanted, runtime) do
      # Who opens it another time has it said where people see it then.
      :ok when what == :closed -> Kept.forget(runtime.store, kept)
      :gone -> Kept.forget(runtime.store, kept)
      # Neither it nor its channel is there, or the bot has no way to it.
      {:error, %Error{status: status}} when status in [403, 404] -> Kept.forget(runtime.store, kept)
      other -> other
    end
  end

  # One that was deleted is missed when it is to say something else.
  defp keep(id, wanted, runtime) do
    case Kept.keep(%Kept{kind: @kind, name: id, seen?: true, refused?: true}, wanted, runtime) do
      {:shown, _kept} -> :ok
      {:waiting, _kept} -> :wait
      {:gone, _kept} -> :gone
      # Another node was quicker: the store knows.
      {:error, %Error{kind: :conflict}, _kept} -> :wait
      {:error, error, _kept} -> {:error, error}
    end
  end

  defp done(:ok, id, _wanted, state), do: {nil, %{state | failing: Map.delete(state.failing, id)}}
  defp done(:wait, _id, _wanted, state), do: {@wait_ms, state}

  defp done({:error, error}, id, wanted, state) do
    before = Map.get(state.failing, id, %{reason: nil, failures: 0})
    if before.reason != error.message, do: log(id, error)
    pause = Kept.pause(error, before.failures)
    failing = %{hash: wanted.hash, reason: error.message, failures: before.failures + 1, until: now() + pause}
    {pause, put_in(state.failing[id], failing)}
  end

  defp log(id, error) do
    Logger.warning(
      "the message of portal #{id} in its channel's chat does not say how it is: #{Exception.message(error)}. The bot needs View Channel, Send Messages " <>
        "and Read Message History there. It is tried again from time to time, which is not logged"
    )
  end

  defp wake(state, ms) do
    if state.timer, do: Process.cancel_timer(state.timer)
    %{state | timer: if(ms, do: Process.send_after(self(), :look, ms))}
  end

  ## What it says

  defp open(%{config: config, world: world}) do
    buttons = [Watch.button()] ++ if(Share.on?(config), do: [Share.button()], else: [])

    %{
      "content" =>
        "This channel is open to #{world(world)}: who speaks here is heard there, and who speaks there is heard here." <>
          Clip.notice(config),
      "components" => [%{type: 1, components: buttons}],
      "allowed_mentions" => %{"parse" => []}
    }
  end

  defp world(nil), do: "the worlds"

  defp world(id) do
    with %{name: name} <- Enum.find(Shards.visible(), &(&1.id == id)),
         text when text != "" <- Text.markdown(name, @name),
         do: "**#{text}**",
         else: (_ -> "the world")
  end

  defp closed(kept) do
    body = %{
      "content" => "This channel is not open to a world any more: who speaks here is heard here only.",
      "components" => [],
      "allowed_mentions" => %{"parse" => []}
    }

    %{channel_id: kept.channel_id, body: body, hash: "closed", post?: false}
  end

  defp now, do: System.monotonic_time(:millisecond)
end

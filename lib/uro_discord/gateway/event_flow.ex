defmodule UroDiscord.Gateway.EventFlow do
  @moduledoc false
  # Events on their way from the bridge to subscribers, and how many more the bridge may send. Part of the bridge's owner.
  #
  # The bridge may have sent @credit events that are not handled, and no more. It is granted more as they are, but not while a
  # mailbox is full: what waits in this VM is bounded, however slow a subscriber is.

  require Logger

  alias UroDiscord.Events
  alias UroDiscord.Gateway.{AckTracker, Sessions}

  @credit 1_024
  # Granted in portions, so that not every event is answered.
  @portion 256
  # Nothing is granted while more than this waits in the mailbox of a subscriber that does not acknowledge.
  @mailbox 1_000
  # Who holds back the gateway for so long is told of.
  @patience_ms 10_000

  @enforce_keys [:kept_types]
  defstruct [
    :kept_types,
    # What the bridge may send yet; what was handled and is not granted again.
    credit: 0,
    due: 0,
    # The lease under which sessions are.
    fence: nil,
    acks: %AckTracker{},
    # Events that are not handled, by their place: `number` counts them, `waits_for` are the subscribers that have yet to acknowledge
    # it (none: it waits for somebody to subscribe), and it is `shared?` when others got it too.
    open: %{},
    number: 0,
    # Types of which some are open for want of a subscriber.
    unsubscribed: MapSet.new(),
    # During these a subscriber has died.
    suspects: MapSet.new(),
    monitors: %{},
    # Who was sent something since mailboxes were last looked at.
    sent_to: MapSet.new(),
    stopped_at: nil,
    told?: false
  ]

  @type t :: %__MODULE__{}

  @spec new([String.t()]) :: t()
  def new(kept_types), do: %__MODULE__{kept_types: kept_types}

  @doc "The dispatches that are to cross to us."
  @spec wanted(t()) :: [String.t()]
  def wanted(flow), do: Enum.uniq(flow.kept_types ++ Events.wanted())

  @doc "Another bridge: how many events it may send."
  @spec start(t()) :: {non_neg_integer(), t()}
  def start(flow) do
    credit = max(@credit - map_size(flow.open), 0)
    {credit, note_stop(%{flow | credit: credit, due: 0})}
  end

  @doc "The lease is this one now; nil: there is none, and so no session. The bridge has these shards."
  @spec lease(t(), Sessions.fence(), :all | MapSet.t(non_neg_integer())) :: t()
  def lease(%{fence: fence} = flow, fence, _shards), do: flow

  def lease(flow, fence, shards) do
    # What is received and not handled comes again; some of it may still be with a subscriber.
    :ok = Sessions.rewind(fence, shards)
    for {{shard, id}, _open} <- flow.acks.open, do: :ok = handled(%{flow | fence: fence}, shard, id)
    %{flow | fence: fence}
  end

  @doc "What the bridge says of a shard's session; `:new` when it is another one than before."
  @spec fact(t(), non_neg_integer(), atom(), map()) :: :new | :known
  def fact(flow, shard, :active, %{"session_id" => id} = info) do
    session = %{"id" => id, "sequence" => info["sequence"], "resume_url" => info["resume_url"]}
    Sessions.put(flow.fence, shard, session, AckTracker.lowest(flow.acks, shard, id))
  end

  # A new session is being asked for, or there will be none.
  def fact(flow, shard, state, _info) when state in [:waiting, :identifying, :fatal] do
    :ok = Sessions.delete(flow.fence, shard)
    :known
  end

  def fact(_flow, _shard, _state, _info), do: :known

  @doc "The bridge does not have these shards any more: what is open of them comes again, to another one."
  @spec forget(t(), MapSet.t(non_neg_integer())) :: t()
  def forget(flow, shards) do
    gone = for {{shard, _id, _seq} = place, _entry} <- flow.open, shard in shards, do: place
    acks = Enum.reduce(gone, flow.acks, &AckTracker.done(&2, &1))
    suspects = MapSet.difference(flow.suspects, MapSet.new(gone))
    %{flow | open: Map.drop(flow.open, gone), acks: acks, suspects: suspects, due: flow.due + length(gone)}
  end

  @doc "An event of a shard that the bridge does not have any more was still under way."
  @spec late(t()) :: t()
  def late(flow) do
    flow = take_credit(flow)
    %{flow | due: flow.due + 1}
  end

  # Up to where a session is handled.
  defp handled(flow, shard, id), do: Sessions.lowest(flow.fence, shard, id, AckTracker.lowest(flow.acks, shard, id))

  @doc "An event from the bridge."
  @spec event(t(), map()) :: t()
  def event(flow, event) do
    flow = take_credit(flow)

    if Sessions.repeat?(flow.fence, place(event)),
      do: %{flow | due: flow.due + 1},
      else: flow |> release(event.type) |> new_event(event)
  end

  # Behind those that wait for the same.
  defp new_event(flow, event) do
    # One that was open when the lease was lost comes again, and its credit with it.
    flow = if is_map_key(flow.open, place(event)), do: %{flow | due: flow.due + 1}, else: flow
    sent_to = if MapSet.member?(flow.unsubscribed, event.type), do: {[], []}, else: Events.dispatch(event)

    if sent_to == {[], []} and event.type not in flow.kept_types,
      do: pass(flow, event),
      else: sent(%{flow | number: flow.number + 1}, flow.number, event, sent_to)
  end

  defp pass(flow, event) do
    :ok = Sessions.received(flow.fence, place(event))
    %{flow | due: flow.due + 1}
  end

  defp sent(flow, number, event, {[], []}) do
    flow = open(flow, event, %{number: number, event: event, waits_for: [], shared?: false})
    %{flow | unsubscribed: MapSet.put(flow.unsubscribed, event.type)}
  end

  defp sent(flow, _number, event, {[], others}) do
    flow = sent_to(flow, others)
    if is_map_key(flow.open, place(event)), do: done(flow, place(event)), else: pass(flow, event)
  end

  defp sent(flow, number, event, {acknowledging, others}) do
    shared? = others != [] or tl(acknowledging) != []
    entry = %{number: number, event: event, waits_for: acknowledging, shared?: shared?}
    Enum.reduce(acknowledging, flow |> sent_to(others) |> open(event, entry), &monitor/2)
  end

  # That it is open is known before it counts as received.
  defp open(flow, event, entry) do
    {shard, id, _seq} = place = place(event)
    flow = %{flow | acks: AckTracker.open(flow.acks, place), open: Map.put(flow.open, place, entry)}
    :ok = handled(flow, shard, id)
    :ok = Sessions.received(flow.fence, place)
    flow
  end

  @doc "Nothing more was wanted up to this place."
  @spec sequence(t(), Sessions.place()) :: t()
  def sequence(flow, place) do
    flow = take_credit(flow)
    :ok = Sessions.received(flow.fence, place)
    %{flow | due: flow.due + 1}
  end

  @doc "A subscriber has handled an event."
  @spec acknowledge(t(), Sessions.place(), pid()) :: t()
  def acknowledge(flow, place, pid) do
    with %{^place => %{waits_for: [_ | _]} = entry} <- flow.open,
         [] <- List.delete(entry.waits_for, pid) do
      done(flow, place)
    else
      [_ | _] = left -> put_in(flow.open[place].waits_for, left)
      # Twice, or of a life before.
      _open -> flow
    end
  end

  defp done(flow, {shard, id, _seq} = place) do
    flow = %{
      flow
      | due: flow.due + 1,
        open: Map.delete(flow.open, place),
        suspects: MapSet.delete(flow.suspects, place),
        acks: AckTracker.done(flow.acks, place)
    }

    :ok = handled(flow, shard, id)
    flow
  end

  ## Subscribers that come and go

  @doc "What waits for a subscriber is sent to those who are there by now."
  @spec release(t()) :: t()
  def release(flow), do: Enum.reduce(flow.unsubscribed, flow, &release(&2, &1))

  defp release(flow, type) do
    if MapSet.member?(flow.unsubscribed, type) and Events.subscribed?({:gateway, type}) do
      waiting = for {_place, %{event: %{type: ^type}, waits_for: []} = entry} <- flow.open, do: entry
      flow = %{flow | unsubscribed: MapSet.delete(flow.unsubscribed, type)}

      waiting
      |> Enum.sort_by(& &1.number)
      |> Enum.reduce(flow, fn %{number: number, event: event}, flow ->
        sent(flow, number, event, Events.dispatch(event))
      end)
    else
      flow
    end
  end

  defp monitor(pid, flow) do
    %{flow | monitors: Map.put_new_lazy(flow.monitors, pid, fn -> Process.monitor(pid) end)}
  end

  @doc "A subscriber has unsubscribed, and lets go of what it did not acknowledge."
  @spec unsubscribed(t(), pid(), String.t()) :: t()
  def unsubscribed(flow, pid, type) do
    places = for {place, %{event: %{type: ^type}, waits_for: waits_for}} <- flow.open, pid in waits_for, do: place
    Enum.reduce(places, flow, &acknowledge(&2, &1, pid))
  end

  @doc """
  A subscriber has died. What it did not acknowledge is sent to the next one, unless it was to others too. The first of these is what it
  may have died of: when that happens twice, it is given up.
  """
  @spec died(t(), pid(), term()) :: t()
  def died(flow, pid, reason) do
    left = for {_place, %{waits_for: waits_for} = entry} <- flow.open, pid in waits_for, do: entry
    flow = %{flow | monitors: Map.delete(flow.monitors, pid), sent_to: MapSet.delete(flow.sent_to, pid)}

    left
    |> Enum.sort_by(& &1.number)
    |> suspect(flow, reason)
    |> let_go(pid)
    |> release()
  end

  defp suspect([], flow, _reason), do: {[], flow}
  # It was stopped, or dead before it was sent the first of them.
  defp suspect(left, flow, reason) when reason in [:normal, :shutdown, :noproc], do: {left, flow}
  defp suspect(left, flow, {:shutdown, _reason}), do: {left, flow}

  defp suspect([%{event: event} = first | others], flow, reason) do
    place = place(event)

    if place in flow.suspects do
      Logger.error(
        "#{event.type} (shard #{event.shard}, sequence #{event.seq}) is given up: subscribers have died twice before they " <>
          "acknowledged it, the last one of #{Exception.format_exit(reason)}"
      )

      {others, done(flow, place)}
    else
      {[first | others], %{flow | suspects: MapSet.put(flow.suspects, place)}}
    end
  end

  defp let_go({left, flow}, pid) do
    Enum.reduce(left, flow, fn %{event: event} = entry, flow ->
      case List.delete(entry.waits_for, pid) do
        [] when entry.shared? -> done(flow, place(event))
        [] -> sent(flow, entry.number, event, {[], []})
        waits_for -> put_in(flow.open[place(event)].waits_for, waits_for)
      end
    end)
  end

  ## Credit

  @doc """
  What the bridge may send beyond what it was granted: `{:grant, n}`, `:nothing` yet, or `:full` while a mailbox is, to be asked again.
  """
  @spec grant(t()) :: {{:grant, pos_integer()} | :nothing | :full, t()}
  def grant(%{due: due, credit: credit} = flow) when due >= @portion or (due > 0 and credit == 0) do
    case Enum.filter(flow.sent_to, &(mailbox(&1) > @mailbox)) do
      [] ->
        {{:grant, due}, %{flow | due: 0, credit: credit + due, sent_to: MapSet.new(), stopped_at: nil, told?: false}}

      full ->
        {:full, %{flow | sent_to: MapSet.new(full)}}
    end
  end

  def grant(flow), do: {:nothing, flow}

  defp take_credit(flow), do: note_stop(%{flow | credit: flow.credit - 1})

  defp note_stop(%{credit: 0, stopped_at: nil} = flow), do: %{flow | stopped_at: monotonic()}
  defp note_stop(flow), do: flow

  defp sent_to(flow, pids),
    do: %{flow | sent_to: Enum.reduce(pids, flow.sent_to, &MapSet.put(&2, &1))}

  defp mailbox(pid) do
    case Process.info(pid, :message_queue_len) do
      {:message_queue_len, length} -> length
      nil -> 0
    end
  end

  ## Who holds it back

  @doc "Whether the bridge may send nothing."
  @spec stopped?(t()) :: boolean()
  def stopped?(flow), do: flow.stopped_at != nil

  @doc "For `UroDiscord.status/0`: since how many ms the bridge may send nothing, and because of whom; nil when it may."
  @spec held_back(t()) :: %{for_ms: non_neg_integer(), by: [map()]} | nil
  def held_back(%{stopped_at: nil}), do: nil
  def held_back(flow), do: %{for_ms: monotonic() - flow.stopped_at, by: holders(flow)}

  @doc "Tells once of what holds it back for long. To be called now and then."
  @spec watch(t()) :: t()
  def watch(%{told?: false} = flow) do
    with %{for_ms: ms, by: by} when ms >= @patience_ms <- held_back(flow) do
      Logger.warning(
        "for #{div(ms, 1000)} s no event could be taken from Discord's gateway: #{Enum.map_join(by, "; ", &tell/1)}"
      )

      %{flow | told?: true}
    else
      _ -> flow
    end
  end

  def watch(flow), do: flow

  defp holders(flow) do
    full = for pid <- flow.sent_to, length = mailbox(pid), length > @mailbox, do: {pid, %{mailbox: length}}

    open = Enum.map(flow.open, fn {_place, entry} -> {entry.event.type, entry.waits_for} end)
    unacknowledged = open |> Enum.flat_map(&elem(&1, 1)) |> Enum.frequencies()
    unsubscribed = for({type, []} <- open, do: type) |> Enum.frequencies()

    for({pid, more} <- full, do: Map.merge(subscriber(pid), more)) ++
      for({pid, count} <- unacknowledged, do: Map.put(subscriber(pid), :unacknowledged, count)) ++
      for({type, count} <- unsubscribed, do: %{type: type, unsubscribed: count})
  end

  defp subscriber(pid) do
    case Process.info(pid, [:registered_name, :current_function]) do
      nil ->
        %{pid: pid, name: nil, function: nil}

      [registered_name: name, current_function: {module, function, arity}] ->
        %{pid: pid, name: if(name != [], do: name), function: Exception.format_mfa(module, function, arity)}
    end
  end

  defp tell(%{type: type, unsubscribed: count}),
    do: "#{count} of #{type} wait for somebody to subscribe to it, as gateway: [events:] says"

  defp tell(%{mailbox: length} = subscriber), do: "#{tell_who(subscriber)} has #{length} messages in its mailbox"

  defp tell(%{unacknowledged: count} = subscriber),
    do: "#{tell_who(subscriber)} has #{count} events that it did not acknowledge"

  defp tell_who(%{pid: pid, name: name, function: function}),
    do:
      Enum.join(
        [inspect(pid) | for(text when text != nil <- [name && inspect(name), function && "in #{function}"], do: text)],
        " "
      )

  defp place(event), do: {event.shard, event.session, event.seq}
  defp monotonic, do: System.monotonic_time(:millisecond)
end

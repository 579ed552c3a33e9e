defmodule UroDiscord.Gateway.Intake do
  @moduledoc false
  # Events on their way from the bridge to subscribers, and how many more the bridge may send. Part of the bridge's owner.
  #
  # The bridge may have sent @credit events that are not handled, and no more. It is granted more as they are, but not while a
  # mailbox is full: what waits in this VM is bounded, however slow a subscriber is.

  require Logger

  alias UroDiscord.Events
  alias UroDiscord.Gateway.Handled

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
    handled: %Handled{},
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
  def wanted(intake), do: Enum.uniq(intake.kept_types ++ Events.wanted())

  @doc "Another bridge: how many events it may send."
  @spec start(t()) :: {non_neg_integer(), t()}
  def start(intake) do
    credit = max(@credit - map_size(intake.open), 0)
    {credit, note_stop(%{intake | credit: credit, due: 0})}
  end

  @doc "These are the sessions now, by shard."
  @spec sessions(t(), %{non_neg_integer() => Handled.session()}) :: t()
  def sessions(intake, sessions) do
    known = intake.handled.sessions

    handled =
      known
      |> Map.keys()
      |> Enum.reject(&is_map_key(sessions, &1))
      |> Enum.reduce(intake.handled, &Handled.no_session(&2, &1))

    handled =
      Enum.reduce(sessions, handled, fn {shard, session}, handled -> Handled.session(handled, shard, session) end)

    %{intake | handled: handled}
  end

  @doc "What the bridge says of a shard's session."
  @spec fact(t(), non_neg_integer(), atom(), map()) :: t()
  def fact(intake, shard, :active, %{"session_id" => id} = info) do
    session = %{"id" => id, "sequence" => info["sequence"], "resume_url" => info["resume_url"]}
    %{intake | handled: Handled.session(intake.handled, shard, session)}
  end

  # A new session is being asked for, or there will be none.
  def fact(intake, shard, state, _info) when state in [:waiting, :identifying, :fatal],
    do: %{intake | handled: Handled.no_session(intake.handled, shard)}

  def fact(intake, _shard, _state, _info), do: intake

  @doc "An event from the bridge."
  @spec event(t(), map()) :: t()
  def event(intake, event) do
    intake = take_credit(intake)

    if Handled.repeat?(intake.handled, place(event)),
      do: %{intake | due: intake.due + 1},
      else: intake |> release(event.type) |> new_event(event)
  end

  # Behind those that wait for the same.
  defp new_event(intake, event) do
    # One that was open when the lease was lost comes again, and its credit with it.
    intake = if is_map_key(intake.open, place(event)), do: %{intake | due: intake.due + 1}, else: intake
    sent_to = if MapSet.member?(intake.unsubscribed, event.type), do: {[], []}, else: Events.dispatch(event)

    if sent_to == {[], []} and event.type not in intake.kept_types,
      do: pass(intake, event),
      else: sent(%{intake | number: intake.number + 1}, intake.number, event, sent_to)
  end

  defp pass(intake, event),
    do: %{intake | due: intake.due + 1, handled: Handled.received(intake.handled, place(event))}

  defp sent(intake, number, event, {[], []}) do
    intake = open(intake, event, %{number: number, event: event, waits_for: [], shared?: false})
    %{intake | unsubscribed: MapSet.put(intake.unsubscribed, event.type)}
  end

  defp sent(intake, _number, event, {[], others}) do
    intake = sent_to(intake, others)
    if is_map_key(intake.open, place(event)), do: done(intake, place(event)), else: pass(intake, event)
  end

  defp sent(intake, number, event, {acknowledging, others}) do
    shared? = others != [] or tl(acknowledging) != []
    entry = %{number: number, event: event, waits_for: acknowledging, shared?: shared?}
    Enum.reduce(acknowledging, intake |> sent_to(others) |> open(event, entry), &monitor/2)
  end

  defp open(intake, event, entry) do
    %{intake | handled: Handled.open(intake.handled, place(event)), open: Map.put(intake.open, place(event), entry)}
  end

  @doc "Nothing more was wanted up to this place."
  @spec sequence(t(), Handled.place()) :: t()
  def sequence(intake, place) do
    intake = take_credit(intake)
    %{intake | due: intake.due + 1, handled: Handled.received(intake.handled, place)}
  end

  @doc "A subscriber has handled an event."
  @spec acknowledge(t(), Handled.place(), pid()) :: t()
  def acknowledge(intake, place, pid) do
    with %{^place => %{waits_for: [_ | _]} = entry} <- intake.open,
         [] <- List.delete(entry.waits_for, pid) do
      done(intake, place)
    else
      [_ | _] = left -> put_in(intake.open[place].waits_for, left)
      # Twice, or of a life before.
      _open -> intake
    end
  end

  defp done(intake, place) do
    %{
      intake
      | due: intake.due + 1,
        open: Map.delete(intake.open, place),
        suspects: MapSet.delete(intake.suspects, place),
        handled: Handled.done(intake.handled, place)
    }
  end

  ## Subscribers that come and go

  @doc "What waits for a subscriber is sent to those who are there by now."
  @spec release(t()) :: t()
  def release(intake), do: Enum.reduce(intake.unsubscribed, intake, &release(&2, &1))

  defp release(intake, type) do
    if MapSet.member?(intake.unsubscribed, type) and Events.subscribed?({:gateway, type}) do
      waiting = for {_place, %{event: %{type: ^type}, waits_for: []} = entry} <- intake.open, do: entry
      intake = %{intake | unsubscribed: MapSet.delete(intake.unsubscribed, type)}

      waiting
      |> Enum.sort_by(& &1.number)
      |> Enum.reduce(intake, fn %{number: number, event: event}, intake ->
        sent(intake, number, event, Events.dispatch(event))
      end)
    else
      intake
    end
  end

  defp monitor(pid, intake) do
    %{intake | monitors: Map.put_new_lazy(intake.monitors, pid, fn -> Process.monitor(pid) end)}
  end

  @doc "A subscriber has unsubscribed, and lets go of what it did not acknowledge."
  @spec unsubscribed(t(), pid(), String.t()) :: t()
  def unsubscribed(intake, pid, type) do
    places = for {place, %{event: %{type: ^type}, waits_for: waits_for}} <- intake.open, pid in waits_for, do: place
    Enum.reduce(places, intake, &acknowledge(&2, &1, pid))
  end

  @doc """
  A subscriber has died. What it did not acknowledge is sent to the next one, unless it was to others too. The first of these is what it
  may have died of: when that happens twice, it is given up.
  """
  @spec died(t(), pid(), term()) :: t()
  def died(intake, pid, reason) do
    left = for {_place, %{waits_for: waits_for} = entry} <- intake.open, pid in waits_for, do: entry
    intake = %{intake | monitors: Map.delete(intake.monitors, pid), sent_to: MapSet.delete(intake.sent_to, pid)}

    left
    |> Enum.sort_by(& &1.number)
    |> suspect(intake, reason)
    |> let_go(pid)
    |> release()
  end

  defp suspect([], intake, _reason), do: {[], intake}
  # It was stopped, or dead before it was sent the first of them.
  defp suspect(left, intake, reason) when reason in [:normal, :shutdown, :noproc], do: {left, intake}
  defp suspect(left, intake, {:shutdown, _reason}), do: {left, intake}

  defp suspect([%{event: event} = first | others], intake, reason) do
    place = place(event)

    if place in intake.suspects do
      Logger.error(
        "#{event.type} (shard #{event.shard}, sequence #{event.seq}) is given up: subscribers have died twice before they " <>
          "acknowledged it, the last one of #{Exception.format_exit(reason)}"
      )

      {others, done(intake, place)}
    else
      {[first | others], %{intake | suspects: MapSet.put(intake.suspects, place)}}
    end
  end

  defp let_go({left, intake}, pid) do
    Enum.reduce(left, intake, fn %{event: event} = entry, intake ->
      case List.delete(entry.waits_for, pid) do
        [] when entry.shared? -> done(intake, place(event))
        [] -> sent(intake, entry.number, event, {[], []})
        waits_for -> put_in(intake.open[place(event)].waits_for, waits_for)
      end
    end)
  end

  ## Credit

  @doc """
  What the bridge may send beyond what it was granted: `{:grant, n}`, `:nothing` yet, or `:full` while a mailbox is, to be asked again.
  """
  @spec grant(t()) :: {{:grant, pos_integer()} | :nothing | :full, t()}
  def grant(%{due: due, credit: credit} = intake) when due >= @portion or (due > 0 and credit == 0) do
    case Enum.filter(intake.sent_to, &(mailbox(&1) > @mailbox)) do
      [] ->
        {{:grant, due}, %{intake | due: 0, credit: credit + due, sent_to: MapSet.new(), stopped_at: nil, told?: false}}

      full ->
        {:full, %{intake | sent_to: MapSet.new(full)}}
    end
  end

  def grant(intake), do: {:nothing, intake}

  defp take_credit(intake), do: note_stop(%{intake | credit: intake.credit - 1})

  defp note_stop(%{credit: 0, stopped_at: nil} = intake), do: %{intake | stopped_at: monotonic()}
  defp note_stop(intake), do: intake

  defp sent_to(intake, pids),
    do: %{intake | sent_to: Enum.reduce(pids, intake.sent_to, &MapSet.put(&2, &1))}

  defp mailbox(pid) do
    case Process.info(pid, :message_queue_len) do
      {:message_queue_len, length} -> length
      nil -> 0
    end
  end

  ## Who holds it back

  @doc "For `UroDiscord.status/0`: since how many ms the bridge may send nothing, and because of whom; nil when it may."
  @spec held_back(t()) :: %{for_ms: non_neg_integer(), by: [map()]} | nil
  def held_back(%{stopped_at: nil}), do: nil
  def held_back(intake), do: %{for_ms: monotonic() - intake.stopped_at, by: holders(intake)}

  @doc "Tells once of what holds it back for long. To be called now and then."
  @spec watch(t()) :: t()
  def watch(%{told?: false} = intake) do
    with %{for_ms: ms, by: by} when ms >= @patience_ms <- held_back(intake) do
      Logger.warning(
        "for #{div(ms, 1000)} s no event could be taken from Discord's gateway: #{Enum.map_join(by, "; ", &tell/1)}"
      )

      %{intake | told?: true}
    else
      _ -> intake
    end
  end

  def watch(intake), do: intake

  defp holders(intake) do
    full = for pid <- intake.sent_to, length = mailbox(pid), length > @mailbox, do: {pid, %{mailbox: length}}

    open = Enum.map(intake.open, fn {_place, entry} -> {entry.event.type, entry.waits_for} end)
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

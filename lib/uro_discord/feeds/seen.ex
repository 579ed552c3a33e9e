defmodule UroDiscord.Feeds.Seen do
  @moduledoc false
  # What a poller has seen of a list, and so what is news in it.
  #
  # An entry that was never in the list is news if it is younger than everything that the first look found. One without
  # a time is known by its key, which holds its id. One that was there is news when it has gone on, or says another thing now.
  # What has left the list is remembered: it comes back when somebody deletes others, and its message may be forgotten by then.

  alias UroDiscord.Feeds.Event

  @enforce_keys [:since, :entries]
  defstruct @enforce_keys

  @typep entry :: {position :: integer(), state :: String.t(), content :: non_neg_integer()}
  @type t :: %__MODULE__{since: integer(), entries: %{String.t() => entry()}}

  # Of so many that have left the list, with a time and without, nobody looks at the first any more.
  @most_gone 500

  @doc "The events that are news, in their order, each to be handed to `add/2` when it is accepted. At the first look (nil) none is."
  @spec news(t() | nil, [Event.t()]) :: {[Event.t()], t()}
  def news(nil, events) do
    since = for(event <- events, moment = Event.moment(event.position), do: moment) |> Enum.max(fn -> 0 end)
    {[], Enum.reduce(events, %__MODULE__{since: since, entries: %{}}, &add(&2, &1))}
  end

  def news(%__MODULE__{} = seen, events) do
    news = Enum.flat_map(events, &judge(&1, Map.get(seen.entries, &1.key), seen.since))
    new = MapSet.new(news, & &1.key)
    {listed, gone} = Map.split(seen.entries, Enum.map(events, & &1.key))
    seen = %{seen | entries: Map.merge(remembered(gone, seen.since), listed)}
    # What is no news is seen; of what is, the step before stays until this one is accepted.
    {Enum.sort_by(news, &Event.moment(&1.position)),
     events |> Enum.reject(&(&1.key in new)) |> Enum.reduce(seen, &add(&2, &1))}
  end

  @doc "An event is dealt with."
  @spec add(t(), Event.t()) :: t()
  def add(seen, event), do: put_in(seen.entries[event.key], {event.position, to_string(event.state), content(event)})

  defp judge(event, nil, since) do
    case Event.moment(event.position) do
      moment when is_integer(moment) and moment <= since -> []
      _later_or_unknown -> [event]
    end
  end

  defp judge(event, {position, state, content}, _since) do
    cond do
      event.position > position -> [event]
      event.position < position -> []
      # Kept by a former version.
      state == nil -> []
      state != to_string(event.state) -> [event]
      content != content(event) -> [%{event | correction: true}]
      true -> []
    end
  end

  defp content(event), do: :erlang.phash2({event.title, event.url, event.text, event.branch, event.actor, event.fork})

  # What is not younger than the first look is no news anyway.
  defp remembered(gone, since) do
    {timed, untimed} = Enum.split_with(gone, fn {_key, {position, _state, _content}} -> Event.moment(position) end)

    timed
    |> Enum.map(fn {_key, {position, _state, _content}} = entry -> {Event.moment(position), entry} end)
    |> Enum.filter(fn {moment, _entry} -> moment > since end)
    |> Enum.sort(:desc)
    |> Enum.take(@most_gone)
    |> Enum.map(fn {_moment, entry} -> entry end)
    |> Enum.concat(untimed |> Enum.sort(:desc) |> Enum.take(@most_gone))
    |> Map.new()
  end

  ## In the store

  @spec load(map()) :: t()
  def load(cursor), do: %__MODULE__{since: cursor["since"], entries: Map.new(cursor["seen"], &entry/1)}

  defp entry({key, [position, state, content]}), do: {key, {position, state, content}}
  # Kept by a former version.
  defp entry({key, position}), do: {key, {position, nil, nil}}

  @spec dump(t()) :: map()
  def dump(seen),
    do: %{"since" => seen.since, "seen" => Map.new(seen.entries, fn {key, entry} -> {key, Tuple.to_list(entry)} end)}
end

defmodule UroDiscord.Gateway.AckTracker do
  @moduledoc false
  # Up to which sequence a session's events are handled, when they are not handled in order. Pure.
  #
  # Two sequences matter for each shard's session. What was received: the next bridge of this VM resumes there, since the events up
  # to it are in this VM's hands. And what is handled, which is what the store has: the next VM gets every event above it again.

  defstruct sessions: %{}, open: %{}

  @typep known :: %{id: String.t(), received: non_neg_integer(), resume_url: String.t() | nil}

  @type t :: %__MODULE__{
          sessions: %{non_neg_integer() => known()},
          # The sequences that are received and not handled.
          open: %{{shard :: non_neg_integer(), session_id :: String.t()} => :gb_sets.set(non_neg_integer())}
        }

  @typedoc "An event's place: shard, session id and sequence."
  @type place :: {non_neg_integer(), String.t(), non_neg_integer()}

  @typedoc "A session as the bridge knows it: `id`, `sequence` and `resume_url`."
  @type session :: %{String.t() => String.t() | non_neg_integer() | nil}

  @doc """
  A shard has this session. What was received of one that is known already stays: the bridge is ahead of us, or the store behind.
  """
  @spec session(t(), non_neg_integer(), session()) :: t()
  def session(acks, shard, %{"id" => id, "sequence" => sequence, "resume_url" => resume_url}) do
    received = with %{id: ^id, received: received} <- acks.sessions[shard], do: received, else: (_ -> sequence)
    known = %{id: id, received: received, resume_url: resume_url}
    %{acks | sessions: Map.put(acks.sessions, shard, known)}
  end

  @doc "A shard has no session any more."
  @spec no_session(t(), non_neg_integer()) :: t()
  def no_session(acks, shard), do: %{acks | sessions: Map.delete(acks.sessions, shard)}

  @doc "Whether this was received before: Discord repeats what it sent when a session is resumed."
  @spec repeat?(t(), place()) :: boolean()
  def repeat?(acks, {shard, id, seq}),
    do: match?(%{id: ^id, received: received} when received >= seq, acks.sessions[shard])

  @doc "Everything that was wanted of a session was received up to here."
  @spec received(t(), place()) :: t()
  def received(acks, {shard, id, seq}) do
    case acks.sessions[shard] do
      %{id: ^id} = known ->
        %{acks | sessions: Map.put(acks.sessions, shard, %{known | received: max(seq, known.received)})}

      # Of a session that is over: facts overtake events.
      _ ->
        acks
    end
  end

  @doc "An event was received that is to be handled."
  @spec open(t(), place()) :: t()
  def open(acks, {shard, id, seq} = place) do
    open = Map.update(acks.open, {shard, id}, :gb_sets.singleton(seq), &:gb_sets.add_element(seq, &1))
    received(%{acks | open: open}, place)
  end

  @doc "An event was handled."
  @spec done(t(), place()) :: t()
  def done(acks, {shard, id, seq}) do
    left = acks.open |> Map.get({shard, id}, :gb_sets.empty()) |> then(&:gb_sets.del_element(seq, &1))

    if :gb_sets.is_empty(left),
      do: %{acks | open: Map.delete(acks.open, {shard, id})},
      else: %{acks | open: Map.put(acks.open, {shard, id}, left)}
  end

  @doc "The sessions as far as they were received."
  @spec received(t()) :: %{non_neg_integer() => session()}
  def received(acks), do: Map.new(acks.sessions, fn {shard, known} -> {shard, session(known, known.received)} end)

  @doc """
  The sessions as far as everything is handled.

      iex> alias UroDiscord.Gateway.AckTracker
      iex> acks = AckTracker.session(%AckTracker{}, 0, %{"id" => "s", "sequence" => 1, "resume_url" => nil})
      iex> acks = acks |> AckTracker.open({0, "s", 3}) |> AckTracker.open({0, "s", 4}) |> AckTracker.received({0, "s", 7})
      iex> acks = AckTracker.done(acks, {0, "s", 4})
      iex> {AckTracker.handled(acks)[0]["sequence"], AckTracker.received(acks)[0]["sequence"]}
      {2, 7}
      iex> acks |> AckTracker.done({0, "s", 3}) |> AckTracker.handled() |> get_in([0, "sequence"])
      7
  """
  @spec handled(t()) :: %{non_neg_integer() => session()}
  def handled(acks),
    do: Map.new(acks.sessions, fn {shard, known} -> {shard, session(known, sequence(acks, shard, known))} end)

  # Below the first one that is open, all that was wanted is handled.
  defp sequence(acks, shard, %{id: id, received: received}) do
    case acks.open do
      %{{^shard, ^id} => open} -> min(received, :gb_sets.smallest(open) - 1)
      _ -> received
    end
  end

  defp session(known, sequence), do: %{"id" => known.id, "sequence" => sequence, "resume_url" => known.resume_url}
end

defmodule UroDiscord.Gateway.Sessions do
  @moduledoc false
  # The sessions of Discord's gateway that this node holds, by shard: the one copy in memory. The bridge's owner says what becomes of
  # them, `UroDiscord.Gateway.Leader` puts them into the store and has the table; neither waits for the other. A session belongs to a
  # lease, by its fence; without one (nil) there is none.
  #
  # Two sequences matter for each. What was received: the next bridge of this VM resumes there, since the events up to it are in this
  # VM's hands. And what is handled, which is what the store gets: the next VM gets every event above it again.

  # {{fence, shard}, id, resume_url, received, lowest, stored}: an id of nil is a session that is over and still in the store; `lowest` is
  # the lowest sequence that was received and is not handled, nil if there is none; `stored` is what the store has.
  @table __MODULE__
  @id 2
  @resume_url 3
  @received 4
  @lowest 5
  @stored 6

  @typedoc "A session as the bridge knows it: `id`, `sequence` and `resume_url`."
  @type session :: %{String.t() => String.t() | non_neg_integer() | nil}

  @typedoc "An event's place: shard, session id and sequence."
  @type place :: {non_neg_integer(), String.t(), non_neg_integer()}

  @type fence :: pos_integer() | nil

  @doc "For as long as the calling process lives."
  @spec init() :: :ok
  def init do
    :ets.new(@table, [:named_table, :public])
    :ok
  end

  ## A lease's time

  @doc "A lease was taken, with these sessions; the others that the store has are of no use."
  @spec load(pos_integer(), %{non_neg_integer() => session()}, %{non_neg_integer() => session()}) :: :ok
  def load(fence, sessions, useless) do
    :ok = drop()

    good =
      for {shard, session} <- sessions,
          do: {{fence, shard}, session["id"], session["resume_url"], session["sequence"], nil, session}

    over = for {shard, session} <- useless, do: {{fence, shard}, nil, nil, 0, nil, session}
    true = :ets.insert(@table, good ++ over)
    :ok
  end

  @doc "The lease is over, and the sessions are another node's."
  @spec drop() :: :ok
  def drop do
    true = :ets.delete_all_objects(@table)
    :ok
  end

  @doc "Discord will have none of these any more."
  @spec forget(fence()) :: :ok
  def forget(fence), do: Enum.each(rows(fence), fn {{_fence, shard}, _, _, _, _, _} -> delete(fence, shard) end)

  ## What becomes of them

  @doc """
  A shard has this session, of which everything from `lowest` on is not handled. Says whether it is another one than before; of one that is
  known what was received stays, as the bridge is ahead of us.
  """
  @spec put(fence(), non_neg_integer(), session(), non_neg_integer() | nil) :: :new | :known
  def put(nil, _shard, _session, _lowest), do: :known

  def put(fence, shard, %{"id" => id, "sequence" => sequence, "resume_url" => resume_url}, lowest) do
    case :ets.lookup(@table, {fence, shard}) do
      [{_key, ^id, _resume_url, _received, _lowest, _stored}] ->
        update(fence, shard, [{@resume_url, resume_url}, {@lowest, lowest}])
        :known

      _none ->
        values = [{@id, id}, {@resume_url, resume_url}, {@received, sequence}, {@lowest, lowest}]

        # It may just have gone from the store, and so from here.
        update(fence, shard, values) ||
          :ets.insert(@table, {{fence, shard}, id, resume_url, sequence, lowest, nil})

        :new
    end
  end

  @doc "A shard has no session any more."
  @spec delete(fence(), non_neg_integer()) :: :ok
  def delete(fence, shard) do
    update(fence, shard, [{@id, nil}, {@resume_url, nil}, {@received, 0}, {@lowest, nil}])
    :ok
  end

  @doc "Whether this was received before: Discord repeats what it sent when a session is resumed."
  @spec repeat?(fence(), place()) :: boolean()
  def repeat?(fence, {shard, id, seq}),
    do: match?([{_, ^id, _, received, _, _}] when received >= seq, :ets.lookup(@table, {fence, shard}))

  @doc "Everything that was wanted of a session was received up to here. Of a session that is over it changes nothing: facts overtake events."
  @spec received(fence(), place()) :: :ok
  def received(fence, {shard, id, seq}) do
    with [{_, ^id, _, received, _, _}] when received < seq <- :ets.lookup(@table, {fence, shard}),
         do: update(fence, shard, [{@received, seq}])

    :ok
  end

  @doc "Of a session all below this sequence is handled; nil: all that was received."
  @spec lowest(fence(), non_neg_integer(), String.t(), non_neg_integer() | nil) :: :ok
  def lowest(fence, shard, id, lowest) do
    with [{_, ^id, _, _, _, _}] <- :ets.lookup(@table, {fence, shard}), do: update(fence, shard, [{@lowest, lowest}])
    :ok
  end

  @doc "Whoever had the events of these shards that were received and not handled is no more, or has them no more: they come again."
  @spec rewind(fence(), :all | Enumerable.t(non_neg_integer())) :: :ok
  def rewind(fence, shards) do
    for {{_fence, shard}, id, _, _, _, _} = row when id != nil <- rows(fence),
        shards == :all or shard in shards,
        do: update(fence, shard, [{@received, handled_to(row)}, {@lowest, nil}])

    :ok
  end

  ## How they are

  @doc "The sessions as far as they were received."
  @spec all(fence()) :: %{non_neg_integer() => session()}
  def all(fence) do
    for {{_fence, shard}, id, resume_url, received, _, _} when id != nil <- rows(fence),
        into: %{},
        do: {shard, session(id, resume_url, received)}
  end

  @doc "The sessions as far as everything is handled."
  @spec handled(fence()) :: %{non_neg_integer() => session()}
  def handled(fence) do
    for {{_fence, shard}, id, resume_url, _, _, _} = row when id != nil <- rows(fence),
        into: %{},
        do: {shard, session(id, resume_url, handled_to(row))}
  end

  @doc "What the store does not have yet, as far as it is handled; nil is to be forgotten there."
  @spec changes(fence()) :: %{non_neg_integer() => session() | nil}
  def changes(fence) do
    for {{_fence, shard}, id, resume_url, _, _, stored} = row <- rows(fence),
        now = {:is, if(id, do: session(id, resume_url, handled_to(row)))},
        now != {:is, stored},
        into: %{},
        do: {shard, elem(now, 1)}
  end

  @doc "The store has these changes."
  @spec stored(fence(), %{non_neg_integer() => session() | nil}) :: :ok
  def stored(fence, changes) do
    for {shard, session} <- changes do
      update(fence, shard, [{@stored, session}])
      # Unless there is another one meanwhile.
      if session == nil, do: :ets.match_delete(@table, {{fence, shard}, nil, :_, :_, :_, nil})
    end

    :ok
  end

  defp rows(fence), do: :ets.match_object(@table, {{fence, :_}, :_, :_, :_, :_, :_})

  defp update(fence, shard, values), do: :ets.update_element(@table, {fence, shard}, values)

  # Below the first one that is open, all that was wanted is handled.
  defp handled_to({_key, _id, _resume_url, received, nil, _stored}), do: received
  defp handled_to({_key, _id, _resume_url, received, lowest, _stored}), do: min(received, lowest - 1)

  defp session(id, resume_url, sequence), do: %{"id" => id, "sequence" => sequence, "resume_url" => resume_url}
end

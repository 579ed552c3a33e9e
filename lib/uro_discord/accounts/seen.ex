defmodule UroDiscord.Accounts.Seen do
  @moduledoc false
  # Members as the gateway last told of them. Roles are replaced as a whole where several change, so a member who was read a while ago must not be changed
  # as he was then: what somebody else gave him since would be lost.

  alias UroDiscord.Accounts.Member
  alias UroDiscord.Bridge

  @table __MODULE__
  # A member who was read longer ago than this is asked for again.
  @kept_ms 600_000
  @most 100_000

  @doc "Of the process that hears of them, with which it ends."
  @spec init() :: :ok
  def init do
    :ets.new(@table, [:named_table, :public, read_concurrency: true])
    :ets.insert(@table, {:since, now()})
    connected()
  end

  @spec put(Member.t()) :: :ok
  def put(member) do
    # All are forgotten then, and asked for when they are needed.
    if :ets.info(@table, :size) > @most do
      :ets.match_delete(@table, {{:_, :_}, :_})
      :ets.insert(@table, {:since, now()})
    end

    :ets.insert(@table, {{member.guild_id, member.id}, member})
    :ok
  end

  @doc "Forgets those of whom nobody asks any more."
  @spec sweep() :: :ok
  def sweep do
    before = now() - @kept_ms
    :ets.select_delete(@table, [{{{:_, :_}, %{read_at: :"$1"}}, [{:<, :"$1", before}], [true]}])
    :ok
  end

  @doc "A member as he is now; nil where that is not known, and is to be asked."
  @spec current(Member.t(), non_neg_integer()) :: Member.t() | nil
  def current(member, fresh_ms) do
    case told(member) do
      %Member{} = told when member.read_at == nil or told.read_at >= member.read_at -> told
      _none -> if member.read_at != nil and fresh?(member.read_at, fresh_ms), do: member
    end
  end

  defp fresh?(read_at, fresh_ms), do: now() - read_at <= fresh_ms or listened_since?(read_at)

  # Whether the gateway would have told of every change since.
  defp listened_since?(read_at) do
    now() - read_at < @kept_ms and since() <= read_at and connected_since() <= read_at
  end

  @doc "Whether what was read then is so still: it is young, or the gateway would have told."
  @spec told_since?(integer(), non_neg_integer()) :: boolean()
  def told_since?(read_at, fresh_ms), do: now() - read_at <= fresh_ms or connected_since() <= read_at

  defp told(member) do
    with [{_key, told}] <- lookup({member.guild_id, member.id}), do: told, else: ([] -> nil)
  end

  defp since do
    with [{:since, since}] <- lookup(:since), do: since, else: ([] -> now() + 1)
  end

  @doc "A connection of this node's gateway has begun, or may have."
  @spec connected() :: :ok
  def connected do
    :ets.insert(@table, {:connected, connections(), now()})
    :ok
  end

  # The youngest of the connections of this node; one that has not the gateway has none. Of new ones nobody has told yet when they began.
  defp connected_since do
    with [_ | _] = connections <- connections(),
         [{:connected, ^connections, since}] <- lookup(:connected),
         do: since,
         else: (_not_connected -> now() + 1)
  end

  # Which ones they are is said by when they began, by the wall clock.
  defp connections do
    shards = Bridge.status().gateway.shards

    if Enum.all?(shards, fn {_id, shard} -> shard.state == :active end),
      do: for({id, shard} <- shards, do: {id, shard.since}),
      else: []
  end

  defp lookup(key) do
    :ets.lookup(@table, key)
  rescue
    # There is no process that hears of them.
    ArgumentError -> []
  end

  defp now, do: System.monotonic_time(:millisecond)
end

defmodule UroDiscord.Shards do
  @moduledoc """
  The running shards (game servers), and what happens to them.

  They come from the configured source (`config :uro_discord, shards: [source: …]`, see `UroDiscord.Config.Shards`), and from
  whoever calls `put/1` and `delete/1`. `UroDiscord.subscribe(:shards)` hears of every change as `{:uro_discord, :shards, event}`, where
  `event` is one of

    * `{:opened, shard}`
    * `{:changed, before, shard}`
    * `{:closed, shard}`
    * `:visibility`: what is hidden has changed, and with it `visible/0`

  The bot's presence and status board are such subscribers.

  Anybody can register a shard with Uro, under any name, map, host and address. The texts of a shard are legible, but Discord
  would still find markdown, mentions and links in them: what is shown goes through `UroDiscord.Shards.Text`, and only what is in
  `visible/0` is shown.
  """

  use UroDiscord.Server
  alias UroDiscord.{Error, Events, Runtime, Server}
  alias UroDiscord.Shards.{Hidden, Selection, Shard}

  @typedoc """
  What is unknown is nil. `host` is what the player who runs it calls themselves and `host_id` their id at the source; `opened_at` is when it was
  registered, or first seen where the source does not tell.
  """
  @type shard :: %{
          id: String.t(),
          name: String.t(),
          map: String.t() | nil,
          players: non_neg_integer() | nil,
          max_players: non_neg_integer() | nil,
          host: String.t() | nil,
          host_id: String.t() | nil,
          address: String.t() | nil,
          port: :inet.port_number() | nil,
          opened_at: DateTime.t(),
          source: source()
        }

  @type source :: :put | :uro | :http
  @type event :: {:opened, shard()} | {:changed, shard(), shard()} | {:closed, shard()} | :visibility

  @typedoc "`:starting` until the source has answered once, or failed for good."
  @type source_status :: :starting | :reachable | {:unreachable, reason :: String.t()}

  # How many shards are kept. A host that has more can hardly want them in a Discord channel; a flood ends here.
  @capacity 10_000

  @doc false
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @doc """
  A shard as it is now, from a map or keyword list with `:id` and, where known, `:name`, `:map`, `:players`, `:max_players`, `:host`,
  `:host_id`, `:address` and `:port`. Texts are cleaned and cut. At most #{@capacity} shards are kept.
  """
  @spec put(map() | keyword()) :: :ok | {:error, Error.t()}
  def put(shard) do
    with {:ok, _} <- Runtime.fetch(),
         {:ok, shard} <- Shard.cast(shard),
         do: Server.call(__MODULE__, {:put, :put, shard})
  end

  @doc "The shard is gone. Nothing happens when it was not there, or is the source's own."
  @spec delete(String.t() | integer()) :: :ok | {:error, Error.t()}
  def delete(id) when is_binary(id) or is_integer(id),
    do: with({:ok, _} <- Runtime.fetch(), do: Server.call(__MODULE__, {:delete, :put, to_string(id)}))

  @doc "All shards, by id; none where UroDiscord does not run."
  @spec list() :: [shard()]
  def list, do: select(:_)

  @doc """
  The shards that may be shown: not hidden, and within the configured limits of an address, of a host and of all. The trusted
  ones come first, then the oldest. Without `show_addresses: true`, `address` and `port` are nil.
  """
  @spec visible() :: [shard()]
  def visible do
    case Runtime.fetch() do
      {:ok, %{config: %{shards: config}}} ->
        # Until it is known what is hidden, everything is.
        shown = Selection.select(select(false), config)
        if config.show_addresses, do: shown, else: Enum.map(shown, &%{&1 | address: nil, port: nil})

      {:error, _not_started} ->
        []
    end
  end

  defp select(hidden) do
    :ets.select(__MODULE__, [{{{:shard, :_}, :"$1", hidden}, [], [:"$1"]}])
  rescue
    # It does not run.
    ArgumentError -> []
  end

  @doc """
  Hides the shards that a pattern matches: one whose id, name, map, host, host id or address it is. `*` stands for anything, letters may be large or
  small: `hide("*casino*")`, `hide("203.0.113.7")`. They are not in `visible/0` any more, on all nodes within seconds.
  """
  @spec hide(String.t()) :: :ok | {:error, Error.t()}
  def hide(pattern), do: with_store(&Hidden.hide(&1, pattern))

  @doc "Shows again what a pattern has hidden."
  @spec unhide(String.t()) :: :ok | {:error, Error.t()}
  def unhide(pattern), do: with_store(&Hidden.unhide(&1, pattern))

  @doc "The patterns, the oldest first."
  @spec hidden() :: {:ok, [%{pattern: String.t(), hidden_at: DateTime.t()}]} | {:error, Error.t()}
  def hidden, do: with_store(&Hidden.all/1)

  defp with_store(fun) do
    case Runtime.fetch() do
      {:ok, %{store: nil}} ->
        {:error, %Error{kind: :disabled, message: "UroDiscord is disabled (enabled: false), and keeps nothing"}}

      {:ok, %{store: store}} ->
        with result <- fun.(store), :ok <- Hidden.reload(), do: result

      {:error, error} ->
        {:error, error}
    end
  end

  @doc """
  Whether the configured source answers; each change is the `:status` event `{:shards, status}`. While it does not, its shards
  are closed as their freshness ends. With `source: :put` it is always `:reachable`.
  """
  @spec source_status() :: source_status()
  def source_status do
    [source_status: status] = :ets.lookup(__MODULE__, :source_status)
    status
  rescue
    ArgumentError -> :starting
  end

  @doc false
  @spec status() :: map()
  def status, do: %{shards: length(list()), visible: length(visible()), source: source_status()}

  @doc false
  @spec capacity() :: pos_integer()
  def capacity, do: @capacity

  @doc false
  # The shards of a source are these, and no others; those without `opened_at` have just opened. Returns how many found no room.
  @spec put_all(source(), [map()]) :: non_neg_integer()
  def put_all(source, shards), do: GenServer.call(__MODULE__, {:put_all, source, shards}, :infinity)

  @doc false
  # What `Hidden.matches?/2` is asked with.
  @spec put_hidden(Regex.t() | nil) :: :ok
  def put_hidden(matcher), do: GenServer.call(__MODULE__, {:hidden, matcher})

  @doc false
  @spec put_source_status(source_status()) :: :ok
  def put_source_status(status), do: GenServer.call(__MODULE__, {:source_status, status})

  @impl true
  def init(config) do
    table = :ets.new(__MODULE__, [:named_table, :ordered_set, read_concurrency: true])
    status = if config.enabled and config.shards.source != :put, do: :starting, else: :reachable
    :ets.insert(table, {:source_status, status})
    # Where there is no store, nothing is hidden.
    {:ok, %{table: table, count: 0, hidden: if(config.enabled, do: :unknown)}}
  end

  @impl true
  def handle_call({:put, source, shard}, _from, state) do
    case lookup(state, shard.id) do
      %{source: ^source} = before -> {:reply, :ok, change(state, before, complete(shard, source, before.opened_at))}
      %{source: other} -> {:reply, {:error, Error.invalid("id", "#{shard.id} is a shard of #{inspect(other)}")}, state}
      nil when state.count >= @capacity -> {:reply, {:error, full()}, state}
      nil -> {:reply, :ok, open(state, complete(shard, source, DateTime.utc_now()))}
    end
  end

  def handle_call({:delete, source, id}, _from, state) do
    case lookup(state, id) do
      %{source: ^source} = shard -> {:reply, :ok, close(state, shard)}
      _ -> {:reply, :ok, state}
    end
  end

  def handle_call({:put_all, source, shards}, _from, state) do
    ids = MapSet.new(shards, & &1.id)

    state =
      for(%{source: ^source} = shard <- list(), shard.id not in ids, do: shard) |> Enum.reduce(state, &close(&2, &1))

    now = DateTime.utc_now()

    {known, new} = Enum.split_with(shards, &:ets.member(state.table, {:shard, &1.id}))
    # Those of another source stay with it.
    state =
      for(shard <- known, %{source: ^source} = before <- [lookup(state, shard.id)], do: {before, shard})
      |> Enum.reduce(state, fn {before, shard}, state ->
        change(state, before, complete(shard, source, before.opened_at))
      end)

    new = new |> Enum.map(&complete(&1, source, &1.opened_at || now)) |> Enum.sort_by(& &1.opened_at, DateTime)
    {opened, refused} = Enum.split(new, @capacity - state.count)
    {:reply, length(refused), Enum.reduce(opened, state, &open(&2, &1))}
  end

  def handle_call({:hidden, matcher}, _from, state) do
    state = %{state | hidden: matcher}
    for shard <- list(), do: :ets.insert(state.table, row(state, shard))
    Events.publish(:shards, :visibility)
    {:reply, :ok, state}
  end

  def handle_call({:source_status, status}, _from, state) do
    if source_status() != status do
      :ets.insert(state.table, {:source_status, status})
      Events.publish(:status, {:shards, status})
    end

    {:reply, :ok, state}
  end

  defp lookup(state, id) do
    case :ets.lookup(state.table, {:shard, id}) do
      [{_key, shard, _hidden?}] -> shard
      [] -> nil
    end
  end

  defp complete(shard, source, opened_at), do: Map.merge(shard, %{opened_at: opened_at, source: source})

  defp open(state, shard) do
    :ets.insert(state.table, row(state, shard))
    Events.publish(:shards, {:opened, shard})
    %{state | count: state.count + 1}
  end

  defp change(state, shard, shard), do: state

  defp change(state, before, shard) do
    :ets.insert(state.table, row(state, shard))
    Events.publish(:shards, {:changed, before, shard})
    state
  end

  defp close(state, shard) do
    :ets.delete(state.table, {:shard, shard.id})
    Events.publish(:shards, {:closed, shard})
    %{state | count: state.count - 1}
  end

  defp row(%{hidden: :unknown}, shard), do: {{:shard, shard.id}, shard, true}
  defp row(%{hidden: matcher}, shard), do: {{:shard, shard.id}, shard, Hidden.matches?(matcher, shard)}

  defp full do
    %Error{
      kind: :full,
      message: "there are #{@capacity} shards already, which is as many as are kept: delete those that have closed"
    }
  end
end

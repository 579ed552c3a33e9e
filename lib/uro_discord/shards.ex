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
  alias UroDiscord.Shards.Hidden.{Matcher, Patterns}

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

  # How many verdicts are handed over at once.
  @chunk 200

  @doc false
  # The table. It belongs to the supervisor, since what the host has put here must survive the end of this process.
  def init_table, do: :ets.new(__MODULE__, [:named_table, :public, :ordered_set, read_concurrency: true])

  @doc false
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @doc """
  A shard as it is now, from a map or keyword list with `:id` and, where known, `:name`, `:map`, `:players`, `:max_players`, `:host`,
  `:host_id`, `:address` and `:port`. Texts are cleaned and cut. At most #{@capacity} shards are kept.
  """
  @spec put(map() | keyword()) :: :ok | {:error, Error.t()}
  def put(shard) do
    with {:ok, _} <- Runtime.fetch(), {:ok, shard} <- Shard.cast(shard) do
      judged(fn version, judge -> {:put, version, :put, shard, judge.(shard)} end)
    end
  end

  @doc "The shard is gone. Nothing happens when it was not there, or is the source's own."
  @spec delete(String.t() | integer()) :: :ok | {:error, Error.t()}
  def delete(id) when is_binary(id) or is_integer(id),
    do: with({:ok, _} <- Runtime.fetch(), do: call({:delete, :put, to_string(id)}))

  @doc "All shards, by id; none while UroDiscord is not running."
  @spec list() :: [shard()]
  def list, do: select([{{{:shard, :_}, :"$1", :_, :_}, [], [:"$1"]}])

  defp select(matches) do
    :ets.select(__MODULE__, matches)
  rescue
    # The table is there as long as UroDiscord is.
    ArgumentError -> []
  end

  @doc """
  The shards that may be shown: not hidden, and within the configured limits of an address, of a host and of all. The trusted
  ones come first, then the oldest. Without `show_addresses: true`, `address` and `port` are nil.
  """
  @spec visible() :: [shard()]
  def visible do
    case Runtime.fetch() do
      {:ok, %{config: %{shards: config}}} ->
        shown = for id <- Selection.select(not_hidden(), config), shard = lookup(id), do: shard
        if config.show_addresses, do: shown, else: Enum.map(shown, &%{&1 | address: nil, port: nil})

      {:error, _not_started} ->
        []
    end
  end

  # The places of these. Until it is known what is hidden, everything is.
  defp not_hidden, do: select([{{{:shard, :_}, :_, false, :"$1"}, [], [:"$1"]}])

  @doc """
  Hides the shards that a pattern matches: one whose id, name, map, host, host id or address it is. `*` stands for anything, letters may be large or
  small: `hide("*casino*")`, `hide("203.0.113.7")`. They are not in `visible/0` any more, on all nodes within seconds.
  """
  @spec hide(String.t()) :: :ok | {:error, Error.t()}
  def hide(pattern), do: with_store(&Patterns.hide(&1, pattern))

  @doc "Shows again what a pattern has hidden."
  @spec unhide(String.t()) :: :ok | {:error, Error.t()}
  def unhide(pattern), do: with_store(&Patterns.unhide(&1, pattern))

  @doc "The patterns, the oldest first."
  @spec hidden() :: {:ok, [%{pattern: String.t(), hidden_at: DateTime.t()}]} | {:error, Error.t()}
  def hidden, do: with_store(&Patterns.all/1)

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
  def source_status, do: source().status

  @doc false
  # Whether it is known which shards there are: their source has answered since UroDiscord began, or there is none but who puts them here.
  @spec known?() :: boolean()
  def known?, do: source().answered?

  defp source do
    case select([{{:source, :"$1"}, [], [:"$1"]}]) do
      [source] -> source
      [] -> %{status: :starting, retry_at: nil, answered?: false}
    end
  end

  @doc false
  @spec status() :: map()
  def status do
    %{status: status, retry_at: retry_at} = source()
    %{shards: length(list()), visible: length(visible()), source: status, source_retry_at: retry_at}
  end

  @doc false
  @spec capacity() :: pos_integer()
  def capacity, do: @capacity

  @doc false
  # The shards of a source are these, and no others; those without `opened_at` have just opened. Returns how many found no room. What has
  # changed is found, and judged, in the calling process, the oldest shards first; after `budget_ms` the others are left for the next time.
  @spec put_all(source(), [map()], budget_ms :: pos_integer()) :: {:ok, non_neg_integer()} | {:error, Error.t()}
  def put_all(source, shards, budget_ms) do
    now = DateTime.utc_now()
    known = for %{source: ^source} = shard <- list(), into: %{}, do: {shard.id, shard}
    closed = Map.keys(known) -- Enum.map(shards, & &1.id)
    {old, new} = Enum.split_with(shards, &is_map_key(known, &1.id))
    old = for shard <- old, before = known[shard.id], do: complete(shard, source, before.opened_at)
    new = for shard <- new, do: complete(shard, source, shard.opened_at || now)
    changed = for(shard <- old, shard != known[shard.id], do: shard) ++ new
    changed = Enum.sort_by(changed, & &1.opened_at, DateTime)
    deadline = System.monotonic_time(:millisecond) + budget_ms

    judged(fn version, judge ->
      {:put_all, version, source, closed, judge_until(changed, judge, deadline)}
    end)
  end

  defp judge_until(shards, judge, deadline) do
    Enum.reduce_while(shards, [], fn shard, judged ->
      if judged != [] and System.monotonic_time(:millisecond) > deadline,
        do: {:halt, judged},
        else: {:cont, [{shard, judge.(shard)} | judged]}
    end)
    |> Enum.reverse()
  end

  @doc false
  # What is hidden from now on. All shards are judged anew in the calling process, those first that are shown.
  @spec put_matcher(Matcher.t()) :: :ok
  def put_matcher(matcher) do
    {:ok, version} = call({:matcher, matcher})
    {hidden, shown} = Enum.split_with(:ets.match_object(__MODULE__, {{:shard, :_}, :_, :_, :_}), &elem(&1, 2))

    for rows <- Enum.chunk_every(shown ++ hidden, @chunk) do
      :ok =
        call(
          {:verdicts, version,
           for({_key, shard, _hidden?, _place} <- rows, do: {shard, Matcher.matches?(matcher, shard)})}
        )
    end

    Events.publish(:shards, :visibility)
  end

  @doc false
  @spec put_source_status(source_status(), retry_at :: DateTime.t() | nil) :: :ok
  def put_source_status(status, retry_at \\ nil), do: :ok = call({:source, %{status: status, retry_at: retry_at}})

  # A request with verdicts, of which each is by the patterns that are current: where these have changed meanwhile, it is made anew. Judging
  # costs what strangers have written, so it happens out here.
  defp judged(request) do
    case select([{{:matcher, :"$1", :"$2"}, [], [{{:"$1", :"$2"}}]}]) do
      [{version, matcher}] ->
        judge = fn shard -> {hidden?(matcher, shard), Selection.origin(shard.address)} end
        with :outdated <- call(request.(version, judge)), do: judged(request)

      [] ->
        {:error, %Error{kind: :unavailable, message: "the shards are just being started: try again in a moment"}}
    end
  end

  defp hidden?(:unknown, _shard), do: true
  defp hidden?(nil, _shard), do: false
  defp hidden?(matcher, shard), do: Matcher.matches?(matcher, shard)

  defp call(request), do: Server.call(__MODULE__, request)

  @impl true
  def init(config) do
    table = __MODULE__
    status = if config.enabled and config.shards.source != :put, do: :starting, else: :reachable
    :ets.insert_new(table, {:source, %{status: status, retry_at: nil, answered?: status == :reachable}})

    # What is hidden is told anew after each start, and what was judged before stays so until then. Where there is no store, nothing is hidden.
    version =
      case :ets.lookup(table, :matcher) do
        [{:matcher, before, _matcher}] -> before + 1
        [] -> 0
      end

    :ets.insert(table, {:matcher, version, if(config.enabled, do: :unknown)})
    count = :ets.select_count(table, [{{{:shard, :_}, :_, :_, :_}, [], [true]}])
    {:ok, %{table: table, count: count, version: version}}
  end

  @impl true
  def handle_call(request, _from, %{version: current} = state)
      when is_tuple(request) and elem(request, 0) in [:put, :put_all, :verdicts] and elem(request, 1) != current,
      do: {:reply, :outdated, state}

  def handle_call({:put, _version, source, shard, verdict}, _from, state) do
    case lookup(shard.id) do
      %{source: ^source} = before ->
        {:reply, :ok, change(state, before, complete(shard, source, before.opened_at), verdict)}

      %{source: other} ->
        {:reply, {:error, Error.invalid("id", "#{shard.id} is a shard of #{inspect(other)}")}, state}

      nil when state.count >= @capacity ->
        {:reply, {:error, full()}, state}

      nil ->
        {:reply, :ok, open(state, complete(shard, source, DateTime.utc_now()), verdict)}
    end
  end

  def handle_call({:delete, source, id}, _from, state), do: {:reply, :ok, close(state, source, id)}

  def handle_call({:put_all, _version, source, closed, judged}, _from, state) do
    state = Enum.reduce(closed, state, &close(&2, source, &1))

    {state, refused} =
      Enum.reduce(judged, {state, 0}, fn {shard, verdict}, {state, refused} ->
        case lookup(shard.id) do
          %{source: ^source} = before -> {change(state, before, shard, verdict), refused}
          # That of another source stays with it.
          %{} -> {state, refused}
          nil when state.count >= @capacity -> {state, refused + 1}
          nil -> {open(state, shard, verdict), refused}
        end
      end)

    {:reply, {:ok, refused}, state}
  end

  def handle_call({:matcher, matcher}, _from, state) do
    version = state.version + 1
    :ets.insert(state.table, {:matcher, version, matcher})
    {:reply, {:ok, version}, %{state | version: version}}
  end

  # One that has changed meanwhile was judged by these patterns already.
  def handle_call({:verdicts, _version, verdicts}, _from, state) do
    for {shard, hidden?} <- verdicts,
        lookup(shard.id) == shard,
        do: :ets.update_element(state.table, {:shard, shard.id}, {3, hidden?})

    {:reply, :ok, state}
  end

  def handle_call({:source, source}, _from, state) do
    %{status: before, answered?: answered?} = source()
    answered? = source.status == :reachable or (answered? and source.status != :starting)
    :ets.insert(state.table, {:source, Map.put(source, :answered?, answered?)})
    if source.status != before, do: Events.publish(:status, {:shards, source.status})
    {:reply, :ok, state}
  end

  defp lookup(id) do
    case select([{{{:shard, id}, :"$1", :_, :_}, [], [:"$1"]}]) do
      [shard] -> shard
      [] -> nil
    end
  end

  defp complete(shard, source, opened_at), do: Map.merge(shard, %{opened_at: opened_at, source: source})

  defp open(state, shard, verdict) do
    insert(state, shard, verdict)
    Events.publish(:shards, {:opened, shard})
    %{state | count: state.count + 1}
  end

  defp change(state, shard, shard, _verdict), do: state

  defp change(state, before, shard, verdict) do
    insert(state, shard, verdict)
    Events.publish(:shards, {:changed, before, shard})
    state
  end

  defp close(state, source, id) do
    case lookup(id) do
      %{source: ^source} = shard ->
        :ets.delete(state.table, {:shard, id})
        Events.publish(:shards, {:closed, shard})
        %{state | count: state.count - 1}

      _not_of_it ->
        state
    end
  end

  defp insert(state, shard, {hidden?, origin}),
    do: :ets.insert(state.table, {{:shard, shard.id}, shard, hidden?, Selection.place(shard, origin)})

  defp full do
    %Error{
      kind: :full,
      message: "there are #{@capacity} shards already, which is as many as are kept: delete those that have closed"
    }
  end
end

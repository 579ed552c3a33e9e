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

  use GenServer
  alias UroDiscord.{Error, Events, Runtime}
  alias UroDiscord.Shards.{Selection, Shard}

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
    with {:ok, shard} <- Shard.cast(shard), do: GenServer.call(__MODULE__, {:put, :put, shard})
  end

  @doc "The shard is gone. Nothing happens when it was not there, or is the source's own."
  @spec delete(String.t() | integer()) :: :ok
  def delete(id), do: GenServer.call(__MODULE__, {:delete, :put, to_string(id)})

  @doc "All shards, by id."
  @spec list() :: [shard()]
  def list, do: :ets.select(__MODULE__, [{{{:shard, :_}, :"$1"}, [], [:"$1"]}])

  @doc """
  The shards that may be shown: not hidden, and within the configured limits of an address, of a host and of all. The trusted
  ones come first, then the oldest. Without `show_addresses: true`, `address` and `port` are nil.
  """
  @spec visible() :: [shard()]
  def visible do
    {:ok, %{config: %{shards: config}}} = Runtime.fetch()
    shown = Selection.select(list(), config)
    if config.show_addresses, do: shown, else: Enum.map(shown, &%{&1 | address: nil, port: nil})
  end

  @doc """
  Whether the configured source answers; each change is the `:status` event `{:shards, status}`. While it does not, its shards
  are closed as their freshness ends. With `source: :put` it is always `:reachable`.
  """
  @spec source_status() :: source_status()
  def source_status do
    [source_status: status] = :ets.lookup(__MODULE__, :source_status)
    status
  end

  @doc false
  # Of the source.
  @spec put_source_status(source_status()) :: :ok
  def put_source_status(status), do: GenServer.call(__MODULE__, {:source_status, status})

  @impl true
  def init(config) do
    table = :ets.new(__MODULE__, [:named_table, :ordered_set, read_concurrency: true])
    status = if config.enabled and config.shards.source != :put, do: :starting, else: :reachable
    :ets.insert(table, {:source_status, status})
    {:ok, %{table: table, count: 0}}
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

  def handle_call({:source_status, status}, _from, state) do
    if source_status() != status do
      :ets.insert(state.table, {:source_status, status})
      Events.publish(:status, {:shards, status})
    end

    {:reply, :ok, state}
  end

  defp lookup(state, id) do
    case :ets.lookup(state.table, {:shard, id}) do
      [{_key, shard}] -> shard
      [] -> nil
    end
  end

  defp complete(shard, source, opened_at), do: Map.merge(%{opened_at: opened_at, source: source}, shard)

  defp open(state, shard) do
    store(state, shard)
    Events.publish(:shards, {:opened, shard})
    %{state | count: state.count + 1}
  end

  defp change(state, shard, shard), do: state

  defp change(state, before, shard) do
    store(state, shard)
    Events.publish(:shards, {:changed, before, shard})
    state
  end

  defp close(state, shard) do
    :ets.delete(state.table, {:shard, shard.id})
    Events.publish(:shards, {:closed, shard})
    %{state | count: state.count - 1}
  end

  defp store(state, shard), do: :ets.insert(state.table, {{:shard, shard.id}, shard})

  defp full do
    %Error{
      kind: :full,
      message: "there are #{@capacity} shards already, which is as many as are kept: delete those that have closed"
    }
  end
end

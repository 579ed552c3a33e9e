defmodule UroDiscord.Runtime do
  @moduledoc false
  # What every process may need of the running UroDiscord. The table belongs to the supervisor, so it is there exactly as long
  # as UroDiscord is, whichever of its domains begins anew.

  alias UroDiscord.{Config, Error, Rest, Secret, Store}
  alias UroDiscord.Store.NodeId

  @type t :: %{
          config: Config.t(),
          rest: Rest.client() | nil,
          store: Store.t() | nil,
          owner: String.t() | nil,
          bot_id: String.t() | nil,
          position: :atomics.atomics_ref() | nil
        }

  @doc "For as long as the calling process lives. Who keeps `store` opens it later."
  @spec init(Config.t(), Store.t()) :: :ok | {:error, Error.t()}
  def init(config, store) do
    with {:ok, runtime} <- new(config, store) do
      :ets.new(__MODULE__, [:named_table, :public, read_concurrency: true])
      put(:runtime, runtime)
    end
  end

  @doc "In a VM where UroDiscord is disabled: from now on there is what requests and the store take, for who asks for it here."
  @spec enable(Config.t(), Store.t()) :: :ok | {:error, Error.t()}
  def enable(config, store), do: with({:ok, runtime} <- new(config, store), do: put(:runtime, runtime))

  defp new(%Config{enabled: false} = config, _store) do
    {:ok, %{config: config, rest: nil, store: nil, owner: nil, bot_id: nil, position: nil}}
  end

  defp new(config, store) do
    with {:ok, rest} <- Rest.client(config) do
      {:ok,
       %{
         config: config,
         rest: rest,
         store: store,
         owner: NodeId.name(),
         bot_id: bot_id(config),
         position: :atomics.new(1, [])
       }}
    end
  end

  @spec fetch() :: {:ok, t()} | {:error, Error.t()}
  def fetch do
    case lookup(:runtime) do
      nil -> {:error, not_started()}
      runtime -> {:ok, runtime}
    end
  end

  @doc "As `fetch/0`, for what is not there with `enabled: false`."
  @spec fetch_enabled() :: {:ok, t()} | {:error, Error.t()}
  def fetch_enabled do
    case fetch() do
      {:ok, %{config: %Config{enabled: false}}} ->
        {:error, %Error{kind: :disabled, message: "uro_discord is disabled (enabled: false)"}}

      result ->
        result
    end
  end

  @spec not_started() :: Error.t()
  def not_started,
    do: %Error{kind: :not_started, message: "UroDiscord is not running: put it into your supervision tree"}

  ## Facts that change: what each process says of itself, for `UroDiscord.status/0`, which so waits for none of them.

  @doc "The value of a key, nil where there is none."
  @spec lookup(term()) :: term() | nil
  def lookup(key) do
    case :ets.lookup(__MODULE__, key) do
      [{_key, value}] -> value
      [] -> nil
    end
  rescue
    # UroDiscord is not running.
    ArgumentError -> nil
  end

  @doc "The values of all keys `{tag, name}`, by name."
  @spec all(atom()) :: %{term() => term()}
  def all(tag) do
    __MODULE__ |> :ets.match({{tag, :"$1"}, :"$2"}) |> Map.new(&List.to_tuple/1)
  rescue
    ArgumentError -> %{}
  end

  @spec put(term(), term()) :: :ok
  def put(key, value) do
    true = :ets.insert(__MODULE__, {key, value})
    :ok
  end

  @spec delete(term()) :: :ok
  def delete(key) do
    true = :ets.delete(__MODULE__, key)
    :ok
  end

  @doc "Puts a value in place of another one, and says whether that was still there."
  @spec replace(atom(), term(), term()) :: boolean()
  def replace(key, before, value) do
    same = [{:"=:=", :"$1", {:const, before}}]
    1 == :ets.select_replace(__MODULE__, [{{key, :"$1"}, same, [{{key, {:const, value}}}]}])
  end

  @doc "What comes next is after this position."
  @spec raise_position(integer()) :: :ok
  def raise_position(last) do
    {:ok, %{position: position}} = fetch()
    raise_position(position, :atomics.get(position, 1), last)
  end

  defp raise_position(position, before, last) when before < last do
    case :atomics.compare_exchange(position, 1, before, last) do
      :ok -> :ok
      newer -> raise_position(position, newer, last)
    end
  end

  defp raise_position(_position, _before, _last), do: :ok

  @doc """
  A place in the order of notifications: after every one before it here, and by the clock among nodes. Microseconds, so that a
  node which starts again goes on above its former ones.
  """
  @spec next_position(t()) :: integer()
  def next_position(%{position: position}) do
    next_position(position, :atomics.get(position, 1))
  end

  defp next_position(position, last) do
    next = max(last + 1, System.os_time(:microsecond))

    case :atomics.compare_exchange(position, 1, last, next) do
      :ok -> next
      newer -> next_position(position, newer)
    end
  end

  @doc "The bot's id, which is the first part of its token."
  @spec bot_id(Config.t()) :: String.t()
  def bot_id(config) do
    [id | _] = config.token |> Secret.reveal() |> String.split(".")
    Base.decode64!(id, padding: false)
  end
end

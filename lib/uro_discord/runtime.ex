defmodule UroDiscord.Runtime do
  @moduledoc false
  # What every process may need of the running UroDiscord. The table belongs to the supervisor, so it is there exactly as long
  # as UroDiscord is.

  alias UroDiscord.{Config, Error, Native, Rest, Secret, Store}
  alias UroDiscord.Notify.Outbox
  alias UroDiscord.Store.Owner

  @type t :: %{
          config: Config.t(),
          rest: Native.rest() | nil,
          store: Store.t() | nil,
          owner: String.t() | nil,
          bot_id: String.t() | nil,
          position: :atomics.atomics_ref() | nil
        }

  @doc "Opens what the configuration names, for as long as the calling process lives."
  @spec init(Config.t()) :: :ok | {:error, Error.t()}
  def init(config) do
    with {:ok, runtime} <- open(config) do
      :ets.new(__MODULE__, [:named_table, read_concurrency: true])
      true = :ets.insert(__MODULE__, {:runtime, runtime})
      :ok
    end
  end

  defp open(%Config{enabled: false} = config) do
    {:ok, %{config: config, rest: nil, store: nil, owner: nil, bot_id: nil, position: nil}}
  end

  defp open(config) do
    with {:ok, rest} <- Rest.client(config),
         {:ok, store} <- Store.open(if(config.repo, do: {:repo, config.repo}, else: {:sqlite, config.database})),
         {:ok, last} <- Outbox.last_position(store) do
      position = :atomics.new(1, [])
      :atomics.put(position, 1, last)

      {:ok,
       %{config: config, rest: rest, store: store, owner: Owner.name(), bot_id: bot_id(config), position: position}}
    end
  end

  @spec fetch() :: {:ok, t()} | {:error, Error.t()}
  def fetch do
    [runtime: runtime] = :ets.lookup(__MODULE__, :runtime)
    {:ok, runtime}
  rescue
    ArgumentError ->
      {:error, %Error{kind: :not_started, message: "UroDiscord is not running: put it into your supervision tree"}}
  end

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

  # The first part of a token is the bot's id.
  defp bot_id(config) do
    [id | _] = config.token |> Secret.reveal() |> String.split(".")
    Base.decode64!(id, padding: false)
  end
end

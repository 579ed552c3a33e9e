defmodule UroDiscord.Notify.Backlog do
  @moduledoc false
  # Whether a producer may have more messages waiting.
  #
  # To count them in the store for each notification would cost a trip to it. What was counted a moment ago, and what this node has
  # accepted since, is at least as much as waits of this node; so the store is asked only when that may be too much, or when it was
  # counted long ago (other nodes accept, too). The cap may be passed by what is accepted elsewhere at the very same time.

  alias UroDiscord.{Error, Runtime, Store}
  alias UroDiscord.Notify.{Outbox, Producer}

  @table __MODULE__
  # A count is good for this long.
  @good_ms 1_000
  # One that says "full" is asked again so soon.
  @again_ms 100

  @doc "The table, for as long as the calling process lives."
  @spec init() :: :ok
  def init do
    :ets.new(@table, [:named_table, :public, write_concurrency: true])
    :ok
  end

  @doc "Takes room for so many more messages."
  @spec reserve(Store.t(), Producer.t(), pos_integer()) :: :ok | {:error, Error.t()}
  def reserve(store, producer, count) do
    now = System.monotonic_time(:millisecond)
    name = Producer.name(producer)
    most = Producer.most_waiting(producer)

    case :ets.lookup(@table, name) do
      [{_name, waiting, counted_at}] when waiting + count <= most and now - counted_at < @good_ms -> add(name, count)
      [{_name, waiting, counted_at}] when waiting + count > most and now - counted_at < @again_ms -> full(producer)
      _ -> recount(store, producer, name, count, now)
    end
  rescue
    # It is just stopping.
    ArgumentError -> {:error, Runtime.not_started()}
  end

  defp recount(store, producer, name, count, now) do
    most = Producer.most_waiting(producer)

    with {:ok, waiting} <- Outbox.waiting(store, name, most) do
      true = :ets.insert(@table, {name, waiting, now})
      if waiting + count <= most, do: add(name, count), else: full(producer)
    end
  end

  defp add(name, count) do
    :ets.update_counter(@table, name, {2, count})
    :ok
  end

  defp full(producer), do: {:error, Producer.full(producer)}
end

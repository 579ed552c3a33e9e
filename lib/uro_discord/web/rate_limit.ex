defmodule UroDiscord.Web.RateLimit do
  @moduledoc false
  # How often a key (or a user) may ask: so many requests in each minute of the clock, on each node. Counted in ETS, as requests come in many
  # processes; this one only owns the table, and forgets those who do not come again.

  use UroDiscord.Server

  @window_s 60

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(_argument), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc """
  Counts `count` of `name`. `{:error, seconds}` until it may come again; what is refused is not counted. `:unavailable` while this is
  being started again.
  """
  @spec take(String.t(), pos_integer(), pos_integer(), integer()) :: :ok | {:error, pos_integer()} | :unavailable
  def take(name, limit, count \\ 1, now_s \\ System.os_time(:second)) do
    window = div(now_s, @window_s)
    taken = :ets.update_counter(__MODULE__, {name, window}, count, {{name, window}, 0})
    # The first one of a window sweeps: what is older counts for nothing.
    if taken == count, do: :ets.select_delete(__MODULE__, [{{{name, :"$1"}, :_}, [{:<, :"$1", window}], [true]}])

    if taken <= limit do
      :ok
    else
      :ets.update_counter(__MODULE__, {name, window}, -count, {{name, window}, count})
      {:error, @window_s - rem(now_s, @window_s)}
    end
  rescue
    # There is no table.
    ArgumentError -> :unavailable
  end

  @doc "Takes back one of `name` that was counted just now, and is not to be: only what went wrong counts."
  @spec give_back(String.t(), integer()) :: :ok
  def give_back(name, now_s \\ System.os_time(:second)) do
    key = {name, div(now_s, @window_s)}
    # It may have been counted in the minute before.
    :ets.update_counter(__MODULE__, key, {2, -1, 0, 0}, {key, 0})
    :ok
  rescue
    ArgumentError -> :ok
  end

  @impl true
  def init(nil), do: {:ok, later(:ets.new(__MODULE__, [:named_table, :public, write_concurrency: true]))}

  @impl true
  def handle_info(:sweep, table) do
    sweep(System.os_time(:second))
    {:noreply, later(table)}
  end

  @doc "Forgets all that was counted before this minute."
  @spec sweep(integer()) :: non_neg_integer()
  def sweep(now_s),
    do: :ets.select_delete(__MODULE__, [{{{:_, :"$1"}, :_}, [{:<, :"$1", div(now_s, @window_s)}], [true]}])

  defp later(table) do
    Process.send_after(self(), :sweep, 1_000 * @window_s)
    table
  end
end

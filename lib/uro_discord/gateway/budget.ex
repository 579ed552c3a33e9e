defmodule UroDiscord.Gateway.Budget do
  @moduledoc false
  # When a shard may identify. Discord allows a bot 1000 identifies a day and takes its token away from one that needs more
  # (https://discord.com/developers/docs/events/gateway#session-start-limit-object); a resume costs none. Pure: times are Unix ms, and
  # arguments.

  # What Discord said of the limit is good for so long; others may identify with the same token.
  @fresh_ms 60_000
  @day_ms 86_400_000
  # How long an identify of a shard makes the next one wait.
  @window_ms 3_600_000
  # After the first one in that time, doubled with each, to the longest: 12 in the first hour of a loop, then 8 an hour.
  @first_gap_ms 5_000
  @longest_gap_ms 600_000
  # Shards with the same number modulo max_concurrency identify 5 s apart, here from when the bridge said that it did; and
  # while it has not, for as long as it may take to connect.
  @concurrency_ms 5_500
  @connect_ms 15_000

  defstruct limit: nil, spent: %{}, open: MapSet.new()

  @typedoc "Discord's answer, counted down by our own identifies since."
  @type limit :: %{
          total: integer(),
          remaining: integer(),
          reset_at: integer(),
          max_concurrency: pos_integer(),
          shards: pos_integer(),
          asked_at: integer()
        }

  @typedoc "`spent`: each shard's identifies, the latest first. `open`: shards that may identify and have not said that they did."
  @type t :: %__MODULE__{
          limit: limit() | nil,
          spent: %{non_neg_integer() => [integer()]},
          open: MapSet.t(non_neg_integer())
        }

  @doc "Takes the body of an answer to `GET /gateway/bot`."
  @spec answered(t(), term(), integer()) :: {:ok, t()} | :error
  def answered(budget, %{"shards" => shards, "session_start_limit" => limit}, now) do
    with %{"total" => total, "remaining" => remaining, "reset_after" => reset_after, "max_concurrency" => concurrency}
         when is_integer(total) and is_integer(remaining) and is_integer(reset_after) and is_integer(concurrency) <-
           limit,
         true <- is_integer(shards) and shards > 0 and concurrency > 0 do
      limit = %{
        total: total,
        # What may be on its way to Discord is not in its answer yet.
        remaining: remaining - MapSet.size(budget.open),
        # It is a day at most, whatever the answer says: this becomes a date, and a timer.
        reset_at: now + (reset_after |> max(0) |> min(@day_ms)),
        max_concurrency: concurrency,
        shards: shards,
        asked_at: now
      }

      {:ok, %{budget | limit: limit}}
    else
      _ -> :error
    end
  end

  def answered(_budget, _body, _now), do: :error

  @doc """
  Whether a shard may identify now: `:ok`; `{:wait, ms}`; `:ask` Discord for its limit first; or `{:refused, until}`, because no more than
  `floor` identifies are left.
  """
  @spec next(t(), non_neg_integer(), non_neg_integer(), integer()) ::
          :ok | {:wait, pos_integer()} | :ask | {:refused, integer()}
  def next(budget, shard, floor, now) do
    case max(gap_end(budget, shard, now), concurrency_end(budget, shard, now)) - now do
      wait when wait > 0 -> {:wait, wait}
      _ -> within_limit(budget.limit, floor, now)
    end
  end

  defp within_limit(nil, _floor, _now), do: :ask

  defp within_limit(%{asked_at: asked_at, reset_at: reset_at} = limit, floor, now) do
    fresh? = now >= asked_at and now < asked_at + @fresh_ms
    # Discord need not be asked again before there can be more.
    refused_until = max(reset_at, asked_at + @fresh_ms)

    cond do
      limit.remaining > floor -> if fresh?, do: :ok, else: :ask
      now >= asked_at and now < refused_until -> {:refused, refused_until}
      true -> :ask
    end
  end

  defp gap_end(budget, shard, now) do
    case recent(budget, shard, now) do
      [] -> now
      [last | _] = spent -> last + min(@first_gap_ms * Integer.pow(2, length(spent) - 1), @longest_gap_ms)
    end
  end

  defp concurrency_end(%{limit: limit} = budget, shard, now) do
    buckets = if limit, do: limit.max_concurrency, else: 1

    for {other, _spent} <- budget.spent,
        rem(other, buckets) == rem(shard, buckets),
        [last | _] <- [recent(budget, other, now)],
        reduce: now do
      latest -> max(latest, last + if(other in budget.open, do: @connect_ms, else: @concurrency_ms))
    end
  end

  # A clock that was set back makes no one wait for it.
  defp recent(budget, shard, now),
    do: budget.spent |> Map.get(shard, []) |> Enum.filter(&(&1 > now - @window_ms and &1 <= now))

  @doc "A shard is told to identify."
  @spec spend(t(), non_neg_integer(), integer()) :: t()
  def spend(%{limit: limit} = budget, shard, now) do
    spent =
      budget.spent
      |> Map.new(fn {other, _} -> {other, recent(budget, other, now)} end)
      |> Map.update(shard, [now], &[now | &1])
      |> Map.reject(fn {_other, times} -> times == [] end)

    %{
      budget
      | spent: spent,
        open: MapSet.put(budget.open, shard),
        limit: limit && %{limit | remaining: limit.remaining - 1}
    }
  end

  @doc "The bridge says that the shard identifies."
  @spec identifying(t(), non_neg_integer(), integer()) :: t()
  def identifying(budget, shard, now) do
    if shard in budget.open do
      spent = Map.update!(budget.spent, shard, fn [_permitted | before] -> [now | before] end)
      %{budget | spent: spent, open: MapSet.delete(budget.open, shard)}
    else
      budget
    end
  end

  @doc "The bridge asks again, and has not identified in between: what was spent is given back."
  @spec unused(t(), non_neg_integer()) :: t()
  def unused(%{limit: limit} = budget, shard) do
    if shard in budget.open do
      %{
        budget
        | spent: Map.update!(budget.spent, shard, &tl/1),
          open: MapSet.delete(budget.open, shard),
          limit: limit && %{limit | remaining: limit.remaining + 1}
      }
    else
      budget
    end
  end

  @doc "The bridge ended: whether it identified is not known, and is taken to be so."
  @spec settle(t()) :: t()
  def settle(budget), do: %{budget | open: MapSet.new()}

  @doc "The same of the bridge of these shards."
  @spec settle(t(), MapSet.t(non_neg_integer())) :: t()
  def settle(budget, shards), do: %{budget | open: MapSet.difference(budget.open, shards)}

  @doc """
  For the store, and from it.

      iex> alias UroDiscord.Gateway.Budget
      iex> {:ok, budget} = Budget.answered(%Budget{}, %{"shards" => 1, "session_start_limit" =>
      ...>   %{"total" => 1000, "remaining" => 70, "reset_after" => 86_400_000, "max_concurrency" => 1}}, 1_000)
      iex> budget = budget |> Budget.spend(0, 2_000) |> Budget.settle()
      iex> budget |> Budget.to_term() |> Budget.from_term() == budget
      true
      iex> Budget.from_term(nil)
      %Budget{}
  """
  @spec to_term(t()) :: map()
  def to_term(budget) do
    limit = budget.limit && Map.new(budget.limit, fn {key, value} -> {Atom.to_string(key), value} end)
    %{"limit" => limit, "spent" => Map.new(budget.spent, fn {shard, times} -> {Integer.to_string(shard), times} end)}
  end

  @spec from_term(map() | nil) :: t()
  def from_term(nil), do: %__MODULE__{}

  def from_term(%{"limit" => limit, "spent" => spent}) do
    %__MODULE__{
      limit: limit && Map.new(limit, fn {key, value} -> {String.to_existing_atom(key), value} end),
      spent: Map.new(spent, fn {shard, times} -> {String.to_integer(shard), times} end)
    }
  end
end

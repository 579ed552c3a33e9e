defmodule UroDiscord.Feeds.Quota do
  @moduledoc false
  # How many new messages a feed may have in an hour. All of them may come at once, and they come back one by one. An atomic
  # holds the time at which all will be back; so any process takes without asking another.

  @enforce_keys [:per_hour, :atomics]
  defstruct @enforce_keys

  @type t :: %__MODULE__{per_hour: pos_integer(), atomics: :atomics.atomics_ref()}

  @hour_us 3_600_000_000
  # What the atomics are.
  @whole_at 1
  @refused 2
  @refused_at 3

  @spec new(pos_integer(), integer()) :: t()
  def new(per_hour, now_us \\ now()) do
    quota = %__MODULE__{per_hour: per_hour, atomics: :atomics.new(3, signed: true)}
    :atomics.put(quota.atomics, @whole_at, now_us)
    quota
  end

  @doc """
  Takes so many, or none of them: then it says in how many ms there are enough.

      iex> alias UroDiscord.Feeds.Quota
      iex> quota = Quota.new(60, 0)
      iex> {Quota.take(quota, 59, 0), Quota.take(quota, 2, 0), Quota.take(quota, 1, 0)}
      {:ok, {:error, 60_000}, :ok}
      iex> {Quota.left(quota, 0), Quota.left(quota, 120_000_000), Quota.refused(quota)}
      {0, 2, 2}
      iex> Quota.give_back(quota, 1)
      iex> Quota.left(quota, 0)
      1
  """
  @spec take(t(), pos_integer(), integer()) :: :ok | {:error, pos_integer()}
  def take(%__MODULE__{atomics: atomics} = quota, count, now_us \\ now()) do
    found = :atomics.get(atomics, @whole_at)
    wanted = max(found, now_us) + count * each(quota)

    cond do
      wanted - now_us > @hour_us ->
        :atomics.add(atomics, @refused, count)
        :atomics.put(atomics, @refused_at, System.os_time(:millisecond))
        {:error, div(wanted - now_us - @hour_us + 999, 1_000)}

      :atomics.compare_exchange(atomics, @whole_at, found, wanted) == :ok ->
        :ok

      true ->
        take(quota, count, now_us)
    end
  end

  @doc "What was taken and is not needed."
  @spec give_back(t(), non_neg_integer()) :: :ok
  def give_back(quota, count), do: :atomics.sub(quota.atomics, @whole_at, count * each(quota))

  @doc "How many there are to take."
  @spec left(t(), integer()) :: non_neg_integer()
  def left(quota, now_us \\ now()),
    do: div(@hour_us - max(:atomics.get(quota.atomics, @whole_at) - now_us, 0), each(quota))

  @doc "How many were not given, since it was made."
  @spec refused(t()) :: non_neg_integer()
  def refused(quota), do: :atomics.get(quota.atomics, @refused)

  @doc "When some were not given last."
  @spec refused_at(t()) :: DateTime.t() | nil
  def refused_at(quota) do
    case :atomics.get(quota.atomics, @refused_at) do
      0 -> nil
      at -> DateTime.from_unix!(at, :millisecond)
    end
  end

  defp each(quota), do: div(@hour_us, quota.per_hour)

  defp now, do: System.monotonic_time(:microsecond)
end

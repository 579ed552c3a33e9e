defmodule UroDiscord.Accounts.Tasks.Lane do
  @moduledoc false
  # What is to be changed in one server: Discord takes so many changes a second there, whatever other servers do. Some requests are under way, so that none
  # of what the limits allow is left; the others wait here, and long ones: with 1,000 to change the last one's turn comes after a quarter of an hour. What was
  # read of him by then may not be true any more, so it is read again, which costs one page for all who wait.

  @requests 16
  @fresh_ms 30_000
  @page 1_000

  @typedoc "`read_at` is nil where it is to be read again."
  @type item :: %{entry: entry(), read_at: integer() | nil, try: pos_integer()}
  @type entry :: {UroDiscord.Accounts.User.t() | nil, UroDiscord.Accounts.Link.t(), UroDiscord.Accounts.Member.t()}

  @type t :: %__MODULE__{todo: [item()], busy: %{reference() => item()}, reading: {reference(), [item()]} | nil}

  defstruct todo: [], busy: %{}, reading: nil

  @doc """
  What is to be begun now: a change, or reading again the first who wait.

      iex> alias UroDiscord.Accounts.Tasks.Lane
      iex> [a, b, c] = for {entry, at} <- [{:a, 0}, {:b, 0}, {:c, 60_000}], do: %{entry: entry, read_at: at, try: 1}
      iex> lane = Lane.add(%Lane{}, [a, b, c])
      iex> {Lane.next(lane, 30_000), Lane.next(lane, 60_000)}
      {{:change, a, %Lane{todo: [b, c]}}, {:read, [a, b], %Lane{todo: [c]}}}
      iex> Lane.next(%{lane | reading: {make_ref(), []}}, 0)
      :nothing
      iex> Lane.next(%{lane | busy: Map.new(1..16, &{&1, a})}, 0)
      :nothing
  """
  @spec next(t(), integer()) :: {:change, item(), t()} | {:read, [item()], t()} | :nothing
  def next(%{todo: [first | rest], reading: nil, busy: busy} = lane, now) when map_size(busy) < @requests do
    if old?(first, now) do
      {old, later} = Enum.split_while(lane.todo, &old?(&1, now))
      {old, too_many} = Enum.split(old, @page)
      {:read, old, %{lane | todo: too_many ++ later}}
    else
      {:change, first, %{lane | todo: rest}}
    end
  end

  def next(_lane, _now), do: :nothing

  defp old?(%{read_at: nil}, _now), do: true
  defp old?(%{read_at: at}, now), do: now - at > @fresh_ms

  @doc "These wait too, behind the others."
  @spec add(t(), [item()]) :: t()
  def add(lane, items), do: %{lane | todo: lane.todo ++ items}

  @doc "Whether nothing waits and nothing is under way."
  @spec idle?(t()) :: boolean()
  def idle?(lane), do: lane == %__MODULE__{}
end

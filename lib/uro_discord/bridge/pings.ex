defmodule UroDiscord.Bridge.Pings do
  @moduledoc false
  # The pings that the bridge has not answered: whose they are, or ours, to see that it is alive or has read what it was told before.

  defstruct next: 0, open: %{}

  @type owner :: GenServer.from() | :alive | :desired
  @type t :: %__MODULE__{next: non_neg_integer(), open: %{non_neg_integer() => owner()}}

  @doc "The id of another one."
  @spec add(t(), owner()) :: {non_neg_integer(), t()}
  def add(pings, owner), do: {pings.next, %{pings | next: pings.next + 1, open: Map.put(pings.open, pings.next, owner)}}

  @doc """
  One was answered; nil when nobody waits for it. One answer shows that the bridge is alive, so our pings before it are settled too.

      iex> alias UroDiscord.Bridge.Pings
      iex> {first, pings} = Pings.add(%Pings{}, :alive)
      iex> {second, pings} = Pings.add(pings, :alive)
      iex> Pings.silent(pings)
      2
      iex> {:alive, pings} = Pings.answered(pings, second)
      iex> {Pings.silent(pings), elem(Pings.answered(pings, first), 0)}
      {0, nil}
  """
  @spec answered(t(), term()) :: {owner() | nil, t()}
  def answered(pings, id) do
    case Map.pop(pings.open, id) do
      {:alive, open} -> {:alive, %{pings | open: Map.reject(open, fn {_id, owner} -> owner == :alive end)}}
      {owner, open} -> {owner, %{pings | open: open}}
    end
  end

  @doc "How many of ours are unanswered."
  @spec silent(t()) :: non_neg_integer()
  def silent(pings), do: Enum.count(pings.open, fn {_id, owner} -> owner == :alive end)

  @doc "Who waits for an answer that will not come."
  @spec waiting(t()) :: [GenServer.from()]
  def waiting(pings), do: for({_id, owner} <- pings.open, is_tuple(owner), do: owner)
end

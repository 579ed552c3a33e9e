defmodule UroDiscord.Accounts.Tasks.Tally do
  @moduledoc false
  # What became of those whom a task has looked at, counted. It is kept in the store with the cursor, so that a run that goes on counts on.

  @typedoc "What became of one; the empty list is: nothing was to be done."
  @type outcome :: [:changed | :left | {:skipped, reason :: String.t()} | {:failed, reason :: String.t()}]

  @type t :: %__MODULE__{
          looked: non_neg_integer(),
          changed: non_neg_integer(),
          left: non_neg_integer(),
          skipped: %{String.t() => pos_integer()},
          failed: %{String.t() => pos_integer()},
          who: [{who :: String.t(), reason :: String.t()}]
        }

  defstruct looked: 0, changed: 0, left: 0, skipped: %{}, failed: %{}, who: []

  # So many reasons are told apart, and so many of those who failed are named.
  @most_reasons 30
  @most_who 20
  @others "other reasons"

  @doc """
  Counts one.

      iex> alias UroDiscord.Accounts.Tasks.Tally
      iex> tally = %Tally{} |> Tally.add("a", [:changed]) |> Tally.add("b", []) |> Tally.add("c", [:changed, {:skipped, "owner"}])
      iex> {tally.looked, tally.changed, tally.skipped, tally.failed}
      {3, 2, %{"owner" => 1}, %{}}
      iex> Tally.add(tally, "d", [{:failed, "no"}]).who
      [{"d", "no"}]
  """
  @spec add(t(), String.t(), outcome()) :: t()
  def add(tally, who, outcome), do: Enum.reduce(outcome, %{tally | looked: tally.looked + 1}, &count(&2, who, &1))

  defp count(tally, _who, :changed), do: %{tally | changed: tally.changed + 1}
  defp count(tally, _who, :left), do: %{tally | left: tally.left + 1}
  defp count(tally, _who, {:skipped, reason}), do: %{tally | skipped: one_more(tally.skipped, reason)}

  defp count(tally, who, {:failed, reason}) do
    named = if length(tally.who) < @most_who, do: tally.who ++ [{who, reason}], else: tally.who
    %{tally | failed: one_more(tally.failed, reason), who: named}
  end

  defp one_more(reasons, reason) do
    known? = is_map_key(reasons, reason) or map_size(reasons) < @most_reasons
    Map.update(reasons, if(known?, do: reason, else: @others), 1, &(&1 + 1))
  end

  @doc """
  How many of some kind there are, whatever the reasons.

      iex> UroDiscord.Accounts.Tasks.Tally.sum(%{"a" => 1, "b" => 2})
      3
  """
  @spec sum(%{String.t() => pos_integer()}) :: non_neg_integer()
  def sum(reasons), do: reasons |> Map.values() |> Enum.sum()

  @doc """
  As the store keeps it, and back.

      iex> alias UroDiscord.Accounts.Tasks.Tally
      iex> tally = Tally.add(%Tally{left: 1}, "d", [:changed, {:failed, "no"}])
      iex> tally |> Tally.dump() |> Tally.load() == tally
      true
  """
  @spec dump(t()) :: map()
  def dump(tally) do
    %{
      "looked" => tally.looked,
      "changed" => tally.changed,
      "left" => tally.left,
      "skipped" => tally.skipped,
      "failed" => tally.failed,
      "who" => for({who, reason} <- tally.who, do: [who, reason])
    }
  end

  @spec load(map()) :: t()
  def load(%{"looked" => looked} = kept) do
    %__MODULE__{
      looked: looked,
      changed: kept["changed"],
      left: kept["left"],
      skipped: kept["skipped"],
      failed: kept["failed"],
      who: for([who, reason] <- kept["who"], do: {who, reason})
    }
  end
end

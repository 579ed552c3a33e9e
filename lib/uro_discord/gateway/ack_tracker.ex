defmodule UroDiscord.Gateway.AckTracker do
  @moduledoc false
  # Which events were received and are not handled, when they are not handled in order. Pure; `UroDiscord.Gateway.Sessions` is told up to
  # where a session is handled.

  alias UroDiscord.Gateway.Sessions

  defstruct open: %{}

  @type t :: %__MODULE__{
          open: %{{shard :: non_neg_integer(), session_id :: String.t()} => :gb_sets.set(non_neg_integer())}
        }

  @doc "An event was received that is to be handled."
  @spec open(t(), Sessions.place()) :: t()
  def open(acks, {shard, id, seq}) do
    %{acks | open: Map.update(acks.open, {shard, id}, :gb_sets.singleton(seq), &:gb_sets.add_element(seq, &1))}
  end

  @doc "An event was handled."
  @spec done(t(), Sessions.place()) :: t()
  def done(acks, {shard, id, seq}) do
    left = acks.open |> Map.get({shard, id}, :gb_sets.empty()) |> then(&:gb_sets.del_element(seq, &1))

    if :gb_sets.is_empty(left),
      do: %{acks | open: Map.delete(acks.open, {shard, id})},
      else: %{acks | open: Map.put(acks.open, {shard, id}, left)}
  end

  @doc """
  The lowest sequence of a session that is open; nil when none is.

      iex> alias UroDiscord.Gateway.AckTracker
      iex> acks = %AckTracker{} |> AckTracker.open({0, "s", 4}) |> AckTracker.open({0, "s", 3})
      iex> {AckTracker.lowest(acks, 0, "s"), AckTracker.lowest(acks, 0, "t")}
      {3, nil}
      iex> acks |> AckTracker.done({0, "s", 3}) |> AckTracker.lowest(0, "s")
      4
  """
  @spec lowest(t(), non_neg_integer(), String.t()) :: non_neg_integer() | nil
  def lowest(acks, shard, id) do
    case acks.open do
      %{{^shard, ^id} => open} -> :gb_sets.smallest(open)
      _ -> nil
    end
  end
end

defmodule UroDiscord.Accounts.Tasks.Retries do
  @moduledoc false
  # What failed and may succeed later waits here for its pause, and holds up nobody else.

  @type t :: %__MODULE__{
          max: non_neg_integer(),
          pause_ms: non_neg_integer(),
          parked: [{due :: integer(), work :: term(), tries :: pos_integer()}]
        }

  @enforce_keys [:max, :pause_ms]
  defstruct [:max, :pause_ms, parked: []]

  @doc """
  Work has failed after so many tries (1: the first one). It is tried again after the pause, or has been tried often enough. `now` is in ms.

      iex> alias UroDiscord.Accounts.Tasks.Retries
      iex> retries = %Retries{max: 1, pause_ms: 60_000}
      iex> {:again, retries} = Retries.failed(retries, :work, 1, 0)
      iex> Retries.due(retries, 59_999) == {[], retries}
      true
      iex> {due, retries} = Retries.due(retries, 60_000)
      iex> {due, Retries.failed(retries, :work, 2, 60_000), retries.parked}
      {[{:work, 2}], :over, []}
  """
  @spec failed(t(), term(), pos_integer(), integer()) :: {:again, t()} | :over
  def failed(%{max: max}, _work, tries, _now) when tries > max, do: :over

  # Pauses are equal, so these are in order.
  def failed(retries, work, tries, now),
    do: {:again, %{retries | parked: retries.parked ++ [{now + retries.pause_ms, work, tries + 1}]}}

  @doc "What may be tried again by now, each with the number of its next try."
  @spec due(t(), integer()) :: {[{term(), pos_integer()}], t()}
  def due(retries, now) do
    {due, later} = Enum.split_while(retries.parked, fn {at, _work, _try} -> at <= now end)
    {for({_at, work, try_number} <- due, do: {work, try_number}), %{retries | parked: later}}
  end
end

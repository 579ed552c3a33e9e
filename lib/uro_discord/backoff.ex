defmodule UroDiscord.Backoff do
  @moduledoc false
  # Pauses before another try.

  @doc """
  The pause in ms after so many failures: from the first it doubles to the longest, and half of it is chance, so that many
  who failed together do not come back in step.

      iex> UroDiscord.Backoff.delay({100, 30_000}, 0) in 50..101
      true
      iex> UroDiscord.Backoff.delay({100, 30_000}, 1_000) in 15_000..30_001
      true
  """
  @spec delay({first :: pos_integer(), longest :: pos_integer()}, non_neg_integer()) :: pos_integer()
  def delay({first, longest}, failures) do
    half = div(min(longest, first * Integer.pow(2, min(failures, 20))), 2)
    half + :rand.uniform(half + 1)
  end
end

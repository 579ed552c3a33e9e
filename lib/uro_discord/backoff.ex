defmodule UroDiscord.Backoff do
  @moduledoc false
  # When to try again what fails now and then. One value for each thing that is tried: `failed/1` gives the pause before the
  # next try, `well/1` says that it works.
  #
  # What works for a moment and fails again is not well: only 30 s of health make it forget the failures before, or a server
  # that answers and hangs up would be tried without a pause for ever. For the tries of one thing that ends with its first
  # success (a request, a delivery) there is `delay/2`.

  @healthy_ms 30_000

  @enforce_keys [:pauses]
  defstruct [:pauses, :well_since, failures: 0]

  @typedoc "The first pause and the longest, in ms."
  @type pauses :: {first :: pos_integer(), longest :: pos_integer()}

  @type t :: %__MODULE__{pauses: pauses(), well_since: integer() | nil, failures: non_neg_integer()}

  @doc "Nothing has failed yet."
  @spec new(pauses()) :: t()
  def new({_first, _longest} = pauses), do: %__MODULE__{pauses: pauses}

  @doc """
  It failed: the pause in ms before the next try. `now` is in ms of the monotonic clock.

      iex> backoff = UroDiscord.Backoff.new({100, 30_000})
      iex> {pause, backoff} = UroDiscord.Backoff.failed(backoff)
      iex> Enum.member?(50..100, pause)
      true
      iex> {pause, _backoff} = UroDiscord.Backoff.failed(backoff)
      iex> Enum.member?(100..200, pause)
      true
  """
  @spec failed(t(), integer()) :: {pause :: pos_integer(), t()}
  def failed(%__MODULE__{} = backoff, now \\ monotonic()) do
    failures = failures(backoff, now)
    {delay(backoff.pauses, failures), %{backoff | failures: failures + 1, well_since: nil}}
  end

  @doc "It works. The failures before are forgotten once it has worked for 30 s without another."
  @spec well(t(), integer()) :: t()
  def well(backoff, now \\ monotonic())
  def well(%__MODULE__{well_since: nil} = backoff, now), do: %{backoff | well_since: now}
  def well(%__MODULE__{} = backoff, _now), do: backoff

  @doc "How often it failed since it was last healthy."
  @spec failures(t(), integer()) :: non_neg_integer()
  def failures(backoff, now \\ monotonic())
  def failures(%__MODULE__{well_since: nil, failures: failures}, _now), do: failures
  def failures(%__MODULE__{well_since: since}, now) when now - since >= @healthy_ms, do: 0
  def failures(%__MODULE__{failures: failures}, _now), do: failures

  @doc """
  The pause in ms after so many failures: from the first it doubles to the longest, and half of it is chance, so that many
  who failed together do not come back in step.

      iex> UroDiscord.Backoff.delay({100, 30_000}, 0) in 50..100
      true
      iex> UroDiscord.Backoff.delay({100, 30_000}, 1_000) in 15_000..30_000
      true
  """
  @spec delay(pauses(), non_neg_integer()) :: pos_integer()
  def delay({first, longest}, failures) do
    whole = min(longest, first * Integer.pow(2, min(failures, 20)))
    div(whole, 2) + :rand.uniform(max(whole - div(whole, 2), 1))
  end

  defp monotonic, do: System.monotonic_time(:millisecond)
end

defmodule UroDiscord.Bridge.Hold do
  @moduledoc false
  # For how long a bridge may hold calls and portals. It asks each half second ({:renew, number}), and is told ({:hold, number, ms}); without an answer it lets go of
  # them by itself. Docs/bridge-protocol.md has the messages.

  # Where no other bridge could have them; and where others could, which then wait for as long.
  @hold_ms 120_000
  @lease_ms 2_000

  @enforce_keys [:ms]
  # `fence` is a timer: until when it may. `number` is that of its last question, in the run `run` of the bridge.
  defstruct [:ms, :fence, :number, :run]

  @type t :: %__MODULE__{
          ms: pos_integer(),
          fence: reference() | nil,
          number: non_neg_integer() | nil,
          run: pos_integer() | nil
        }
  @type message :: {:hold, non_neg_integer(), pos_integer()}

  @doc """
  `leased?`: others could have its calls and portals. An owner before this one may have allowed it the longer time, so that runs from now on: as of `renew/3`,
  the calling process gets `{:timeout, fence, :fence}`.
  """
  @spec new(boolean()) :: t()
  def new(true), do: %__MODULE__{ms: @lease_ms, fence: :erlang.start_timer(@hold_ms, self(), :fence)}
  def new(false), do: %__MODULE__{ms: @hold_ms}

  @doc "Whether the bridge may have something in this run. One that is leased gets nothing before it is told for how long."
  @spec begun?(t(), pos_integer()) :: boolean()
  def begun?(%{ms: @lease_ms, run: held_in}, run), do: held_in == run
  def begun?(_hold, _run), do: true

  @doc "It asked, in this run: what it is told. The calling process gets `{:timeout, fence, :fence}` when the time is over."
  @spec renew(t(), non_neg_integer(), pos_integer()) :: {message(), t()}
  def renew(hold, number, run) do
    if hold.fence, do: :erlang.cancel_timer(hold.fence)
    fence = :erlang.start_timer(hold.ms, self(), :fence)
    {{:hold, number, hold.ms}, %{hold | fence: fence, number: number, run: run}}
  end

  @doc "The last that it is told, so that the next Uro finds calls and portals as they are."
  @spec farewell(t()) :: message() | nil
  def farewell(%{number: nil}), do: nil
  def farewell(%{number: number}), do: {:hold, number, @hold_ms}
end

defmodule UroDiscord.Portal.Occupancy do
  @moduledoc false
  # Whether a portal that opens by itself is to be opened or closed. Pure: who is there, and the time, are arguments.

  @typedoc """
  `phase`: `:idle`, it has yet to be opened; `:opened`, by us; `:closed`, by somebody, who means it. `empty_since`: one side has been empty since
  then (ms).
  """
  @type t :: %{phase: :idle | :opened | :closed, empty_since: integer() | nil}

  @typedoc "Whether it is open, and whether there is somebody on either side; `:unknown` where only a look tells."
  @type here :: %{open?: boolean(), discord: boolean() | :unknown | nil, world: boolean() | nil}

  @spec new() :: t()
  def new, do: %{phase: :idle, empty_since: nil}

  @spec opened(t()) :: t()
  def opened(_known), do: %{phase: :opened, empty_since: nil}

  @doc """
  What is to be done.

      iex> alias UroDiscord.Portal.Occupancy
      iex> {:open, _} = Occupancy.decide(Occupancy.new(), :people, %{open?: false, discord: true, world: true}, 60, 0)
      iex> opened = Occupancy.opened(Occupancy.new())
      iex> {{:wait, 60}, waiting} = Occupancy.decide(opened, :people, %{open?: true, discord: false, world: true}, 60, 1_000)
      iex> {{:wait, 10}, waiting} = Occupancy.decide(waiting, :people, %{open?: true, discord: false, world: true}, 60, 1_050)
      iex> {:close, _} = Occupancy.decide(waiting, :people, %{open?: true, discord: true, world: false}, 60, 1_060)
      iex> Occupancy.decide(waiting, :people, %{open?: true, discord: true, world: true}, 60, 1_060)
      {:nothing, opened}

  One that somebody has closed is opened when people come anew:

      iex> alias UroDiscord.Portal.Occupancy
      iex> {:nothing, closed} = Occupancy.decide(%{phase: :opened, empty_since: nil}, :people, %{open?: false, discord: true, world: true}, 60, 0)
      iex> {:nothing, idle} = Occupancy.decide(closed, :people, %{open?: false, discord: false, world: true}, 60, 0)
      iex> {:open, _} = Occupancy.decide(idle, :people, %{open?: false, discord: :unknown, world: true}, 60, 0)
      iex> {:nothing, ^closed} = Occupancy.decide(closed, :always, %{open?: false, discord: nil, world: nil}, 60, 0)
      iex> closed.phase
      :closed
  """
  @spec decide(t(), :always | :people, here(), non_neg_integer(), integer()) ::
          {:nothing | :open | :close | {:wait, pos_integer()}, t()}
  # It was open when we came: of a life before.
  def decide(%{phase: phase} = known, moment, %{open?: true} = here, close_after, now) when phase != :opened,
    do: decide(opened(known), moment, here, close_after, now)

  def decide(known, :always, %{open?: true}, _close_after, _now), do: {:nothing, known}
  def decide(%{phase: :idle} = known, :always, _here, _close_after, _now), do: {:open, known}
  def decide(known, :always, _here, _close_after, _now), do: {:nothing, %{known | phase: :closed}}

  def decide(known, :people, %{open?: true} = here, close_after, now) do
    cond do
      people?(here) -> {:nothing, %{known | empty_since: nil}}
      known.empty_since == nil and close_after > 0 -> {{:wait, close_after}, %{known | empty_since: now}}
      known.empty_since == nil or now - known.empty_since >= close_after -> {:close, known}
      true -> {{:wait, close_after - (now - known.empty_since)}, known}
    end
  end

  def decide(%{phase: :idle} = known, :people, here, _close_after, _now),
    do: {if(people?(here), do: :open, else: :nothing), known}

  def decide(known, :people, here, _close_after, _now),
    do: {:nothing, if(people?(here), do: %{known | phase: :closed, empty_since: nil}, else: new())}

  defp people?(%{discord: discord, world: world}), do: discord != false and world
end

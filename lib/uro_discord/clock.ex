defmodule UroDiscord.Clock do
  @moduledoc false
  # What time it is. This machine's clock may be wrong by hours; Discord's is the one that its ids and answers are dated by, and the same for every
  # node. Each of its answers has a Date, of which the difference is kept here, for the life of the VM.

  alias UroDiscord.HTTP.Times

  # An answer may have been on its way for long, so that of two differences the greater one is truer; but this machine's clock may have been
  # set since, so that none counts for longer than this.
  @good_ms 60_000
  # A Date has whole seconds.
  @half_ms 500
  # Less is not told apart from the way that an answer takes.
  @noticed_ms 2_000

  @doc "Unix ms by this machine's clock."
  @spec local() :: integer()
  def local, do: System.os_time(:millisecond)

  @doc "Unix ms by Discord's clock, as far as it is known."
  @spec discord() :: integer()
  def discord, do: local() + ahead()

  @doc "The same as a `DateTime`."
  @spec now() :: DateTime.t()
  def now, do: DateTime.from_unix!(discord(), :millisecond)

  @doc "How far Discord's clock is ahead of this machine's, in ms; 0 where that is not known, or too little to matter."
  @spec ahead() :: integer()
  def ahead do
    case known() do
      {ahead, _heard_at} when abs(ahead) > @noticed_ms -> ahead
      _ -> 0
    end
  end

  @doc "An answer of Discord's came just now, with this Date."
  @spec heard(String.t() | nil) :: :ok
  def heard(date) do
    with {:ok, unix_ms} <- Times.date(date) do
      {ahead, at} = newer(known(), {unix_ms + @half_ms - local(), System.monotonic_time(:millisecond)})
      cells = cells() || make_cells()
      :atomics.put(cells, 1, ahead)
      :atomics.put(cells, 2, at)
      :atomics.put(cells, 3, 1)
    end

    :ok
  end

  defp known do
    with cells when cells != nil <- cells(), 1 <- :atomics.get(cells, 3) do
      {:atomics.get(cells, 1), :atomics.get(cells, 2)}
    else
      _ -> nil
    end
  end

  defp cells, do: :persistent_term.get(__MODULE__, nil)

  # Once in the VM's life, as a change of a persistent term is dear. Of two who do it at once one forgets what it heard.
  defp make_cells do
    cells = :atomics.new(3, signed: true)
    :persistent_term.put(__MODULE__, cells)
    cells
  end

  @doc """
  Which of two differences, each with the (monotonic) ms when it was found, to believe.

      iex> alias UroDiscord.Clock
      iex> {Clock.newer({-60_000, 0}, {-75_000, 20_000}), Clock.newer({-60_000, 0}, {-58_000, 20_000})}
      {{-60_000, 0}, {-58_000, 20_000}}
      iex> Clock.newer({-60_000, 0}, {0, 60_001})
      {0, 60_001}
  """
  @spec newer({integer(), integer()} | nil, {integer(), integer()}) :: {integer(), integer()}
  def newer({known, at}, {found, now}) when found <= known and now - at <= @good_ms, do: {known, at}
  def newer(_known, found), do: found
end

defmodule UroDiscord.Accounts.Tasks.Window do
  @moduledoc false
  # Several users are under way at once, and end in any order. The cursor is the last one who has ended with all who came before him. So a run that goes on from
  # the cursor passes nobody over, and counts nobody twice.

  alias UroDiscord.Accounts.Tasks.Tally

  @type id :: String.t()
  @type t :: %__MODULE__{
          cursor: id() | nil,
          tally: Tally.t(),
          waiting: :queue.queue({id(), who :: String.t()}),
          ended: %{id() => Tally.outcome()}
        }

  @enforce_keys [:cursor, :tally]
  defstruct [:cursor, :tally, waiting: :queue.new(), ended: %{}]

  @doc """
  These come next, in this order.

      iex> alias UroDiscord.Accounts.Tasks.{Tally, Window}
      iex> window = Window.add(%Window{cursor: nil, tally: %Tally{}}, [{"1", "ann"}, {"2", "bob"}, {"3", "eve"}])
      iex> later = window |> Window.ended("2", [:changed]) |> Window.ended("3", [])
      iex> {later.cursor, later.tally.looked, Window.waiting(later)}
      {nil, 0, 3}
      iex> all = Window.ended(later, "1", [])
      iex> {all.cursor, all.tally.looked, all.tally.changed, Window.waiting(all)}
      {"3", 3, 1, 0}
  """
  @spec add(t(), [{id(), who :: String.t()}]) :: t()
  def add(window, next), do: %{window | waiting: Enum.reduce(next, window.waiting, &:queue.in/2)}

  @doc "What became of one."
  @spec ended(t(), id(), Tally.outcome()) :: t()
  def ended(window, id, outcome), do: advance(%{window | ended: Map.put(window.ended, id, outcome)})

  defp advance(window) do
    with {:value, {id, who}} <- :queue.peek(window.waiting),
         {outcome, ended} when outcome != nil <- Map.pop(window.ended, id) do
      tally = Tally.add(window.tally, who, outcome)
      advance(%{window | cursor: id, tally: tally, ended: ended, waiting: :queue.drop(window.waiting)})
    else
      _none_or_under_way -> window
    end
  end

  @doc "How many there are behind the cursor."
  @spec waiting(t()) :: non_neg_integer()
  def waiting(window), do: :queue.len(window.waiting)

  @doc "How many have ended, also behind the cursor: what is shown of the progress."
  @spec done(t()) :: non_neg_integer()
  def done(window), do: window.tally.looked + map_size(window.ended)
end

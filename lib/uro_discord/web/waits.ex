defmodule UroDiscord.Web.Waits do
  @moduledoc false
  # Requests that wait for Discord. Each takes one of the places in which requests are answered, for as long as half a minute: so only so many may, or whoever
  # makes them wait keeps everybody else out.

  # Of each kind, in all and of one: of a key; of an address; of a user at Uro. Together they leave 64 of the listener's 256 places free.
  # All viewers in Discord may come from one address, its proxy's, so that one has half.
  @limits %{outcome: {128, 32}, activity: {32, 16}, link: {32, 2}}

  @type kind :: :outcome | :activity | :link

  @spec child_spec(term()) :: Supervisor.child_spec()
  def child_spec(_argument), do: UroDiscord.RestartableRegistry.child_spec(keys: :duplicate, name: __MODULE__)

  @doc "What `fun` returns, or `:many` where as many wait as may, of this one or of all."
  @spec wait(kind(), String.t(), (() -> result)) :: result | :many when result: term()
  def wait(kind, who, fun) do
    if enter(kind, who) do
      try do
        fun.()
      after
        leave({kind, who})
      end
    else
      :many
    end
  end

  # A place goes with the process that has it, whose client may go.
  defp enter(kind, who) do
    {all, of_one} = Map.fetch!(@limits, kind)
    # Counted with this one, so that however many come at once no more wait than may.
    {:ok, _owner} = Registry.register(__MODULE__, {kind, who}, nil)
    may? = length(Registry.lookup(__MODULE__, {kind, who})) <= of_one and count(kind) <= all
    if not may?, do: leave({kind, who})
    may?
  rescue
    # The registry is just being started again.
    ArgumentError -> false
  end

  defp count(kind), do: Registry.count_select(__MODULE__, [{{{kind, :_}, :_, :_}, [], [true]}])

  defp leave(key) do
    Registry.unregister(__MODULE__, key)
  rescue
    # With the registry that had it the place went too.
    ArgumentError -> :ok
  end
end

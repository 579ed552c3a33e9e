defmodule UroDiscord.Bridge.Reach do
  @moduledoc false
  # Whether bridges are reached, as their owners last said: a fact of `UroDiscord.Runtime`, so whoever asks waits for nobody.

  alias UroDiscord.Runtime

  @type t :: :up | :held | {:away, since_ms :: integer()}

  @doc "The bridge of this name is so; `:away` is since the first time that it is said."
  @spec put(atom(), :up | :held | :away) :: :ok
  def put(name, :away) do
    with reached when reached in [nil, :up, :held] <- fetch(name),
         do: Runtime.put({:bridge_reach, name}, {:away, now()})

    :ok
  end

  def put(name, reached), do: Runtime.put({:bridge_reach, name}, reached)

  @doc "As its owner last said, in ms of the monotonic clock; nil before that."
  @spec fetch(atom()) :: t() | nil
  def fetch(name), do: Runtime.lookup({:bridge_reach, name})

  @doc """
  Of several: `:up` when one is; `:held` while they serve another node; or for how many ms they have been away (the last that was there). That is never longer than
  since it was told something.
  """
  @spec of([atom()]) :: :up | :held | {:away, ms :: non_neg_integer()}
  def of(names) do
    reach = for name <- names, do: fetch(name) || {:away, now()}

    cond do
      :up in reach -> :up
      since = Enum.max(for({:away, since} <- reach, do: since), fn -> nil end) -> {:away, now() - since}
      true -> :held
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end

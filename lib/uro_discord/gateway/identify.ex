defmodule UroDiscord.Gateway.Identify do
  @moduledoc false
  # The shards that wait to identify, and those that may. Pure; `UroDiscord.Gateway` asks Discord, stores the budget, and only then
  # tells the bridge.

  alias UroDiscord.Gateway.Budget

  @enforce_keys [:floor]
  defstruct [:floor, budget: %Budget{}, waiting: MapSet.new(), permitted: []]

  @type t :: %__MODULE__{
          floor: non_neg_integer(),
          budget: Budget.t(),
          waiting: MapSet.t(non_neg_integer()),
          permitted: [non_neg_integer()]
        }

  @typedoc "What the shards that still wait are waiting for."
  @type next :: :nothing | :ask | {:wait, pos_integer()} | {:refused, integer()}

  @doc "The bridge says that a shard waits. One that was permitted and did not identify has spent nothing."
  @spec waiting(t(), non_neg_integer()) :: t()
  def waiting(identify, shard),
    do: %{identify | budget: Budget.unused(identify.budget, shard), waiting: MapSet.put(identify.waiting, shard)}

  @doc "The bridge says that a shard identifies."
  @spec identifying(t(), non_neg_integer(), integer()) :: t()
  def identifying(identify, shard, now),
    do: %{
      identify
      | budget: Budget.identifying(identify.budget, shard, now),
        waiting: MapSet.delete(identify.waiting, shard)
    }

  @doc "The bridge ended, and with it whoever waited."
  @spec bridge_ended(t()) :: t()
  def bridge_ended(identify),
    do: %{identify | budget: Budget.settle(identify.budget), waiting: MapSet.new(), permitted: []}

  @doc "Permits what the budget allows now, in the order of the shards."
  @spec step(t(), integer()) :: {next(), t()}
  def step(identify, now), do: identify.waiting |> Enum.sort() |> Enum.reduce({:nothing, identify}, &step(&1, &2, now))

  defp step(shard, {next, identify}, now) do
    case Budget.next(identify.budget, shard, identify.floor, now) do
      :ok ->
        {next,
         %{
           identify
           | budget: Budget.spend(identify.budget, shard, now),
             waiting: MapSet.delete(identify.waiting, shard),
             permitted: identify.permitted ++ [shard]
         }}

      other ->
        {first(next, other), identify}
    end
  end

  defp first(:nothing, other), do: other
  defp first({:wait, ms}, {:wait, other}), do: {:wait, min(ms, other)}
  # A limit that is known anew changes what everyone waits for.
  defp first(:ask, _other), do: :ask
  defp first(_next, :ask), do: :ask
  defp first({:wait, ms}, _refused), do: {:wait, ms}
  defp first(refused, _other), do: refused

  @doc "Takes the permits that are in the store by now."
  @spec granted(t(), [non_neg_integer()]) :: {[non_neg_integer()], t()}
  def granted(identify, stored) do
    {granted, permitted} = Enum.split_with(identify.permitted, &(&1 in stored))
    {granted, %{identify | permitted: permitted}}
  end
end

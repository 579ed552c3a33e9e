defmodule UroDiscord.Bridges.Choice do
  @moduledoc false
  # Which bridge has which guild's call and portal. Pure.

  @typedoc "`takes?`: it is there and does not drain, so that it can be given more; `has?`: what it has may stay there."
  @type bridge :: %{name: atom(), weight: pos_integer(), takes?: boolean(), has?: boolean()}

  @type placed :: %{UroDiscord.Snowflake.t() => atom()}

  @doc """
  What is wanted, each on a bridge: where it is already, as long as that bridge has it; else on that which then has the least for its weight, of several
  the first. Where none takes it, it stays where it is, or is nowhere.

      iex> alias UroDiscord.Bridges.Choice
      iex> bridge = fn name, weight -> %{name: name, weight: weight, takes?: true, has?: true} end
      iex> placed = Choice.place(%{}, ~w(1 2 3 4 5 6), [bridge.(:a, 1), bridge.(:b, 2)])
      iex> placed |> Map.values() |> Enum.frequencies()
      %{a: 2, b: 4}
      iex> Choice.place(placed, ~w(1 2 3 4 5 6), [bridge.(:a, 1), bridge.(:b, 2), bridge.(:c, 100)]) == placed
      true
      iex> gone = %{bridge.(:b, 2) | takes?: false, has?: false}
      iex> Choice.place(placed, ~w(1 2), [bridge.(:a, 1), gone])
      %{"1" => :a, "2" => :a}
      iex> Choice.place(placed, Map.keys(placed), [gone]) == Map.filter(placed, fn {_guild, name} -> name == :b end)
      true
  """
  @spec place(placed(), [UroDiscord.Snowflake.t()], [bridge()]) :: placed()
  def place(placed, wanted, bridges) do
    known = Map.new(bridges, &{&1.name, &1})
    placed = placed |> Map.take(wanted) |> Map.filter(fn {_guild, name} -> is_map_key(known, name) end)
    takers = Enum.filter(bridges, & &1.takes?)
    {stay, move} = Enum.split_with(placed, fn {_guild, name} -> takers == [] or known[name].has? end)
    placed = Map.new(stay)
    new = for guild <- wanted, not is_map_key(placed, guild), do: guild
    moved = for {guild, _name} <- move, do: guild
    loads = placed |> Map.values() |> Enum.frequencies()

    if takers == [],
      do: placed,
      else: (Enum.sort(moved) ++ (new -- moved)) |> Enum.reduce({placed, loads}, &choose(&1, &2, takers)) |> elem(0)
  end

  defp choose(guild, {placed, loads}, takers) do
    %{name: name} = Enum.min_by(takers, &((Map.get(loads, &1.name, 0) + 1) / &1.weight))
    {Map.put(placed, guild, name), Map.update(loads, name, 1, &(&1 + 1))}
  end
end

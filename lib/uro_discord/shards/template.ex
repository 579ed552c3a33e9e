defmodule UroDiscord.Shards.Template do
  @moduledoc """
  A line of text about the open shards, from a template. What stands in braces is replaced:

    * `{players}` and `{shards}`: how many there are; `{players:player|players}` has the word too, `"1 player"` or `"3 players"`;
    * `{names}` and `{maps}`: the names and maps, those with the most players first.
  """

  alias UroDiscord.{Length, Shards}
  alias UroDiscord.Shards.Text

  @placeholder ~S"\{([^{}]*)\}"
  @counts ~w(players shards)
  @lists ~w(names maps)

  # The names of a line that nobody would read further are not looked at.
  @most_names 20
  @name_length 64

  @doc false
  @spec default() :: String.t()
  def default, do: "{players:player|players} in {shards:world|worlds}"

  @doc """
  The line, of at most `limit` characters.

      iex> shards = [%{name: "Plaza", map: "plaza", players: 1}, %{name: "*Lobby*", map: nil, players: nil}]
      iex> UroDiscord.Shards.Template.fill("{players:player|players} in {shards} worlds: {names}", shards, 128)
      "1 player in 2 worlds: Plaza, *Lobby*"
  """
  @spec fill(String.t(), [Shards.shard()], pos_integer()) :: String.t()
  def fill(template, shards, limit) do
    ~r/#{@placeholder}/u
    |> Regex.replace(template, fn _whole, inside -> inside |> String.split([":", "|"]) |> value(shards) end)
    |> Length.cut(limit)
  end

  @doc """
  What is wrong with a template, if anything.

      iex> UroDiscord.Shards.Template.problem("{playrs} in {shards:world}")
      "{playrs} stands for nothing; there are {players}, {shards}, {players:one|many}, {shards:one|many}, {names}, {maps}"
  """
  @spec problem(String.t()) :: String.t() | nil
  def problem(template) do
    ~r/#{@placeholder}/u
    |> Regex.scan(template)
    |> Enum.find_value(fn [whole, inside] -> unless known?(String.split(inside, [":", "|"])), do: unknown(whole) end)
  end

  defp known?([what]), do: what in @counts or what in @lists
  defp known?([what, _one, _many]), do: what in @counts
  defp known?(_other), do: false

  defp unknown(whole) do
    known = Enum.map(@counts, &"{#{&1}}") ++ Enum.map(@counts, &"{#{&1}:one|many}") ++ Enum.map(@lists, &"{#{&1}}")

    "#{whole} stands for nothing; there are #{Enum.join(known, ", ")}"
  end

  defp value([what], shards) when what in @counts, do: what |> count(shards) |> Integer.to_string()

  defp value([what, one, many], shards) do
    count = count(what, shards)
    "#{count} #{if count == 1, do: one, else: many}"
  end

  defp value(["names"], shards), do: shards |> busiest() |> join(& &1.name)
  defp value(["maps"], shards), do: shards |> busiest() |> join(& &1.map)

  defp count("shards", shards), do: length(shards)
  defp count("players", shards), do: shards |> Enum.map(&(&1.players || 0)) |> Enum.sum()

  defp busiest(shards), do: Enum.sort_by(shards, &(&1.players || 0), :desc)

  defp join(shards, field) do
    shards
    |> Enum.map(field)
    |> Enum.reject(&is_nil/1)
    |> Enum.uniq()
    |> Enum.take(@most_names)
    |> Enum.map_join(", ", &Text.plain(&1, @name_length))
  end
end

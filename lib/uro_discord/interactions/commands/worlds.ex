defmodule UroDiscord.Interactions.Commands.Worlds do
  @moduledoc false
  # /worlds: which worlds are open.

  @behaviour UroDiscord.Command

  alias UroDiscord.Shards
  alias UroDiscord.Shards.Text

  # Each is a line of at most 150 or so characters, and a description has 4096.
  @shown 20

  @impl true
  def command, do: %{name: "worlds", description: "Which worlds are open"}

  @impl true
  def handle(_interaction) do
    case Shards.visible() do
      [] -> {:ok, "No world is open just now."}
      worlds -> {:ok, embeds: [%{title: "Open worlds", description: lines(worlds)}]}
    end
  end

  defp lines(worlds) do
    {shown, more} = Enum.split(worlds, @shown)
    rest = if more == [], do: [], else: ["… and #{length(more)} more"]
    Enum.join(Enum.map(shown, &line/1) ++ rest, "\n")
  end

  defp line(world), do: "**#{Text.markdown(world.name, 64)}**#{map(world.map)}: #{players(world)}"

  defp map(nil), do: ""

  defp map(map) do
    case Text.markdown(map, 48) do
      "" -> ""
      text -> " (#{text})"
    end
  end

  @doc "How many are there, of how many."
  @spec players(Shards.shard()) :: String.t()
  def players(%{players: nil}), do: "open"
  def players(%{players: players, max_players: nil}), do: count(players)
  def players(%{players: players, max_players: most}), do: "#{players} of #{most} players"

  defp count(1), do: "1 player"
  defp count(players), do: "#{players} players"
end

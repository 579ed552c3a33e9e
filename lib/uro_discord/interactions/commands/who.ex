defmodule UroDiscord.Interactions.Commands.Who do
  @moduledoc false
  # /who: how many players there are, everywhere or in one world. Uro tells no names of players.

  @behaviour UroDiscord.Command

  alias UroDiscord.Interactions.Commands.Worlds
  alias UroDiscord.{Interaction, Shards}
  alias UroDiscord.Shards.Text

  @impl true
  def command do
    world = %{
      type: 3,
      name: "world",
      description: "One world, by its name",
      required: false,
      autocomplete: true,
      max_length: 100
    }

    %{name: "who", description: "How many are online", options: [world]}
  end

  @impl true
  def handle(%Interaction{kind: :autocomplete, options: options}) do
    typed = options["world"] |> to_string() |> String.downcase()
    names = for world <- Shards.visible(), name = Text.plain(world.name, 100), name != "", do: {name, world.id}
    {:choices, Enum.filter(names, fn {name, _id} -> name |> String.downcase() |> String.contains?(typed) end)}
  end

  def handle(%Interaction{options: %{"world" => wanted}}) do
    case Enum.find(Shards.visible(), &(&1.id == wanted or String.downcase(&1.name) == String.downcase(wanted))) do
      nil -> {:error, "No such world is open. `/worlds` lists those that are."}
      world -> {:ok, "**#{Text.markdown(world.name, 100)}**: #{Worlds.players(world)}"}
    end
  end

  def handle(_interaction) do
    worlds = Shards.visible()
    players = for(%{players: count} when is_integer(count) <- worlds, do: count) |> Enum.sum()
    {:ok, "#{count(players, "player")} online, in #{count(length(worlds), "open world")}."}
  end

  defp count(1, what), do: "1 #{what}"
  defp count(count, what), do: "#{count} #{what}s"
end

defmodule UroDiscord.Interactions.Commands.Who do
  @moduledoc false
  # /who: how many players there are, everywhere or in one world. Uro tells no names of players.

  @behaviour UroDiscord.Command

  alias UroDiscord.Interactions.Choices
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
  def handle(%Interaction{kind: :autocomplete} = interaction), do: {:choices, Choices.worlds(interaction)}

  def handle(%Interaction{options: %{"world" => wanted}}) do
    with {:ok, world} <- Choices.world(wanted),
         do: {:ok, "**#{Text.markdown(world.name, 100)}**: #{Worlds.players(world)}"}
  end

  def handle(_interaction) do
    worlds = Shards.visible()
    players = for(%{players: count} when is_integer(count) <- worlds, do: count) |> Enum.sum()
    {:ok, "#{count(players, "player")} online, in #{count(length(worlds), "open world")}."}
  end

  defp count(1, what), do: "1 #{what}"
  defp count(count, what), do: "#{count} #{what}s"
end

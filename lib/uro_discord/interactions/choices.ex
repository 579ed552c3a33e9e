defmodule UroDiscord.Interactions.Choices do
  @moduledoc false
  # What our commands offer as somebody types.

  alias UroDiscord.{Interaction, Shards}
  alias UroDiscord.Shards.Text

  @doc "Those of these choices, each a name and its value, in which there is what was typed. What others have named is made inert."
  @spec matching([{String.t(), String.t()}], Interaction.t()) :: [{String.t(), String.t()}]
  def matching(choices, interaction) do
    typed = interaction.options[interaction.focused] |> to_string() |> String.downcase()

    for {name, value} <- choices,
        text = Text.plain(name, 100),
        text != "",
        text |> String.downcase() |> String.contains?(typed),
        do: {text, value}
  end

  @doc "The worlds that are open."
  @spec worlds(Interaction.t()) :: [{String.t(), String.t()}]
  def worlds(interaction), do: matching(for(world <- Shards.visible(), do: {world.name, world.id}), interaction)

  @doc "The world that was chosen, or typed by its name; the text is for whoever did."
  @spec world(String.t()) :: {:ok, Shards.shard()} | {:error, String.t()}
  def world(wanted) do
    worlds = Shards.visible()
    called = String.downcase(wanted)

    # By its id first: a world may be called what another one's id is.
    case Enum.find(worlds, &(&1.id == wanted)) || Enum.find(worlds, &(String.downcase(&1.name) == called)) do
      nil -> {:error, "No such world is open. `/worlds` lists those that are."}
      world -> {:ok, world}
    end
  end
end

defmodule UroDiscord.Bridge.Changes do
  @moduledoc false
  # Which parts of the desired state a bridge has yet to be told of. A part is told whole, so a thousand changes in a burst would be a thousand
  # times all of it: the bridge reads one before it is told the next, which is the newest then.

  defstruct parts: MapSet.new(), reading?: false

  @opaque t :: %__MODULE__{parts: MapSet.t(String.t()), reading?: boolean()}

  @doc "None, and nothing was told."
  @spec none() :: t()
  def none, do: %__MODULE__{}

  @spec changed(t(), String.t()) :: t()
  def changed(changes, part), do: %{changes | parts: MapSet.put(changes.parts, part)}

  @doc "These parts were told, as they are now."
  @spec told(t(), [String.t()]) :: t()
  def told(changes, parts),
    do: %{changes | parts: MapSet.difference(changes.parts, MapSet.new(parts)), reading?: true}

  @doc "The bridge has read what it was told."
  @spec read(t()) :: t()
  def read(changes), do: %{changes | reading?: false}

  @doc """
  What is to be told now.

      iex> alias UroDiscord.Bridge.Changes
      iex> changes = Changes.none() |> Changes.changed("voice") |> Changes.changed("voice")
      iex> Changes.due(changes)
      ["voice"]
      iex> changes = changes |> Changes.told(["voice"]) |> Changes.changed("voice")
      iex> {Changes.due(changes), changes |> Changes.read() |> Changes.due()}
      {[], ["voice"]}
  """
  @spec due(t()) :: [String.t()]
  def due(%{reading?: true}), do: []
  def due(changes), do: MapSet.to_list(changes.parts)
end

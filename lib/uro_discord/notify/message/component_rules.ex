defmodule UroDiscord.Notify.Message.ComponentRules do
  @moduledoc false
  # What the fields of one component say about each other.

  alias UroDiscord.Error
  alias UroDiscord.Notify.Message.Shape

  @button 2
  @selects [3, 5, 6, 7, 8]
  @row 1

  # https://discord.com/developers/docs/components/reference#button-button-styles
  @link 5
  @premium 6

  @doc "Of a component whose fields each have their shape."
  @spec check(map(), Shape.path()) :: :ok | {:error, Error.t()}
  def check(%{"type" => @row, "components" => [_, _ | _] = components}, path) do
    if Enum.any?(components, &(&1["type"] in @selects)),
      do:
        Shape.invalid(
          ["components" | path],
          "has a select and #{length(components) - 1} more; a select fills its row"
        ),
      else: :ok
  end

  def check(%{"type" => @button, "style" => @link} = button, path) do
    with :ok <- needs(button, "url", "a link button", path),
         :ok <- has_not(button, ["custom_id", "sku_id"], "a link button", path),
         do: shows_something(button, path)
  end

  def check(%{"type" => @button, "style" => @premium} = button, path) do
    with :ok <- needs(button, "sku_id", "a premium button", path),
         do: has_not(button, ["custom_id", "label", "url", "emoji"], "a premium button", path)
  end

  def check(%{"type" => @button} = button, path) do
    what = "a button that is no link"

    with :ok <- needs(button, "custom_id", what, path),
         :ok <- has_not(button, ["url", "sku_id"], what, path),
         do: shows_something(button, path)
  end

  def check(%{"type" => type} = select, path) when type in @selects do
    # Discord's default for both.
    min = Map.get(select, "min_values", 1)
    max = Map.get(select, "max_values", 1)

    if min > max,
      do: Shape.invalid(["min_values" | path], "is #{min}, and max_values is #{max}"),
      else: choices(select, min, max, path)
  end

  def check(_component, _path), do: :ok

  defp choices(%{"options" => options}, _min, max, path) do
    values = Enum.map(options, & &1["value"])
    repeated = values -- Enum.uniq(values)
    chosen = Enum.count(options, & &1["default"])
    at = ["options" | path]

    cond do
      max > length(options) ->
        Shape.invalid(
          ["max_values" | path],
          "is #{max}, and there are #{length(options)} options"
        )

      chosen > max ->
        Shape.invalid(at, "has #{chosen} that are default, and max_values is #{max}")

      repeated != [] ->
        Shape.invalid(at, "has the value #{Shape.short(hd(repeated))} twice")

      true ->
        :ok
    end
  end

  defp choices(%{"default_values" => [_ | _] = values}, min, max, path) do
    if length(values) in min..max,
      do: :ok,
      else:
        Shape.invalid(
          ["default_values" | path],
          "has #{length(values)} entries; min_values and max_values allow #{min} to #{max}"
        )
  end

  defp choices(_select, _min, _max, _path), do: :ok

  defp needs(component, key, what, path) do
    if Map.has_key?(component, key),
      do: :ok,
      else: Shape.invalid([key | path], "is missing; #{what} needs it")
  end

  defp has_not(component, keys, what, path) do
    case Enum.find(keys, &Map.has_key?(component, &1)) do
      nil -> :ok
      key -> Shape.invalid([key | path], "is nothing that #{what} may have")
    end
  end

  defp shows_something(button, path) do
    if Map.has_key?(button, "emoji") or not Shape.blank?(Map.get(button, "label", "")),
      do: :ok,
      else: Shape.invalid(["label" | path], "is blank, and there is no emoji")
  end
end

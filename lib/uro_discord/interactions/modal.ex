defmodule UroDiscord.Interactions.Modal do
  @moduledoc false
  # A modal, the form that an interaction may be answered with: https://discord.com/developers/docs/components/reference, and for its
  # title and how much it holds
  # https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-response-object-modal.

  alias UroDiscord.{Error, Length}
  alias UroDiscord.Notify.Message.{Component, Shape}

  @row 1
  @selects [3, 5, 6, 7, 8]
  @text_input 4
  @text 10
  @label 18
  @file_upload 19
  @radio_group 21
  @checkbox_group 22
  @checkbox 23

  @custom_id {"custom_id", {:required, {:text, 1, 100}}}
  @required {"required", :boolean}
  @head [{"type", {:integer, 1, 99}}, {"id", {:integer, 0, 0x7FFF_FFFF}}]
  @option {:object, "an option",
           [
             {"label", {:required, {:text, 1, 100}}},
             {"value", {:required, {:text, 1, 100}}},
             {"description", {:text, 0, 100}},
             {"default", :boolean}
           ]}

  @fields %{
    @text_input => [
      @custom_id,
      {"style", {:required, {:integer, 1, 2}}},
      {"min_length", {:integer, 0, 4_000}},
      {"max_length", {:integer, 1, 4_000}},
      @required,
      {"value", {:text, 0, 4_000}},
      {"placeholder", {:text, 0, 100}}
    ],
    @file_upload => [@custom_id, {"min_values", {:integer, 0, 10}}, {"max_values", {:integer, 1, 10}}, @required],
    @radio_group => [@custom_id, {"options", {:required, {:list, 2, 10, @option}}}, @required],
    @checkbox_group => [
      @custom_id,
      {"options", {:required, {:list, 1, 10, @option}}},
      {"min_values", {:integer, 0, 10}},
      {"max_values", {:integer, 1, 10}},
      @required
    ],
    @checkbox => [@custom_id, {"default", :boolean}]
  }

  @doc "Discord's form of a modal, `custom_id`, `title` and `components`; or what is wrong with it."
  @spec new(term()) :: {:ok, map()} | {:error, Error.t()}
  def new(input) do
    shape =
      {:object, "a modal",
       [
         @custom_id,
         {"title", {:required, {:text, 1, 45}}},
         {"components", {:required, {:list, 1, 5, &component/2}}}
       ]}

    with {:ok, modal} <- Shape.cast(input, shape, []),
         :ok <- unique(modal["components"]),
         do: {:ok, modal}
  end

  @doc false
  def component(value, path) do
    case Component.type(value) do
      @label ->
        Shape.cast(value, label(), path)

      @row ->
        Shape.invalid(["type" | path], "is 1 (action row), which is no more for modals: use 18 (label)")

      @text ->
        Component.cast(value, [@text], path)

      type when is_integer(type) ->
        Shape.invalid(["type" | path], "is #{type}; here it may be 10 (text display), 18 (label)")

      # It says what is wrong.
      _ ->
        Component.cast(value, [@text], path)
    end
  end

  defp label do
    {:object, "a label",
     @head ++
       [
         {"label", {:required, {:text, 1, 45}}},
         {"description", {:text, 0, 100}},
         {"component", {:required, &__MODULE__.field/2}}
       ]}
  end

  @doc false
  def field(value, path) do
    case Component.type(value) do
      type when is_map_key(@fields, type) ->
        with {:ok, field} <- Shape.cast(value, {:object, "a field of type #{type}", @head ++ @fields[type]}, path),
             do: checked(field, path)

      type when type in @selects or not is_integer(type) ->
        with {:ok, field} <- Component.cast(value, @selects, path), do: checked(field, path)

      type ->
        Shape.invalid(
          ["type" | path],
          "is #{type}; a label may hold #{Enum.join(Enum.sort(@selects ++ Map.keys(@fields)), ", ")}"
        )
    end
  end

  # What fields say about each other.
  defp checked(%{"disabled" => true}, path), do: Shape.invalid(["disabled" | path], "is nothing that a modal may have")

  defp checked(%{"min_values" => 0} = field, path) do
    if Map.get(field, "required", true),
      do: Shape.invalid(["min_values" | path], "is 0, and the field is required: `required: false` makes it optional"),
      else: {:ok, field}
  end

  defp checked(%{"min_values" => min, "max_values" => max}, path) when min > max,
    do: Shape.invalid(["min_values" | path], "is #{min}, and max_values is #{max}")

  defp checked(%{"min_length" => min, "max_length" => max}, path) when min > max,
    do: Shape.invalid(["min_length" | path], "is #{min}, and max_length is #{max}")

  defp checked(%{"max_length" => max, "value" => value} = field, path) do
    length = Length.of(value)

    if length > max,
      do: Shape.invalid(["value" | path], "has #{length} characters, and max_length is #{max}"),
      else: {:ok, field}
  end

  defp checked(field, _path), do: {:ok, field}

  # The values are known by it when they come.
  defp unique(components) do
    ids = for {%{"component" => %{"custom_id" => id}}, index} <- Enum.with_index(components), do: {id, index}

    case ids -- Enum.uniq_by(ids, &elem(&1, 0)) do
      [] ->
        :ok

      [{id, index} | _] ->
        Shape.invalid(
          ["custom_id", "component", index, "components"],
          "is #{Shape.short(id)}, which another field has already"
        )
    end
  end
end

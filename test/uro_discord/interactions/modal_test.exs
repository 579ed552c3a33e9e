defmodule UroDiscord.Interactions.ModalTest do
  use ExUnit.Case, async: true

  alias UroDiscord.Interactions.Modal

  @options [[label: "A", value: "a"], [label: "B", value: "b"]]
  @input [type: 4, custom_id: "x", style: 1]
  @select [type: 3, custom_id: "x", options: @options]

  defp modal(components), do: [custom_id: "form", title: "Title", components: components]
  defp with_field(field), do: modal([[type: 18, label: "Label", component: field]])

  defp refusal(modal) do
    assert {:error, error} = Modal.new(modal)
    Exception.message(error)
  end

  test "every kind of field is taken, and comes out as Discord has it" do
    for {field, index} <-
          Enum.with_index([
            @input ++ [min_length: 1, max_length: 4_000, value: "x", placeholder: "y", required: false],
            @select ++ [required: false, min_values: 0],
            [type: 5, custom_id: "x", max_values: 25],
            [type: 6, custom_id: "x"],
            [type: 7, custom_id: "x"],
            [type: 8, custom_id: "x", channel_types: [2]],
            [type: 19, custom_id: "x", max_values: 10],
            [type: 21, custom_id: "x", options: @options],
            [type: 22, custom_id: "x", options: @options, min_values: 0, required: false],
            [type: 23, custom_id: "x", default: true]
          ]) do
      assert {:ok, %{"components" => [%{"type" => 18, "component" => component}]}} = Modal.new(with_field(field))
      assert component["type"] == field[:type], "field #{index}"
    end

    assert {:ok, %{"components" => [%{"content" => "Read this"}, _]}} =
             Modal.new(
               modal([[type: 10, content: "Read this"], %{"type" => 18, "label" => "L", "component" => @input}])
             )
  end

  test "what Discord would refuse is refused, with its place and what is wanted" do
    for {modal, says} <- [
          {Keyword.delete(modal([]), :title), "title: is missing"},
          {Keyword.put(modal([]), :title, String.duplicate("x", 46)), "title: has 46 characters; 45 is the limit"},
          {Keyword.put(modal([]), :custom_id, String.duplicate("x", 101)), "custom_id: has 101 characters"},
          {Keyword.put(modal([]), :colour, 1), "colour: is not a field of a modal"},
          {modal([]), "components: has 0 entries; 1 is the least"},
          {modal(List.duplicate([type: 10, content: "x"], 6)), "components: has 6 entries; 5 is the limit"},
          {modal([[type: 1, components: [@input]]]), "components.0.type: is 1 (action row)"},
          {modal([@input]), "components.0.type: is 4; here it may be 10 (text display), 18 (label)"},
          {modal(["x"]), "components.0: is \"x\"; it may be a map or keyword list"},
          {modal([[label: "x"]]), "components.0.type: is missing"},
          {modal([[type: 18, label: "x"]]), "components.0.component: is missing"},
          {modal([[type: 18, label: String.duplicate("x", 46), component: @input]]), "components.0.label: has 46"},
          {with_field(type: 2, style: 1, custom_id: "x"),
           "component.type: is 2; a label may hold 3, 4, 5, 6, 7, 8, 19"},
          {with_field([]), "component.type: is missing"},
          {with_field(Keyword.put(@input, :style, 3)), "component.style: is 3; it may be an integer from 1 to 2"},
          {with_field(@input ++ [max_length: 4_001]),
           "component.max_length: is 4001; it may be an integer from 1 to 4000"},
          {with_field(@input ++ [min_length: 5, max_length: 4]), "component.min_length: is 5, and max_length is 4"},
          {with_field(@input ++ [max_length: 2, value: "abc"]),
           "component.value: has 3 characters, and max_length is 2"},
          {with_field(@select ++ [disabled: true]), "component.disabled: is nothing that a modal may have"},
          {with_field(@select ++ [min_values: 0]), "component.min_values: is 0, and the field is required"},
          {with_field(type: 21, custom_id: "x", options: tl(@options)),
           "component.options: has 1 entries; 2 is the least"},
          {with_field(type: 19, custom_id: "x", max_values: 11), "it may be an integer from 1 to 10"},
          {modal(List.duplicate([type: 18, label: "L", component: @input], 2)),
           ~s(components.1.component.custom_id: is "x", which another field has already)}
        ] do
      assert refusal(modal) =~ says
    end
  end

  test "what is no modal at all" do
    for input <- [nil, "form", 5, [1], %{1 => 2}], do: assert(is_binary(refusal(input)))
  end
end

Code.require_file("../random_message.ex", __DIR__)

defmodule UroDiscord.Notify.Message.RandomTest do
  @moduledoc false
  # Of random messages: whatever is accepted keeps to every limit, counted again here, and becomes JSON.

  use ExUnit.Case, async: true
  alias UroDiscord.{Error, JSON}
  alias UroDiscord.Notify.{Message, RandomMessage}

  setup do
    # The same again with `mix test --seed`.
    :rand.seed(:exsss, ExUnit.configuration()[:seed])
    :ok
  end

  test "what is accepted keeps to the limits and becomes JSON" do
    outcomes =
      for _ <- 1..2_000 do
        input = RandomMessage.message()

        case Message.new(input) do
          {:ok, messages} ->
            Enum.each(messages, &check/1)
            :accepted

          {:error, error} ->
            check(error)
            :refused
        end
      end

    # Both do happen.
    assert %{accepted: accepted, refused: refused} = Enum.frequencies(outcomes)
    assert accepted > 200 and refused > 200
  end

  test "with anything at all in any place, a clear refusal or a message that becomes JSON" do
    outcomes =
      for _ <- 1..5_000 do
        case RandomMessage.message() |> RandomMessage.disturb() |> Message.new() do
          {:ok, messages} ->
            Enum.each(messages, &check/1)
            :accepted

          {:error, error} ->
            check(error)
            :refused
        end
      end

    assert %{accepted: _, refused: _} = Enum.frequencies(outcomes)
  end

  # Checks

  defp check(%Error{kind: :invalid, field: field, message: message} = error) do
    assert field == nil or (String.valid?(field) and String.length(field) < 120)
    assert String.valid?(message) and String.length(message) < 300
    assert is_binary(Exception.message(error))
  end

  defp check(%Message{body: body} = message) do
    assert depth(body) < 10
    assert {:ok, json} = JSON.encode(body)
    assert JSON.decode(json) == {:ok, body}

    assert code_points(Map.get(body, "content", "")) <= 2_000
    embeds(Map.get(body, "embeds", []))
    components(Map.get(body, "components", []), body)
    assert length(message.files) <= 10
    assert length(Map.get(body, "attachments", [])) == length(message.files)
    assert body["content"] || body["embeds"] || body["components"] || message.files != []
  end

  defp embeds(embeds) do
    texts =
      for embed <- embeds, {at, limit, text} <- texts(embed) do
        assert code_points(text) <= limit, at
        code_points(text)
      end

    assert Enum.sum(texts) <= 6_000
    assert length(embeds) <= 10
    assert Enum.all?(embeds, &(length(Map.get(&1, "fields", [])) <= 25))
    assert Enum.all?(embeds, &(Map.get(&1, "color", 0) in 0..0xFFFFFF))
  end

  defp texts(embed) do
    fields =
      for field <- Map.get(embed, "fields", []),
          {key, limit} <- [{"name", 256}, {"value", 1_024}],
          do: {key, limit, field[key]}

    fields ++
      for {path, limit} <- [
            {["title"], 256},
            {["description"], 4_096},
            {["footer", "text"], 2_048},
            {["author", "name"], 256}
          ],
          text = get_in(embed, path),
          do: {path, limit, text}
  end

  defp components(components, body) do
    all = every(components)
    v2? = Enum.any?(components, &(&1["type"] != 1))
    assert Bitwise.band(Map.get(body, "flags", 0), 0x8000) == if(v2?, do: 0x8000, else: 0)
    if v2?, do: refute(body["content"] || body["embeds"]), else: assert(length(components) <= 5)
    assert length(all) <= 40
    assert Enum.sum(for %{"content" => text} <- all, do: code_points(text)) <= 4_000
    ids = for %{"custom_id" => id} <- all, do: id
    assert ids == Enum.uniq(ids) and Enum.all?(ids, &(code_points(&1) in 1..100))

    for component <- all do
      assert length(Map.get(component, "options", [])) <= 25
      assert length(Map.get(component, "items", [])) <= 10
      assert code_points(Map.get(component, "label", "")) <= 80
    end
  end

  defp every(components) do
    Enum.flat_map(components, fn component ->
      inner = Map.get(component, "components", []) ++ List.wrap(component["accessory"])
      [component | every(inner)]
    end)
  end

  defp depth(list) when is_list(list), do: 1 + Enum.max(Enum.map(list, &depth/1), fn -> 0 end)
  defp depth(%{} = map), do: map |> Map.values() |> depth()
  defp depth(_leaf), do: 0

  defp code_points(text), do: text |> String.codepoints() |> length()
end

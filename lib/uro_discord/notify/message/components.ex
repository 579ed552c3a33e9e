defmodule UroDiscord.Notify.Message.Components do
  @moduledoc false
  # The components of a message: what holds over all of them.

  alias UroDiscord.{Error, Length}
  alias UroDiscord.Notify.Message.{Component, Shape}

  # Without Components V2: https://discord.com/developers/docs/components/reference#legacy-message-component-behavior
  @rows 5

  # With it: https://discord.com/developers/docs/components/reference#what-is-a-component. The limit for text is not yet in
  # the docs, but in https://github.com/discord/discord-api-docs/pull/8562.
  @components 40
  @text 4_000

  # Over these Discord answers 500, which would be taken for a passing fault and tried again: 64 pictures
  # (https://github.com/discord/discord-api-docs/issues/7528), and 10,170 bytes of text where each piece of it counts 12
  # more (https://github.com/discord/discord-api-docs/issues/8554).
  @media 64
  @text_bytes 10_170
  @text_overhead 12

  @doc "The components of a message, checked."
  @spec cast_all(term(), Shape.path()) :: {:ok, [map()]} | {:error, Error.t()}
  def cast_all(value, path) do
    with {:ok, components} <- Shape.cast(value, {:list, 0, @components, &Component.cast/2}, path),
         :ok <- rows(components, path),
         all = all(components, path),
         :ok <-
           at_most(length(all), @components, "components, those inside others included", path),
         :ok <- at_most(media(all), @media, "pictures and other media", path),
         :ok <- text(all, path),
         :ok <- unique(all, "custom_id"),
         :ok <- unique(all, "id"),
         do: {:ok, components}
  end

  @doc "Whether they need Components V2, which a message says by a flag."
  @spec v2?([map()]) :: boolean()
  def v2?(components), do: Enum.any?(components, &Component.v2?/1)

  defp rows(components, path) do
    if v2?(components),
      do: :ok,
      else: at_most(length(components), @rows, "action rows", path)
  end

  # Every component with its path, those inside others after them.
  defp all(components, path) do
    components
    |> Enum.with_index()
    |> Enum.flat_map(fn {component, index} -> with_inner(component, [index | path]) end)
  end

  defp with_inner(component, path) do
    inner = all(Map.get(component, "components", []), ["components" | path])

    case component do
      %{"accessory" => accessory} ->
        [{component, path} | inner] ++ with_inner(accessory, ["accessory" | path])

      _ ->
        [{component, path} | inner]
    end
  end

  defp media(all) do
    Enum.sum(
      for {component, _path} <- all do
        case component do
          %{"items" => items} -> length(items)
          %{"media" => _} -> 1
          _ -> 0
        end
      end
    )
  end

  defp text(all, path) do
    texts = for {%{"content" => content}, _path} <- all, do: content
    bytes = Enum.sum(Enum.map(texts, &(byte_size(&1) + @text_overhead)))
    characters = Enum.sum(Enum.map(texts, &Length.of/1))
    what = "bytes of text (#{@text_overhead} more for each text display)"

    with :ok <- at_most(characters, @text, "characters of text", path),
         do: at_most(bytes, @text_bytes, what, path)
  end

  defp at_most(count, limit, _what, _path) when count <= limit, do: :ok

  defp at_most(count, limit, what, path),
    do: Shape.invalid(path, "have #{count} #{what}; #{limit} is the limit")

  # An id of 0 is none: Discord gives one.
  defp unique(all, key) do
    given = for {%{^key => value}, path} <- all, value != 0, do: {value, path}

    case given -- Enum.uniq_by(given, &elem(&1, 0)) do
      [] ->
        :ok

      [{value, path} | _] ->
        Shape.invalid(
          [key | path],
          "is #{Shape.short(value)}, which another component has already"
        )
    end
  end
end

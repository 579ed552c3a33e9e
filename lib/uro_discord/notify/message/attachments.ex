defmodule UroDiscord.Notify.Message.Attachments do
  @moduledoc false
  # What a message's body says of its files, and whether body and files fit together.

  alias UroDiscord.Error
  alias UroDiscord.Notify.Message
  alias UroDiscord.Notify.Message.Shape

  # https://discord.com/developers/docs/resources/message#create-message
  @request_bytes 25 * 1024 * 1024
  # The headers of a part of multipart/form-data without the file's name.
  @part_bytes 512

  @doc "The `attachments` of a body: the id is the file's place in the request."
  @spec of([Message.File.t()]) :: [map()]
  def of(files) do
    for {file, id} <- Enum.with_index(files) do
      %{"id" => id, "filename" => file.name}
      |> put("description", file.description)
      |> put("title", if(file.name != file.given, do: Path.rootname(file.given)))
    end
  end

  defp put(attachment, _key, nil), do: attachment
  defp put(attachment, key, value), do: Map.put(attachment, key, value)

  @doc """
  The body with each `attachment://name` naming the file as Discord will. A name that none of the files has is refused (so does Discord in
  components, and shows an embed without its picture), and a request that is too large.
  """
  @spec fit(map(), [Message.File.t()]) :: {:ok, map()} | {:error, Error.t()}
  def fit(body, files) do
    # Of two of one name the first is meant.
    names = for file <- Enum.reverse(files), name <- [file.name, file.given], into: %{}, do: {name, file.name}

    with {:ok, named} <- named(Map.take(body, ["embeds", "components"]), [], names),
         body = Map.merge(body, named),
         :ok <- size(body, files),
         do: {:ok, body}
  end

  defp named(%{} = map, path, names), do: map |> each(path, names) |> collect(&Map.new/1)

  defp named(list, path, names) when is_list(list),
    do:
      list |> Enum.with_index(&{&2, &1}) |> each(path, names) |> collect(&Enum.map(&1, fn {_index, value} -> value end))

  defp named("attachment://" <> name, [key | _] = path, names) when key in ["url", "icon_url"] do
    case names do
      %{^name => clean} -> {:ok, "attachment://" <> clean}
      _ -> Shape.invalid(path, "names #{Shape.short(name)}, which is not among the files")
    end
  end

  defp named(other, _path, _names), do: {:ok, other}

  defp each(entries, path, names) do
    Enum.reduce_while(entries, [], fn {key, value}, done ->
      case named(value, [key | path], names) do
        {:ok, value} -> {:cont, [{key, value} | done]}
        refused -> {:halt, refused}
      end
    end)
  end

  defp collect({:error, error}, _collect), do: {:error, error}
  defp collect(done, collect), do: {:ok, done |> Enum.reverse() |> collect.()}

  defp size(_body, []), do: :ok

  defp size(body, files) do
    parts = for file <- files, do: byte_size(file.data) + 3 * byte_size(file.name) + @part_bytes

    case json_size(body) + @part_bytes + Enum.sum(parts) do
      total when total <= @request_bytes ->
        :ok

      total ->
        Shape.invalid(
          ["files"],
          "make a request of #{total} bytes; #{@request_bytes} (25 MiB) is the limit"
        )
    end
  end

  # The most that it takes as JSON.
  defp json_size(text) when is_binary(text),
    do: for(<<byte <- text>>, reduce: 2, do: (size -> size + escaped(byte)))

  defp json_size(list) when is_list(list),
    do: Enum.reduce(list, 2, &(json_size(&1) + 1 + &2))

  defp json_size(%{} = map),
    do:
      Enum.reduce(map, 2, fn {key, value}, size ->
        json_size(key) + json_size(value) + 2 + size
      end)

  defp json_size(number_or_boolean), do: number_or_boolean |> to_string() |> byte_size()

  defp escaped(byte) when byte < 0x20, do: 6
  defp escaped(byte) when byte in [?", ?\\], do: 2
  defp escaped(_byte), do: 1
end

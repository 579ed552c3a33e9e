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
      attachment = %{"id" => id, "filename" => file.name}

      case file.description do
        nil -> attachment
        description -> Map.put(attachment, "description", description)
      end
    end
  end

  @doc """
  Whether each `attachment://name` in the body names one of the files (Discord refuses a component without its file, and
  shows an embed without its picture), and the request is not too large.
  """
  @spec check(Message.t()) :: :ok | {:error, Error.t()}
  def check(%Message{body: body, files: files}) do
    with :ok <- named(Map.take(body, ["embeds", "components"]), [], Enum.map(files, & &1.name)),
         do: size(body, files)
  end

  defp named(%{} = map, path, names), do: each(map, path, names)

  defp named(list, path, names) when is_list(list),
    do: list |> Enum.with_index(&{&2, &1}) |> each(path, names)

  defp named("attachment://" <> name, [key | _] = path, names) when key in ["url", "icon_url"] do
    if name in names,
      do: :ok,
      else: Shape.invalid(path, "names #{Shape.short(name)}, which is not among the files")
  end

  defp named(_other, _path, _names), do: :ok

  defp each(entries, path, names) do
    Enum.find_value(entries, :ok, fn {key, value} ->
      with :ok <- named(value, [key | path], names), do: nil
    end)
  end

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

defmodule UroDiscord.Notify.Message.File do
  @moduledoc false
  # The files of a message. A path is read while the message is made: what is sent later is what was there then.

  alias UroDiscord.Notify.Message.{FileName, Shape}

  # https://discord.com/developers/docs/reference#uploading-files
  @files 10
  @bytes 10 * 1024 * 1024

  @name {:text, 1, 255}

  @shape {:object, "a file",
          [
            {"path", {:text, 1, 4_096}},
            {"data", &__MODULE__.data/2},
            {"name", @name},
            {"content_type", {:text, 1, 255}},
            {"description", {:text, 0, 1_024}}
          ]}

  # `given` is what the caller calls it, `name` what Discord does.
  @type t :: %{
          name: String.t(),
          given: String.t(),
          content_type: String.t() | nil,
          data: binary(),
          description: String.t() | nil
        }

  @doc """
  From a list of paths, of `{name, data}`, and of maps with `:path` or `:data` and `:name`, and if wanted `:content_type`
  and `:description`.
  """
  @spec cast_all(term(), Shape.path()) :: {:ok, [t()]} | {:error, UroDiscord.Error.t()}
  def cast_all(value, path) do
    with {:ok, files} <- Shape.cast(value, {:list, 0, @files, &file/2}, path) do
      names = files |> Enum.map(& &1.given) |> FileName.clean_all()
      {:ok, Enum.zip_with(files, names, &Map.put(&1, :name, &2))}
    end
  end

  @doc false
  @spec data(term(), Shape.path()) :: Shape.result()
  def data(data, _path) when is_binary(data) and byte_size(data) <= @bytes, do: {:ok, data}

  def data(data, path) when is_binary(data),
    do: Shape.invalid(path, "has #{byte_size(data)} bytes; #{@bytes} (10 MiB) is the limit")

  # What it is is not shown: it may be a file's content in another form.
  def data(_data, path), do: Shape.invalid(path, "is not a binary")

  defp file(path, at) when is_binary(path), do: file(%{path: path}, at)

  defp file({name, data}, at), do: file(%{name: name, data: data}, at)

  defp file(value, at) do
    with {:ok, given} <- Shape.cast(value, @shape, at),
         {:ok, data} <- content(given, at),
         {:ok, name} <- name(given, at),
         :ok <- content_type(given["content_type"], ["content_type" | at]) do
      {:ok,
       %{
         given: name,
         content_type: given["content_type"],
         data: data,
         description: given["description"]
       }}
    end
  end

  defp content(%{"data" => _, "path" => _}, at),
    do: Shape.invalid(at, "has both data and a path")

  defp content(%{"data" => data}, _at), do: {:ok, data}

  defp content(%{"path" => path}, at) do
    case read(path) do
      {:ok, data} when byte_size(data) <= @bytes ->
        {:ok, data}

      {:ok, _beginning} ->
        Shape.invalid(at, "#{Shape.short(path)} has more than #{@bytes} bytes (10 MiB)")

      {:error, :not_regular} ->
        Shape.invalid(at, "#{Shape.short(path)} is not a regular file")

      {:error, reason} ->
        Shape.invalid(at, "#{Shape.short(path)} cannot be read: #{:file.format_error(reason)}")
    end
  end

  defp content(_neither, at), do: Shape.invalid(at, "has neither data nor a path")

  # The size is not asked for beforehand: the file may grow meanwhile.
  defp read(path) do
    with :ok <- regular(path),
         {:ok, read} <- File.open(path, [:read, :raw, :binary], &:file.read(&1, @bytes + 1)) do
      if read == :eof, do: {:ok, ""}, else: read
    end
  end

  # A pipe or a device could block, or never end.
  defp regular(path) do
    case File.stat(path) do
      {:ok, %File.Stat{type: :regular}} -> :ok
      {:ok, _stat} -> {:error, :not_regular}
      {:error, reason} -> {:error, reason}
    end
  end

  defp name(%{"name" => name}, at) do
    if name =~ ~r/[\/\\\p{Cc}]/u,
      do: Shape.invalid(["name" | at], "has a slash or a control character in it"),
      else: {:ok, name}
  end

  defp name(%{"path" => path}, at) do
    with {:ok, name} <- Shape.cast(Path.basename(path), @name, ["name" | at]),
         do: name(%{"name" => name}, at)
  end

  defp name(_without, at), do: Shape.invalid(["name" | at], "is missing")

  defp content_type(nil, _at), do: :ok

  defp content_type(type, at) do
    if type =~ ~r/\A[\w.+-]+\/[\w.+-]+( *;[ -~]*)?\z/,
      do: :ok,
      else: Shape.is_not(type, "a media type such as image/png", at)
  end
end

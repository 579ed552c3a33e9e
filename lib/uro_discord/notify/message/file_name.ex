defmodule UroDiscord.Notify.Message.FileName do
  @moduledoc false
  # Discord renames files: it keeps ASCII letters, digits, dots, dashes and underscores, and nothing of the last two and dots where a
  # name begins. `attachment://name` means the name that it makes, which for letters of other scripts nobody can foretell
  # (https://github.com/discord/discord-api-docs/issues/2102, https://github.com/discord/discord-api-docs/issues/7754). So files are sent under
  # names that it leaves alone, references to them are changed likewise, and what the file was called goes as its title.

  @doc """
  A name that Discord leaves alone.

      iex> for name <- ["map.png", "map of the world.png", "Übersicht (1).png", "画像.png", "_.hidden"],
      ...>   do: UroDiscord.Notify.Message.FileName.clean(name)
      ["map.png", "map_of_the_world.png", "Ubersicht_1.png", "file.png", "file.hidden"]
  """
  @spec clean(String.t()) :: String.t()
  def clean(name) do
    extension = Path.extname(name)
    root = name |> Path.rootname(extension) |> plain() |> String.replace(~r/\A[._-]+|[._]+\z/, "")
    extension = extension |> plain() |> String.trim_trailing("_")
    if(root == "", do: "file", else: root) <> if extension == ".", do: "", else: extension
  end

  defp plain(text) do
    text
    |> String.normalize(:nfkd)
    |> String.replace(~r/\s+/u, "_")
    |> String.replace(~r/[^A-Za-z0-9._-]/u, "")
  end

  @doc """
  Clean names for these, each another one.

      iex> UroDiscord.Notify.Message.FileName.clean_all(["地図.png", "画像.png", "file.png", "a"])
      ["file-2.png", "file-3.png", "file.png", "a"]
  """
  @spec clean_all([String.t()]) :: [String.t()]
  def clean_all(names) do
    # What is clean as it is given keeps its name.
    taken = for name <- names, clean(name) == name, into: MapSet.new(), do: name

    {clean, _taken} =
      Enum.map_reduce(names, {taken, MapSet.new()}, fn name, {taken, used} ->
        clean = clean(name)
        clean = if clean == name and clean not in used, do: clean, else: free(clean, taken, 1)
        {clean, {MapSet.put(taken, clean), MapSet.put(used, clean)}}
      end)

    clean
  end

  defp free(name, taken, number) do
    extension = Path.extname(name)
    numbered = if number == 1, do: name, else: "#{Path.rootname(name, extension)}-#{number}#{extension}"
    if numbered in taken, do: free(name, taken, number + 1), else: numbered
  end
end

defmodule UroDiscord.Notify.Message.FileTest do
  use ExUnit.Case, async: true
  alias UroDiscord.{Error, JSON}
  alias UroDiscord.Notify.Message

  @mib 1024 * 1024

  setup do
    folder = Path.join(System.tmp_dir!(), "uro_discord_files_#{System.unique_integer([:positive])}")
    File.mkdir_p!(folder)
    on_exit(fn -> File.rm_rf!(folder) end)
    %{folder: folder}
  end

  defp files(files), do: Message.new(files: files)

  defp refused(result) do
    assert {:error, %Error{kind: :invalid} = error} = result
    {error.field, error.message}
  end

  test "a path, a pair, and maps", %{folder: folder} do
    path = Path.join(folder, "log.txt")
    File.write!(path, "line")

    assert {:ok, [message]} =
             files([
               path,
               {"a.bin", <<0, 255>>},
               %{path: path, name: "other.txt", content_type: "text/plain; charset=utf-8"},
               %{"name" => "b", "data" => "", "description" => "nothing"}
             ])

    assert message.files == [
             %{name: "log.txt", content_type: nil, data: "line"},
             %{name: "a.bin", content_type: nil, data: <<0, 255>>},
             %{name: "other.txt", content_type: "text/plain; charset=utf-8", data: "line"},
             %{name: "b", content_type: nil, data: ""}
           ]

    assert message.body["attachments"] == [
             %{"id" => 0, "filename" => "log.txt"},
             %{"id" => 1, "filename" => "a.bin"},
             %{"id" => 2, "filename" => "other.txt"},
             %{"id" => 3, "filename" => "b", "description" => "nothing"}
           ]
  end

  test "a name that Discord would change is its title, and references to it follow" do
    assert {:ok, [message]} =
             Message.new(
               embeds: [%{image: %{url: "attachment://画像.png"}}, %{thumbnail: %{url: "attachment://map 2.png"}}],
               files: [{"画像.png", "a"}, {"地図.png", "b"}, {"map 2.png", "c"}]
             )

    assert [%{"image" => %{"url" => "attachment://file.png"}}, %{"thumbnail" => %{"url" => "attachment://map_2.png"}}] =
             message.body["embeds"]

    assert message.body["attachments"] == [
             %{"id" => 0, "filename" => "file.png", "title" => "画像"},
             %{"id" => 1, "filename" => "file-2.png", "title" => "地図"},
             %{"id" => 2, "filename" => "map_2.png", "title" => "map 2"}
           ]

    assert Enum.map(message.files, & &1.name) == ["file.png", "file-2.png", "map_2.png"]
  end

  test "a path is read at once", %{folder: folder} do
    path = Path.join(folder, "a.txt")
    File.write!(path, "before")
    assert {:ok, [message]} = files([path])
    File.write!(path, "after")
    assert [%{data: "before"}] = message.files
  end

  test "what cannot be read is named", %{folder: folder} do
    missing = Path.join(folder, "missing")

    assert {"files.1", message} = refused(files([{"a", "a"}, missing]))
    assert message =~ "cannot be read: no such file or directory"

    assert {"files.0", message} = refused(files([folder]))
    assert message =~ "is not a regular file"
    assert {"files.0", message} = refused(files(["/dev/zero"]))
    assert message =~ "is not a regular file"

    assert {"files.0", message} = refused(files(["a\0b"]))
    assert message =~ "cannot be read"

    assert refused(files([String.duplicate("a", 4_097)])) ==
             {"files.0.path", "has 4097 characters; 4096 is the limit"}
  end

  test "10 files, and not one more" do
    assert {:ok, _} = files(List.duplicate({"a", "a"}, 10))

    assert refused(files(List.duplicate({"a", "a"}, 11))) ==
             {"files", "has 11 entries; 10 is the limit"}
  end

  test "10 MiB a file, and not one byte more", %{folder: folder} do
    full = :binary.copy("a", 10 * @mib)
    path = Path.join(folder, "large")
    File.write!(path, full)
    assert {:ok, [%{files: [_, %{data: ^full}]}]} = files([{"a", full}, path])

    File.write!(path, "a", [:append])
    assert {"files.0", message} = refused(files([path]))
    assert message =~ "has more than 10485760 bytes (10 MiB)"

    assert refused(files([{"a", full <> "a"}])) ==
             {"files.0.data", "has 10485761 bytes; 10485760 (10 MiB) is the limit"}
  end

  test "25 MiB for the request with all that goes beside the files" do
    # JSON writes the first in six bytes, the others in two.
    content = String.duplicate("\a\"\\", 666)
    full = :binary.copy("a", 10 * @mib)
    new = &Message.new(content: content, files: [{"a", full}, {"b", full}, {"c", &1}])
    sized = &binary_part(full, 0, &1)

    largest = largest(&match?({:ok, _}, new.(sized.(&1))), 0, 5 * @mib)
    assert {:ok, [message]} = new.(sized.(largest))
    {:ok, json} = JSON.encode(message.body)
    # All that is left is for the frames of the four parts: 512 bytes each, and the names in their longest form.
    left = 25 * @mib - (20 * @mib + largest + byte_size(json))
    assert left in 2_057..2_080

    assert refused(new.(sized.(largest + 1))) ==
             {"files", "make a request of 26214401 bytes; 26214400 (25 MiB) is the limit"}
  end

  defp largest(_fits?, low, high) when high - low <= 1, do: low

  defp largest(fits?, low, high) do
    middle = div(low + high, 2)
    if fits?.(middle), do: largest(fits?, middle, high), else: largest(fits?, low, middle)
  end

  test "names, types and descriptions" do
    file = &[Map.merge(%{name: "a", data: "a"}, Map.new(&1))]
    assert {:ok, _} = files(file.(name: String.duplicate("ä", 255)))
    assert {:ok, _} = files(file.(description: String.duplicate("ä", 1_024)))
    assert {:ok, _} = files(file.(description: "", content_type: "text/" <> String.duplicate("a", 250)))

    for {fields, field, message} <- [
          {[name: String.duplicate("ä", 256)], "name", "has 256 characters; 255 is the limit"},
          {[name: " "], "name", "is blank"},
          {[name: "../a"], "name", "has a slash or a control character in it"},
          {[name: "a\r\nb"], "name", "has a slash or a control character in it"},
          {[name: <<255>>], "name", "is not valid UTF-8 (1 bytes)"},
          {[description: String.duplicate("ä", 1_025)], "description", "has 1025 characters; 1024 is the limit"},
          {[content_type: "text/" <> String.duplicate("a", 251)], "content_type",
           "has 256 characters; 255 is the limit"},
          {[content_type: "png"], "content_type", "is \"png\"; it may be a media type such as image/png"},
          {[content_type: "text/plain\r\nX: y"], "content_type",
           "is \"text/plain\\r\\nX: y\"; it may be a media type such as image/png"},
          {[type: "text/plain"], "type",
           "is not a field of a file; there are path, data, name, content_type, description"}
        ] do
      assert refused(files(file.(fields))) == {"files.0.#{field}", message}
    end
  end

  test "a file has data or a path" do
    assert refused(files([%{name: "a"}])) == {"files.0", "has neither data nor a path"}

    assert refused(files([%{data: "a", path: "/etc/hostname"}])) ==
             {"files.0", "has both data and a path"}

    assert refused(files([%{data: "a"}])) == {"files.0.name", "is missing"}
    assert refused(files([{"a", [?a]}])) == {"files.0.data", "is not a binary"}

    assert {"files.0", "is 5; it may be a map or keyword list (a file)"} = refused(files([5]))
    assert {"files", "is \"/etc/hostname\"; it may be a list"} = refused(files("/etc/hostname"))
  end
end

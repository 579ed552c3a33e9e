defmodule UroDiscord.Store.Advice do
  @moduledoc false
  # What to say at the start about where the store is: things that work, and of which one hears when it is too late.

  require Logger
  alias UroDiscord.{Config, Store}
  alias UroDiscord.Store.Move

  @doc "Says it in the log."
  @spec log(Config.t()) :: :ok
  def log(config) do
    for advice <- advice(config), do: Logger.warning(advice)
    :ok
  end

  @doc "What there is to say of a configuration."
  @spec advice(Config.t()) :: [String.t()]
  def advice(%{repo: nil, database: database}) do
    case File.read("/proc/self/mountinfo") do
      {:ok, mounts} ->
        if Path.type(database) == :relative and in_image?(Path.expand(database), mounts),
          do: [volume(database)],
          else: []

      {:error, _not_linux} ->
        []
    end
  end

  def advice(%{repo: repo, database: database}) do
    if File.regular?(database), do: left_behind(repo, database), else: []
  end

  defp left_behind(repo, database) do
    with {:ok, store} <- Store.open({:sqlite, database}), {:ok, content} <- Move.content(store) do
      if content == [],
        do: [],
        else: [
          "#{database} was the store before `repo: #{inspect(repo)}`, and what it keeps (#{Enum.map_join(content, ", ", &rows/1)}) is not " <>
            "seen any more: links of accounts and keys of the HTTP API are not known, and boards are posted anew. Stop, run `mix uro_discord.store.move` once, " <>
            "and start again; or delete the file"
        ]
    else
      {:error, error} ->
        [
          "#{database} was the store before `repo: #{inspect(repo)}`, and it cannot be read what it keeps: #{Exception.message(error)}"
        ]
    end
  end

  defp rows({"uro_discord_" <> table, count}), do: "#{table} #{count}"

  defp volume(database) do
    "the store, `database: #{inspect(database)}`, is in the file system of the container, #{Path.expand(database)}, and is lost with it: " <>
      "notifications, links of accounts, keys, gateway sessions. Mount a volume (`docker run -v uro_discord:/var/lib/uro_discord …`) and name the file there, " <>
      "`database: \"/var/lib/uro_discord/uro_discord.sqlite3\"`, or keep it in the host's database with `repo:`"
  end

  @doc """
  Whether a path is in a container's own file system, an overlay of its image, by what /proc/self/mountinfo says.

      iex> mounts = "1 0 0:5 / / rw - overlay overlay rw\\n2 1 8:1 /v /var/lib/uro rw - ext4 /dev/sda1 rw\\n"
      iex> for path <- ["/app/store.sqlite3", "/var/lib/uro/store.sqlite3"], do: UroDiscord.Store.Advice.in_image?(path, mounts)
      [true, false]
  """
  @spec in_image?(Path.t(), String.t()) :: boolean()
  def in_image?(path, mounts) do
    # The fifth field is where it is mounted; behind the dash comes the type. https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
    found =
      for line <- String.split(mounts, "\n"),
          [before, behind] <- [String.split(line, " - ", parts: 2)],
          [_, _, _, _, point | _] <- [String.split(before, " ")],
          String.starts_with?(path, if(point == "/", do: point, else: point <> "/")),
          do: {byte_size(point), behind}

    match?({_size, "overlay " <> _}, Enum.max_by(found, &elem(&1, 0), fn -> nil end))
  end
end

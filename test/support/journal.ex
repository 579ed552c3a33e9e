defmodule UroDiscord.Journal do
  @moduledoc """
  Notifies, and writes down in a file what was accepted, as a host would that must know. A line is `channel content id`, and is
  on the disk when the next notification of that channel is accepted.
  """

  alias UroDiscord.Delivery

  # How many of a channel may be on their way.
  @ahead 10

  @type entry :: %{channel: String.t(), content: String.t(), id: String.t()}

  @doc """
  Starts UroDiscord and notifies every channel without end, no faster than they are delivered, until this VM is killed. What it
  says begins with `life`.
  """
  @spec run(Path.t(), keyword(), [String.t()], pos_integer()) :: no_return()
  def run(path, config, channels, life) do
    {:ok, _pid} = UroDiscord.start_link(config)
    before = path |> read() |> Enum.group_by(& &1.channel)

    for channel <- channels do
      on_the_way = for entry <- Enum.take(before[channel] || [], -@ahead), do: delivery(entry)
      spawn_link(fn -> notify(path, channel, life, 1, on_the_way |> :queue.from_list() |> await()) end)
    end

    Process.sleep(:infinity)
  end

  defp notify(path, channel, life, number, on_the_way) do
    content = "#{life}.#{number}"
    {:ok, delivery} = UroDiscord.notify(channel, content)
    write!(path, "#{channel} #{content} #{delivery.id}\n")
    notify(path, channel, life, number + 1, await(:queue.in(delivery, on_the_way)))
  end

  defp await(on_the_way) do
    if :queue.len(on_the_way) < @ahead do
      on_the_way
    else
      {{:value, delivery}, rest} = :queue.out(on_the_way)
      {:ok, %{status: :delivered}} = UroDiscord.await(delivery, :infinity)
      rest
    end
  end

  # One write of one line: those of several processes do not mix.
  defp write!(path, line) do
    {:ok, file} = :file.open(path, [:append, :raw])
    :ok = :file.write(file, line)
    :ok = :file.datasync(file)
    :ok = :file.close(file)
  end

  @doc "An entry's delivery, to be awaited."
  @spec delivery(entry()) :: Delivery.t()
  def delivery(entry), do: %Delivery{id: entry.id, channel_id: entry.channel, status: :queued}

  @doc "What was accepted, in this order within a channel."
  @spec read(Path.t()) :: [entry()]
  def read(path) do
    for line <- File.stream!(path) do
      [channel, content, id] = String.split(line)
      %{channel: channel, content: content, id: id}
    end
  end
end

defmodule UroDiscord.Listener do
  @moduledoc """
  A subscriber that acknowledges, as a host has one that acts on Discord's events: it writes down each in a file before. A line is
  `shard session sequence data`, with the data's `n`.
  """

  use GenServer

  @type entry :: %{shard: String.t(), session: String.t(), seq: pos_integer(), n: String.t()}

  @doc "`{path, type}`: where to, and which dispatch."
  def start_link({path, type}), do: GenServer.start_link(__MODULE__, {path, type})

  @impl true
  def init({path, type}) do
    {:ok, file} = :file.open(path, [:append, :raw])
    :ok = UroDiscord.subscribe({:gateway, type}, ack: true)
    {:ok, file}
  end

  @impl true
  def handle_info({:uro_discord, {:gateway, _type}, event}, file) do
    :ok = :file.write(file, "#{event.shard} #{event.session} #{event.seq} #{event.data["n"]}\n")
    UroDiscord.ack(event)
    {:noreply, file}
  end

  @doc "What was written down, in this order, repeats and all."
  @spec read(Path.t()) :: [entry()]
  def read(path) do
    case File.read(path) do
      {:ok, text} -> text |> String.split("\n", trim: true) |> Enum.map(&entry/1)
      {:error, :enoent} -> []
    end
  end

  defp entry(line) do
    [shard, session, seq, n] = String.split(line)
    %{shard: shard, session: session, seq: String.to_integer(seq), n: n}
  end
end

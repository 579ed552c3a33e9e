defmodule UroDiscord.Desired do
  @moduledoc false
  # What is wanted of the bridges, part by part, as docs/bridge-protocol.md has the parts. Apart from the owners of the bridges, so
  # that the end of either is no matter: an owner that starts reads all of it, and is told what changes after that, but for the value:
  # it reads that when it can pass it on, so that of many changes in a burst the newest is passed on and the others are not copied. The
  # values are facts of `UroDiscord.Runtime`, so the end of this process is no matter either.

  use UroDiscord.Server

  alias UroDiscord.{Runtime, Secret}

  @typedoc "A part, or one bridge's share of it."
  @type part :: String.t() | {String.t(), bridge :: atom()}

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(_options), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc "States a part: nil is not wanted. Of one part there is one process that states it. What has secrets in it is wrapped."
  @spec put(part(), map() | Secret.t() | nil) :: :ok
  def put(part, value) do
    Runtime.put({:desired, part}, value)
    GenServer.cast(__MODULE__, {:changed, part})
  end

  @doc "The calling process gets `{:desired, part}` when one of these parts has changed, for as long as it lives."
  @spec follow([part()]) :: :ok
  def follow(parts) do
    Runtime.put({:desired_by, self()}, parts)
    GenServer.cast(__MODULE__, {:follow, self()})
  end

  @doc "What these parts are now; one that nobody has stated is nil."
  @spec fetch([part()]) :: %{part() => map() | nil}
  def fetch(parts), do: Map.new(parts, &{&1, reveal(Runtime.lookup({:desired, &1}))})

  defp reveal(value) when is_function(value), do: Secret.reveal(value)
  defp reveal(value), do: value

  @impl true
  def init(nil) do
    followers = Runtime.all(:desired_by)
    Enum.each(followers, fn {pid, _parts} -> Process.monitor(pid) end)
    # What was stated while there was no such process.
    for {part, _value} <- Runtime.all(:desired), do: tell(part)
    {:ok, nil}
  end

  @impl true
  def handle_cast({:changed, part}, state) do
    tell(part)
    {:noreply, state}
  end

  def handle_cast({:follow, pid}, state) do
    Process.monitor(pid)
    {:noreply, state}
  end

  @impl true
  def handle_info({:DOWN, _ref, :process, pid, _reason}, state) do
    Runtime.delete({:desired_by, pid})
    {:noreply, state}
  end

  defp tell(part) do
    for {pid, parts} <- Runtime.all(:desired_by), part in parts, do: send(pid, {:desired, part})
  end
end

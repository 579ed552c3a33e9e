defmodule UroDiscord.Shards.Announcements do
  @moduledoc """
  Announces in a channel that a world has opened.

      config :uro_discord,
        join_link: "https://v-sekai.org/join?shard={id}",
        announcements: [channel: :announcements, cooldown: 3_600_000, per_hour: 10]

  What was open is kept in the store, so that a restart announces nothing twice. A world that was closed for less than `:cooldown` ms, by
  its name and host, is not announced again, nor is one that was registered more than ten minutes ago. After `:per_hour` of them in an hour
  the others open silently: whoever registers worlds by the hundred cannot fill the channel.

  Only what is in `UroDiscord.Shards.visible/0` is announced, its texts inert, and nobody is pinged.
  """

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Config, Events, Notify, Runtime, Shards, Store}
  alias UroDiscord.Gateway.Leader
  alias UroDiscord.Shards.JoinLink
  alias UroDiscord.Shards.Announcements.Memory
  alias UroDiscord.Shards.Board.Content

  # Many changes are looked at together.
  @settle_ms 500
  @retry_ms 10_000
  @forget_ms 3_600_000
  # Later it is no news.
  @expires_ms 600_000

  @map 60
  @host 40

  @doc false
  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(%Config{} = config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(config) do
    for topic <- [:status, :shards], do: :ok = Events.subscribe(topic)
    {:ok, runtime} = Runtime.fetch()
    Process.send_after(self(), :forget, @forget_ms)

    state = %{
      runtime: runtime,
      limits: config.announcements,
      # nil where only the store knows.
      memory: nil,
      timer: nil,
      flooded: false
    }

    {:ok, wake(state, 0)}
  end

  @impl true
  def handle_info({:uro_discord, :shards, _event}, state), do: {:noreply, wake(state, @settle_ms)}
  def handle_info({:uro_discord, :status, {:shards, _status}}, state), do: {:noreply, wake(state, @settle_ms)}
  # What another node has done in the meantime is in the store.
  def handle_info({:uro_discord, :status, {:lease, :held}}, state), do: {:noreply, wake(%{state | memory: nil}, 0)}

  def handle_info(:look, state), do: {:noreply, look(%{state | timer: nil})}

  def handle_info(:forget, state) do
    Process.send_after(self(), :forget, @forget_ms)
    {:noreply, forget(state)}
  end

  def handle_info(_message, state), do: {:noreply, state}

  defp wake(%{timer: nil} = state, ms), do: %{state | timer: Process.send_after(self(), :look, ms)}
  defp wake(state, _ms), do: state

  defp look(state) do
    # What a source that does not answer no longer lists has not closed.
    with true <- Leader.held?(), :reachable <- Shards.source_status(), {:ok, state} <- remember(state) do
      found = Memory.look(state.memory, Shards.visible(), now(), state.limits)

      case store(state, found.quiet) do
        {:ok, state} -> found.announce |> Enum.reduce_while({:ok, state}, &announce/2) |> flooded(found.held_back)
        {:error, error} -> failed(error, state)
      end
    else
      {:error, error} -> failed(error, state)
      _not_now -> state
    end
  end

  defp remember(%{memory: nil} = state) do
    with {:ok, memory} <- Memory.load(state.runtime.store), do: {:ok, %{state | memory: memory}}
  end

  defp remember(state), do: {:ok, state}

  defp store(state, entries) when entries == %{}, do: {:ok, state}

  defp store(state, entries) do
    with {:ok, _} <- Store.run(state.runtime.store, Memory.put(entries), :write),
         do: {:ok, %{state | memory: Map.merge(state.memory, entries)}}
  end

  defp announce(shard, {:ok, state}) do
    world = Memory.world(shard)
    now = now()
    message = [content: text(shard, state.runtime.config.join_link), suppress_embeds: true, expires_in: @expires_ms]
    stored = fn _delivery -> Memory.announced(world, state.memory[world], now) end

    case Notify.notify(state.limits.channel, message, producer: :worlds, also: stored) do
      {:ok, _delivery} ->
        {:cont, {:ok, put_in(state.memory[world], %{announced_at: now, closed_at: nil})}}

      {:error, error} ->
        {:halt, {:error, error, state}}
    end
  end

  defp flooded({:error, error, state}, _held_back), do: failed(error, state)
  defp flooded({:ok, state}, 0), do: %{state | flooded: false}
  defp flooded({:ok, %{flooded: true} = state}, _held_back), do: state

  defp flooded({:ok, state}, held_back) do
    Logger.warning(
      "#{held_back} worlds have opened and are not announced, since #{state.limits.per_hour} were in the past hour " <>
        "(`announcements: [per_hour: …]`)"
    )

    %{state | flooded: true}
  end

  # Another node was quicker, or the store knows better than we do what came of it.
  defp failed(error, state) do
    if error.kind != :conflict, do: Store.failed(error, "worlds that opened are announced later")
    wake(%{state | memory: nil}, if(error.kind == :conflict, do: @settle_ms, else: @retry_ms))
  end

  defp forget(%{memory: nil} = state), do: state

  defp forget(state) do
    with {over, kept} when over != %{} <- Memory.over(state.memory, now(), state.limits),
         {:ok, _} <- Store.run(state.runtime.store, Memory.delete(over), :write) do
      %{state | memory: kept}
    else
      {:error, error} -> failed(error, state)
      {_nothing, _all} -> state
    end
  end

  @doc """
  What is said of a world.

      iex> shard = %{id: "7", name: "Plaza", map: "plaza", host: nil, address: nil, port: nil}
      iex> UroDiscord.Shards.Announcements.text(shard, "https://v-sekai.org/join?shard={id}")
      "**Plaza** has opened (map plaza). [Join](https://v-sekai.org/join?shard=7)"
      iex> UroDiscord.Shards.Announcements.text(%{shard | map: nil}, nil)
      "**Plaza** has opened."
  """
  @spec text(Shards.shard(), String.t() | nil) :: String.t()
  def text(shard, join_link) do
    about =
      [Content.labelled("map", shard.map, @map), Content.labelled("host", shard.host, @host)] |> Enum.reject(&is_nil/1)

    link = JoinLink.fill(join_link, shard)

    "**#{Content.name(shard)}** has opened" <>
      if(about == [], do: ".", else: " (#{Enum.join(about, ", ")}).") <> if(link, do: " [Join](#{link})", else: "")
  end

  defp now, do: System.os_time(:millisecond)
end

defmodule Uro.Application do
  use Application

  @impl true
  def start(_type, _args) do
    # In Uro's order: PubSub is the last one.
    children = [
      Uro.Repo,
      Uro.Endpoint,
      {Phoenix.PubSub, [name: Uro.PubSub, adapter: Phoenix.PubSub.PG2]},
      Uro.Listener
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: Uro.Supervisor)
  end
end

defmodule Uro.Listener do
  @moduledoc "Says what PubSub tells of shards."
  use GenServer

  def start_link(_arg), do: GenServer.start_link(__MODULE__, nil)

  @impl true
  def init(nil) do
    # As in a host where much starts between PubSub and who subscribes to it.
    Process.sleep(300)
    :ok = Phoenix.PubSub.subscribe(Uro.PubSub, "uro_discord:shards")
    {:ok, nil}
  end

  @impl true
  def handle_info({:uro_discord, :shards, {:opened, shard}}, state) do
    IO.puts("PubSub: #{shard.name} is open")
    {:noreply, state}
  end

  def handle_info({:uro_discord, :shards, _event}, state), do: {:noreply, state}
end

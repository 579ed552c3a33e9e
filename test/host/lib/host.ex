defmodule Host.Application do
  use Application

  @impl true
  def start(_type, _args) do
    # As README has it: before PubSub.
    Supervisor.start_link([UroDiscord, {Phoenix.PubSub, name: Host.PubSub}, Host.Listener],
      strategy: :one_for_one,
      name: Host.Supervisor
    )
  end
end

defmodule Host.Listener do
  use GenServer

  def start_link(_arg), do: GenServer.start_link(__MODULE__, nil)

  @impl true
  def init(nil) do
    :ok = Phoenix.PubSub.subscribe(Host.PubSub, "uro_discord:shards")
    {:ok, nil}
  end

  @impl true
  def handle_info({:uro_discord, :shards, {:opened, shard}}, state) do
    {:ok, _delivery} = UroDiscord.notify(:announcements, "#{shard.name} is open")
    {:noreply, state}
  end

  def handle_info({:uro_discord, :shards, _event}, state), do: {:noreply, state}
end

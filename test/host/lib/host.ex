defmodule Host.Application do
  use Application

  @impl true
  def start(_type, _args) do
    Supervisor.start_link([UroDiscord, Host.Greeter],
      strategy: :rest_for_one,
      name: Host.Supervisor
    )
  end
end

defmodule Host.Greeter do
  use Task

  def start_link(_arg) do
    Task.start_link(fn ->
      :ok = UroDiscord.Shards.put(id: 1, name: "Host", players: 2)
      {:ok, _delivery} = UroDiscord.notify(:announcements, "the host is up")
    end)
  end
end

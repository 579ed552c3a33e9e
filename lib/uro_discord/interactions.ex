defmodule UroDiscord.Interactions do
  @moduledoc false
  # Commands and components, from wherever they come: `Interactions.GatewayListener` has them from the gateway, `Web.Interactions` by HTTP.
  # `Interactions.Dispatcher` has each answered by a process of its own, `Interactions.Responder`. `Interactions.Registration` tells Discord which there are.

  use Supervisor

  alias UroDiscord.{Config, Domain}
  alias UroDiscord.Interactions.{Dispatcher, GatewayListener, ReplayGuard}

  @spec start_link(Config.t()) :: Supervisor.on_start()
  def start_link(config), do: Supervisor.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(config) do
    # A responder depends on its handler's supervisor, which is stopped after it: what is under way is finished.
    base = [
      ReplayGuard,
      {Registry, keys: :duplicate, name: __MODULE__.Users},
      {Task.Supervisor, name: __MODULE__.Handlers},
      Supervisor.child_spec({Task.Supervisor, name: __MODULE__.PutOff, max_children: Dispatcher.put_off_at_once()},
        id: :put_off
      ),
      {Task.Supervisor, name: __MODULE__.Responders, max_children: Dispatcher.at_once()}
    ]

    gateway = if config.commands && config.interactions == :gateway, do: [GatewayListener], else: []
    Domain.group(base ++ gateway, :rest_for_one)
  end
end

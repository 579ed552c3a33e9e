defmodule UroDiscord.Status do
  @moduledoc false
  # How everything is, put together of what each part says of itself; `UroDiscord.status/0` documents it.

  alias UroDiscord.{Accounts, Bridge, Config, Domain, Error, Feeds, Notify, Portal, Rest, Runtime, Shards, Store}
  alias UroDiscord.Gateway.Leader

  @spec fetch() :: {:ok, map()} | {:error, Error.t()}
  def fetch do
    with {:ok, %{config: config, rest: rest, store: store}} <- Runtime.fetch() do
      if config.enabled do
        %{bridge: bridge, gateway: gateway} = Bridge.status()

        {:ok,
         %{
           enabled: true,
           domains: Domain.status(),
           store: Store.Keeper.status(),
           bridge: bridge,
           bridges: Map.new(config.bridges, &{&1.name, bridge(&1)}),
           gateway: Map.merge(gateway, Leader.status()),
           rest: Rest.status(rest),
           notifications: Notify.status(store),
           shards: Shards.status(),
           board: Shards.Board.status(),
           feeds: Feeds.Status.all(),
           web: Runtime.lookup(:web),
           portal: Portal.overview(),
           accounts: accounts(config)
         }}
      else
        {:ok, %{enabled: false}}
      end
    end
  end

  defp bridge(%{name: name, roles: roles}) do
    said = Map.put(Bridge.status(name).bridge, :roles, roles)
    if media = Runtime.lookup({:media, name}), do: Map.put(said, :media, media), else: said
  end

  defp accounts(config) do
    if Config.Accounts.on?(config),
      do: %{
        guilds: Accounts.Sync.status(config),
        self_roles: Accounts.SelfRoles.status(),
        tasks: Accounts.Tasks.Run.status(),
        queue: Accounts.Queue.status(),
        changes: Accounts.Changes.status(),
        linked_roles: Accounts.LinkedRoles.Keeper.status()
      }
  end
end

defmodule UroDiscord.Domains do
  @moduledoc false
  # The crash domains, and what belongs to each. A domain is not the reason for another one's end; `UroDiscord.Domain` starts it again
  # when it ends. Within one, processes that only work together are a group (`UroDiscord.Domain.group/2`).

  alias UroDiscord.{
    Accounts,
    Bridge,
    Bridges,
    Config,
    Desired,
    Domain,
    Feeds,
    Gateway,
    Interactions,
    Notify,
    Portal,
    Shards,
    Store,
    Voice,
    Web
  }

  @doc "In the order in which they start. All but the core stop together, before it does."
  @spec all(Config.t()) :: [Domain.t()]
  def all(config) do
    for {name, children, options} <- domains(config), children != [] do
      struct!(Domain, [name: name, children: children] ++ options)
    end
  end

  defp domains(%Config{enabled: false} = config), do: [{:worlds, [{Shards, config}], []}]

  defp domains(config) do
    [
      # What the gateway says at its start it says once.
      {:members, if(portals?(config), do: [{Task.Supervisor, name: Portal.Tasks}, Portal.Members], else: []), []},
      # What it takes to give back the gateway is given to it when it stops.
      {:core, core(config), shutdown: 11_000},
      {:worlds, worlds(config), []},
      {:voice, [{Task.Supervisor, name: Voice.Tasks}, {Voice, config}], []},
      {:portal, portal(config), []},
      {:accounts, if(Config.Accounts.on?(config), do: accounts(config), else: []), []},
      {:feeds, if(config.feeds == %{}, do: [], else: [{Feeds, config}]), []},
      # What others answer to polls costs no webhook: nobody sends one again.
      {:polling, Feeds.pollers(config), []},
      {:interactions, [{Interactions, config}], []},
      {:commands, if(config.commands, do: [{Interactions.Registration, config}], else: []), intensity: {1, 60}},
      {:web, [Web.RateLimit, Web.Waits] ++ if(config.web.port, do: [{Web.Listener, config.web}], else: []), []}
    ]
  end

  defp core(config),
    do: [
      Store.Keeper,
      Notify,
      Desired,
      {Bridges.Placement, config},
      {Bridges.Drained, config},
      Domain.group_spec(:gateway, [{Gateway.Leader, config}, bridges(config)] ++ spread(config))
    ]

  # What there is to say of a part comes from the bridge that has its role. The end of one owner is not that of another.
  defp bridges(config) do
    owners = for bridge <- config.bridges, do: {Bridge.Owner, {config, Keyword.new(bridge) ++ [parts: parts(config)]}}
    Domain.group_spec(:bridges, owners ++ [{Bridge.Farewell, config}], :one_for_one)
  end

  defp spread(config),
    do: if(Gateway.Spread.several?(config), do: [{Gateway.Spread, {config, &Gateway.Leader.lease/0}}], else: [])

  defp parts(config),
    do: [voice: Voice, http: Web.Listener] ++ if(portals?(config), do: [portal: Portal], else: [])

  defp portals?(config), do: Config.Portal.keys_of(config.portal) != []

  defp portal(config) do
    if portals?(config),
      do: [{Portal.Rooms, config}, Portal.Clips, Portal.Rows, {Portal.Automatic, config}, {Portal.Notices, config}],
      else: []
  end

  # What takes its time is done by a task, and by no process that others wait for.
  defp accounts(config) do
    [
      # A task that has its turn ends with it: who begins anew knows of no turns.
      Domain.group_spec(:account_tasks, [Accounts.Turns, {Task.Supervisor, name: Accounts.TaskSupervisor}]),
      {Accounts.Queue, {:first, &Accounts.Following.follow(&1, &2, :high)}},
      {Accounts.Queue, {:normal, &Accounts.Following.follow(&1, &2, :normal)}},
      {Accounts.Changes, config},
      {Accounts.Ended.Keeper, config},
      {Accounts.Orphans, config},
      {Accounts.Departures, config},
      {Accounts.SelfRoles, config}
    ] ++
      if(config.accounts.guilds == [], do: [], else: [{Accounts.Drift, config}]) ++
      if(config.accounts.linked_roles == [], do: [], else: [{Accounts.LinkedRoles.Keeper, config}]) ++
      if(Accounts.Tasks.Schedule.needed?(config), do: [{Accounts.Tasks.Schedule, config}], else: [])
  end

  defp worlds(%{shards: shards} = config) do
    [Domain.group_spec(:registry, [{Shards, config}, {Shards.Hidden, &Shards.put_matcher/1}])] ++
      if(shards.pubsub, do: [{Shards.PubSub, shards.pubsub}], else: []) ++
      [{Shards.Presence, config}] ++
      if(config.announcements.channel, do: [{Shards.Announcements, config}], else: []) ++
      if(Shards.Board.Displays.needed?(config), do: [{Shards.Board, config}], else: []) ++
      if(shards.source == :put, do: [], else: [{Shards.Source, config}])
  end
end

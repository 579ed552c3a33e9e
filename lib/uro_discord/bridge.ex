defmodule UroDiscord.Bridge do
  @moduledoc false
  # What is said to the bridges of this node, and how they are. Each has an owner (`UroDiscord.Bridge.Owner`), a process with the bridge's name.
  #
  # There may be several, each with a name and roles (`bridges:` of the configuration), which say what of the desired state it has
  # (`UroDiscord.Bridges.Share`). The role :http is held by one bridge of a node; :gateway too, or by those that have its shards between them
  # (`UroDiscord.Gateway.Spread`). Calls and portals are on those with the role :media (`UroDiscord.Bridges.Placement`).

  alias UroDiscord.Bridge.{Protocol, Reach, Status}
  alias UroDiscord.Gateway.{Sessions, Spread}
  alias UroDiscord.{Runtime, Secret, Server}

  @type name :: atom()
  @type role :: :gateway | :media | :http

  @doc "The process that owns the bridge of this name."
  @spec server(name()) :: atom()
  def server(:local), do: __MODULE__
  # As it is: two names that only differ by how they are written are two bridges.
  def server(name), do: :"#{__MODULE__}.#{name}"

  # The one that has a role, by what its owner said of itself.
  defp holder(role), do: Runtime.lookup({:bridge_with, role}) || :local
  defp tell_holder(role, message), do: GenServer.cast(server(holder(role)), message)

  # Those that have the gateway between them.
  defp gateways, do: Runtime.lookup(:gateway_bridges) || [holder(:gateway)]
  defp tell_gateways(message), do: Enum.each(gateways(), &GenServer.cast(server(&1), message))
  defp tell_shard(shard, message), do: GenServer.cast(server(Spread.holder(shard) || holder(:gateway)), message)

  @doc "Says something about a request that the bridge handed over, which is the one with the role :http."
  @spec http(Protocol.to_bridge()) :: :ok
  def http(message), do: tell_holder(:http, {:http, message})

  @doc "Somebody subscribed to gateway events."
  @spec subscribed() :: :ok
  def subscribed, do: tell_gateways(:subscribed)

  @doc "A process does not want these events any longer."
  @spec unsubscribed(pid(), String.t()) :: :ok
  def unsubscribed(pid, type), do: tell_gateways({:unsubscribed, pid, type})

  @doc "A subscriber has handled an event."
  @spec acknowledge(Sessions.place(), pid()) :: :ok
  def acknowledge({shard, _session, _seq} = place, pid), do: tell_shard(shard, {:acknowledge, place, pid})

  @doc "The gateway's lease was taken, renewed or lost; `UroDiscord.Gateway.Leader.lease/0` has it."
  @spec lease_changed() :: :ok
  def lease_changed, do: tell_gateways(:lease_changed)

  @doc "A shard may identify, once."
  @spec identify(non_neg_integer()) :: :ok
  def identify(shard), do: tell_shard(shard, {:identify, shard})

  @doc "What a bridge with the role :gateway has heard for a call, to the one that has that. It may have a secret in it."
  @spec update(name(), Protocol.to_bridge()) :: :ok
  def update(name, update), do: GenServer.cast(server(name), {:update, Secret.wrap(update)})

  @doc "Whether the bridge with this role runs elsewhere, so that it outlives this VM."
  @spec elsewhere?(role()) :: boolean()
  def elsewhere?(role) do
    case Runtime.fetch() do
      {:ok, %{config: config}} -> Enum.any?(config.bridges, &(role in &1.roles and &1.node != nil))
      {:error, _not_started} -> false
    end
  end

  @doc "Whether this node has a bridge that would have the gateway."
  @spec reach() :: :up | :held | {:away, ms :: non_neg_integer()}
  def reach, do: Reach.of(gateways())

  @doc "What is up and since when; `UroDiscord.status/0` gives the shapes. It is what the owner last said, and waits for nobody."
  @spec status(name()) :: map()
  def status(name), do: Status.fetch(name, server(name))

  @doc "That of the bridge which has the gateway; of several the first that is up, with the shards of all."
  @spec status() :: map()
  def status do
    all = Enum.map(gateways(), &status/1)
    %{bridge: bridge, gateway: gateway} = Enum.find(all, hd(all), &(&1.bridge.state == :up))
    merged = fn facts -> all |> Enum.map(facts) |> Enum.reduce(&Map.merge/2) end
    held_back = for %{gateway: %{held_back: %{} = held_back}} <- all, do: held_back

    %{
      bridge: %{bridge | presence: merged.(& &1.bridge.presence)},
      gateway: %{
        gateway
        | shards: merged.(& &1.gateway.shards),
          held_back: Enum.max_by(held_back, & &1.for_ms, fn -> nil end)
      }
    }
  end

  @doc "A term to the bridge and back."
  @spec ping(name(), term()) :: {:ok, term()} | {:error, :down}
  def ping(name, term), do: GenServer.call(server(name), {:ping, term})

  @spec ping(term()) :: {:ok, term()} | {:error, :down}
  def ping(term), do: ping(hd(gateways()), term)

  @doc """
  Wants a clip of the bridge that has the portal. Its answer comes to the part `:portal`. `{:error, :unknown}`: it is of a version without clips.
  """
  @spec clip(name(), {:clip, pos_integer(), String.t(), pos_integer()}) ::
          :ok | {:error, :down | :unknown | UroDiscord.Error.t()}
  def clip(bridge, wanted), do: Server.call(server(bridge), wanted)
end

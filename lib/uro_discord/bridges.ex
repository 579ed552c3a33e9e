defmodule UroDiscord.Bridges do
  @moduledoc """
  The bridges of `config :uro_discord, bridges:`, and what is on each (docs/scaling.md).

      {:ok, bridges} = UroDiscord.Bridges.status()
      :ok = UroDiscord.Bridges.drain(:"media1@10.0.0.5")

  A guild's call and its portal are on one of the bridges with the role `:media`: on that which had the least for its weight when they began. They stay there
  until it drains, or is gone.
  """

  alias UroDiscord.{Bridge, Error, Runtime}
  alias UroDiscord.Bridges.{Drained, Placement}

  @typedoc """
    * `state`: as `bridges` of `UroDiscord.status/0` has it: `:up`, `:absent`, and so on;
    * `draining`: whether it gets no more calls and portals, and those that it has move; where it is the only one with `:media` it has all the same;
    * `takes`: where several have `:media`, whether it may get more: it is there, does not drain, and has been told for how long it may hold what it has. Where none
      takes, what is new is on none;
    * `calls`: the guilds whose calls and portals are on it.
  """
  @type status :: %{
          name: atom(),
          state: atom(),
          roles: [:gateway | :media | :http],
          weight: pos_integer(),
          url: String.t() | nil,
          draining: boolean(),
          takes: boolean(),
          calls: [UroDiscord.Snowflake.t()]
        }

  @doc "How each bridge is. Errors: `:disabled`, `:not_started`."
  @spec status() :: {:ok, [status()]} | {:error, Error.t()}
  def status do
    with {:ok, %{config: config}} <- Runtime.fetch_enabled() do
      placed = Enum.group_by(Runtime.all(:placed), fn {_guild, name} -> name end, fn {guild, _name} -> guild end)

      {:ok,
       for bridge <- config.bridges do
         bridge
         |> Map.take([:name, :roles, :weight, :url])
         |> Map.merge(%{
           state: Bridge.status(bridge.name).bridge.state,
           draining: Placement.draining?(bridge.name),
           takes: Placement.takes?(bridge.name),
           calls: Enum.sort(Map.get(placed, bridge.name, []))
         })
       end}
    end
  end

  @doc """
  Has a bridge get no more calls and portals, and those that it has move to others; `false` takes that back. Each begins there a moment later: the bot leaves
  its voice channel and comes again, and portals' peers are told to come again. It is in the store: it holds for all nodes, and until it is taken back. Where
  all bridges drain, everything stays where it is, and what is new is on none: a portal stays `:down`, and a call `:joining`, until one does not drain any more
  (`takes` of `status/0`). Errors: `:invalid` (no bridge with the role `:media` has this name, or it is the only one, so that nothing could move; or `drain` is no
  boolean), `:disabled`, `:not_started`, those of `UroDiscord.Store`.
  """
  @spec drain(atom() | String.t(), boolean()) :: :ok | {:error, Error.t()}
  def drain(name, drain \\ true) do
    with {:ok, %{config: config, store: store}} <- Runtime.fetch_enabled(),
         {:ok, name} <- Drained.cast(name, drain, config.bridges),
         :ok <- Drained.put(store, name, drain),
         do: Drained.reload()
  end

  @doc "As `drain/2` with `false`, also of the only bridge with the role `:media`; the errors are those."
  @spec undrain(atom() | String.t()) :: :ok | {:error, Error.t()}
  def undrain(name), do: drain(name, false)
end

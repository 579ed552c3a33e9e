defmodule Mix.Tasks.UroDiscord.Bridges do
  @shortdoc "Shows which bridges drain, and drains them"
  @moduledoc """
  Which bridges have calls and portals, and which of them drain: these get no more, and what they have moves to the others. A running UroDiscord
  heeds it within seconds. The only one cannot drain. Where all drain, what they have stays, and what is new is on none.

      mix uro_discord.bridges
      mix uro_discord.bridges drain media1@10.0.0.5
      mix uro_discord.bridges undrain media1@10.0.0.5

  What is on each bridge, the running node tells: `UroDiscord.Bridges.status/0`. In a release: `bin/uro rpc 'IO.inspect(UroDiscord.Bridges.status())'`, and
  `bin/uro rpc 'UroDiscord.Bridges.drain("media1@10.0.0.5")'`.
  """
  use Mix.Task

  import Mix.UroDiscord.Store, only: [open!: 0, result!: 1]
  alias UroDiscord.Bridges.Drained
  alias UroDiscord.Config.Bridges

  @impl true
  def run([]) do
    %{store: store, config: config} = open!()
    drained = if Bridges.several?(config.bridges), do: result!(Drained.all(store)), else: []

    for bridge <- Bridges.having(config.bridges, :media) do
      does = if "#{bridge.name}" in drained, do: "drains", else: "takes calls and portals, weight #{bridge.weight}"
      Mix.shell().info("#{bridge.name}  #{does}")
    end
  end

  def run([what, name]) when what in ["drain", "undrain"] do
    %{store: store, config: config} = open!()
    drain? = what == "drain"
    name = result!(Drained.cast(name, drain?, config.bridges))
    result!(Drained.put(store, name, drain?))
    Mix.shell().info("#{name} #{if drain?, do: "drains", else: "takes calls and portals again"}")
  end

  def run(_arguments), do: Mix.raise("say: mix uro_discord.bridges, or with drain NAME or undrain NAME")
end

defmodule UroDiscord.Interactions.Commands.Uro do
  @moduledoc false
  # /uro status: whether all is well; /uro unlink: ends the link of a member. For those who may manage the server, if it is one of ours.

  @behaviour UroDiscord.Command

  alias UroDiscord.{Accounts, Config, Error, Runtime, Status}
  alias UroDiscord.Accounts.Members
  alias UroDiscord.Interactions.{Admins, Linked}

  @impl true
  def command do
    Map.merge(Admins.definition(:manage_guild), %{
      name: "uro",
      description: "Uro's connection to Discord",
      options: [%{type: 1, name: "status", description: "Whether all is well"}] ++ accounts()
    })
  end

  defp accounts do
    with {:ok, %{config: %{accounts: %{guilds: [_ | _]}} = config}} <- Runtime.fetch(),
         true <- Config.Accounts.on?(config) do
      member = %{type: 6, name: "member", description: "Whose", required: true}
      [%{type: 1, name: "unlink", description: "End the link of somebody's accounts", options: [member]}]
    else
      _off -> []
    end
  end

  @impl true
  def handle(%{command: ["uro", "status"]} = interaction) do
    with :ok <- Admins.check(interaction, :manage_guild), {:ok, status} <- Status.fetch() do
      {:ok,
       embeds: [
         %{title: "Uro in Discord", fields: for({name, value} <- fields(status), do: %{name: name, value: value})}
       ]}
    else
      {:error, %Error{} = error} -> {:error, Exception.message(error)}
      {:error, text} -> {:error, text}
    end
  end

  def handle(%{command: ["uro", "unlink"], options: %{"member" => id}} = interaction) do
    with :ok <- Admins.check(interaction, :manage_guild),
         :ok <- member(interaction.guild_id, id),
         {:ok, link} <- Accounts.by_discord(id),
         name = Linked.name(link),
         {:ok, _link} <- Accounts.unlink(link.user_id, :admin) do
      {:ok, "<@#{id}> is no longer linked with **#{name}** on Uro."}
    else
      :error -> {:error, "<@#{id}> is linked with nobody on Uro."}
      {:error, %Error{} = error} -> {:error, Exception.message(error)}
      {:error, text} -> {:error, text}
    end
  end

  # Who manages a server has no say over people who are not in it, nor where linked accounts have nothing.
  defp member(guild_id, id) do
    with {:ok, %{config: config}} <- Runtime.fetch_enabled(),
         true <- Enum.any?(config.accounts.guilds, &(&1.id == guild_id)),
         {:ok, _member} <- Members.fetch(guild_id, id, priority: :high) do
      :ok
    else
      false -> {:error, "This is for the servers of `accounts: [guilds: …]` of `config :uro_discord` only."}
      :left -> {:error, "<@#{id}> is not a member of this server."}
      {:error, error} -> {:error, error}
    end
  end

  defp fields(status) do
    [
      {"Bridge", bridge(status.bridge)},
      {"Gateway", gateway(status.gateway)},
      {"Notifications", notifications(status.notifications)},
      {"Worlds", worlds(status.shards)}
    ] ++ if(status.portal, do: [{"Portals", portals(status.portal)}], else: [])
  end

  defp bridge(%{since: nil, state: state}), do: "#{state}"
  defp bridge(bridge), do: "#{bridge.state} since #{time(bridge.since)}, #{bridge.restarts} restarts"

  # Commands come by HTTP too, and so perhaps to a node that does not hold the gateway.
  defp gateway(%{lease: %{held: false}}), do: "held by another node"
  defp gateway(%{shards: shards}) when shards == %{}, do: "not connected"

  defp gateway(%{shards: shards}),
    do: Enum.map_join(shards, ", ", fn {number, shard} -> "shard #{number} #{shard.state}" end)

  defp notifications(%{error: _}), do: "the store does not answer"
  defp notifications(%{queued: queued, failed: failed}), do: "#{queued} waiting, #{failed} failed"

  defp worlds(%{source: {:unreachable, _reason}} = shards), do: worlds(%{shards | source: :unreachable})
  defp worlds(shards), do: "#{shards.shards} known, #{shards.visible} shown; their source is #{shards.source}"

  defp portals(%{media: media, open: portals}) do
    states =
      portals |> Enum.frequencies_by(& &1.state) |> Enum.map_join(", ", fn {state, count} -> "#{count} #{state}" end)

    if(states == "", do: "none", else: states) <> "; their UDP port: #{port(media)}"
  end

  # Of several bridges the worst.
  defp port(%{state: :listening}), do: "listening"
  defp port(%{state: state, bridge: bridge}), do: "#{state} (#{bridge})"
  defp port(%{state: state}), do: "#{state}"

  # As each reader's clock shows it.
  defp time(since), do: "<t:#{DateTime.to_unix(since)}:R>"
end

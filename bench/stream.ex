defmodule Bench.Stream do
  @moduledoc "discord-sim's streams of events (see its README), and the simulator to get them from."

  alias UroDiscord.DiscordSim

  @events Bench.size(100_000, 2_000)
  @guilds Bench.size(100, 5)

  def events, do: @events

  @doc "A simulator whose clients need not heartbeat while they get a stream."
  def sim! do
    sim = DiscordSim.start!()
    DiscordSim.post(sim, "/settings", %{heartbeat_interval_ms: 3_600_000})
    sim
  end

  @doc "A stream for our bot, or for whom `plan` names. It has begun when this returns."
  def play!(sim, plan \\ %{}) do
    DiscordSim.post(sim, "/stream", Map.merge(%{user: "uro", seed: 1, events: @events, guilds: @guilds}, plan))
  end
end

# What bench/gateway.exs asks for, as a user of UroDiscord would write it. See bench/program.ex for when it says what.

Code.require_file("../connected.ex", __DIR__)

defmodule Subscriber do
  @moduledoc false

  def count(events) do
    receive do
      {:uro_discord, {:gateway, "MESSAGE_CREATE"}, %{data: %{"content" => "stream " <> mark}}} ->
        if String.ends_with?(mark, "begins") do
          IO.puts("begins")
          count(1)
        else
          IO.puts("ends #{events + 1}")
          count(events + 1)
        end

      {:uro_discord, {:gateway, _type}, _event} ->
        count(events + 1)

      :ready ->
        IO.puts("ready")
        count(events)
    end
  end
end

{:ok, _} = Application.ensure_all_started(:uro_discord)

{:ok, _} =
  UroDiscord.start_link(
    enabled: true,
    token: System.fetch_env!("DISCORD_TOKEN"),
    api_url: System.fetch_env!("DISCORD_API"),
    gateway_url: System.fetch_env!("DISCORD_GATEWAY"),
    database: System.fetch_env!("DATABASE"),
    intents: UroDiscord.Config.Checks.intent_names()
  )

types = "TYPES" |> System.fetch_env!() |> String.split(",")

subscriber =
  spawn_link(fn ->
    for type <- types, do: :ok = UroDiscord.subscribe({:gateway, type})
    Subscriber.count(0)
  end)

Connected.wait()
send(subscriber, :ready)

IO.gets("")
# A subscriber ends with UroDiscord.
Process.unlink(subscriber)
Supervisor.stop(UroDiscord)

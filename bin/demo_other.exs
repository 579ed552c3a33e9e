# The other BEAM of the demo, see bin/demo_portal.exs. It ends when stdin does.
Code.require_file("test/support/http_client.ex")
Code.require_file("test/support/discord_sim.ex")
Code.require_file("bin/demo_portal.exs")
Logger.configure(level: :warning)
{:ok, info} = "DEMO_SIM" |> System.fetch_env!() |> UroDiscord.JSON.decode()
Demo.Portal.other!(info)

# What bench/notify.exs asks for, as a user of UroDiscord would write it. See bench/program.ex for when it says what.

Code.require_file("../connected.ex", __DIR__)

{:ok, _} = Application.ensure_all_started(:uro_discord)

{:ok, _} =
  UroDiscord.start_link(
    enabled: true,
    token: System.fetch_env!("DISCORD_TOKEN"),
    api_url: System.fetch_env!("DISCORD_API"),
    gateway_url: System.fetch_env!("DISCORD_GATEWAY"),
    database: System.fetch_env!("DATABASE")
  )

channels = "DISCORD_CHANNELS" |> System.fetch_env!() |> String.split(",")
count = "MESSAGES" |> System.fetch_env!() |> String.to_integer()
Connected.wait()

IO.puts("ready")
IO.gets("")

channels
|> Stream.cycle()
|> Enum.take(count)
|> Enum.with_index(&UroDiscord.notify!(&1, "Notification #{&2}: a new world is open"))
|> Enum.each(fn delivery -> {:ok, %{status: :delivered}} = UroDiscord.await(delivery, 120_000) end)

IO.puts("sent")
IO.gets("")
Supervisor.stop(UroDiscord)

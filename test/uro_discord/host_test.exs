defmodule UroDiscord.HostTest do
  # uro_discord in a project of Uro's shape (test/host), by README's own steps: its blocks, and those of docs/http.md, are put where they say.
  # So a step that does not work fails here. What Uro has from Hex is in test/host/fixtures, which names what it follows.
  use UroDiscord.Case
  alias UroDiscord.{HostProject, Postgres}

  @curl [skip: System.find_executable("curl") == nil and "curl is not installed"]
  @secret "hunter2hunter2hunter2"

  # As `docker build` has it: nothing of ours in the environment, and no database.
  setup_all do
    host = HostProject.copy!()
    on_exit(fn -> File.rm_rf!(host.root) end)
    HostProject.take_steps!(host)
    HostProject.mount!(host, :endpoint)
    files = files(host)

    built =
      for task <- [["compile", "--warnings-as-errors"], ["uro.apigen"], ["release", "--path", host.release]] do
        {output, status} = HostProject.mix(host, task)
        assert status == 0, output
        output
      end

    %{host: host, built: built, left: files(host) -- files}
  end

  defp files(host), do: Path.wildcard(Path.join(host.source, "**"), match_dot: true)

  defp environment(sim) do
    %{
      "DISCORD_BOT_TOKEN" => sim.info["token"],
      "GITHUB_WEBHOOK_SECRET" => @secret,
      "HOST_CHANNELS" => Enum.map_join(sim.info["channels"], " ", fn {name, id} -> "#{name}=#{id}" end),
      "HOST_API_URL" => sim.info["api"],
      "HOST_GATEWAY_URL" => sim.info["gateway"],
      "HOST_DATABASE" => Path.join(DiscordSim.scratch(), "host-#{System.unique_integer([:positive])}.sqlite3"),
      "RELEASE_DISTRIBUTION" => "none"
    }
  end

  defp database_url do
    connection = Postgres.database!()
    "ecto://postgres@#{connection[:host]}:#{connection[:port]}/#{connection[:database]}"
  end

  test "an image is built without a token, a database and Discord, and the log says what is off and why", context do
    [_compiled, generated, _released] = context.built
    assert generated =~ "uro_discord is off here: it does not connect to Discord"
    assert generated =~ "in a server this would stop the boot"
    assert generated =~ "feeds: hub: has neither a secret (for webhooks) nor poll"
    assert generated =~ ~s(generated the API of "vsekai.local")
    assert context.left == []
  end

  test "a build that has the token all the same does not use it", %{host: host} do
    sim = start_sim!()
    before = files(host)
    env = environment(sim)
    assert {output, 0} = HostProject.mix(host, ["uro.apigen"], env)
    assert output =~ "uro_discord is off here"
    refute output =~ "in a server this would stop the boot"
    assert %{"events" => []} = DiscordSim.get(sim, "/events")
    assert files(host) == before
    refute File.exists?(env["HOST_DATABASE"])
  end

  test "the host's own tests run without a token", %{host: host} do
    assert {output, 0} = HostProject.mix(host, ["test"], %{"MIX_ENV" => "test", "DATABASE_URL" => database_url()})
    assert output =~ "1 test, 0 failures"
  end

  test "the release holds the NIF and the bridge", %{host: host} do
    assert [native] = Path.wildcard(Path.join(host.release, "lib/uro_discord-*/priv/native"))
    assert Enum.sort(File.ls!(native)) == ["uro-discord-bridge", "uro_discord_nif.so"]
    refute File.lstat!(Path.dirname(native)).type == :symlink
  end

  test "a wrong configuration stops the release with what is wrong", %{host: host} do
    env = %{environment(start_sim!()) | "DISCORD_BOT_TOKEN" => "hunter2"}
    {output, status} = HostProject.run(Path.join(host.release, "bin/uro"), ["start"], host.release, env)
    assert status != 0
    assert output =~ "token: has not the shape of a bot token (7 bytes, not shown)"
    refute output =~ "hunter2"
  end

  @tag @curl
  test "the release asks Uro, tells its PubSub, shows its presence, takes webhooks, and its bridge ends with it", %{
    host: host
  } do
    sim = start_sim!()
    env = Map.put(environment(sim), "PHX_SERVER", "true")
    server = HostProject.start!(Path.join(host.release, "bin/uro"), ["start"], host.release, env)
    assert_serves(sim, server, host, env, "2 players in 1 world")

    assert [bridge] = bridges(host.release)
    {_, 0} = System.cmd("kill", ["-TERM", "#{server.os_pid}"])
    port = server.port
    assert_receive {^port, {:exit_status, 0}}, 25_000
    DiscordSim.wait_for(sim, "disconnect")
    assert eventually(fn -> not File.exists?("/proc/#{bridge}") end)
  end

  @tag @curl
  test "a database that is away stops neither the host's boot nor what it serves", %{host: host} do
    env =
      Map.merge(environment(start_sim!()), %{
        "PHX_SERVER" => "true",
        "DATABASE_URL" => "ecto://postgres@127.0.0.1:1/uro"
      })

    server = HostProject.start!(Path.join(host.release, "bin/uro"), ["start"], host.release, env)
    [port] = HostProject.wait_for(server, ~r/Uro.Endpoint listens on (\d+)/)

    curl = fn arguments, path ->
      HostProject.run("curl", ["-sS" | arguments] ++ ["http://127.0.0.1:#{port}" <> path], host.root, %{})
    end

    # As keys are, so that the store is asked.
    key = "urod_0123456789ab_" <> String.duplicate("x", 43)

    assert {answer, 0} =
             curl.(["-H", "Authorization: Bearer #{key}", "-d", "Build 12 passed"], "/discord/notify/builds")

    assert answer =~ ~s("error":"unavailable")
    assert {healthy, 0} = curl.([], "/health")
    assert healthy =~ "healthy"
  end

  # What Uro's image does, `mix do ecto.migrate, phx.server`, with the plug in the router and a body reader for what is signed.
  @tag @curl
  test "the server of Uro's image serves from the Repo", %{host: host} do
    sim = start_sim!()
    HostProject.mount!(host, :router)
    env = Map.put(environment(sim), "DATABASE_URL", database_url())
    assert {_output, 0} = HostProject.mix(host, ["uro_discord.gen.migration"], env)
    anywhere = HostProject.anywhere!(host)

    server = HostProject.start_mix!(host, ["do", "ecto.migrate,", "phx.server", anywhere], env)
    DiscordSim.wait_for(sim, "message_create", &(&1["message"]["content"] == "A new world is open"), timeout: 60_000)
    HostProject.wait_for(server, "README's lines are done")
    assert_serves(sim, server, host, env, "5 players in 2 worlds")
    refute File.exists?(env["HOST_DATABASE"])
  end

  test "who goes from the file to the Repo takes along what it keeps", %{host: host} do
    env = environment(start_sim!())
    assert {_made, 0} = HostProject.mix(host, HostProject.key_task(), env)
    env = Map.put(env, "DATABASE_URL", database_url())

    for task <- ["uro_discord.gen.migration", "ecto.migrate", "uro_discord.store.move"],
        do: assert({_output, 0} = HostProject.mix(host, [task], env))

    assert {listed, 0} = HostProject.mix(host, ["uro_discord.keys.list"], env)
    assert listed =~ "ci: active; announcements"
    assert File.exists?(env["HOST_DATABASE"] <> ".moved")
    refute File.exists?(env["HOST_DATABASE"])
  end

  defp assert_serves(sim, server, host, env, presence) do
    [url] = HostProject.wait_for(server, ~r/Uro.Endpoint listens on (\d+)/)
    url = "http://127.0.0.1:#{url}"
    HostProject.wait_for(server, "PubSub: Plaza is open")
    DiscordSim.wait_for_presence(sim, presence, timeout: 60_000)
    DiscordSim.wait_for(sim, "message_create", &(&1["message"]["content"] =~ "**Plaza** has opened"), timeout: 30_000)

    assert {made, 0} = HostProject.mix(host, HostProject.key_task(), env)
    key = made |> String.split("\n", trim: true) |> List.last()

    # From outside it is /api/v1/discord, and Uro's Caddy takes /api/v1 off.
    line = String.replace(HostProject.curl_line(), "https://uro.example/api/v1", url)
    assert {queued, 0} = HostProject.run("/bin/sh", ["-c", line], host.root, %{"UROD_KEY" => key, "N" => "12"})
    assert queued =~ ~s("status":"queued")
    DiscordSim.wait_for(sim, "message_create", &(&1["message"]["content"] == "Build 12 passed"), timeout: 30_000)

    body = ~s({"zen": "Design for failure."})
    mac = :crypto.mac(:hmac, :sha256, @secret, body) |> Base.encode16(case: :lower)

    head = [
      "-H",
      "content-type: application/json",
      "-H",
      "x-github-event: ping",
      "-H",
      "x-hub-signature-256: sha256=#{mac}"
    ]

    hub = ["-sS", "-d", body, url <> "/discord/feeds/hub"]
    assert {taken, 0} = HostProject.run("curl", head ++ hub, host.root, %{})
    assert taken =~ ~s("result":"ignored")
    assert {healthy, 0} = HostProject.run("curl", ["-sS", url <> "/health"], host.root, %{})
    assert healthy =~ "healthy"
  end

  # The processes that run the bridge of this release.
  defp bridges(release) do
    for exe <- Path.wildcard("/proc/[0-9]*/exe"),
        {:ok, target} <- [File.read_link(exe)],
        String.starts_with?(target, release) and Path.basename(target) == "uro-discord-bridge",
        do: exe |> Path.split() |> Enum.at(2)
  end
end

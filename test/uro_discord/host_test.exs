defmodule UroDiscord.HostTest do
  # uro_discord as a dependency of another project (test/host): the Cargo compiler runs there, and a release carries the NIF
  # and the bridge and starts them.
  use UroDiscord.Case

  @host Path.expand("../host", __DIR__)

  setup_all do
    build = Path.join(System.tmp_dir!(), "uro_discord-host-#{System.pid()}")
    on_exit(fn -> File.rm_rf!(build) end)
    release = Path.join(build, "release")
    env = [{"MIX_ENV", "prod"}, {"MIX_BUILD_PATH", Path.join(build, "build")}]

    {output, status} =
      System.cmd("mix", ["release", "--path", release],
        cd: @host,
        env: env,
        stderr_to_stdout: true
      )

    assert status == 0, output
    %{release: release, output: output, env: env}
  end

  defp environment(sim, token) do
    %{
      "DISCORD_BOT_TOKEN" => token,
      "DISCORD_CHANNEL_ID" => sim.info["channels"]["announcements"],
      "DISCORD_API_URL" => sim.info["api"],
      "DISCORD_GATEWAY_URL" => sim.info["gateway"],
      "HOST_DATABASE" => Path.join(DiscordSim.scratch(), "host-#{System.unique_integer([:positive])}.sqlite3"),
      "RELEASE_DISTRIBUTION" => "none"
    }
  end

  test "the release holds the NIF and the bridge", %{release: release} do
    assert [native] = Path.wildcard(Path.join(release, "lib/uro_discord-*/priv/native"))
    assert Enum.sort(File.ls!(native)) == ["uro-discord-bridge", "uro_discord_nif.so"]
    refute File.lstat!(Path.dirname(native)).type == :symlink
  end

  test "the release asks Uro, tells its PubSub, posts and shows its presence, and its bridge ends with it", %{
    release: release
  } do
    sim = start_sim!()

    env =
      for {name, value} <- environment(sim, sim.info["token"]),
          do: {to_charlist(name), to_charlist(value)}

    host = Path.join(release, "bin/host")

    port =
      Port.open({:spawn_executable, host}, [
        :binary,
        :exit_status,
        :stderr_to_stdout,
        args: ["start"],
        # Its database is there, too.
        cd: release,
        env: env
      ])

    {:os_pid, os_pid} = Port.info(port, :os_pid)
    on_exit(fn -> System.cmd("kill", ["-KILL", "#{os_pid}"], stderr_to_stdout: true) end)

    DiscordSim.wait_for(sim, "message_create", fn _ -> true end, timeout: 30_000)

    assert [%{"content" => "Plaza is open"}] = DiscordSim.messages(sim, "announcements")

    DiscordSim.wait_for_presence(sim, "2 players in 1 world", timeout: 30_000)
    assert [bridge] = bridges(release)

    {_, 0} = System.cmd("kill", ["-TERM", "#{os_pid}"])
    assert_receive {^port, {:exit_status, 0}}, 15_000
    DiscordSim.wait_for(sim, "disconnect")
    assert eventually(fn -> not File.exists?("/proc/#{bridge}") end)
  end

  test "a wrong configuration stops the release with what is wrong", %{release: release} do
    sim = start_sim!()
    env = Map.to_list(environment(sim, "hunter2"))

    {output, status} =
      System.cmd(Path.join(release, "bin/host"), ["start"], cd: release, env: env, stderr_to_stdout: true)

    assert status != 0
    assert output =~ "token: has not the shape of a bot token (7 bytes, not shown)"
    refute output =~ "hunter2"
  end

  # As in an image's `RUN mix …`: neither a token, nor a channel, nor Discord.
  test "a Mix task that is not a server starts the host without connecting, and says so", %{env: env} do
    code = """
    IO.inspect(UroDiscord.status())
    IO.inspect(UroDiscord.Shards.put(id: 8, name: "Attic"))
    IO.inspect(File.exists?("uro_discord.sqlite3"))
    """

    {output, status} = System.cmd("mix", ["run", "-e", code], cd: @host, env: env, stderr_to_stdout: true)
    assert status == 0, output
    assert output =~ "uro_discord is off here: it does not connect to Discord"
    assert output =~ "in a server this would stop the boot"
    assert output =~ "announcements is nil, which is not a channel's id"
    assert output =~ "{:ok, %{enabled: false}}\n:ok\nfalse"

    # And as a server it wants its token.
    {output, status} =
      System.cmd("mix", ["run", "-e", ":ok"], cd: @host, env: [{"HOST_SERVES", "1"} | env], stderr_to_stdout: true)

    assert status != 0
    assert output =~ "token: is missing"
  end

  # The processes that run the bridge of this release.
  defp bridges(release) do
    for exe <- Path.wildcard("/proc/[0-9]*/exe"),
        {:ok, target} <- [File.read_link(exe)],
        String.starts_with?(target, release) and Path.basename(target) == "uro-discord-bridge",
        do: exe |> Path.split() |> Enum.at(2)
  end
end

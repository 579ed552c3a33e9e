defmodule UroDiscord.Bridges.DrainedTest do
  use UroDiscord.Case, async: false

  alias UroDiscord.Bridges
  alias UroDiscord.Bridges.Placement

  setup do
    sim = start_sim!()
    # For the task, which is another program: it reads the configuration of the project.
    config = DiscordSim.config(sim)
    for {key, value} <- config, do: Application.put_env(:uro_discord, key, value)
    on_exit(fn -> for {key, _value} <- config, do: Application.delete_env(:uro_discord, key) end)
    Mix.shell(Mix.Shell.Process)
    on_exit(fn -> Mix.shell(Mix.Shell.IO) end)
    start_uro_discord!(sim, config)
  end

  test "the task drains a bridge, and the node heeds it within seconds" do
    Mix.Tasks.UroDiscord.Bridges.run([])
    assert_received {:mix_shell, :info, ["local  takes calls and portals, weight 1"]}
    Mix.Tasks.UroDiscord.Bridges.run(["drain", "local"])
    assert_received {:mix_shell, :info, ["local drains"]}
    assert eventually(fn -> Placement.draining?(:local) end)
    assert {:ok, [%{name: :local, draining: true, roles: [:gateway, :media, :http]}]} = Bridges.status()
    Mix.Tasks.UroDiscord.Bridges.run([])
    assert_received {:mix_shell, :info, ["local  drains"]}
    Mix.Tasks.UroDiscord.Bridges.run(["undrain", "local"])
    assert eventually(fn -> not Placement.draining?(:local) end)

    assert_raise Mix.Error, ~r/one with the role :media: local/, fn ->
      Mix.Tasks.UroDiscord.Bridges.run(["drain", "nobody"])
    end

    assert_raise Mix.Error, ~r/say: mix uro_discord.bridges/, fn -> Mix.Tasks.UroDiscord.Bridges.run(["drain"]) end
  end
end

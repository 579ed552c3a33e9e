defmodule UroDiscord.Bridges.DrainedTest do
  use UroDiscord.Case, async: false

  alias UroDiscord.Bridges
  alias UroDiscord.Bridges.Placement

  setup context do
    sim = start_sim!()
    other = {:node, :"media1@10.0.0.5", roles: [:media], url: "https://media1.uro.example"}
    local = {:local, url: "https://uro.example"}
    # For the task, which is another program: it reads the configuration of the project.
    config =
      sim |> DiscordSim.config() |> Keyword.put(:bridges, if(context[:alone], do: [:local], else: [local, other]))

    for {key, value} <- config, do: Application.put_env(:uro_discord, key, value)
    on_exit(fn -> for {key, _value} <- config, do: Application.delete_env(:uro_discord, key) end)
    Mix.shell(Mix.Shell.Process)
    on_exit(fn -> Mix.shell(Mix.Shell.IO) end)
    start_uro_discord!(sim, config)
  end

  test "the task drains a bridge, and the node heeds it within seconds" do
    Mix.Tasks.UroDiscord.Bridges.run([])
    assert_received {:mix_shell, :info, ["local  takes calls and portals, weight 1"]}
    assert_received {:mix_shell, :info, ["media1@10.0.0.5  takes calls and portals, weight 1"]}
    Mix.Tasks.UroDiscord.Bridges.run(["drain", "local"])
    assert_received {:mix_shell, :info, ["local drains"]}
    assert eventually(fn -> Placement.draining?(:local) end)

    assert {:ok, [%{name: :local, draining: true, roles: [:gateway, :media, :http]}, %{draining: false}]} =
             Bridges.status()

    Mix.Tasks.UroDiscord.Bridges.run([])
    assert_received {:mix_shell, :info, ["local  drains"]}
    Mix.Tasks.UroDiscord.Bridges.run(["undrain", "local"])
    assert eventually(fn -> not Placement.draining?(:local) end)

    assert_raise Mix.Error, ~r/one with the role :media: local/, fn ->
      Mix.Tasks.UroDiscord.Bridges.run(["drain", "nobody"])
    end

    assert_raise Mix.Error, ~r/say: mix uro_discord.bridges/, fn -> Mix.Tasks.UroDiscord.Bridges.run(["drain"]) end
  end

  test "what is neither yes nor no is refused" do
    assert {:error, %{kind: :invalid, field: "drain"} = error} = Bridges.drain(:local, :yes)
    assert Exception.message(error) =~ "is :yes; it may be true or false"
    assert {:ok, [%{draining: false}, %{draining: false}]} = Bridges.status()
  end

  @tag :alone
  test "the only bridge does not drain: nothing could take what it has" do
    assert {:error, %{kind: :invalid, field: "bridge"} = error} = Bridges.drain(:local)
    assert Exception.message(error) =~ "local is the only bridge with the role :media"
    assert_raise Mix.Error, ~r/the only bridge/, fn -> Mix.Tasks.UroDiscord.Bridges.run(["drain", "local"]) end
    assert {:ok, [%{draining: false}]} = Bridges.status()
    # One that drained while there was another.
    assert :ok = Bridges.undrain("local")
  end
end

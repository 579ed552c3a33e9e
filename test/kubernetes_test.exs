defmodule UroDiscord.KubernetesTest do
  # docs/kubernetes.md and its manifests: what Kubernetes takes, what the bridge takes, and what the configuration takes.
  use ExUnit.Case, async: true
  import UroDiscord.FreePort
  import UroDiscord.NodeCase
  alias UroDiscord.{Case, Clients, DiscordSim, JSON, Peer, RemoteBridge}

  @folder "docs/kubernetes"
  @files Path.wildcard(Path.join(@folder, "*.yaml"))
  @as_json "import json, sys, yaml; print(json.dumps([d for f in sys.argv[1:] for d in yaml.safe_load_all(open(f))]))"

  defp python(arguments), do: System.cmd(Clients.python(), arguments, stderr_to_stdout: true)
  defp validate(files), do: python(["-m", "kubernetes_validate", "--strict" | files])

  defp all do
    {json, 0} = python(["-c", @as_json | @files])
    {:ok, all} = JSON.decode(json)
    all
  end

  defp one(all, kind, name), do: Enum.find(all, &(&1["kind"] == kind and &1["metadata"]["name"] == name))
  defp container(workload), do: hd(workload["spec"]["template"]["spec"]["containers"])

  # As `config/runtime.exs` would read it, with what the environment would have.
  defp shown do
    [_, block] = Regex.run(~r/```elixir\n(.*?)```/s, File.read!("docs/kubernetes.md"))
    [uro_discord: options] = Config.Reader.eval!("runtime.exs", "import Config\n" <> block)
    key = String.duplicate("k", 48)
    token = "MTEwMDAwMDAwMDAwMDAwMDAwMA.AAAAAA.#{String.duplicate("x", 38)}"

    {:ok, config} =
      options
      |> Keyword.merge(token: token, repo: UroDiscord.TestRepo)
      |> put_in([:portal, :key], key)
      |> UroDiscord.Config.new()

    config
  end

  @tag needs: :clients
  test "the manifests are what Kubernetes takes, and another one is refused" do
    assert {said, 0} = validate(@files)
    assert length(Regex.scan(~r/^INFO .* passed/m, said)) == length(all())
    refute said =~ "WARN"

    wrong = Path.join(DiscordSim.scratch(), "wrong.yaml")
    File.mkdir_p!(Path.dirname(wrong))
    File.write!(wrong, String.replace(File.read!("#{@folder}/bridge.yaml"), "hostPort:", "hostport:"))
    assert {said, 1} = validate([wrong])
    assert said =~ "hostport"
  end

  @tag needs: :clients
  test "the configuration is right, and names what the manifests have" do
    {all, config} = {all(), shown()}
    bridge = container(one(all, "StatefulSet", "uro-bridge"))
    [%{node: node}] = config.bridges
    assert "#{node}" == argument(bridge, "--node")
    ports = for port <- bridge["ports"], into: %{}, do: {port["name"], port["containerPort"]}
    assert ports == %{"http" => config.web.port, "media" => config.portal.udp.port}
    assert config.web.ip == {0, 0, 0, 0}

    # What the bridge dials is the port that Erlang is given, by the service that has it.
    uro = container(one(all, "Deployment", "uro"))
    [host, port] = String.split(argument(bridge, "--uro"), ":")
    assert %{"clusterIP" => "None", "ports" => [%{"port" => service}]} = one(all, "Service", host)["spec"]
    assert port == "#{service}" and hd(uro["args"]) =~ "-erl_epmd_port #{port}"
    names = for variable <- uro["env"], do: variable["name"]
    for [_, used] <- Regex.scan(~r/\$([A-Z_]+)/, hd(uro["args"])), do: assert(used in names, used)

    for [_, used] <- Regex.scan(~r/get_env\("([^"]+)"\)/, File.read!("docs/kubernetes.md")),
        do: assert(used in names, used)

    assert one(all, "Service", "uro-media")["spec"]["ports"] |> hd() |> Map.get("port") == config.portal.udp.port
  end

  @tag needs: :clients
  test "the bridge takes the arguments, and Uro the bridge" do
    bridge = container(one(all(), "StatefulSet", "uro-bridge"))
    sim = Case.start_sim!()
    port = free_port()
    uro = uro!(port, config(sim, String.to_atom(argument(bridge, "--node"))))
    assert "uro@" <> _ = "#{Peer.call(uro, Kernel, :node, [])}"

    arguments =
      bridge["args"]
      |> Enum.chunk_every(2)
      |> Enum.flat_map(fn
        ["--cookie-file", _file] -> []
        ["--uro", _address] -> ["--uro", "127.0.0.1:#{port}"]
        ["--node", _name] -> ["--node", argument(bridge, "--node")]
        other -> other
      end)

    remote = RemoteBridge.start!(cookie(), arguments)
    on_exit(fn -> RemoteBridge.stop(remote) end)
    assert %{state: :up} = up(uro)
  end

  # The value of one of the bridge's, as its only pod has it.
  defp argument(container, name) do
    [^name, value] = container["args"] |> Enum.chunk_every(2) |> Enum.find(&(hd(&1) == name))
    String.replace(value, "$(POD_NAME)", "uro-bridge-0")
  end
end

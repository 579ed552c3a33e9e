defmodule UroDiscord.HostProject do
  @moduledoc """
  test/host in a folder of its own, where README's steps are taken: a block of code that begins with `# a/file …` goes where that says, and those
  that begin with `config :uro_discord` go to the end of config/runtime.exs.
  """

  @repository Path.expand("../..", __DIR__)
  @repository_url "https://github.com/V-Sekai/uro_discord.git"

  # What the tests add to README's configuration: the simulator in place of Discord, and which store.
  @tests """

  # The tests'.
  with url when is_binary(url) <- System.get_env("HOST_API_URL") do
    channels = for pair <- String.split(System.fetch_env!("HOST_CHANNELS")), [name, id] = String.split(pair, "="), do: {String.to_atom(name), id}
    channels = Keyword.put(channels, :lounge, channels[:lobby])
    config :uro_discord, api_url: url, gateway_url: System.fetch_env!("HOST_GATEWAY_URL"), channels: channels
    config :uro_discord, database: System.fetch_env!("HOST_DATABASE")
  end

  # As Uro has it, but where a test wants the file.
  if System.get_env("DATABASE_URL") || !System.get_env("HOST_DATABASE"), do: config(:uro_discord, repo: Uro.Repo)
  if System.get_env("PHX_SERVER"), do: config(:uro, Uro.Endpoint, server: true)
  """

  @doc "A copy of test/host, with its fixtures."
  def copy! do
    root = Path.join(System.tmp_dir!(), "uro_discord-host-#{System.pid()}")
    source = Path.join(root, "uro")
    File.mkdir_p!(root)
    File.cp_r!(Path.join(@repository, "test/host"), source)

    for file <-
          ["plug/conn.ex", "free_port.ex", "postgres.ex", "repo.ex"] ++
            Enum.map(~w(error literal pool), &"repo/#{&1}.ex") do
      File.cp!(
        Path.join([@repository, "test/support", file]),
        Path.join([source, "fixtures", String.replace(file, "/", "_")])
      )
    end

    %{root: root, source: source, release: Path.join(root, "release"), build: Path.join(root, "build")}
  end

  @doc "README's steps but that of where HTTP is mounted."
  def take_steps!(host) do
    blocks = blocks("README.md")
    {"# mix.exs" <> _, dependency} = block(blocks, "# mix.exs")
    dependency = String.replace(dependency, ~s(git: "#{@repository_url}"), ~s(path: "#{@repository}"))
    true = dependency =~ @repository
    insert(host, "mix.exs", ~r/defp deps do\n    \[\n.*\n/, dependency)
    {"# lib/uro/application.ex" <> _, children} = block(blocks, "# lib/uro/application.ex")
    replace(host, "lib/uro/application.ex", ~r/ *Uro.Repo,\n/, children)

    {_where, _code} = block(blocks, "# config/runtime.exs")
    [first] = for "# config/runtime.exs" <> _ = block <- blocks, do: block
    rest = for "config :uro_discord" <> _ = block <- blocks, do: block
    File.write!(Path.join(host.source, "config/runtime.exs"), Enum.join([first | rest] ++ [@tests], "\n"))
  end

  @doc "README's step for HTTP: in the endpoint; or in the router, with the body reader of docs/http.md."
  def mount!(host, :endpoint) do
    {_where, line} = "README.md" |> blocks() |> block("# lib/uro/endpoint.ex")
    insert(host, "lib/uro/endpoint.ex", ~r/(?=  plug\(Plug.Parsers)/, line)
  end

  def mount!(host, :router) do
    File.cp!(Path.join(@repository, "test/host/lib/uro/endpoint.ex"), Path.join(host.source, "lib/uro/endpoint.ex"))

    [[reader]] =
      Regex.scan(~r/body_reader: {UroDiscord.BodyReader, [^}]*}/, File.read!(Path.join(@repository, "docs/http.md")))

    insert(host, "lib/uro/endpoint.ex", ~r/plug\(Plug.Parsers,\n/, "    #{reader},\n")
    {_where, line} = "README.md" |> blocks() |> block("# lib/uro/router.ex")
    insert(host, "lib/uro/router.ex", ~r/use Phoenix.Router\n/, line)
  end

  @doc "A file with README's lines for anywhere, which says when they are done."
  def anywhere!(host) do
    {_where, lines} = "README.md" |> blocks() |> block("# anywhere")
    file = Path.join(host.root, "anywhere.exs")
    File.write!(file, lines <> ~s|IO.puts("README's lines are done")\n|)
    file
  end

  @doc "README's line that posts."
  def curl_line do
    [line] = for "curl " <> _ = block <- blocks("README.md"), do: String.trim(block)
    line
  end

  @doc "README's task that makes a key, as mix's arguments."
  def key_task do
    [[_, task]] = Regex.scan(~r/`mix (uro_discord.keys.new [^`]*)`/, File.read!(Path.join(@repository, "README.md")))
    String.split(task)
  end

  defp blocks(file) do
    text = File.read!(Path.join(@repository, file))
    for [_, block] <- Regex.scan(~r/^```[a-z]+\n(.*?)^```$/ms, text), do: block
  end

  # The one block that begins so: its first line, and the others.
  defp block(blocks, start) do
    [block] = Enum.filter(blocks, &String.starts_with?(&1, start))
    [where, code] = String.split(block, "\n", parts: 2)
    {where, code}
  end

  defp insert(host, file, after_what, text), do: edit(host, file, after_what, &(&1 <> text))
  defp replace(host, file, what, text), do: edit(host, file, what, fn _ -> text end)

  defp edit(host, file, what, change) do
    path = Path.join(host.source, file)
    before = File.read!(path)
    [_once] = Regex.scan(what, before)
    File.write!(path, Regex.replace(what, before, fn found -> change.(found) end))
  end

  @doc "A Mix task in the host, in an environment that has what it takes to build, and `env`."
  def mix(host, arguments, env \\ %{}), do: run("mix", arguments, host.source, Map.merge(base(host), env))

  @doc "A program in exactly this environment, with PATH and HOME: what it said, and its status."
  def run(program, arguments, folder, env) do
    System.cmd("env", ["-i" | assignments(env)] ++ [program | arguments], cd: folder, stderr_to_stdout: true)
  end

  @doc "As `mix/3`, of what runs on; it ends with the test."
  def start_mix!(host, arguments, env), do: start!("mix", arguments, host.source, Map.merge(base(host), env))

  def start!(program, arguments, folder, env) do
    port =
      Port.open({:spawn_executable, System.find_executable("env")}, [
        :binary,
        :exit_status,
        :stderr_to_stdout,
        args: ["-i" | assignments(env)] ++ [program | arguments],
        cd: folder
      ])

    {:os_pid, os_pid} = Port.info(port, :os_pid)
    ExUnit.Callbacks.on_exit(fn -> System.cmd("kill", ["-KILL", "#{os_pid}"], stderr_to_stdout: true) end)
    {:ok, said} = Agent.start_link(fn -> "" end)
    %{port: port, os_pid: os_pid, said: said}
  end

  @doc "Waits until it has said this; the groups of a regular expression are returned."
  def wait_for(%{port: port, said: said} = server, what) do
    text = Agent.get(said, & &1)

    case if(is_binary(what), do: text =~ what && [], else: Regex.run(what, text, capture: :all_but_first)) do
      found when is_list(found) ->
        found

      _not_yet ->
        receive do
          {^port, {:data, data}} ->
            Agent.update(said, &(&1 <> data))
            wait_for(server, what)

          {^port, {:exit_status, status}} ->
            raise "it ended with #{status} before it said #{inspect(what)}:\n#{text}"
        after
          60_000 -> raise "it did not say #{inspect(what)}:\n#{text}"
        end
    end
  end

  # All that a build gets from here. The native parts are those of this checkout: Cargo has built them already.
  defp base(host) do
    %{
      "MIX_ENV" => "prod",
      "MIX_BUILD_PATH" => host.build,
      "URO_DISCORD_NATIVE" => Path.join(@repository, "priv/native"),
      "COMPILE_PHASE" => "true"
    }
  end

  defp assignments(env) do
    kept = for name <- ~w(PATH HOME LANG LC_ALL ELIXIR_ERL_OPTIONS), value = System.get_env(name), do: {name, value}
    for {name, value} <- kept ++ Map.to_list(env), do: "#{name}=#{value}"
  end
end

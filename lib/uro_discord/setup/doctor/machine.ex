defmodule UroDiscord.Setup.Doctor.Machine do
  @moduledoc false
  # What is on this machine: the configuration, the NIF, the bridge, the store.

  import UroDiscord.Setup.Doctor.Finding

  alias UroDiscord.{Config, Native, Store}
  alias UroDiscord.Bridge.{Protocol, Transport}
  alias UroDiscord.Setup.Doctor.Finding
  alias UroDiscord.Store.{Advice, Schema, SQLite}

  # As long as `UroDiscord.Bridge` waits for it.
  @hello_ms 10_000

  @spec look(Config.t(), [UroDiscord.ConfigError.problem()]) :: [Finding.t()]
  def look(config, problems) do
    nif = nif()
    configuration(config, problems) ++ [nif | bridges(config)] ++ store(config, nif.state == :ok)
  end

  @doc "Whether what they found lets one ask Discord."
  @spec nif?([Finding.t()]) :: boolean()
  def nif?(findings), do: Enum.any?(findings, &match?(%{check: :nif, state: :ok}, &1))

  ## The configuration

  defp configuration(_config, [_ | _] = problems) do
    for problem <- problems do
      wrong(
        :configuration,
        "#{problem.key}: #{problem.wrong}. A server does not start with it; here it is left out",
        "allowed: #{problem.allowed}. Example: #{problem.example}"
      )
    end
  end

  defp configuration(config, []) do
    if Application.get_env(:uro_discord, :enabled, :auto) == false and UroDiscord.Runtime.fetch() |> elem(0) == :error,
      do: [
        warning(:configuration, "`enabled: false`: a server does not connect", "leave `enabled:` out where it is to")
      ],
      else: [ok(:configuration, "every option is as it may be; #{map_size(config.channels)} channels have names")]
  end

  ## The NIF

  defp nif do
    file = Application.app_dir(:uro_discord, "priv/native/uro_discord_nif.so")

    cond do
      match?({:module, _}, Code.ensure_loaded(Native)) and answers?() -> ok(:nif, "it is loaded (#{file})")
      File.regular?(file) -> wrong(:nif, "#{file} is there, and cannot be loaded", built("for this machine"))
      true -> wrong(:nif, "there is no #{file}", built("at all"))
    end
  end

  # It is made of one build with the module: with another one's functions it would not be loaded.
  defp answers?, do: Native.json_decode_inline("[1]") == {:ok, [1]}

  defp built(what),
    do:
      "it was not built #{what}: run `mix deps.compile uro_discord --force` here, or set URO_DISCORD_NATIVE to the two files of priv/native from an " <>
        "image with the same C library (musl is not glibc), and compile"

  ## The bridge

  defp bridges(config) do
    for bridge <- config.bridges, do: if(bridge.node, do: elsewhere(bridge), else: executable(config))
  end

  defp elsewhere(bridge) do
    unknown(
      :bridge,
      "#{bridge.name} runs elsewhere and connects to the server, so it was not looked at",
      "ask the server that runs: `UroDiscord.status/0` has it in `bridges`, with why it is absent"
    )
  end

  defp executable(config) do
    file = config.bridge_executable || Application.app_dir(:uro_discord, "priv/native/uro-discord-bridge")

    case fn -> hello(file) end |> Task.async() |> Task.await(:infinity) do
      {:ok, version, info} -> versions(file, version, info)
      {:error, reason} -> wrong(:bridge, "it does not start: #{reason}", advice(file))
    end
  end

  # It says so before anything is wanted of it: no gateway is asked for.
  defp hello(file) do
    with {:ok, transport} <- Transport.Port.open(%{executable: file, media_workers: 1}) do
      told = listen(transport, Protocol.empty(), System.monotonic_time(:millisecond) + @hello_ms)
      Transport.kill(transport)
      told
    end
  end

  defp listen(%{port: port} = transport, buffer, until) do
    receive do
      {^port, _} = message -> heard(Transport.heard(transport, message), transport, buffer, until)
    after
      max(until - System.monotonic_time(:millisecond), 0) -> {:error, "it said nothing within #{@hello_ms} ms"}
    end
  end

  defp heard({:data, bytes}, transport, buffer, until) do
    case Protocol.decode(buffer, bytes, nil, fn message, first -> first || message end) do
      {:ok, _buffer, {:hello, version, info}} -> {:ok, version, info}
      {:ok, buffer, nil} -> listen(transport, buffer, until)
      {:ok, _buffer, _other} -> {:error, "it says something else first than hello"}
      {:error, reason, _first} -> {:error, reason}
    end
  end

  defp heard({:ended, {:status, status}}, _transport, _buffer, _until), do: {:error, "it ended with status #{status}"}
  defp heard({:ended, {:reason, reason}}, _transport, _buffer, _until), do: {:error, reason}
  defp heard(:unknown, transport, buffer, until), do: listen(transport, buffer, until)

  defp versions(file, version, info) do
    here = to_string(Application.spec(:uro_discord, :vsn))

    apart = "#{file} speaks version #{version} of the protocol, and this library version #{Protocol.version()}"

    cond do
      not Protocol.understood?(version) ->
        wrong(
          :bridge,
          apart,
          "build both again, from one checkout; `bridge_executable:` names this file if it is not the one in priv/native"
        )

      version != Protocol.version() ->
        warning(:bridge, "#{apart}: each does without what is new in the other", "build both again, from one checkout")

      info["bridge"] != here ->
        warning(
          :bridge,
          "#{file} is version #{info["bridge"]}, and the library #{here}",
          "build both again, from one checkout"
        )

      true ->
        ok(:bridge, "it runs (version #{here}, #{file})")
    end
  end

  defp advice(file) do
    cond do
      not File.regular?(file) ->
        "#{file} is not there. It is built with the library; `bridge_executable:` names another one"

      Bitwise.band(File.stat!(file).mode, 0o111) == 0 ->
        "nobody may execute it: `chmod +x #{file}`"

      true ->
        "it must have been built for this machine and this C library (musl is not glibc); run it by hand to see what it says"
    end
  end

  ## The store

  defp store(%{repo: nil}, false),
    do: [unknown(:store, "the SQLite file was not looked into: that takes the NIF", "mend the NIF first")]

  defp store(%{repo: nil, database: database} = config, true) do
    file = Path.expand(database)
    found = if File.exists?(file), do: there(file), else: to_be_made(file)
    [found | for(advice <- Advice.advice(config), do: warning(:store, "it is not kept", advice))]
  end

  defp store(%{repo: repo}, _nif?) do
    case fn -> open(repo) end |> Task.async() |> Task.await(:infinity) do
      {:ok, _store} -> [ok(:store, "#{inspect(repo)} answers, and has the tables of version #{Schema.current()}")]
      {:error, error} -> [wrong(:store, "it cannot be used: #{Exception.message(error)}", repo_advice(error))]
    end
  end

  defp there(file) do
    case SQLite.version(file) do
      {:ok, version} ->
        case Schema.compare(version) do
          :current ->
            ok(:store, "#{file} can be opened, and has the tables of version #{version}")

          :older ->
            ok(:store, "#{file} can be opened; its tables become version #{Schema.current()} with the next start")

          :newer ->
            wrong(:store, "#{file} cannot be used", Schema.newer(version))
        end

      {:error, error} ->
        wrong(
          :store,
          "#{file} cannot be opened: #{Exception.message(error)}",
          "whoever runs the server must read and write it, and its folder"
        )
    end
  end

  defp to_be_made(file) do
    folder = file |> Path.dirname() |> existing()

    case File.stat(folder) do
      {:ok, %{type: :directory, access: :read_write}} ->
        ok(:store, "#{file} is made with the first start")

      _ ->
        wrong(
          :store,
          "#{file} is not there, and cannot be made in #{folder}",
          "whoever runs the server must be able to write there; `database:` names another place"
        )
    end
  end

  defp existing(folder), do: if(File.exists?(folder), do: folder, else: folder |> Path.dirname() |> existing())

  # In a server it runs; in a Mix task or `eval` it does not, and runs as long as this task.
  defp open(repo) do
    Process.flag(:trap_exit, true)

    if GenServer.whereis(repo) == nil and function_exported?(repo, :start_link, 1) do
      for application <- [:ecto_sql, :postgrex], do: Application.ensure_all_started(application)
      repo.start_link(pool_size: 1)
    end

    Store.open({:repo, repo})
  end

  defp repo_advice(%{kind: :schema}), do: "run `mix uro_discord.gen.migration` and `mix ecto.migrate`"

  defp repo_advice(_error),
    do: "the Repo's own configuration says where the database is; it must run, and let this user in"
end

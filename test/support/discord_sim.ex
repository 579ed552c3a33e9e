defmodule UroDiscord.DiscordSim do
  @moduledoc """
  A `discord-sim` process of our own, and its control interface: what Discord saw. It ends with the process that started it.
  """

  alias UroDiscord.{HttpClient, JSON}

  @enforce_keys [:port, :info]
  defstruct @enforce_keys

  @start_timeout 15_000

  @doc """
  Starts discord-sim on a free port, at `ip:` (127.0.0.1 unless said). `info` holds what it printed: api, gateway, page, control, token, channels … `within:` is a
  command that runs it somewhere else.
  """
  def start!(arguments \\ [], options \\ []) do
    [program | before] = Keyword.get(options, :within, []) ++ [executable()]
    listen = "#{Keyword.get(options, :ip, "127.0.0.1")}:0"

    port =
      Port.open({:spawn_executable, program}, [
        :binary,
        :exit_status,
        {:line, 65_536},
        args: before ++ ["--listen", listen, "--until-stdin-closes" | arguments]
      ])

    receive do
      {^port, {:data, {:eol, line}}} ->
        {:ok, info} = JSON.decode(line)
        %__MODULE__{port: port, info: info}

      {^port, {:exit_status, status}} ->
        raise "discord-sim exited with status #{status} before it said where it listens"
    after
      @start_timeout ->
        raise "discord-sim did not say where it listens within #{@start_timeout} ms"
    end
  end

  def stop(%__MODULE__{port: port}), do: if(Port.info(port), do: Port.close(port))

  @doc "The options for UroDiscord that point it at this simulator, with a database of this VM's own."
  def config(%__MODULE__{info: info}) do
    channels = for {name, id} <- info["channels"], do: {String.to_atom(name), id}
    database = Path.join(scratch(), "#{System.unique_integer([:positive])}.sqlite3")
    # Tests are a Mix task, too.
    [
      enabled: true,
      token: info["token"],
      channels: channels,
      api_url: info["api"],
      gateway_url: info["gateway"],
      database: database
    ]
  end

  @doc "The folder of those databases, to be removed at the end."
  def scratch, do: Path.join(System.tmp_dir!(), "uro_discord-#{System.pid()}")

  @doc "The messages of a channel, by its name, oldest first."
  def messages(sim, channel) do
    get(sim, "/messages?channel=#{sim.info["channels"][channel]}")
  end

  @doc "What Discord shows of our bot: its status and activities."
  def presence(sim) do
    sim |> get("/presence") |> Enum.find(&(&1["user_id"] == sim.info["application_id"]))
  end

  @doc "GET, DELETE and POST of the control interface, as terms."
  def get(sim, path), do: request("GET", sim, path)

  def delete(sim, path), do: request("DELETE", sim, path)

  def post(sim, path, body) do
    {:ok, json} = JSON.encode(body)
    request("POST", sim, path, [{"content-type", "application/json"}], json)
  end

  @doc "A person deletes a message, as anybody who may can in Discord."
  def delete_message(sim, channel, message_id, person \\ "alice") do
    path = "/channels/#{sim.info["channels"][channel]}/messages/#{message_id}"
    headers = [{"authorization", sim.info["users"][person]["token"]}]
    {204, _headers, ""} = call(sim.info["api"] <> path, "DELETE", headers)
    :ok
  end

  @doc "The number of the newest entry of the event log, to wait for what comes `:after` it."
  def now(sim), do: get(sim, "/events?types=none")["last"]

  @doc """
  Waits for an entry of the event log of this type that `matches?` likes, and returns it. Options: `:after`, the number of an
  entry to begin after (0: from the beginning), and `:timeout` in ms.
  """
  def wait_for(sim, type, matches? \\ fn _ -> true end, options \\ []) do
    deadline = System.monotonic_time(:millisecond) + Keyword.get(options, :timeout, 15_000)
    wait_for(sim, type, matches?, Keyword.get(options, :after, 0), deadline)
  end

  @doc "Waits until our bot's status says this."
  def wait_for_presence(sim, text, options \\ []) do
    wait_for(sim, "presence", &(state(&1["activities"]) == text), options)
  end

  @doc "The text of our bot's status."
  def presence_text(sim), do: sim |> presence() |> Map.fetch!("activities") |> state()

  defp state([%{"state" => text} | _]), do: text
  defp state(_none), do: nil

  defp wait_for(sim, type, matches?, after_number, deadline) do
    left = deadline - System.monotonic_time(:millisecond)

    if left <= 0,
      do: raise("discord-sim saw no such #{type}; its log: #{inspect(get(sim, "/events"), limit: :infinity)}")

    %{"events" => events, "last" => last} =
      get(sim, "/events?types=#{type}&after=#{after_number}&timeout_ms=#{min(left, 5_000)}")

    Enum.find(events, matches?) || wait_for(sim, type, matches?, last, deadline)
  end

  defp request(method, sim, path, headers \\ [], body \\ "") do
    {200, _headers, json} = call(sim.info["control"] <> path, method, headers, body)
    {:ok, term} = JSON.decode(json)
    term
  end

  defp call(url, method, headers, body \\ "") do
    %URI{path: path, query: query} = URI.parse(url)
    HttpClient.call(url, method, if(query, do: "#{path}?#{query}", else: path), headers, body)
  end

  defp executable do
    System.get_env("DISCORD_SIM") ||
      Path.join(
        System.get_env("CARGO_TARGET_DIR", Path.expand("../../target", __DIR__)),
        "release/discord-sim"
      )
  end
end

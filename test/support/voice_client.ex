defmodule UroDiscord.VoiceClient do
  @moduledoc """
  discord.py in a voice channel, which knows nothing of us (test/clients/voice_discord_py.py): it hears, speaks, and says its
  privacy code. It ends with the process that started it. It wants wss, so discord-sim must run with `--tls-beside`.
  """

  alias UroDiscord.{Clients, JSON}

  @enforce_keys [:port, :os_pid, :user]
  defstruct @enforce_keys

  @program Path.expand("../clients/voice_discord_py.py", __DIR__)
  # One step takes at most so long, on however busy a machine.
  @patience 60_000
  # What ends a frame that is encrypted end to end, and is not decrypted.
  @encrypted <<0xFA, 0xFA>>
  @rate 48_000

  @doc "Logs in as one of the simulator's bots."
  def start!(sim, bot) do
    info = sim.info

    env =
      for {name, value} <- [
            {"SSL_CERT_FILE", info["ca_file"]},
            {"DISCORD_API", info["api"]},
            {"DISCORD_GATEWAY", info["gateway"]},
            {"DISCORD_TOKEN", info["users"][bot]["token"]},
            {"DISCORD_GUILD_ID", info["guild_id"]}
          ],
          do: {to_charlist(name), to_charlist(value)}

    options = [:binary, :exit_status, {:line, 1_000_000}, args: [@program], env: env]
    port = Port.open({:spawn_executable, Clients.python()}, options)
    {:os_pid, os_pid} = Port.info(port, :os_pid)
    client = %__MODULE__{port: port, os_pid: os_pid, user: info["users"][bot]["id"]}
    wait(client, "ready")
    client
  end

  @doc "Its end, which is that of its stdin: it leaves and logs out. Returns when it is gone, before its Discord may be."
  def stop(%__MODULE__{port: port, os_pid: os_pid}) do
    if Port.info(port), do: Port.close(port)
    UroDiscord.Case.eventually(fn -> not File.exists?("/proc/#{os_pid}") end, 200)
  end

  def join(client, channel_id), do: ask(client, %{do: "join", channel: channel_id}, "joined")
  def leave(client), do: ask(client, %{do: "leave"}, "left")

  @doc "Begins to speak a tone of so many ms."
  def speak(client, hertz, ms), do: tell(client, %{do: "speak", hertz: hertz, ms: ms})

  def spoken(client), do: wait(client, "spoken")

  @doc "The 30 digits that all in the channel must see alike."
  def code(client), do: ask(client, %{do: "code"}, "code")["code"] |> String.replace(~r/\s/, "")

  @doc "The latest decrypted frames of a user since this was asked last, half a second at most, silence not counted."
  def heard(client, user) do
    case ask(client, %{do: "heard"}, "heard")["voices"] do
      %{^user => %{"last" => frames}} -> Enum.reject(frames, &String.ends_with?(Base.decode64!(&1), @encrypted))
      _ -> []
    end
  end

  @doc "Waits until it has heard so many frames of a user, from now on, and understood them."
  def hears(client, user, frames \\ 1) do
    ask(client, %{do: "heard"}, "heard")
    ask(client, %{do: "hears", user: user, frames: frames}, "hears")
  end

  @doc "The share, of 1, of the energy of frames that is in a tone (Goertzel)."
  def share(client, frames, hertz) do
    pcm = ask(client, %{do: "decode", frames: frames}, "decoded")["pcm"] |> Base.decode64!()
    samples = for <<sample::16-signed-little <- pcm>>, do: sample / 1
    coefficient = 2 * :math.cos(2 * :math.pi() * hertz / @rate)

    {last, before} =
      Enum.reduce(samples, {0.0, 0.0}, fn sample, {last, before} -> {sample + coefficient * last - before, last} end)

    power = last * last + before * before - coefficient * last * before
    2 * power / (length(samples) * Enum.reduce(samples, 0, &(&2 + &1 * &1)))
  end

  defp ask(client, command, answer) do
    tell(client, command)
    wait(client, answer)
  end

  defp tell(client, command) do
    {:ok, json} = JSON.encode(command)
    true = Port.command(client.port, [json, "\n"])
  end

  defp wait(%{port: port}, event) do
    receive do
      {^port, {:data, {:eol, line}}} ->
        case JSON.decode(line) do
          {:ok, %{"event" => ^event} = said} -> said
          {:ok, said} -> raise "discord.py said #{inspect(said)}, where #{event} was to come"
        end

      {^port, {:exit_status, status}} ->
        raise "discord.py ended with status #{status}, where #{event} was to come"
    after
      @patience -> raise "discord.py did not say #{event} within #{@patience} ms"
    end
  end
end

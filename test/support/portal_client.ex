defmodule UroDiscord.PortalClient do
  @moduledoc """
  aiortc as a peer of a portal, which knows nothing of us (test/clients/portal_aiortc.py): it speaks in a tone, and says what it hears. It ends with
  the process that started it.
  """

  alias UroDiscord.{Clients, JSON}

  @program Path.expand("../clients/portal_aiortc.py", __DIR__)
  @pictures Path.expand("../clients/portal_video.py", __DIR__)
  # One step takes at most so long, on however busy a machine.
  @patience 30_000

  @doc "A peer with this token, which has yet to join."
  def start!(token), do: run(args: [@program, "ecdsa"], env: [{to_charlist("URO_PORTAL_TOKEN"), to_charlist(token)}])

  @doc "One that shows pictures, and sees them (test/clients/portal_video.py)."
  def pictures!, do: run(args: [@pictures])

  defp run(options) do
    Port.open({:spawn_executable, Clients.python()}, [:binary, :exit_status, {:line, 1_000_000}] ++ options)
  end

  @doc "Publishes pictures of one colour, in VP8 or H264."
  def show(client, url, token, codec, colour),
    do: ask(client, %{do: "show", url: url, token: token, codec: codec, colour: colour}, "shown")

  @doc "The same, with a tone: both are there for a second, and not for the next one."
  def beat(client, url, token, codec, colour),
    do: ask(client, %{do: "show", url: url, token: token, codec: codec, colour: colour, beat: true}, "shown")

  @doc "What is in a file."
  def decode(client, path, colour), do: said(client, %{do: "decode", path: path, colour: colour}, "decoded")

  @doc "Shows pictures of one colour as a Godot world does: JPEG on `vsk-video`."
  def show_jpeg(client, url, token, colour),
    do: ask(client, %{do: "show_jpeg", url: url, token: token, colour: colour}, "shown")

  def watch(client, url, token), do: ask(client, %{do: "watch", url: url, token: token}, "watched")

  @doc "Waits until it sees this colour."
  def see(client, colour), do: ask(client, %{do: "see", colour: colour}, "seen")

  @doc "Offers WebRTC there, and speaks in a tone from then on."
  def join(client, url, hertz), do: ask(client, %{do: "join", url: url, hertz: hertz}, "joined")

  @doc "As `join/3`, and joins again by itself when the portal has begun anew."
  def stay(client, url, hertz), do: ask(client, %{do: "stay", url: url, hertz: hertz}, "joined")
  def leave(client), do: ask(client, %{do: "leave"}, "left")

  defp ask(client, command, answer) do
    %{} = said(client, command, answer)
    :ok
  end

  defp said(client, command, answer) do
    {:ok, json} = JSON.encode(command)
    true = Port.command(client, [json, "\n"])

    receive do
      {^client, {:data, {:eol, line}}} ->
        case JSON.decode(line) do
          {:ok, %{"event" => ^answer} = said} -> said
          {:ok, said} -> raise "aiortc said #{inspect(said)}, where #{answer} was to come"
        end

      {^client, {:exit_status, status}} ->
        raise "aiortc ended with status #{status}, where #{answer} was to come"
    after
      @patience -> raise "aiortc did not say #{answer} within #{@patience} ms"
    end
  end
end

defmodule Bench.Pictures.Forwarder do
  @moduledoc "Who forwards pictures: a portal of ours, or aiortc's relay; on core 0."

  alias Bench.Portal.Program, as: Portal
  alias Bench.{Program, VoiceServer}

  @names %{uro: "UroDiscord", aiortc: "aiortc's relay"}

  @doc "Starts one, of so many rooms."
  def start!(:uro, rooms), do: Portal.start!(["serve", rooms], 0)

  def start!(:aiortc, _rooms) do
    Program.start!(VoiceServer.pinned(0, [Program.python(), "bench/portal/aiortc_relay.py"]), %{})
  end

  def name(kind), do: @names[kind]
  def address(server), do: "127.0.0.1:#{Program.said!(server, "port")}"
end

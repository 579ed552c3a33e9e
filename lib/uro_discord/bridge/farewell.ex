defmodule UroDiscord.Bridge.Farewell do
  @moduledoc false
  # Supervisors end one child after the other, and an owner waits for the end of its bridge, up to 2.5 s for one that hangs. This is the last of the owners'
  # group, so the first that ends: it has all of them let go at the same time.

  use UroDiscord.Server, shutdown: 4_000

  alias UroDiscord.{Bridge, Config, Server}

  @let_go_ms 3_500

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(config) do
    Process.flag(:trap_exit, true)
    {:ok, for(bridge <- config.bridges, do: Bridge.server(bridge.name))}
  end

  # An owner that does not answer in time is ended by the supervisor.
  @impl true
  def terminate(:shutdown, owners) do
    owners
    |> Task.async_stream(&Server.call(&1, :let_go, @let_go_ms), max_concurrency: length(owners), timeout: :infinity)
    |> Stream.run()
  end

  def terminate(_crash, _owners), do: :ok
end

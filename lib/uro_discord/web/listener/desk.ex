defmodule UroDiscord.Web.Listener.Desk do
  @moduledoc false
  # Where the requests come in that the bridge hands over: each gets a process, which ends when its client goes. Whatever becomes of
  # one, the bridge gets one answer, as it counts those that have none.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Bridge, Desired, Events, Runtime}
  alias UroDiscord.Web.{Listener, Response}
  alias UroDiscord.Web.Listener.Exchange

  # The client has gone: nobody reads it. As nginx calls it.
  @gone 499

  @spec start_link(Listener.options()) :: GenServer.on_start()
  def start_link(options), do: GenServer.start_link(__MODULE__, options, name: __MODULE__)

  @spec heard(atom(), tuple()) :: [tuple()]
  def heard(_bridge, message) do
    case {Process.whereis(__MODULE__), message} do
      {nil, {:request, id, _head}} ->
        [Exchange.answer(id, Response.later("uro_discord is just starting, or stopping; try again"))]

      {nil, _message} ->
        []

      {pid, message} ->
        send(pid, message) && []
    end
  end

  @spec ended(atom()) :: :ok
  def ended(_bridge) do
    if pid = Process.whereis(__MODULE__), do: send(pid, :bridge_ended)
    :ok
  end

  @impl true
  def init(options) do
    Process.flag(:trap_exit, true)
    Desired.put("http", desired(options))
    note(:starting, %{})
    {:ok, %{requests: %{}, monitors: %{}}}
  end

  defp desired(options) do
    tls = with %{} = tls <- options.tls, do: %{"certificate" => tls.certificate, "key" => tls.key}

    %{
      "ip" => "#{:inet.ntoa(options.ip)}",
      "port" => options.port,
      "connections" => options.connections,
      "tls" => tls
    }
  end

  @impl true
  def handle_info({:request, id, head}, state) do
    arguments = [id, head]
    {:ok, pid} = Task.Supervisor.start_child(Listener.Requests, Exchange, :serve, arguments, shutdown: 5_000)
    monitors = Map.put(state.monitors, Process.monitor(pid), id)
    {:noreply, %{state | requests: Map.put(state.requests, id, pid), monitors: monitors}}
  end

  def handle_info({:body, id, _body} = message, state) do
    case state.requests do
      %{^id => pid} -> send(pid, message)
      _none -> tell(id, Response.later("what this was for has ended; send it again"))
    end

    {:noreply, state}
  end

  def handle_info({:gone, id}, state) do
    if pid = state.requests[id], do: Process.exit(pid, :kill)
    tell(id, Response.empty(@gone))
    {:noreply, %{state | requests: Map.delete(state.requests, id)}}
  end

  def handle_info({:DOWN, ref, :process, _pid, reason}, state) do
    {id, monitors} = Map.pop(state.monitors, ref)
    # Of one whose client had gone, nobody is told.
    if reason != :normal and is_map_key(state.requests, id), do: tell(id, crashed(reason))
    {:noreply, %{state | monitors: monitors, requests: Map.delete(state.requests, id)}}
  end

  def handle_info(:bridge_ended, state) do
    for {_id, pid} <- state.requests, do: Process.exit(pid, :kill)
    note(:starting, %{})
    {:noreply, %{state | requests: %{}}}
  end

  def handle_info({:http, phase, info}, state) do
    note(phase, info)
    {:noreply, state}
  end

  # What is at work goes on for a while; nothing else comes in. A bridge that outlives us goes on listening: it has portals' peers, and whoever asks for us
  # is told to ask again.
  @impl true
  def terminate(_reason, _state) do
    if not Bridge.elsewhere?(:http), do: Desired.put("http", nil)
    note(:closed, %{})
  end

  ## What is told

  defp tell(id, response), do: Bridge.http(Exchange.answer(id, response))

  # It was stopped, or killed.
  defp crashed(:shutdown), do: Response.later("uro_discord is stopping; try again")

  defp crashed(_reason),
    do: Response.error(500, "internal", "something went wrong here; it is in the log of uro_discord")

  defp note(phase, info) do
    status = %{state: phase, since: DateTime.utc_now(), url: url(phase, info)}
    status = if reason = info["reason"], do: Map.put(status, :reason, reason), else: status
    # Why it waits, the bridge has logged.
    if phase == :listening, do: Logger.info("HTTP is served at #{status.url}")
    Runtime.put(:web, status)
    Events.publish(:status, {:web, status})
  end

  defp url(:listening, %{"ip" => ip, "port" => port, "tls" => tls}) do
    host = if ip =~ ":", do: "[#{ip}]", else: ip
    "#{if tls, do: "https", else: "http"}://#{host}:#{port}/discord"
  end

  defp url(_phase, _info), do: nil
end

defmodule UroDiscord.Portal.Clips do
  @moduledoc false
  # Clips of portals, which bridges make: one at a time of each portal, two of each bridge, and of one portal not sooner than half a minute after the one before. A clip is
  # 10 MiB at most, and goes to whoever asked: nothing of it stays here.

  use UroDiscord.Server

  alias UroDiscord.{Bridge, Portal, Runtime, Server}

  @at_once 2
  @pause_ms 30_000
  # Bytes of a file.
  @most 10 * 1024 * 1024
  # The bridge needs some milliseconds; a slow link to one elsewhere needs longer.
  @late_ms 60_000
  # An id is known by no other bridge or node, as far as chance goes.
  @ids 2 ** 62

  @type clip :: %{mp4: binary(), ms: non_neg_integer(), cut?: boolean()}

  @typedoc """
  Why there is none: nothing is kept (`:off`), nobody showed a picture (`:nothing`), it is JPEG (`:jpeg`), others are made (`:busy`), one was made just now (`:soon`), there is no
  bridge (`:down`) or one without clips (`:unknown`), it took too long (`:late`), or a fault, which the log has (`:fault`).
  """
  @type reason ::
          :off | :nothing | :jpeg | :busy | {:soon, seconds :: pos_integer()} | :down | :unknown | :late | :fault

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(_options), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc "A clip of the last so many seconds of this portal."
  @spec make(String.t(), pos_integer()) :: {:ok, clip()} | {:error, reason() | UroDiscord.Error.t()}
  def make(portal, seconds), do: Server.call(__MODULE__, {:make, portal, seconds}, @late_ms + 20_000)

  @doc "What the bridge answers."
  @spec made(tuple()) :: :ok
  def made(clip), do: GenServer.cast(__MODULE__, clip)

  @spec bridge_ended(Bridge.name()) :: :ok
  def bridge_ended(bridge), do: GenServer.cast(__MODULE__, {:bridge_ended, bridge})

  # `waiting`: who waits for what, by the id of what the bridge was asked. `last`: when the last clip of each portal was there. `asking`: the tasks that ask, by their
  # references: a bridge that is slow to take it holds up no other.
  @impl true
  def init(nil), do: {:ok, %{waiting: %{}, last: %{}, asking: %{}}}

  @impl true
  def handle_call({:make, portal, seconds}, from, state) do
    state = %{state | last: Map.filter(state.last, fn {_portal, at} -> left(at) > 0 end)}
    id = :rand.uniform(@ids)

    with {:ok, bridge} <- bridge(portal),
         :ok <- free(portal, bridge, state) do
      timer = Process.send_after(self(), {:late, id}, @late_ms)
      wanted = {:clip, id, portal, seconds * 1_000}
      %Task{ref: ref} = Task.Supervisor.async_nolink(Portal.Tasks, fn -> Bridge.clip(bridge, wanted) end)
      waits = %{from: from, portal: portal, bridge: bridge, timer: timer, mp4: [], size: 0}
      {:noreply, %{state | waiting: Map.put(state.waiting, id, waits), asking: Map.put(state.asking, ref, id)}}
    else
      {:error, reason} -> {:reply, {:error, reason}, state}
    end
  end

  @impl true
  def handle_cast({:clip, id, %{"reason" => nil} = info, piece}, state) do
    case state.waiting do
      %{^id => %{size: size}} when size + byte_size(piece) > @most ->
        {:noreply, elem(answer(id, {:error, :fault}, state), 1)}

      %{^id => waits} ->
        waits = %{waits | mp4: [waits.mp4, piece], size: waits.size + byte_size(piece)}
        state = put_in(state.waiting[id], waits)
        if info["more"], do: {:noreply, state}, else: whole(id, info, waits, state)

      _nobody_waits ->
        {:noreply, state}
    end
  end

  def handle_cast({:clip, id, info, _none}, state) do
    {_waits, state} = answer(id, {:error, reason(info["reason"])}, state)
    {:noreply, state}
  end

  def handle_cast({:bridge_ended, bridge}, state) do
    ids = for {id, %{bridge: ^bridge}} <- state.waiting, do: id
    {:noreply, Enum.reduce(ids, state, fn id, state -> elem(answer(id, {:error, :down}, state), 1) end)}
  end

  @impl true
  def handle_info({:late, id}, state), do: {:noreply, elem(answer(id, {:error, :late}, state), 1)}

  def handle_info({ref, asked}, %{asking: asking} = state) when is_map_key(asking, ref) do
    Process.demonitor(ref, [:flush])
    {:noreply, asked(ref, asked, state)}
  end

  # It crashed, as is reported.
  def handle_info({:DOWN, ref, :process, _pid, _reason}, %{asking: asking} = state) when is_map_key(asking, ref),
    do: {:noreply, asked(ref, {:error, :fault}, state)}

  defp asked(ref, asked, state) do
    {id, asking} = Map.pop!(state.asking, ref)
    state = %{state | asking: asking}
    # The clip itself comes by itself.
    if asked == :ok, do: state, else: elem(answer(id, asked, state), 1)
  end

  defp whole(id, info, waits, state) do
    mp4 = IO.iodata_to_binary(waits.mp4)
    {_waits, state} = answer(id, {:ok, %{mp4: mp4, ms: info["length"], cut?: info["cut"]}}, state)
    # What was said of the file is not kept until the next message.
    {:noreply, put_in(state.last[waits.portal], now()), :hibernate}
  end

  # The one that has the portal.
  defp bridge(portal) do
    case Runtime.lookup({:portal_bridge, portal}) do
      nil -> {:error, :off}
      bridge -> {:ok, bridge}
    end
  end

  defp free(portal, bridge, %{waiting: waiting, last: last}) do
    cond do
      Enum.count(waiting, fn {_id, waits} -> waits.bridge == bridge end) >= @at_once -> {:error, :busy}
      Enum.any?(waiting, fn {_id, waits} -> waits.portal == portal end) -> {:error, :busy}
      at = last[portal] -> {:error, {:soon, ceil(left(at) / 1_000)}}
      true -> :ok
    end
  end

  # One that nobody waits for any more came too late, or is of another session of the bridge.
  defp answer(id, answer, state) do
    case Map.pop(state.waiting, id) do
      {nil, _waiting} ->
        {nil, state}

      {waits, waiting} ->
        Process.cancel_timer(waits.timer)
        GenServer.reply(waits.from, answer)
        {waits, %{state | waiting: waiting}}
    end
  end

  defp reason("off"), do: :off
  defp reason("nothing"), do: :nothing
  defp reason("jpeg"), do: :jpeg
  defp reason("busy"), do: :busy
  defp reason(_fault), do: :fault

  defp left(at), do: at + @pause_ms - now()
  defp now, do: System.monotonic_time(:millisecond)
end

defmodule UroDiscord.Shards.Source do
  @moduledoc false
  # Asks the configured source for its shards, again and again, and keeps the registry to its answers. A poll is a process of
  # its own, which may take its time, crash, or be given up; nobody waits for it.
  #
  # A shard is open while its last heartbeat is younger than the configured freshness. If the source cannot be asked, its shards
  # are closed one by one as that ends.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Backoff, Config, Shards}
  alias UroDiscord.Shards.Source.{Hint, Row}

  # Longer than Ecto waits for a query.
  @poll_timeout 20_000
  # So many failures one after the other, and it counts as unreachable.
  @failures 3
  @longest_pause 60_000
  # For what the patterns say of all that has changed.
  @budget_ms 2_000
  # After a write was seen: the first look waits for what comes with it, and for at least so long after the look before it; Ecto
  # tells before the commit, so there is a second one.
  @first_look 100
  @between_looks 400
  @second_look 600

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(%Config{} = config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @doc "What the adapter of a source is, and what its shards are marked with."
  @spec adapter(Config.t()) :: {module(), Shards.source()}
  def adapter(%Config{shards: %{source: {:http, _url}}}), do: {__MODULE__.HTTP, :http}
  def adapter(_uro), do: {__MODULE__.Uro, :uro}

  @impl true
  def init(config) do
    # To detach the hint at the end, and to outlive a poll.
    Process.flag(:trap_exit, true)
    {adapter, source} = adapter(config)

    state = %{
      adapter: adapter,
      source: source,
      memory: adapter.init(config),
      options: config.shards,
      hint: if(source == :uro, do: Hint.attach(config.shards.telemetry_prefix)),
      rows: adopted(source),
      task: nil,
      timer: nil,
      polled_at: now() - @between_looks,
      not_before: now(),
      hinted: false,
      looks: 0,
      failures: 0,
      full?: false
    }

    {:ok, schedule(state, 0)}
  end

  # What one that crashed has left: it closes like any other.
  defp adopted(source) do
    for %{source: ^source} = shard <- Shards.list(), into: %{} do
      {opened_at, shard} = shard |> Map.delete(:source) |> Map.pop!(:opened_at)
      {shard.id, %Row{shard: shard, opened_at: opened_at, heartbeat_at: System.os_time(:millisecond), stale_at: nil}}
    end
  end

  @impl true
  def handle_info({:timeout, timer, :poll}, %{timer: timer} = state) do
    case state.not_before - now() do
      wait when wait > 0 -> {:noreply, state |> keep(state.rows) |> schedule(min(wait, state.options.freshness))}
      _ -> {:noreply, poll(state)}
    end
  end

  def handle_info({:timeout, timer, :late}, %{timer: timer} = state) do
    Task.shutdown(state.task, :brutal_kill)
    {:noreply, failed(state, "it did not answer within #{@poll_timeout} ms", nil)}
  end

  # Of a timer that was set anew.
  def handle_info({:timeout, _timer, _what}, state), do: {:noreply, state}

  def handle_info({ref, result}, %{task: %{ref: ref}} = state) do
    Process.demonitor(ref, [:flush])

    case result do
      {:ok, rows, memory} -> {:noreply, answered(%{state | memory: memory}, rows)}
      {:error, reason} -> {:noreply, failed(state, reason, nil)}
      {:error, reason, retry_after_ms} -> {:noreply, failed(state, reason, retry_after_ms)}
    end
  end

  def handle_info({:DOWN, ref, :process, _pid, reason}, %{task: %{ref: ref}} = state),
    do: {:noreply, failed(state, "it ended with #{short(Exception.format_exit(reason))}", nil)}

  def handle_info(:hint, %{task: nil} = state) do
    delay = max(@first_look, state.polled_at + @between_looks - now())
    {:noreply, schedule(%{state | looks: 1}, delay)}
  end

  def handle_info(:hint, state), do: {:noreply, %{state | looks: 1, hinted: true}}
  def handle_info({:EXIT, _poll, _reason}, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, state), do: Hint.detach(state.hint)

  ## A poll

  defp poll(%{adapter: adapter, memory: memory} = state) do
    Hint.rearm(state.hint)
    task = Task.async(fn -> attempt(adapter, memory) end)
    timer = :erlang.start_timer(@poll_timeout, self(), :late)
    %{state | task: task, timer: timer, polled_at: now(), hinted: false}
  end

  # It crashes every few seconds as long as a database is down: one line in the log is enough.
  defp attempt(adapter, memory) do
    adapter.poll(memory)
  rescue
    exception -> {:error, short(Exception.message(exception))}
  catch
    kind, reason -> {:error, short(Exception.format_banner(kind, reason))}
  end

  defp answered(state, rows) do
    listed = Map.new(rows, &{&1.shard.id, &1})
    state = keep(state, state.rows |> Map.filter(&stale?/1) |> Map.merge(listed))
    if state.failures >= @failures, do: Logger.info("the source of shards is reachable again")
    Shards.put_source_status(:reachable)
    next(%{state | task: nil, failures: 0})
  end

  # Not listed any more because its heartbeats stopped, and not because it was closed.
  defp stale?({_id, row}), do: row.stale_at != nil and row.stale_at <= System.os_time(:millisecond)

  defp failed(state, reason, retry_after_ms) do
    state = keep(%{state | failures: state.failures + 1}, state.rows)

    if state.failures == @failures,
      do: Logger.warning("the source of shards is unreachable, it is asked again from time to time: #{reason}")

    pause = Backoff.delay({state.options.poll, max(state.options.poll, @longest_pause)}, state.failures - 1)
    pause = min(pause, max(state.options.freshness, state.options.poll))
    retry_after_ms = retry_after_ms || 0
    status = if state.failures >= @failures, do: {:unreachable, reason}, else: Shards.source_status()
    retry_at = DateTime.utc_now() |> DateTime.add(max(pause, retry_after_ms), :millisecond)
    Shards.put_source_status(status, retry_at)
    # It wakes to close what is fresh no longer, though it may have to wait for longer until it may ask again.
    schedule(%{state | task: nil, not_before: now() + retry_after_ms}, pause)
  end

  defp keep(state, rows) do
    oldest = System.os_time(:millisecond) - state.options.freshness
    rows = Map.filter(rows, fn {_id, row} -> row.heartbeat_at > oldest end)
    shards = for {_id, row} <- rows, do: Map.put(row.shard, :opened_at, row.opened_at)
    {:ok, refused} = Shards.put_all(state.source, shards, @budget_ms)

    full? = refused > 0 or length(shards) >= Shards.capacity()

    if full? and not state.full?,
      do:
        Logger.warning(
          "there are more shards than the #{Shards.capacity()} that are kept; the latest are left out. Is this a flood?"
        )

    %{state | rows: rows, full?: full?}
  end

  defp next(%{hinted: true} = state), do: schedule(state, @between_looks)
  defp next(%{looks: looks} = state) when looks > 0, do: schedule(%{state | looks: looks - 1}, @second_look)
  defp next(state), do: schedule(state, state.options.poll)

  defp schedule(state, delay) do
    if state.timer, do: :erlang.cancel_timer(state.timer)
    %{state | timer: :erlang.start_timer(delay, self(), :poll)}
  end

  defp short(text), do: Shards.Text.clean(text, 200)
  defp now, do: System.monotonic_time(:millisecond)
end

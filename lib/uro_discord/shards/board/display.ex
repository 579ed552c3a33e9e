defmodule UroDiscord.Shards.Board.Display do
  @moduledoc false
  # Keeps one place in Discord saying what is open. What that place is (a message, a voice channel's status) is a module with these
  # callbacks, whose state is called the surface; here is when it is written: the first change at once, then at most once
  # in an interval, the last one wins, and what it says already is not written again until its time is to be renewed.
  #
  # One request is under way at a time, so that an older text never overtakes a newer one.

  use UroDiscord.Server, shutdown: 5_000
  require Logger

  alias UroDiscord.{Backoff, Config, Error, Events, Rest, Runtime, Shards}
  alias UroDiscord.Gateway.Leader
  alias UroDiscord.Shards.Board.{Content, Portals}

  @type surface :: struct()
  @type request :: {Rest.route(), options :: keyword()}
  @type answer :: {:ok, Rest.response()} | {:error, Error.t()}

  @callback new(channel_id :: String.t(), Config.t()) :: surface()
  @doc "What to say, with the portals that are open, at a time in Unix seconds. What says the same at another time need not be written."
  @callback content(surface(), Content.view(), [Portals.summary()], now :: integer()) :: term()
  @doc """
  Sees to it that there is something to write to: `:ready`; `:posted` with this content, and on its way; `:wait`, it is still on its
  way; or Discord is to be asked first.
  """
  @callback ready(surface(), content :: term(), Runtime.t()) ::
              {:ready | :posted | :wait, surface()} | {:ask, request(), surface()} | {:error, Error.t(), surface()}
  @callback write(surface(), content :: term()) :: request()
  @doc "What an answer means; `:lost`: there is nothing to write to any more."
  @callback answered(surface(), :ask | {:write, content :: term()}, answer()) ::
              {:ok | :lost, surface()} | {:error, Error.t(), surface()}
  @doc "The gateway events by which one hears that it is gone."
  @callback events(Config.t()) :: [String.t()]
  @callback lost?(surface(), event :: String.t(), data :: map()) :: boolean()
  @callback lose(surface()) :: surface()
  @doc "The last thing that is said, if there is something to write to."
  @callback farewell(surface(), Runtime.t(), now :: integer()) :: request() | nil
  @doc "What this is, and what the bot needs for it."
  @callback describe(surface()) :: {what :: String.t(), needs :: String.t()}
  @doc "For `UroDiscord.status/0`; `on_its_way?: true` where Discord has yet to take it."
  @callback status(surface()) :: map()

  # A request ends within this.
  @deadline_ms 15_000
  # How often a delivery is looked for that another node may make.
  @look_ms 1_000
  # Changes that change nothing here are looked at no more often.
  @settle_ms 200
  # Pauses after a failure: one that may pass by itself, and one that somebody must mend.
  @retry_ms {1_000, 60_000}
  @slow_ms {60_000, 1_800_000}
  @final [:api, :invalid, :invalid_request, :unauthorized]
  # To say that nobody says any more what is open.
  @farewell_ms 3_000

  @enforce_keys [:module, :surface, :channel_id, :runtime, :not_before]
  defstruct [
    :module,
    :surface,
    :channel_id,
    :registry,
    :runtime,
    # What was open when the source last answered, and when that was.
    :known,
    # The request under way: its reference and purpose.
    :in_flight,
    :timer,
    :trouble,
    :updated_at,
    # What is there, but for the time: {:content, content}, or nil where that is not known.
    :shown,
    # When that is written again though nothing changed, and when anything may be.
    :refresh_at,
    :not_before,
    failures: 0
  ]

  @doc "The registry has it by its module and channel, and with it what `UroDiscord.status/0` says of it."
  @spec start_link({module(), String.t(), Config.t(), registry :: atom()}) :: GenServer.on_start()
  def start_link({module, channel_id, _config, registry} = argument) do
    GenServer.start_link(__MODULE__, argument, name: {:via, Registry, {registry, {module, channel_id}}})
  end

  @impl true
  def init({module, channel_id, config, registry}) do
    # To say farewell.
    Process.flag(:trap_exit, true)
    for topic <- [:status, :shards, :portal_shown], do: :ok = Events.subscribe(topic)
    for type <- module.events(config), do: :ok = Events.subscribe({:gateway, type})
    {:ok, runtime} = Runtime.fetch()

    state = %__MODULE__{
      module: module,
      surface: module.new(channel_id, config),
      channel_id: channel_id,
      registry: registry,
      runtime: runtime,
      not_before: monotonic()
    }

    {:ok, state, {:continue, :step}}
  end

  @impl true
  def handle_continue(:step, state), do: state |> step() |> noreply()

  @impl true
  def handle_info({:uro_discord, topic, _event}, state) when topic in [:shards, :portal_shown] do
    # One look at the shards serves all the changes that are waiting.
    drain()
    state |> step() |> noreply()
  end

  def handle_info({:uro_discord, :status, {:shards, _status}}, state), do: state |> step() |> noreply()

  # What another node has done in the meantime is in the store.
  def handle_info({:uro_discord, :status, {:lease, :held}}, state) do
    surface = state.module.new(state.channel_id, state.runtime.config)
    %{state | surface: surface, in_flight: nil, shown: nil} |> step() |> noreply()
  end

  def handle_info({:uro_discord, :status, {:lease, :lost}}, state), do: noreply(state)

  # That it is there is worth knowing at once, also within the interval.
  def handle_info({:uro_discord, {:delivery, _id}, _delivery}, %{in_flight: nil} = state),
    do: state |> look() |> noreply()

  def handle_info({:uro_discord, {:gateway, type}, %{data: data}}, state) do
    if state.module.lost?(state.surface, type, data),
      do: state |> lost(state.module.lose(state.surface)) |> step() |> noreply(),
      else: {:noreply, state}
  end

  def handle_info(:step, state), do: %{state | timer: nil} |> step() |> noreply()
  def handle_info({:EXIT, _from, reason}, state), do: {:stop, reason, state}

  def handle_info(message, %{in_flight: {ref, purpose}} = state) do
    case Rest.answer(message, ref) do
      :unrelated -> {:noreply, state}
      answer -> %{state | in_flight: nil} |> answered(purpose, answer) |> step() |> noreply()
    end
  end

  def handle_info(_message, state), do: {:noreply, state}

  defp drain do
    receive do
      {:uro_discord, topic, _event} when topic in [:shards, :portal_shown] -> drain()
    after
      0 -> :ok
    end
  end

  ## One step after the other

  defp step(%{in_flight: {_ref, _purpose}} = state), do: state

  defp step(state) do
    case state.not_before - monotonic() do
      wait when wait > 0 -> wake(state, wait)
      _ -> look(state)
    end
  end

  # There is an event when the lease is ours, and when the source has answered.
  defp look(state) do
    with true <- Leader.held?(), {view, state} when view != nil <- view(state) do
      show(view, state)
    else
      false -> state
      {nil, state} -> state
    end
  end

  defp view(state) do
    case {Shards.source_status(), state.known} do
      {:reachable, _} ->
        worlds = Shards.visible()
        {{:current, worlds}, %{state | known: {worlds, unix()}}}

      {{:unreachable, _why}, {worlds, since}} ->
        {{:unreachable, worlds, since}, state}

      {{:unreachable, _why}, nil} ->
        {:unreachable, state}

      {:starting, _} ->
        {nil, state}
    end
  end

  defp show(view, %{module: module, surface: surface} = state) do
    portals = Portals.open()
    timeless = module.content(surface, view, portals, 0)
    content = module.content(surface, view, portals, unix())

    case module.ready(surface, content, state.runtime) do
      {:ready, surface} ->
        write(%{state | surface: surface}, content, timeless)

      # Nobody sees it before Discord has it.
      {:posted, surface} ->
        %{(%{state | surface: surface} |> spend() |> shown(timeless)) | updated_at: nil} |> wake(@look_ms)

      {:wait, surface} ->
        wake(%{state | surface: surface}, @look_ms)

      {:ask, request, surface} ->
        request(%{state | surface: surface}, request, :ask)

      {:error, error, surface} ->
        failed(%{state | surface: surface}, error)
    end
  end

  defp write(%{shown: {:content, timeless}} = state, content, timeless) do
    case state.refresh_at - monotonic() do
      wait when wait > 0 ->
        updated_at = state.updated_at || DateTime.utc_now()
        wake(%{mended(state) | not_before: monotonic() + @settle_ms, updated_at: updated_at}, wait)

      _ ->
        write(%{state | shown: nil}, content, timeless)
    end
  end

  defp write(state, content, timeless),
    do: request(state, state.module.write(state.surface, content), {:write, timeless})

  defp request(state, {route, options}, purpose) do
    case Rest.request(state.runtime.rest, route, options(options, @deadline_ms)) do
      {:ok, ref} -> spend(%{state | in_flight: {ref, purpose}})
      {:error, error} -> failed(state, error)
    end
  end

  defp options(options, deadline_ms), do: [retry: :safe, priority: :low, deadline_ms: deadline_ms] ++ options

  # The next request is an interval away.
  defp spend(state), do: %{state | not_before: monotonic() + state.runtime.config.board.interval}

  defp answered(state, purpose, answer) do
    case state.module.answered(state.surface, purpose, answer) do
      {:ok, surface} -> done(%{state | surface: surface}, purpose)
      {:lost, surface} -> lost(state, surface)
      {:error, error, surface} -> failed(%{state | surface: surface}, error)
    end
  end

  # What was asked for is done with what comes next.
  defp done(state, :ask), do: %{state | not_before: monotonic()}
  defp done(state, {:write, timeless}), do: state |> mended() |> shown(timeless)

  defp shown(state, timeless) do
    refresh_at = monotonic() + state.runtime.config.board.refresh
    %{state | shown: {:content, timeless}, refresh_at: refresh_at, updated_at: DateTime.utc_now()}
  end

  defp lost(state, surface) do
    Logger.info("#{what(state)} is gone; it is made anew")
    %{state | surface: surface, shown: nil}
  end

  defp failed(state, error) do
    final? = error.kind in @final
    if reason(error) != reason(state.trouble), do: log(state, error, final?)
    pause = max(Backoff.delay(if(final?, do: @slow_ms, else: @retry_ms), state.failures), error.retry_after_ms || 0)
    wake(%{state | trouble: error, failures: state.failures + 1, shown: nil, not_before: monotonic() + pause}, pause)
  end

  defp log(state, error, true) do
    {what, needs} = state.module.describe(state.surface)

    Logger.error(
      "#{what} cannot be shown: #{Exception.message(error)}. #{needs} It is tried again from time to time, which is not logged"
    )
  end

  defp log(state, error, false), do: Logger.warning("#{what(state)} is late: #{Exception.message(error)}")

  defp mended(%{trouble: nil} = state), do: state

  defp mended(state) do
    Logger.info("#{what(state)} is shown again")
    %{state | trouble: nil, failures: 0}
  end

  defp reason(nil), do: nil
  defp reason(error), do: {error.kind, error.code}

  defp what(state), do: state.surface |> state.module.describe() |> elem(0)

  defp wake(state, ms) do
    if state.timer, do: Process.cancel_timer(state.timer)
    %{state | timer: Process.send_after(self(), :step, ms)}
  end

  ## The end

  @impl true
  def terminate(reason, state) do
    # A crash is followed by a new start.
    if Leader.held?() and (reason in [:normal, :shutdown] or match?({:shutdown, _}, reason)),
      do: farewell(state, monotonic() + @farewell_ms)
  end

  # What is under way comes first, or it would have the last word.
  defp farewell(%{in_flight: {ref, purpose}} = state, deadline) do
    case await(ref, deadline) do
      :timeout -> :ok
      answer -> %{state | in_flight: nil} |> answered(purpose, answer) |> farewell(deadline)
    end
  end

  defp farewell(state, deadline) do
    with {route, options} <- state.module.farewell(state.surface, state.runtime, unix()),
         {:ok, ref} <- Rest.request(state.runtime.rest, route, options(options, left(deadline))) do
      if not match?({:ok, _response}, await(ref, deadline)),
        do: Logger.warning("#{what(state)} does not say that it is offline now: Discord did not take that in time")
    end
  end

  defp await(ref, deadline) do
    receive do
      {:uro_discord_rest, ^ref, _} = message -> Rest.answer(message, ref)
    after
      left(deadline) -> :timeout
    end
  end

  defp left(deadline), do: max(deadline - monotonic(), 1)

  ## For UroDiscord.status/0

  defp noreply(state) do
    {on_its_way?, status} = state.surface |> state.module.status() |> Map.pop(:on_its_way?, false)

    status =
      Map.merge(status, %{
        channel_id: state.channel_id,
        state: if(Leader.held?(), do: phase(state, on_its_way?), else: :left_to_another_node),
        updated_at: state.updated_at,
        error: state.trouble
      })

    Registry.update_value(state.registry, {state.module, state.channel_id}, fn _ -> status end)
    {:noreply, state}
  end

  defp phase(%{trouble: %Error{}}, _on_its_way?), do: :failing
  defp phase(_state, true), do: :posting
  defp phase(%{updated_at: nil}, _on_its_way?), do: :starting
  defp phase(_state, _on_its_way?), do: :shown

  defp unix, do: System.os_time(:second)
  defp monotonic, do: System.monotonic_time(:millisecond)
end

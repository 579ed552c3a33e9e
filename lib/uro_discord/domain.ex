defmodule UroDiscord.Domain do
  @moduledoc false
  # Keeps one crash domain running. A domain is a supervisor, whose intensity says how often its processes may crash; when that is
  # exceeded, or a process cannot be started at all, the domain ends, and this process starts it again after a pause. It never gives
  # up, and cannot fail itself: so no process of ours ends another domain, or the host's supervisor.
  #
  # It is a part of the tree: it answers what supervisors are asked, with the one child that it has.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Backoff, Runtime}

  @enforce_keys [:name, :children]
  defstruct [:name, :children, strategy: :one_for_one, intensity: {10, 10}, shutdown: 500]

  @typedoc """
  `children` may crash `intensity` times in so many seconds. `shutdown` is for what `UroDiscord.Shutdown` has left running.
  """
  @type t :: %__MODULE__{
          name: atom(),
          children: [Supervisor.child_spec() | {module(), term()} | module()],
          strategy: Supervisor.strategy(),
          intensity: {times :: pos_integer(), seconds :: pos_integer()},
          shutdown: timeout()
        }

  @typedoc "As `UroDiscord.status/0` shows it."
  @type status :: %{
          state: :up | :waiting,
          since: DateTime.t(),
          restarts: non_neg_integer(),
          reason: String.t() | nil
        }

  # The first and the longest pause before it is started again.
  @pauses {500, 60_000}

  @spec child_spec(t()) :: Supervisor.child_spec()
  def child_spec(%__MODULE__{} = domain) do
    %{
      id: domain.name,
      start: {__MODULE__, :start_link, [domain]},
      type: :supervisor,
      shutdown: domain.shutdown
    }
  end

  @spec start_link(t()) :: GenServer.on_start()
  def start_link(%__MODULE__{} = domain), do: GenServer.start_link(__MODULE__, domain, name: keeper(domain.name))

  # A group that crashes so often ends, and counts as one crash of its domain.
  @group [max_restarts: 5, max_seconds: 10]

  @doc "A part of a domain whose processes only work together; `children` and how they do so, for a supervisor's `init/1`."
  @spec group([Supervisor.child_spec() | {module(), term()} | module()], Supervisor.strategy()) ::
          {:ok, {Supervisor.sup_flags(), [Supervisor.child_spec()]}}
  def group(children, strategy), do: Supervisor.init(children, [strategy: strategy] ++ @group)

  @doc "The same as a child, the later processes of which end with the earlier unless another strategy is named."
  @spec group_spec(atom(), [Supervisor.child_spec() | {module(), term()} | module()], Supervisor.strategy()) ::
          Supervisor.child_spec()
  def group_spec(name, children, strategy \\ :rest_for_one) do
    options = [strategy: strategy] ++ @group
    %{id: name, start: {Supervisor, :start_link, [children, options]}, type: :supervisor}
  end

  @doc "The name of a domain's supervisor, such as `UroDiscord.Domain.Core`."
  @spec supervisor(atom()) :: module()
  def supervisor(name), do: Module.concat(__MODULE__, name |> Atom.to_string() |> Macro.camelize())

  @doc "Stops a domain for good. Returns when all its processes have ended, or at once where it does not run."
  @spec stop(atom()) :: :ok
  def stop(name) do
    GenServer.call(keeper(name), :stop, :infinity)
  catch
    :exit, _not_there -> :ok
  end

  @doc "How each domain is."
  @spec status() :: %{atom() => status()}
  def status, do: Map.new(Runtime.all(:domain))

  defp keeper(name), do: Module.concat(supervisor(name), Keeper)

  @impl true
  def init(domain) do
    # A supervisor that ends is a message here.
    Process.flag(:trap_exit, true)
    {:ok, start(%{domain: domain, supervisor: nil, timer: nil, starts: 0, backoff: Backoff.new(@pauses)})}
  end

  @impl true
  def handle_call(:which_children, _from, %{supervisor: pid} = state),
    do: {:reply, [{state.domain.name, pid || :restarting, :supervisor, [Supervisor]}], state}

  def handle_call(:count_children, _from, %{supervisor: pid} = state) do
    active = if pid, do: 1, else: 0
    {:reply, [specs: 1, active: active, supervisors: 1, workers: 0], state}
  end

  def handle_call(:stop, _from, state), do: {:reply, :ok, stop_supervisor(state)}

  @impl true
  def handle_info(:start, %{supervisor: nil, timer: timer} = state) when timer != nil,
    do: {:noreply, start(%{state | timer: nil})}

  # It was stopped meanwhile.
  def handle_info(:start, state), do: {:noreply, state}

  def handle_info({:EXIT, pid, reason}, %{supervisor: pid} = state), do: {:noreply, ended(reason, state)}
  # Of one that could not be started.
  def handle_info({:EXIT, _pid, _reason}, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, state), do: stop_supervisor(state)

  defp start(%{domain: domain} = state) do
    {times, seconds} = domain.intensity

    options = [
      name: supervisor(domain.name),
      strategy: domain.strategy,
      max_restarts: times,
      max_seconds: seconds
    ]

    case Supervisor.start_link(domain.children, options) do
      {:ok, pid} ->
        if Backoff.failures(state.backoff) > 0, do: Logger.info("the part #{domain.name} is up again")
        note(%{state | supervisor: pid, starts: state.starts + 1, backoff: Backoff.well(state.backoff)}, :up, nil)

      {:error, reason} ->
        again(state, "cannot be started: #{text(reason)}")
    end
  end

  # Its processes have ended before it did, unless it was killed.
  defp ended(:shutdown, state) do
    {times, seconds} = state.domain.intensity
    again(%{state | supervisor: nil}, "had more than #{times} crashes in #{seconds} s, which are reported above")
  end

  defp ended(reason, state), do: again(%{state | supervisor: nil}, "ended: #{text(reason)}")

  # Said once, until it was well for a while.
  defp again(state, why) do
    if Backoff.failures(state.backoff) == 0,
      do:
        Logger.error("the part #{state.domain.name} #{why}. It is started again until it stays; the other parts go on")

    {pause, backoff} = Backoff.failed(state.backoff)
    note(%{state | timer: Process.send_after(self(), :start, pause), backoff: backoff}, :waiting, why)
  end

  defp note(state, phase, reason) do
    status = %{state: phase, since: DateTime.utc_now(), restarts: max(state.starts - 1, 0), reason: reason}
    Runtime.put({:domain, state.domain.name}, status)
    state
  end

  defp stop_supervisor(state) do
    if state.timer, do: Process.cancel_timer(state.timer)
    if state.supervisor, do: Supervisor.stop(state.supervisor, :shutdown)
    %{state | supervisor: nil, timer: nil}
  end

  # What a child's start function was called with is not for the log: it may be a secret.
  defp text({:shutdown, {:failed_to_start_child, id, reason}}), do: "#{child(id)}: #{text(reason)}"
  defp text({:EXIT, reason}), do: text(reason)
  defp text({%{__exception__: true} = exception, _stacktrace}), do: Exception.message(exception)
  defp text(%{__exception__: true} = exception), do: Exception.message(exception)
  defp text({:already_started, _pid}), do: "the one before it has not ended yet"
  defp text({reason, stacktrace}) when is_list(stacktrace), do: text(reason)
  defp text(reason), do: inspect(reason, limit: 5, printable_limit: 200)

  defp child(id), do: inspect(id, limit: 3, printable_limit: 100)
end

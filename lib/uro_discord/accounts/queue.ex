defmodule UroDiscord.Accounts.Queue do
  @moduledoc false
  # Users who are to be synced soon. Each is in it once, however often that is asked; who is asked for while it is his turn has another one. What Discord,
  # the store or the directory cannot do just now is tried again, with pauses that grow, until it is done or found to be impossible.
  #
  # There are two of it: who is to lose something is in the first one, and waits behind none of those who are renamed or given something.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.Accounts.{Guilds, Work}
  alias UroDiscord.{Backoff, Error, Events, Runtime, Server}

  @at_once 8
  @most 100_000
  @pauses {1_000, 300_000}
  # So often it is said that users wait for something that fails: in an outage not for each of them.
  @tell_ms 600_000

  @type outcomes :: {:ok, %{String.t() => term()}} | {:error, Error.t()}

  @type lane :: :first | :normal

  @doc false
  @spec child_spec({lane(), fun()}) :: Supervisor.child_spec()
  def child_spec({lane, _sync} = argument),
    do: %{id: name(lane), start: {__MODULE__, :start_link, [argument]}, shutdown: 5_000}

  @doc "With what syncs a user."
  @spec start_link({lane(), (String.t(), String.t() | atom() -> outcomes())}) :: GenServer.on_start()
  def start_link({lane, _sync} = argument), do: GenServer.start_link(__MODULE__, argument, name: name(lane))

  @spec put(String.t(), String.t() | atom(), lane()) :: :ok | {:error, Error.t()}
  def put(user_id, reason, lane \\ :normal) when is_binary(user_id),
    do: Server.call(name(lane), {:put, user_id, reason})

  defp name(:first), do: Module.concat(__MODULE__, First)
  defp name(:normal), do: __MODULE__

  @doc "How many users are in it, and what failed last; nil where nothing failed since it was empty."
  @spec status() :: %{users: non_neg_integer(), error: Error.t() | nil}
  def status do
    lanes = Map.values(Runtime.all(:accounts_queue))
    %{users: lanes |> Enum.map(& &1.users) |> Enum.sum(), error: Enum.find_value(lanes, & &1.error)}
  end

  @impl true
  # users: of each the reason, how often it failed, and its state: it :waits, is :running, is :running and to be run :again, or is :paused after a failure.
  def init({lane, sync}) do
    # One that crashed has forgotten who was in it. When all begins it is too early for this, and nobody is needed.
    Events.publish(:accounts_queue, :began)
    {:ok, %{lane: lane, sync: sync, users: %{}, waiting: :queue.new(), tasks: %{}, error: nil, told_at: nil}}
  end

  @impl true
  def handle_call({:put, user_id, reason}, _from, state) do
    case state.users do
      %{^user_id => %{state: :running} = user} ->
        {:reply, :ok, put_in(state.users[user_id], %{user | state: :again, reason: reason})}

      %{^user_id => %{state: :paused} = user} ->
        {:reply, :ok, wait(state, user_id, %{user | reason: reason})}

      %{^user_id => _waits} ->
        {:reply, :ok, state}

      users when map_size(users) >= @most ->
        {:reply, {:error, %Error{kind: :full, message: "#{@most} users wait to be synced already"}}, state}

      _new ->
        {:reply, :ok, wait(state, user_id, %{reason: reason, failures: 0, state: :waits})}
    end
  end

  @impl true
  def handle_info({ref, result}, %{tasks: tasks} = state) when is_map_key(tasks, ref) do
    Process.demonitor(ref, [:flush])
    {:noreply, ended(state, ref, failure(result))}
  end

  def handle_info({:DOWN, ref, :process, _pid, _reason}, %{tasks: tasks} = state) when is_map_key(tasks, ref),
    do: {:noreply, ended(state, ref, %Error{kind: :crash, message: "it crashed"})}

  def handle_info({:again, user_id}, state) do
    case state.users do
      %{^user_id => %{state: :paused} = user} -> {:noreply, wait(state, user_id, user)}
      _other -> {:noreply, state}
    end
  end

  defp wait(state, user_id, user) do
    start(%{
      state
      | users: Map.put(state.users, user_id, %{user | state: :waits}),
        waiting: :queue.in(user_id, state.waiting)
    })
  end

  defp start(state) when map_size(state.tasks) >= @at_once, do: told(state)

  defp start(state) do
    case :queue.out(state.waiting) do
      {:empty, _} ->
        told(state)

      {{:value, user_id}, waiting} ->
        %{users: %{^user_id => %{reason: reason}}, sync: sync} = state
        ref = Work.start(fn -> sync.(user_id, reason) end)
        state = put_in(state.users[user_id].state, :running)
        start(%{state | waiting: waiting, tasks: Map.put(state.tasks, ref, user_id)})
    end
  end

  defp ended(state, ref, failure) do
    {user_id, tasks} = Map.pop!(state.tasks, ref)
    state = %{state | tasks: tasks}

    case {state.users[user_id], failure} do
      {%{state: :again} = user, _failure} ->
        wait(state, user_id, user)

      {_user, nil} ->
        users = Map.delete(state.users, user_id)
        start(%{state | users: users, error: if(users != %{}, do: state.error)})

      {user, error} ->
        Process.send_after(self(), {:again, user_id}, Backoff.delay(@pauses, user.failures))
        state = put_in(state.users[user_id], %{user | state: :paused, failures: user.failures + 1})
        # A rate limit, an outage: others say that.
        start(if user.failures < 2, do: %{state | error: error}, else: tell(%{state | error: error}, user_id))
    end
  end

  defp tell(state, user_id) do
    now = System.monotonic_time(:millisecond)

    if state.told_at == nil or now - state.told_at >= @tell_ms do
      Logger.warning(
        "accounts: the user #{user_id} is not synced yet, and is tried again, as are all of the #{map_size(state.users)} who wait: #{Exception.message(state.error)}"
      )

      %{state | told_at: now}
    else
      state
    end
  end

  # For `UroDiscord.status/0`.
  defp told(state) do
    Runtime.put({:accounts_queue, state.lane}, %{users: map_size(state.users), error: state.error})
    state
  end

  # What may be otherwise later. He who is not linked has nothing to be synced.
  defp failure({:ok, outcomes}),
    do:
      Enum.find_value(outcomes, fn {_guild, outcome} ->
        with({:error, error} <- outcome, true <- Guilds.passing?(error), do: error, else: (_ -> nil))
      end)

  defp failure({:error, %Error{kind: kind}}) when kind in [:unknown, :disabled], do: nil
  defp failure({:error, error}), do: error
end

defmodule UroDiscord.Accounts.LinkedRoles.Keeper do
  @moduledoc false
  # Tells Discord which values there are for Linked Roles, and then, at a start and once a day, has everybody's looked at: what changed while no node was
  # there follows then, and tokens are refreshed in time. Who cannot be told just now waits in the queue of the accounts, which tries each by himself
  # again. The node that has the gateway does it.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.Accounts.{Link, LinkedRoles, Links, Queue, TaskSupervisor, Work}
  alias UroDiscord.{Backoff, Config, Error, Gateway, Runtime}

  @day_ms 86_400_000
  @look_ms 5_000
  @pauses {5_000, 600_000}
  @page 1_000
  @at_once 4

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @doc "When all were looked at last, and why that failed since; nil where it has not come to its end yet."
  @spec status() :: %{looked_at: DateTime.t() | nil, error: Error.t() | nil} | nil
  def status, do: Runtime.lookup(:linked_roles)

  @impl true
  def init(_config), do: {:ok, later(%{task: nil, failures: 0}, 0)}

  @impl true
  def handle_info(:look, %{task: nil} = state) do
    if Gateway.Leader.held?() do
      {:noreply, %{state | task: Work.start(&work/0)}}
    else
      {:noreply, later(state, @look_ms)}
    end
  end

  def handle_info({ref, result}, %{task: ref} = state) do
    Process.demonitor(ref, [:flush])
    {:noreply, ended(%{state | task: nil}, result)}
  end

  # It crashed, as is reported.
  def handle_info({:DOWN, ref, :process, _pid, _reason}, %{task: ref} = state),
    do: {:noreply, ended(%{state | task: nil}, :crashed)}

  defp ended(state, :ok) do
    Runtime.put(:linked_roles, %{looked_at: DateTime.utc_now(), error: nil})
    later(%{state | failures: 0}, @day_ms)
  end

  defp ended(state, failure) do
    error = with :crashed <- failure, do: %Error{kind: :crash, message: "it crashed"}, else: ({:error, error} -> error)
    Runtime.put(:linked_roles, %{looked_at: looked_at(status()), error: error})

    if state.failures == 0,
      do: Logger.warning("accounts: Linked Roles are looked at again later: #{Exception.message(error)}")

    later(%{state | failures: state.failures + 1}, Backoff.delay(@pauses, state.failures))
  end

  defp looked_at(nil), do: nil
  defp looked_at(status), do: status.looked_at

  defp later(state, ms) do
    Process.send_after(self(), :look, ms)
    state
  end

  defp work do
    {:ok, runtime} = Runtime.fetch_enabled()
    with :ok <- LinkedRoles.register(runtime), do: each_page(runtime, nil)
  end

  defp each_page(%{store: store} = runtime, after_id) do
    with {:ok, [_ | _] = links} <- Links.page(store, after_id, @page) do
      %Link{discord_id: last} = List.last(links)
      with :ok <- each(links), do: each_page(runtime, last)
    else
      {:ok, []} -> :ok
      {:error, error} -> {:error, error}
    end
  end

  # Whose value Discord knows costs no request.
  defp each(links) do
    TaskSupervisor
    |> Task.Supervisor.async_stream_nolink(links, &{&1, LinkedRoles.push(&1.user_id)},
      max_concurrency: @at_once,
      timeout: :infinity,
      ordered: false,
      zip_input_on_exit: true
    )
    |> Enum.reduce_while(:ok, fn outcome, :ok ->
      case failed(outcome) do
        nil -> {:cont, :ok}
        link -> with(:ok <- Queue.put(link.user_id, :linked_roles), do: {:cont, :ok}, else: (full -> {:halt, full}))
      end
    end)
  end

  defp failed({:ok, {_link, :ok}}), do: nil
  defp failed({:ok, {link, {:error, _told_by_the_queue}}}), do: link
  defp failed({:exit, {link, _reported}}), do: link
end

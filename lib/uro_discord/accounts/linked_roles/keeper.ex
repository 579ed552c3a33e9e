defmodule UroDiscord.Accounts.LinkedRoles.Keeper do
  @moduledoc false
  # Tells Discord which values there are for Linked Roles, and then, at a start and once a day, has everybody's looked at: what changed while no node was
  # there follows then, and tokens are refreshed in time. The node that has the gateway does it.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.Accounts.{Link, LinkedRoles, Links, TaskSupervisor}
  alias UroDiscord.{Backoff, Config, Error, Gateway, Runtime}

  @day_ms 86_400_000
  @look_ms 5_000
  @pauses {5_000, 600_000}
  @page 1_000
  @at_once 4

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(_config), do: {:ok, later(%{task: nil, failures: 0}, 0)}

  @impl true
  def handle_info(:look, %{task: nil} = state) do
    if Gateway.Leader.held?() do
      task = Task.Supervisor.async_nolink(TaskSupervisor, &work/0)
      {:noreply, %{state | task: task.ref}}
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

  defp ended(state, :ok), do: later(%{state | failures: 0}, @day_ms)

  defp ended(state, failure) do
    with {:error, error} when state.failures == 0 <- failure,
         do: Logger.warning("accounts: Linked Roles are looked at again later: #{Exception.message(error)}")

    later(%{state | failures: state.failures + 1}, Backoff.delay(@pauses, state.failures))
  end

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
      outcome = each(links)
      %Link{discord_id: last} = List.last(links)
      # One that fails does not keep the others from it.
      with :ok <- each_page(runtime, last), do: outcome
    else
      {:ok, []} -> :ok
      {:error, error} -> {:error, error}
    end
  end

  # Whose value Discord knows costs no request.
  defp each(links) do
    TaskSupervisor
    |> Task.Supervisor.async_stream_nolink(links, &LinkedRoles.push(&1.user_id),
      max_concurrency: @at_once,
      timeout: :infinity,
      ordered: false
    )
    |> Enum.reduce(:ok, fn
      {:ok, :ok}, outcome -> outcome
      {:ok, {:error, error}}, _outcome -> {:error, error}
      {:exit, _reported}, _outcome -> {:error, %Error{kind: :crash, message: "it crashed"}}
    end)
  end
end

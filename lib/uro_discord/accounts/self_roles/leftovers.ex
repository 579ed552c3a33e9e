defmodule UroDiscord.Accounts.SelfRoles.Leftovers do
  @moduledoc false
  # Deletes the messages that are no longer configured: their buttons would give nothing any more.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Backoff, Events, Runtime}
  alias UroDiscord.Accounts.SelfRoles.Keeper
  alias UroDiscord.Gateway.Leader
  alias UroDiscord.Notify.Kept

  @retry_ms {5_000, 600_000}

  @spec start_link([String.t()]) :: GenServer.on_start()
  def start_link(names), do: GenServer.start_link(__MODULE__, names, name: __MODULE__)

  @impl true
  def init(names) do
    :ok = Events.subscribe(:status)
    {:ok, runtime} = Runtime.fetch()
    {:ok, %{names: names, runtime: runtime, failures: 0}, {:continue, :delete}}
  end

  @impl true
  def handle_continue(:delete, state), do: {:noreply, delete(state)}

  @impl true
  def handle_info({:uro_discord, :status, {:lease, :held}}, state), do: {:noreply, delete(state)}
  def handle_info({:uro_discord, :status, _other}, state), do: {:noreply, state}
  def handle_info(:delete, state), do: {:noreply, delete(state)}

  defp delete(%{runtime: runtime} = state) do
    with true <- Leader.held?(), {:ok, all} <- Kept.all(runtime.store, Keeper.kind()) do
      failed = for kept <- all, kept.name not in state.names, {:error, error} <- [Kept.delete(kept, runtime)], do: error
      if failed == [], do: %{state | failures: 0}, else: again(state, hd(failed))
    else
      false -> state
      {:error, error} -> again(state, error)
    end
  end

  defp again(state, error) do
    Logger.info("a message that self_roles has no longer is deleted later: #{Exception.message(error)}")
    Process.send_after(self(), :delete, Backoff.delay(@retry_ms, state.failures))
    %{state | failures: state.failures + 1}
  end
end

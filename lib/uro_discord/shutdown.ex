defmodule UroDiscord.Shutdown do
  @moduledoc false
  # Stops everything within 25 s, since Kubernetes kills what has not ended after 30. It is the last child, so the first that is
  # stopped: the outbox finishes what is under way, and at the same time the other domains do; then the supervisor stops the core,
  # which gives back the gateway. What takes longer is killed, and is where the store has it at the next start.

  use UroDiscord.Server, shutdown: 12_000

  alias UroDiscord.{Domain, Notify}

  # With the core's 11 s, and half a second for each domain that is left running.
  @together_ms 11_000

  @spec start_link([atom()]) :: GenServer.on_start()
  def start_link(domains), do: GenServer.start_link(__MODULE__, domains, name: __MODULE__)

  @impl true
  def init(domains) do
    Process.flag(:trap_exit, true)
    {:ok, domains}
  end

  @impl true
  def terminate(:shutdown, domains) do
    [(&stop_outbox/0) | for(domain <- domains, domain != :core, do: fn -> Domain.stop(domain) end)]
    |> Task.async_stream(& &1.(), max_concurrency: length(domains), timeout: @together_ms, on_timeout: :kill_task)
    |> Stream.run()
  end

  def terminate(_crash, _domains), do: :ok

  defp stop_outbox do
    Supervisor.terminate_child(Domain.supervisor(:core), Notify)
  catch
    :exit, _not_there -> :ok
  end
end

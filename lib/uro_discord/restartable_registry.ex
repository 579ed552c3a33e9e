defmodule UroDiscord.RestartableRegistry do
  @moduledoc false
  # A Registry that its supervisor can start again at once. Where one is killed its processes outlive it for a moment, and keep their
  # names. A start in that moment fails, and a supervisor tries again at once, until it has no tries left: so the start waits.

  @end_ms 5_000

  @doc "Options: those of `Registry`, which has one partition here."
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options) do
    %{id: Keyword.fetch!(options, :name), start: {__MODULE__, :start_link, [options]}, type: :supervisor}
  end

  @spec start_link(keyword()) :: Supervisor.on_start()
  def start_link(options) do
    name = Keyword.fetch!(options, :name)
    for name <- [name, partition(name)], pid = Process.whereis(name), do: await_end(pid)
    Registry.start_link(options)
  end

  @doc "The process in a registry that has its entries, as `Registry` names it."
  @spec partition(atom()) :: atom()
  def partition(name), do: Module.concat(name, PIDPartition0)

  defp await_end(pid) do
    ref = Process.monitor(pid)

    receive do
      {:DOWN, ^ref, :process, _pid, _reason} -> :ok
    after
      @end_ms -> Process.demonitor(ref, [:flush])
    end
  end
end

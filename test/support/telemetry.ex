defmodule :telemetry do
  @moduledoc """
  The host's library, as far as we call it: it is not among Debian's packages. Handlers run in the process that executes, and one
  that raises is detached, as with the real one.
  """

  @table __MODULE__

  def attach(id, event, function, config) do
    :ok = UroDiscord.TelemetryTable.start()
    if :ets.insert_new(@table, {id, event, function, config}), do: :ok, else: {:error, :already_exists}
  end

  def detach(id) do
    :ok = UroDiscord.TelemetryTable.start()
    if :ets.take(@table, id) == [], do: {:error, :not_found}, else: :ok
  end

  def list_handlers, do: if(:ets.whereis(@table) == :undefined, do: [], else: :ets.tab2list(@table))

  def execute(event, measurements, metadata) do
    for {id, ^event, function, config} <- list_handlers() do
      try do
        function.(event, measurements, metadata, config)
      catch
        _kind, _reason -> detach(id)
      end
    end

    :ok
  end
end

defmodule UroDiscord.TelemetryTable do
  @moduledoc "Owns the table of handlers for as long as the VM runs."

  def start do
    if :ets.whereis(:telemetry) == :undefined do
      parent = self()

      {pid, monitor} =
        spawn_monitor(fn ->
          :ets.new(:telemetry, [:named_table, :public])
          send(parent, {self(), :made})
          Process.sleep(:infinity)
        end)

      receive do
        {^pid, :made} -> Process.demonitor(monitor, [:flush])
        # Somebody else was faster.
        {:DOWN, ^monitor, :process, ^pid, _reason} -> :ok
      end
    end

    :ok
  end
end

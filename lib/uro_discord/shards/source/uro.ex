defmodule UroDiscord.Shards.Source.Uro do
  @moduledoc false
  # Uro in this VM. Its functions list what gave a sign of life within the last 30 s.

  @behaviour UroDiscord.Shards.Source.Adapter
  alias UroDiscord.Shards.Source.Row

  @context Uro.VSekai
  # Of Uro and of its newer forks: the list, and how old a heartbeat in it may be.
  @lists [
    {:list_fresh_shards, :shard_freshness_time_in_seconds},
    {:list_fresh_zones, :zone_freshness_time_in_seconds}
  ]
  @freshness_s 30

  @impl true
  def init(%{shards: %{source: :uro}}), do: %{ask: :uro, known: %{}}

  def init(%{shards: %{source: {:uro, module, function, arguments}}}),
    do: %{ask: {module, function, arguments}, known: %{}}

  @impl true
  def poll(memory) do
    now = System.os_time(:millisecond)

    case quietly(fn -> list(memory.ask) end) do
      {:ok, list, window_ms} when is_list(list) ->
        {rows, known} = Row.read(list, now, window_ms, memory.known)
        {:ok, rows, %{memory | known: known}}

      {:ok, other, _window_ms} ->
        {:error, "it did not return a list but #{inspect(other, limit: 3, printable_limit: 40)}"}

      {:error, reason} ->
        {:error, reason}
    end
  end

  # Without the query in the host's debug log, every few seconds. Before Elixir 1.15 a process logs all or nothing.
  defp quietly(fun) do
    quiet()
    fun.()
  after
    aloud()
  end

  if Code.ensure_loaded?(Logger) and function_exported?(Logger, :put_process_level, 2) do
    defp quiet, do: Logger.put_process_level(self(), :info)
    defp aloud, do: Logger.delete_process_level(self())
  else
    defp quiet, do: Logger.disable(self())
    defp aloud, do: Logger.enable(self())
  end

  defp list({module, function, arguments}), do: {:ok, apply(module, function, arguments), nil}

  defp list(:uro) do
    _ = Code.ensure_loaded(@context)

    case Enum.find(@lists, fn {list, _freshness} -> function_exported?(@context, list, 0) end) do
      nil ->
        {:error,
         "there is neither #{inspect(@context)}.list_fresh_shards/0 nor list_fresh_zones/0: name the function that lists the shards, " <>
           "shards: [source: {:uro, MyApp.Worlds, :list, []}]"}

      {list, freshness} ->
        seconds = if function_exported?(@context, freshness, 0), do: apply(@context, freshness, []), else: @freshness_s
        {:ok, apply(@context, list, []), 1_000 * seconds}
    end
  end
end

defmodule UroDiscord.Shards.Source.Hint do
  @moduledoc false
  # Tells of writes to Uro's table of shards, by the `:telemetry` of Ecto, when the host has both. It runs in whatever process
  # writes, and may cost it nothing: a storm of writes is one message, until that is answered with `rearm/1`.

  @compile {:no_warn_undefined, [:telemetry]}

  @tables ["shards", "zones"]

  @typep t :: %{id: term(), told: :atomics.atomics_ref()} | nil

  @doc "From now on the calling process gets `:hint`. Nil where there is no telemetry."
  @spec attach([atom()] | nil) :: t()
  def attach(nil), do: nil

  def attach(prefix) do
    _ = Code.ensure_loaded(:telemetry)

    if function_exported?(:telemetry, :attach, 4) do
      id = {__MODULE__, prefix}
      told = :atomics.new(1, [])
      # That of one that was killed.
      _ = :telemetry.detach(id)
      :ok = :telemetry.attach(id, prefix ++ [:query], &__MODULE__.handle/4, {self(), told})
      %{id: id, told: told}
    end
  end

  @spec detach(t()) :: :ok
  def detach(nil), do: :ok

  def detach(hint) do
    _ = :telemetry.detach(hint.id)
    :ok
  end

  @doc "The next write is told again."
  @spec rearm(t()) :: :ok
  def rearm(nil), do: :ok
  def rearm(hint), do: :atomics.put(hint.told, 1, 0)

  @doc false
  # Ecto's event: https://hexdocs.pm/ecto/Ecto.Repo.html#module-telemetry-events
  def handle(_event, _measurements, metadata, {pid, told}) do
    with %{source: table, query: sql} when table in @tables and is_binary(sql) <- metadata,
         false <- reads?(sql),
         0 <- :atomics.exchange(told, 1, 1),
         do: send(pid, :hint)

    :ok
  end

  defp reads?(sql), do: sql |> String.trim_leading() |> binary_start(6) |> String.upcase() == "SELECT"

  defp binary_start(text, size), do: binary_part(text, 0, min(size, byte_size(text)))
end

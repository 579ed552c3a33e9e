defmodule UroDiscord.Portal.Rows do
  @moduledoc false
  # Which portals there shall be, as the store has them: for `Portal.Rooms`, which opens and closes them, and for whoever looks. The
  # topic `:portal_rows` tells of changes.

  alias UroDiscord.{Events, Runtime}
  alias UroDiscord.Portal.{Rooms, Store}
  alias UroDiscord.Store.Watch

  @spec child_spec(term()) :: Supervisor.child_spec()
  def child_spec(_argument) do
    Watch.child_spec(%{
      name: __MODULE__,
      read: &Store.all/1,
      pass_on: &pass_on/1,
      unreadable: "it cannot be read which portals are to be open",
      first: :soon
    })
  end

  @doc "Looks now. When this returns, what is stored is known; or the store is away, and it is when it is back."
  @spec reload() :: :ok
  def reload, do: Watch.reload(__MODULE__)

  @doc "All that the store has, as it was last read; nil before that. Waits for nobody."
  @spec known() :: %{String.t() => Store.row()} | nil
  def known, do: Runtime.lookup(:portal_rows)

  defp pass_on(rows) do
    :ok = Runtime.put(:portal_rows, rows)
    Events.publish(:portal_rows, :changed)
    Rooms.put(rows)
  end
end

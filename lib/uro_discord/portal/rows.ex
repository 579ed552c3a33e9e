defmodule UroDiscord.Portal.Rows do
  @moduledoc false
  # Reads which portals there shall be, at once for whoever has changed that here, and every few seconds for what other nodes have
  # changed. Reading may take its time, and only who changes something waits for it.

  use UroDiscord.Server
  alias UroDiscord.{Runtime, Server, Store}
  alias UroDiscord.Portal.Rooms
  alias UroDiscord.Portal.Store, as: Portals

  @reload 2_000

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(_argument), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc "Looks now. When this returns, what is stored is known; or the store is away, and it is when it is back."
  @spec reload() :: :ok
  def reload, do: with({:error, _not_there} <- Server.call(__MODULE__, :reload, :infinity), do: :ok)

  @impl true
  def init(nil), do: {:ok, %{rows: :unknown, failing?: false}, {:continue, :read}}

  @impl true
  def handle_continue(:read, state), do: {:noreply, state |> read() |> later()}

  @impl true
  def handle_call(:reload, _from, state), do: {:reply, :ok, read(state)}

  @impl true
  def handle_info(:read, state), do: {:noreply, state |> read() |> later()}

  defp later(state) do
    Process.send_after(self(), :read, @reload)
    state
  end

  defp read(state) do
    {:ok, %{store: store}} = Runtime.fetch()

    case Portals.all(store) do
      {:ok, rows} when rows == state.rows -> %{state | failing?: false}
      {:ok, rows} -> %{state | failing?: false, rows: taken(rows, Rooms.put(rows))}
      {:error, error} -> failing(state, error)
    end
  end

  # One that is being started is told the next time.
  defp taken(rows, :ok), do: rows
  defp taken(_rows, {:error, _not_there}), do: :unknown

  # What was open stays so.
  defp failing(%{failing?: true} = state, _error), do: state

  defp failing(state, error) do
    Store.failed(error, "it cannot be read which portals are to be open")
    %{state | failing?: true}
  end
end

defmodule UroDiscord.Shards.Hidden do
  @moduledoc false
  # Keeps the registry to what an admin does not want to see. The patterns are in the store, where `mix uro_discord.shards.hide` on another
  # machine puts them too: they are read again every few seconds. Judging all shards anew takes its time; it is done here, and nobody but who
  # changes the patterns waits for it.

  use UroDiscord.Server
  alias UroDiscord.{Runtime, Server, Store}
  alias UroDiscord.Shards.Hidden.{Matcher, Patterns}

  @reload 2_000

  @doc "`put` takes what judges shards from now on."
  @spec start_link((Matcher.t() -> term())) :: GenServer.on_start()
  def start_link(put), do: GenServer.start_link(__MODULE__, put, name: __MODULE__)

  @doc "Looks at once, for who has just changed it here."
  @spec reload() :: :ok
  # One that is being started reads them then.
  def reload, do: with({:error, _not_there} <- Server.call(__MODULE__, :reload, :infinity), do: :ok)

  @impl true
  def init(put) do
    # Before anything is shown.
    {:ok, read(%{put: put, patterns: :unknown, failing?: false}), {:continue, :later}}
  end

  @impl true
  def handle_continue(:later, state), do: {:noreply, later(state)}

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

    case Patterns.all(store) do
      {:ok, entries} -> apply_patterns(%{state | failing?: false}, Enum.map(entries, & &1.pattern))
      {:error, error} -> failing(state, error)
    end
  end

  defp apply_patterns(%{patterns: patterns} = state, patterns), do: state

  defp apply_patterns(state, patterns) do
    state.put.(Matcher.new(patterns))
    %{state | patterns: patterns}
  end

  # What was hidden stays so.
  defp failing(%{failing?: true} = state, _error), do: state

  defp failing(state, error) do
    Store.failed(error, "it cannot be read which shards are hidden")
    %{state | failing?: true}
  end
end

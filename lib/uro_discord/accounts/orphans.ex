defmodule UroDiscord.Accounts.Orphans do
  @moduledoc false
  # Takes back what could not be taken back when a link ended: the store knows of it. Every `poll` ms, on the node with the gateway, one after the other and
  # behind all that somebody waits for.

  use UroDiscord.Server

  alias UroDiscord.Accounts.{Applied, Running, Sync, Turns, Work}
  alias UroDiscord.{Config, Gateway, Store}

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(config), do: {:ok, later(%{poll: config.accounts.poll, task: nil}, 0)}

  @impl true
  def handle_info(:look, state) do
    if Gateway.Leader.held?(),
      do: {:noreply, %{state | task: Work.start(&release/0)}},
      else: {:noreply, later(state, state.poll)}
  end

  def handle_info({ref, _done}, %{task: ref} = state) do
    Process.demonitor(ref, [:flush])
    {:noreply, later(%{state | task: nil}, state.poll)}
  end

  # It crashed, as is reported.
  def handle_info({:DOWN, ref, :process, _pid, _reason}, %{task: ref} = state),
    do: {:noreply, later(%{state | task: nil}, state.poll)}

  defp later(state, ms) do
    Process.send_after(self(), :look, ms)
    state
  end

  defp release do
    with {:ok, %{store: store}} <- Running.fetch() do
      with {:error, error} <- Turns.sweep(store),
           do: Store.failed(error, "turns of nodes that are gone are forgotten later")

      release(store, {"", ""})
    end
  end

  # All of them, page by page: those of a server that the bot has lost, or that refuses, are in nobody's way.
  defp release(store, after_one) do
    case Applied.orphans(store, after_one) do
      {:ok, []} ->
        :ok

      {:ok, orphans} ->
        for {guild_id, discord_id} <- orphans, do: Sync.release(guild_id, discord_id)
        release(store, List.last(orphans))

      {:error, error} ->
        Store.failed(error, "members of whom something is to be taken back are looked for later")
    end
  end
end

defmodule UroDiscord.Notify.Dispatcher do
  @moduledoc false
  # Sees to it that whatever waits in the store is sent: after a start, when another node has died, when a process of ours has.
  # `UroDiscord.notify/2` wakes its channel by itself.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Clock, Rest, Runtime, Store}
  alias UroDiscord.Notify.{Channel, Outbox}

  @poll_ms 5_000
  @prune_ms 3_600_000
  # How long outcomes are kept, for `await/2` and for the admin.
  @delivered_ms 7 * 24 * 3_600_000
  @failed_ms 30 * 24 * 3_600_000

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(_argument), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @impl true
  def init(nil) do
    {:ok, runtime} = Runtime.fetch()
    send(self(), :poll)
    send(self(), :prune)
    {:ok, %{runtime: runtime, unauthorized: false}}
  end

  @impl true
  def handle_info(:poll, state) do
    Process.send_after(self(), :poll, @poll_ms)

    case Outbox.channels(state.runtime.store) do
      {:ok, channels} -> Enum.each(channels, &Channel.wake/1)
      {:error, error} -> Store.failed(error, "the store of notifications failed")
    end

    {:noreply, tell_unauthorized(state)}
  end

  def handle_info(:prune, state) do
    Process.send_after(self(), :prune, @prune_ms)
    now = Clock.local()

    with {:error, error} <- Outbox.prune(state.runtime.store, now - @delivered_ms, now - @failed_ms),
         do: Store.failed(error, "old notifications could not be forgotten")

    {:noreply, state}
  end

  # Once, however many channels wait.
  defp tell_unauthorized(state) do
    %{unauthorized: unauthorized} = Rest.status(state.runtime.rest)

    if unauthorized and not state.unauthorized do
      Logger.error(
        "Discord does not accept the bot's token (401), so nothing is sent. Set :token to the one on the Bot page of the " <>
          "developer portal and restart; what waits is kept and sent then. One request a minute sees whether it is accepted again"
      )
    end

    if state.unauthorized and not unauthorized, do: Logger.info("Discord accepts the bot's token again")
    %{state | unauthorized: unauthorized}
  end
end

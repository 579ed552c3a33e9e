defmodule UroDiscord.Shards.PubSub do
  @moduledoc false
  # Every event of `:shards` on the host's Phoenix.PubSub too, as the same message, for LiveViews and other nodes.

  use UroDiscord.Server
  require Logger
  alias UroDiscord.Events

  @compile {:no_warn_undefined, [Phoenix.PubSub]}
  @topic "uro_discord:shards"

  @spec start_link(atom()) :: GenServer.on_start()
  def start_link(pubsub), do: GenServer.start_link(__MODULE__, pubsub, name: __MODULE__)

  @impl true
  def init(pubsub) do
    :ok = Events.subscribe(:shards)
    {:ok, %{pubsub: pubsub, failing?: false}}
  end

  @impl true
  def handle_info({:uro_discord, :shards, _event} = message, state) do
    case broadcast(state.pubsub, message) do
      :ok -> {:noreply, %{state | failing?: false}}
      {:error, reason} -> {:noreply, failing(state, reason)}
    end
  end

  defp broadcast(pubsub, message) do
    with {:error, reason} <- Phoenix.PubSub.broadcast(pubsub, @topic, message), do: {:error, inspect(reason)}
  rescue
    # It raises while it is not running.
    exception -> {:error, Exception.message(exception)}
  end

  defp failing(%{failing?: true} = state, _reason), do: state

  defp failing(state, reason) do
    Logger.error("events of shards do not reach #{inspect(state.pubsub)}: #{reason}. Is it started before UroDiscord?")
    %{state | failing?: true}
  end
end

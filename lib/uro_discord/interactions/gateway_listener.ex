defmodule UroDiscord.Interactions.GatewayListener do
  @moduledoc false
  # Interactions from the gateway, which is where Discord sends them when the application has no endpoint URL for them. They are
  # answered by REST (https://discord.com/developers/docs/interactions/receiving-and-responding#create-interaction-response).

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Error, Events, Interaction, Rest, Runtime, Secret}
  alias UroDiscord.Interactions.{Dispatcher, ReplayGuard}

  @event {:gateway, "INTERACTION_CREATE"}
  # Later than this Discord takes no first response.
  @deadline_ms 2_900
  @already_acknowledged 40_060

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(_argument), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @impl true
  def init(nil) do
    :ok = Events.subscribe(@event)
    {:ok, nil}
  end

  @impl true
  def handle_info({:uro_discord, @event, %{data: data}}, state) do
    with {:ok, interaction} <- Interaction.new(data),
         # A resumed session may repeat what came before.
         true <- ReplayGuard.new?(interaction.id),
         {:ok, %{config: config, rest: rest}} <- Runtime.fetch() do
      Dispatcher.answer(interaction, config, &respond(rest, interaction, &1))
    else
      {:error, reason} -> Logger.warning("an interaction from the gateway was passed over: #{inspect(reason)}")
      false -> :repeated
    end

    {:noreply, state}
  end

  defp respond(rest, interaction, response) do
    route = {:interaction_callback, interaction.id, Secret.reveal(interaction.token)}

    case Rest.call(rest, route, json: response, retry: :safe, priority: :high, deadline_ms: @deadline_ms) do
      {:ok, _} -> :ok
      # The answer to an earlier try was lost.
      {:error, %Error{code: @already_acknowledged}} -> :ok
      {:error, error} -> {:error, error}
    end
  end
end

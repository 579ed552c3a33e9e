defmodule UroDiscord.Interactions.Webhook do
  @moduledoc false
  # What comes after the first response: an interaction's token is that of a webhook, for 15 minutes.

  alias UroDiscord.{Backoff, Error, Interaction, Rest, Runtime, Secret}
  alias UroDiscord.Notify.Message

  # A response that we gave by HTTP may still be under way at Discord's: until it is there, its message is not.
  @unknown_message 10_008
  @unknown_webhook 10_015
  @tries 5

  @doc "A message, as what a user is answered with after a deferral."
  @spec message(Message.input()) :: {:ok, Message.t()} | {:error, String.t()}
  def message(input) do
    case Message.new(input) do
      {:ok, [message]} -> {:ok, %{message | body: Map.drop(message.body, ["message_reference"])}}
      {:ok, _parts} -> {:error, "an answer is one message; it cannot be split"}
      {:error, %Error{} = error} -> {:error, Exception.message(error)}
    end
  end

  @doc "Replaces the response's message."
  @spec edit(Interaction.t(), Message.t()) :: :ok | {:error, Error.t()}
  def edit(interaction, message) do
    body = Message.replacing(message.body)
    request(route(:update_interaction_original, interaction), [json: body, files: message.files], 1)
  end

  @doc "One more message."
  @spec follow_up(Interaction.t(), map()) :: :ok | {:error, Error.t()}
  def follow_up(interaction, body), do: request(route(:execute_webhook, interaction), [json: body], 1)

  defp route(name, interaction), do: {name, interaction.application_id, Secret.reveal(interaction.token)}

  defp request(route, options, attempt) do
    with {:ok, %{rest: rest}} <- Runtime.fetch_enabled() do
      case Rest.call(rest, route, [retry: :safe, priority: :high] ++ options) do
        {:ok, _} ->
          :ok

        {:error, %Error{code: code}} when code in [@unknown_message, @unknown_webhook] and attempt < @tries ->
          Process.sleep(Backoff.delay({200, 2_000}, attempt))
          request(route, options, attempt + 1)

        {:error, error} ->
          {:error, error}
      end
    end
  end
end

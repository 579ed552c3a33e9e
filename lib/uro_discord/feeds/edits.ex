defmodule UroDiscord.Feeds.Edits do
  @moduledoc false
  # A round of edits: every card that does not show its latest step, and is due. It keeps in mind what the store does not: how
  # often an edit failed, and what was shown and could not be written down.

  require Logger

  alias UroDiscord.{Backoff, Delivery, Error, Notify}
  alias UroDiscord.Feeds.Store
  alias UroDiscord.Notify.Outbox

  @at_once 20
  # While the first message of it is on its way.
  @queued {500, 5_000}
  # While Discord cannot be asked.
  @away {1_000, 60_000}
  # Discord (or something on the way) refused it. Rights may be given back, and a proxy mended; but of 10,000 refusals in
  # ten minutes Discord bans the address.
  @refused {1_000, 60 * 60 * 1000}

  # https://discord.com/developers/docs/topics/opcodes-and-status-codes#json: the channel or the message is gone, it is
  # another's, or this text will not do.
  @final [10_003, 10_008, 50_005, 50_035]

  defstruct failures: %{}, unwritten: %{}

  @type t :: %__MODULE__{
          failures: %{(key() | {:queued, key()}) => pos_integer()},
          # What Discord shows, by the card.
          unwritten: %{key() => {Store.card(), message_id :: String.t() | nil}}
        }

  @typep key :: {feed :: String.t(), card :: String.t(), channel_id :: String.t()}

  @spec new() :: t()
  def new, do: %__MODULE__{}

  @doc "Counts anew, so that what fails is told again."
  @spec forget_failures(t()) :: t()
  def forget_failures(edits), do: %{edits | failures: %{}}

  @doc "Edits all that is due. It ends with the first failure of the store, so that nothing is edited that cannot be written down."
  @spec run(t(), UroDiscord.Store.t()) :: {:ok | {:error, Error.t()}, t()}
  def run(edits, store) do
    with {:ok, edits} <- write_down(edits, store),
         {:ok, cards} <- pending(edits, store),
         {:ok, edits} <- edit_all(cards, edits, store) do
      if length(cards) == @at_once, do: run(edits, store), else: {:ok, edits}
    end
  end

  defp pending(edits, store) do
    with {:error, error} <- Store.pending(store, @at_once), do: {{:error, error}, edits}
  end

  defp write_down(edits, store) do
    edits.unwritten
    |> Enum.map(fn {_key, {card, message_id}} -> {card, :shown, message_id} end)
    |> note_all(edits, store)
  end

  defp edit_all(cards, edits, store) do
    cards
    |> Task.async_stream(&edit(store, &1), max_concurrency: @at_once, timeout: :infinity)
    |> Enum.map(fn {:ok, outcome} -> outcome end)
    |> note_all(edits, store)
  end

  ## One edit

  # {card, :shown | :queued | {:retry, error, pauses} | {:never, why}, message_id}
  defp edit(store, card) do
    case message_id(store, card) do
      {:ok, message_id} -> {card, change(card, message_id), message_id}
      not_yet -> {card, not_yet, nil}
    end
  end

  defp message_id(_store, %{message_id: id}) when is_binary(id), do: {:ok, id}

  defp message_id(store, card) do
    case Outbox.fetch(store, card.delivery_id) do
      {:ok, %{status: :delivered, message_id: id}} -> {:ok, id}
      {:ok, %{status: :queued}} -> :queued
      # An admin may send it again, as long as it is kept.
      {:ok, %{status: :failed, error: error}} -> {:retry, error, @refused}
      :error -> {:never, "its message is not known any more"}
      {:error, error} -> {:retry, error, @away}
    end
  end

  defp change(card, message_id) do
    delivery = %Delivery{
      id: card.delivery_id,
      channel_id: card.channel_id,
      status: :delivered,
      message_id: message_id
    }

    case Notify.edit(delivery, card.body) do
      {:ok, _} -> :shown
      {:error, %Error{kind: :invalid} = error} -> {:never, Exception.message(error)}
      {:error, %Error{code: code} = error} when code in @final -> {:never, Exception.message(error)}
      {:error, %Error{kind: :api, status: status} = error} when status in 400..499 -> {:retry, error, @refused}
      {:error, error} -> {:retry, error, @away}
    end
  end

  ## What came of it

  defp note_all(outcomes, edits, store) do
    Enum.reduce(outcomes, {:ok, edits}, fn {card, outcome, message_id}, {before, edits} ->
      {written, edits} = note(outcome, card, message_id, edits, store)
      {if(before == :ok, do: written, else: before), edits}
    end)
  end

  defp note(:shown, card, message_id, edits, store), do: shown(card, message_id, edits, store)

  defp note({:never, why}, card, message_id, edits, store) do
    # The next step is tried again.
    Logger.warning("a message of feed #{card.feed} cannot be edited: #{why}")
    shown(card, message_id, edits, store)
  end

  defp note(:queued, card, _message_id, edits, store) do
    {count, edits} = failed({:queued, key(card)}, edits)
    {Store.retry(store, card, nil, Backoff.delay(@queued, count)), edits}
  end

  defp note({:retry, error, pauses}, card, message_id, edits, store) do
    {count, edits} = failed(key(card), edits)
    if count == 0, do: Logger.warning("a message of feed #{card.feed} is edited later: #{Exception.message(error)}")
    delay = max(Backoff.delay(pauses, count), error.retry_after_ms || 0)
    {Store.retry(store, card, message_id, delay), edits}
  end

  defp failed(key, edits) do
    count = Map.get(edits.failures, key, 0)
    {count, put_in(edits.failures[key], count + 1)}
  end

  defp shown(card, message_id, edits, store) do
    edits = %{edits | failures: Map.drop(edits.failures, [key(card), {:queued, key(card)}])}

    case Store.shown(store, card, message_id) do
      :ok -> {:ok, %{edits | unwritten: Map.delete(edits.unwritten, key(card))}}
      {:error, error} -> {{:error, error}, put_in(edits.unwritten[key(card)], {card, message_id})}
    end
  end

  defp key(card), do: {card.feed, card.key, card.channel_id}
end

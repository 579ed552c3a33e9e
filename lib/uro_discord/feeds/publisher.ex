defmodule UroDiscord.Feeds.Publisher do
  @moduledoc false
  # What becomes of a feed's event, whether a webhook or a poller brings it: messages, and edits of those that are there.

  alias UroDiscord.{Error, Notify, Runtime}
  alias UroDiscord.Feeds.{Card, Editor, Event, Rule, Status, Store}

  # Each conflict is another step of the same thing that was quicker, and there are not so many.
  @most_conflicts 20

  @doc """
  An event, to the channels that its feed's rules name. When this returns `:ok` it is stored, and will be shown. After an error
  it may be given again: what was done of it is not done twice.
  """
  @spec accept(map(), Event.t(), Runtime.t()) :: :ok | {:error, Error.t()}
  def accept(feed, event, runtime) do
    message = Card.message(event)

    with {:ok, [_one]} <- Notify.Message.new(message),
         {:ok, new} <- step(channels(feed, event), feed, event, message, runtime),
         :ok <- if(new == [], do: :ok, else: Status.take(feed, length(new))) do
      post(new, feed, event, message, runtime)
    end
  end

  # Whether each channel is to have a message of it (`:post`), or only edits of the one that it has.
  defp channels(feed, event) do
    for {channel_id, verdicts} <- Enum.group_by(feed.rules, & &1.channel, &Rule.apply(&1, event)),
        verdict = Enum.find([:post, :follow], &(&1 in verdicts)),
        do: {channel_id, verdict}
  end

  # The channels that need a message.
  defp step(channels, feed, event, message, runtime) do
    Enum.reduce_while(channels, {:ok, []}, fn {channel_id, verdict}, {:ok, new} ->
      case {Store.step(runtime.store, feed.name, event, channel_id, message), verdict} do
        {:current, _} -> {:cont, {:ok, edited(new)}}
        {:none, :post} -> {:cont, {:ok, [channel_id | new]}}
        {:none, :follow} -> {:cont, {:ok, new}}
        {{:error, error}, _} -> {:halt, {:error, error}}
      end
    end)
  end

  defp edited(result) do
    Editor.wake()
    result
  end

  defp post([], _feed, _event, _message, _runtime), do: :ok

  defp post([channel_id | others] = new, feed, event, message, runtime) do
    case post_one(channel_id, feed, event, message, runtime, @most_conflicts) do
      :posted ->
        post(others, feed, event, message, runtime)

      :edited ->
        Status.give_back(feed, 1)
        post(others, feed, event, message, runtime)

      {:error, error} ->
        Status.give_back(feed, length(new))
        {:error, error}
    end
  end

  defp post_one(channel_id, feed, event, message, runtime, tries) do
    with {:error, %Error{kind: :conflict}} when tries > 0 <- insert(channel_id, feed, event, message),
         # Another request was quicker with another step of it.
         :none <- Store.step(runtime.store, feed.name, event, channel_id, message) do
      post_one(channel_id, feed, event, message, runtime, tries - 1)
    else
      :current -> edited(:edited)
      outcome -> outcome
    end
  end

  defp insert(channel_id, feed, event, message) do
    also = &[Store.insert(feed.name, event, message, &1)]

    with {:ok, _delivery} <- Notify.notify(channel_id, message, producer: {:feed, feed.name}, also: also),
         do: :posted
  end
end

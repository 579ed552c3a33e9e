defmodule UroDiscord.Notify.Producer do
  @moduledoc false
  # Whose a notification is: the host's own code, a key of the HTTP API, a feed, or what is told of worlds (announcements and boards).
  # Each has a queue of its own in every channel, and the queues of a channel take turns. So what one of them fills, it
  # fills for itself. There is a most that each may have waiting, over all channels.

  alias UroDiscord.Error

  @type t :: :host | :worlds | {:key, String.t()} | {:feed, atom() | String.t()}

  # A channel takes about one message a second. A key leaks, a feed is somebody else's; the host's own code is trusted, and is only
  # kept from filling the disk.
  @from_outside 500
  @own 50_000

  @doc """
  The name of its queue, in the store.

      iex> alias UroDiscord.Notify.Producer
      iex> Enum.map([:host, :worlds, {:key, "ci"}, {:feed, :game}], &Producer.name/1)
      ["host", "worlds", "key:ci", "feed:game"]
  """
  @spec name(t()) :: String.t()
  def name(producer) when producer in [:host, :worlds], do: Atom.to_string(producer)
  def name({kind, name}) when kind in [:key, :feed], do: "#{kind}:#{name}"

  @doc "How many of its messages may wait."
  @spec most_waiting(t()) :: pos_integer()
  def most_waiting(producer) when producer in [:host, :worlds], do: @own
  def most_waiting(_from_outside), do: @from_outside

  @doc "Why there can be no more of them now."
  @spec full(t()) :: Error.t()
  def full(producer) do
    %Error{
      kind: :full,
      message:
        "#{words(producer)} has #{most_waiting(producer)} messages waiting for Discord, or would have more with this one, and that is " <>
          "the most. A channel takes about one a second: send it later, or less"
    }
  end

  defp words(:host), do: "the host's own code"
  defp words(:worlds), do: "what is told of worlds"
  defp words({kind, name}), do: "the #{kind} #{name}"
end

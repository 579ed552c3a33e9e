defmodule UroDiscord.Bridge.Words do
  @moduledoc false
  # What is said of a bridge, and of how it ended, in the log and in `UroDiscord.status/0`. `node` is nil for a process of ours.

  alias UroDiscord.Bridge.Protocol

  @type node_or_nil :: node() | nil

  @doc "At the beginning of a sentence about it."
  @spec title(node_or_nil()) :: String.t()
  def title(nil), do: "the bridge"
  def title(node), do: "the bridge #{node}"

  @doc "Before a sentence that names it."
  @spec at(node_or_nil()) :: String.t()
  def at(nil), do: ""
  def at(node), do: "#{node}: "

  @doc "What its owner does after its end."
  @spec next(node_or_nil()) :: String.t()
  def next(nil), do: "starting another one"
  def next(_node), do: "waiting for it"

  @doc """
  How it ended, with so many bytes of a frame unread.

      iex> UroDiscord.Bridge.Words.ended({:status, 137}, 0)
      "killed by signal 9"
      iex> UroDiscord.Bridge.Words.ended({:status, 1}, 12)
      "exited with status 1, in the middle of a frame (12 bytes of it)"
  """
  @spec ended({:status, non_neg_integer()} | {:reason, String.t()}, non_neg_integer()) :: String.t()
  def ended(how, unread), do: reason(how) <> truncated(unread)

  defp reason({:status, status}) when status > 128, do: "killed by signal #{status - 128}"
  defp reason({:status, status}), do: "exited with status #{status}"
  defp reason({:reason, reason}), do: reason

  defp truncated(0), do: ""
  defp truncated(unread), do: ", in the middle of a frame (#{unread} bytes of it)"

  @doc "It speaks another version of the protocol, which is understood."
  @spec apart(node_or_nil(), pos_integer()) :: String.t()
  def apart(node, version) do
    "#{title(node)} speaks version #{version} of the protocol, and this library #{Protocol.version()}: they understand each other, " <>
      "without what is new in either"
  end

  @doc "It speaks a version that is not understood, and is left alone for so many ms where it runs elsewhere."
  @spec incompatible(node_or_nil(), String.t(), pos_integer()) :: String.t()
  def incompatible(nil, _last_end, _pause) do
    "the bridge and this library speak different versions of their protocol (ours is #{Protocol.version()}): they were built " <>
      "apart. Run `mix compile --force` in uro_discord. It is not started again until then"
  end

  def incompatible(node, last_end, pause) do
    "#{title(node)} #{last_end}, and this library #{Protocol.version()}: run a bridge there that was built with this library. " <>
      "It is tried again in #{div(pause, 1_000)} s"
  end
end

defmodule UroDiscord.Bridge.Transport do
  @moduledoc false
  # What carries the frames between a bridge and its owner. The owner opens one, hands it every message that it does not know
  # itself, and learns from `heard/2` what the message was: it knows nothing of ports.

  import Kernel, except: [send: 2]

  @type t :: struct()

  @typedoc "How a bridge ended: with an exit status, or with a reason in words."
  @type ended :: {:status, non_neg_integer()} | {:reason, String.t()}

  @typedoc """
  What a message to the owner may mean: bytes of the bridge, its end (nothing follows); that one for which was waited is there, or why it is not, or that it
  serves another node, of this name.
  """
  @type said :: {:data, binary()} | {:ended, ended()} | :arrived | {:absent, String.t()} | {:held, String.t()}

  @doc """
  Starts a bridge, or waits for one that comes by itself and is absent for a reason. What it says comes to the calling process, which traps exits.
  """
  @callback open(options :: term()) :: {:ok, t()} | {:absent, t(), String.t()} | {:error, String.t()}

  @doc "What a message to the owner means; nothing where it is none of this transport's."
  @callback heard(t(), message :: term()) :: said() | :unknown

  @doc """
  Queues a frame, and waits for nobody: whether a bridge that is slow to read is hung, its answers to pings tell. The queue is bounded by
  what there is to say meanwhile: one desired state, the credit for events that came, an answer to each of 256 requests, a ping each 5 s.
  """
  @callback send(t(), iodata()) :: :ok

  @doc "Ends a bridge that does not react, and forgets it: nothing more is heard of it."
  @callback kill(t()) :: :ok

  @doc "Ends a sound bridge by the frame that tells it to, and waits for the end, which takes less than a second; else kills it."
  @callback finish(t(), stop :: iodata()) :: :ok

  @doc "The process id of the bridge, where it has one on this machine."
  @callback os_pid(t()) :: pos_integer() | nil

  @spec heard(t(), term()) :: said() | :unknown
  def heard(%module{} = transport, message), do: module.heard(transport, message)

  @spec send(t(), iodata()) :: :ok
  def send(%module{} = transport, frame), do: module.send(transport, frame)

  @spec kill(t()) :: :ok
  def kill(%module{} = transport), do: module.kill(transport)

  @spec finish(t(), iodata()) :: :ok
  def finish(%module{} = transport, stop), do: module.finish(transport, stop)

  @spec os_pid(t()) :: pos_integer() | nil
  def os_pid(%module{} = transport), do: module.os_pid(transport)
end

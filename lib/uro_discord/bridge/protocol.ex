defmodule UroDiscord.Bridge.Protocol do
  @moduledoc false
  # docs/bridge-protocol.md, Elixir's side: pure functions between bytes and messages.

  @version 2
  @max_frame 16 * 1024 * 1024

  # What the bridge may say of a gateway connection. Named here so that `:safe` knows the atoms.
  @gateway_states [:waiting, :connecting, :identifying, :resuming, :active, :disconnected, :fatal]

  # And of a voice session.
  @voice_states [:joining, :joined, :resuming, :waiting, :ended, :left, :suppressed] ++
                  [:user_joined, :user_left, :speaking, :silent, :encryption, :stats, :played]

  @type gateway_state :: :waiting | :connecting | :identifying | :resuming | :active | :disconnected | :fatal

  @type to_bridge ::
          {:hello, pos_integer(), map()}
          | {:desired, %{String.t() => term()}}
          | {:credit, pos_integer()}
          | {:lease, non_neg_integer()}
          | {:identify, non_neg_integer()}
          | {:ping, term()}

  @type from_bridge ::
          {:hello, pos_integer(), map()}
          | {:gateway, non_neg_integer(), gateway_state(), map()}
          | {:event, non_neg_integer(), String.t(), non_neg_integer(), String.t(), term()}
          | {:sequence, non_neg_integer(), String.t(), non_neg_integer()}
          | {:presence, non_neg_integer(), map()}
          | {:voice, String.t(), atom(), map()}
          | {:refused, String.t(), String.t()}
          | {:pong, term()}

  @spec version() :: pos_integer()
  def version, do: @version

  @doc "The largest frame that either side accepts, in bytes."
  @spec max_frame() :: pos_integer()
  def max_frame, do: @max_frame

  @spec encode(to_bridge()) :: {:ok, iodata()} | {:error, String.t()}
  def encode(message) do
    term = :erlang.term_to_iovec(message)

    case IO.iodata_length(term) do
      size when size <= @max_frame ->
        {:ok, [<<size::32>> | term]}

      size ->
        {:error, "a message of #{size} bytes is over the #{@max_frame} that fit into a frame"}
    end
  end

  @doc """
  The messages that are complete in `buffer`, and the rest of it. The length is checked before the bytes are there: a stray
  line of text on the bridge's stdout would otherwise be a length of a gigabyte, and a wait without end.
  """
  @spec decode(binary()) :: {:ok, [from_bridge()], binary()} | {:error, String.t()}
  def decode(buffer), do: decode(buffer, [])

  defp decode(<<size::32, _::binary>> = buffer, _messages) when size > @max_frame do
    {:error,
     "the bridge announced a frame of #{size} bytes (it begins #{inspect(binary_part(buffer, 0, min(16, byte_size(buffer))))})"}
  end

  defp decode(<<size::32, term::binary-size(size), rest::binary>>, messages) do
    with {:ok, term} <- term(term),
         {:ok, message} <- message(term) do
      decode(rest, [message | messages])
    end
  end

  defp decode(rest, messages), do: {:ok, Enum.reverse(messages), rest}

  defp term(bytes) do
    {:ok, :erlang.binary_to_term(bytes, [:safe])}
  rescue
    ArgumentError ->
      {:error, "the bridge sent #{byte_size(bytes)} bytes that are not a term, or name an unknown atom"}
  end

  defp message({:hello, version, info} = hello) when is_integer(version) and is_map(info),
    do: {:ok, hello}

  defp message({:gateway, shard, state, info} = fact)
       when is_integer(shard) and state in @gateway_states and is_map(info),
       do: {:ok, fact}

  defp message({:event, shard, session, seq, type, _data} = event)
       when is_integer(shard) and is_binary(session) and is_integer(seq) and is_binary(type),
       do: {:ok, event}

  defp message({:sequence, shard, session, seq} = sequence)
       when is_integer(shard) and is_binary(session) and is_integer(seq),
       do: {:ok, sequence}

  defp message({:presence, shard, data} = presence) when is_integer(shard) and is_map(data),
    do: {:ok, presence}

  defp message({:voice, guild, state, info} = fact)
       when is_binary(guild) and state in @voice_states and is_map(info),
       do: {:ok, fact}

  defp message({:refused, part, reason} = refused) when is_binary(part) and is_binary(reason),
    do: {:ok, refused}

  defp message({:pong, _term} = pong), do: {:ok, pong}

  defp message(other) do
    {:error, "the bridge sent a message that is not in the protocol: #{inspect(other, limit: 5, printable_limit: 100)}"}
  end
end

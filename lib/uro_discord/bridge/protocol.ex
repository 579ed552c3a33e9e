defmodule UroDiscord.Bridge.Protocol do
  @moduledoc false
  # docs/bridge-protocol.md, Elixir's side: pure functions between bytes and messages.

  alias UroDiscord.Bridge.Info

  @version 5
  @max_frame 16 * 1024 * 1024
  # The bytes of the length before a frame.
  @prefix 4

  # What the bridge may say of a gateway connection. Named here so that `:safe` knows the atoms.
  @gateway_states [:waiting, :connecting, :identifying, :resuming, :active, :disconnected, :fatal, :released]

  # And of a voice session.
  @voice_states [:joining, :joined, :resuming, :waiting, :ended, :left, :suppressed] ++
                  [:user_joined, :user_left, :speaking, :silent, :encryption, :stats, :played]

  # And of what the gateway says to a call that another bridge has.
  @voice_updates [:asked, :state, :server, :new_session]

  # What a panic may have ended.
  @panicked [:room, :shard, :portal, :connection]

  @log_levels [:error, :warning, :info, :debug]
  # And of the HTTP listener, and of the endpoint of portals' media.
  @endpoint_states [:listening, :waiting, :closed]
  # And of a portal.
  @portal_states [:open, :closed, :peer_joined, :peer_left, :speaking, :silent, :on_air, :stats]

  @type gateway_state ::
          :waiting | :connecting | :identifying | :resuming | :active | :disconnected | :fatal | :released

  @type to_bridge ::
          {:hello, pos_integer(), map()}
          | {:desired, %{String.t() => term()}}
          | {:credit, pos_integer()}
          | {:lease, non_neg_integer()}
          | {:identify, non_neg_integer()}
          | {:voice_update, String.t(), atom(), map()}
          | {:hold, non_neg_integer(), milliseconds :: non_neg_integer()}
          | {:read, pos_integer(), limit :: non_neg_integer(), known :: boolean()}
          | {:answer, pos_integer(), status :: pos_integer(), [[String.t()]], binary()}
          | {:clip, pos_integer(), portal :: String.t(), ms :: pos_integer()}
          | {:ping, term()}
          | {:stop}

  @type from_bridge ::
          {:hello, pos_integer(), map()}
          | {:gateway, non_neg_integer(), gateway_state(), map()}
          | {:event, non_neg_integer(), String.t(), non_neg_integer(), String.t(), term()}
          | {:sequence, non_neg_integer(), String.t(), non_neg_integer()}
          | {:presence, non_neg_integer(), map()}
          | {:voice, String.t(), atom(), map()}
          | {:voice_states, map()}
          | {:voice_update, String.t(), atom(), map()}
          | {:renew, non_neg_integer()}
          | {:http, :listening | :waiting | :closed, map()}
          | {:media, :listening | :waiting | :closed, map()}
          | {:portal, String.t(), atom(), map()}
          | {:still, String.t(), binary()}
          | {:clip, pos_integer(), map(), mp4 :: binary()}
          | {:request, pos_integer(), map()}
          | {:body, pos_integer(), binary()}
          | {:gone, pos_integer()}
          | {:panic, :room | :shard | :portal | :connection, String.t() | non_neg_integer() | nil}
          | {:refused, String.t(), String.t()}
          | {:log, UroDiscord.Bridge.Log.level(), String.t(), String.t(), map()}
          | {:pong, term()}

  @typedoc "No message: one of a newer version said something that this one does not know. Its name, where that is known."
  @type unknown :: {:unknown, atom()}

  @typedoc """
  What has come of a frame that is not complete: how many bytes are wanted, as far as that is known, how many there are, and these. They
  are put together once: every binary that was appended to one that had been looked into would be a copy of all before. And whether the hello that
  came was of a newer version, which may say what is not known here.
  """
  @opaque buffer :: {pos_integer(), non_neg_integer(), iodata(), newer? :: boolean()}

  @spec version() :: pos_integer()
  def version, do: @version

  @doc "Whether a bridge of this version and this library understand each other: they may be one apart."
  @spec understood?(integer()) :: boolean()
  def understood?(version), do: abs(version - @version) <= 1

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

  @doc "Before the first bytes."
  @spec empty() :: buffer()
  def empty, do: {@prefix, 0, [], false}

  @doc "How many bytes there are of a frame that is not complete."
  @spec size(buffer()) :: non_neg_integer()
  def size({_wanted, size, _pieces, _newer?}), do: size

  @doc """
  Reduces the messages that these bytes complete, each as soon as it is decoded, so that what it leaves behind is never much. A frame's
  length is checked before its bytes are there: a stray line of text on the bridge's stdout would otherwise be a length of a
  gigabyte, and a wait without end. What a bridge of the next version says, and this one does not know, is `{:unknown, name}`.
  """
  @spec decode(buffer(), binary(), acc, (from_bridge() | unknown(), acc -> acc)) ::
          {:ok, buffer(), acc} | {:error, String.t(), acc}
        when acc: term()
  def decode({wanted, size, pieces, newer?}, bytes, acc, _handle) when size + byte_size(bytes) < wanted,
    do: {:ok, {wanted, size + byte_size(bytes), [pieces, bytes], newer?}, acc}

  def decode({_wanted, 0, [], newer?}, bytes, acc, handle), do: frames(bytes, newer?, acc, handle)

  def decode({_wanted, _size, pieces, newer?}, bytes, acc, handle),
    do: frames(IO.iodata_to_binary([pieces, bytes]), newer?, acc, handle)

  defp frames(<<size::32, _::binary>> = bytes, _newer?, acc, _handle) when size > @max_frame do
    begins = inspect(binary_part(bytes, 0, min(16, byte_size(bytes))))
    {:error, "the bridge announced a frame of #{size} bytes (it begins #{begins})", acc}
  end

  defp frames(<<size::32, term::binary-size(size), rest::binary>>, newer?, acc, handle) do
    with {:ok, term} <- term(term),
         {:ok, message} <- message(term) do
      frames(rest, newer?(message, newer?), handle.(message, acc), handle)
    else
      {:error, name, _reason} when newer? -> frames(rest, newer?, handle.({:unknown, name}, acc), handle)
      {:error, _name, reason} -> {:error, reason, acc}
    end
  end

  defp frames("", newer?, acc, _handle), do: {:ok, {@prefix, 0, [], newer?}, acc}

  defp frames(rest, newer?, acc, _handle) do
    wanted = with <<size::32, _::binary>> <- rest, do: @prefix + size, else: (_ -> @prefix)
    {:ok, {wanted, byte_size(rest), [rest], newer?}, acc}
  end

  defp newer?({:hello, version, _info}, _newer?), do: version == @version + 1
  defp newer?(_message, newer?), do: newer?

  defp term(bytes) do
    {:ok, :erlang.binary_to_term(bytes, [:safe])}
  rescue
    ArgumentError ->
      {:error, nil, "the bridge sent #{byte_size(bytes)} bytes that are not a term, or name an unknown atom"}
  end

  defp message(term) do
    with {:ok, message} <- form(term), true <- Info.sound?(message), do: {:ok, message}, else: (_wrong -> wrong(term))
  end

  defp form({:hello, version, info} = hello) when is_integer(version) and is_map(info),
    do: {:ok, hello}

  defp form({:gateway, shard, state, info} = fact)
       when is_integer(shard) and state in @gateway_states and is_map(info),
       do: {:ok, fact}

  defp form({:event, shard, session, seq, type, _data} = event)
       when is_integer(shard) and is_binary(session) and is_integer(seq) and is_binary(type),
       do: {:ok, event}

  defp form({:sequence, shard, session, seq} = sequence)
       when is_integer(shard) and is_binary(session) and is_integer(seq),
       do: {:ok, sequence}

  defp form({:presence, shard, data} = presence) when is_integer(shard) and is_map(data),
    do: {:ok, presence}

  defp form({:voice, guild, state, info} = fact)
       when is_binary(guild) and state in @voice_states and is_map(info),
       do: {:ok, fact}

  defp form({:voice_states, states} = said) when is_map(states), do: {:ok, said}

  defp form({:voice_update, guild, what, info} = update)
       when is_binary(guild) and what in @voice_updates and is_map(info),
       do: {:ok, update}

  defp form({:renew, number} = renew) when is_integer(number), do: {:ok, renew}

  defp form({kind, state, info} = fact)
       when kind in [:http, :media] and state in @endpoint_states and is_map(info),
       do: {:ok, fact}

  defp form({:portal, id, state, info} = fact)
       when is_binary(id) and state in @portal_states and is_map(info),
       do: {:ok, fact}

  defp form({:still, id, picture} = still) when is_binary(id) and is_binary(picture), do: {:ok, still}

  defp form({:clip, id, info, mp4} = clip) when is_integer(id) and is_map(info) and is_binary(mp4), do: {:ok, clip}

  defp form({:request, id, %{}} = request) when is_integer(id), do: {:ok, request}
  defp form({:body, id, body} = message) when is_integer(id) and is_binary(body), do: {:ok, message}
  defp form({:gone, id} = gone) when is_integer(id), do: {:ok, gone}

  defp form({:panic, what, _which} = panic) when what in @panicked, do: {:ok, panic}

  defp form({:refused, part, reason} = refused) when is_binary(part) and is_binary(reason),
    do: {:ok, refused}

  defp form({:log, level, target, message, fields} = line)
       when level in @log_levels and is_binary(target) and is_binary(message) and is_map(fields),
       do: {:ok, line}

  defp form({:pong, _term} = pong), do: {:ok, pong}

  defp form(_other), do: :unknown

  # It may have a secret in it.
  defp wrong(update) when is_tuple(update) and tuple_size(update) > 0 and elem(update, 0) == :voice_update,
    do: {:error, :voice_update, "the bridge sent a voice_update that is not in the protocol (not shown)"}

  defp wrong(other) do
    {:error, name(other),
     "the bridge sent a message that is not in the protocol: #{inspect(other, limit: 5, printable_limit: 100)}"}
  end

  defp name(message) when is_tuple(message) and tuple_size(message) > 0 and is_atom(elem(message, 0)),
    do: elem(message, 0)

  defp name(_other), do: nil
end

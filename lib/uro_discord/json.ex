defmodule UroDiscord.JSON do
  @moduledoc false
  # All JSON that is read and written here.
  #
  # It is the NIF's also where there is Elixir's own `JSON` (1.18), which is another: half a surrogate pair, as in a text that was cut, is an
  # error for the whole of what came, and so is a byte order mark; of a key that comes twice the first value stands; neither nesting nor the length of a number has a limit; a
  # struct is written as its protocol says. What it cannot write it raises for, and does not say where. So one node would take what
  # another does not. `test/uro_discord/json_test.exs` holds the two against each other.

  alias UroDiscord.Native

  # Most answers of Discord's are shorter, and take well below a millisecond.
  @inline 8_192

  @doc """
  JSON from maps (with binary or atom keys), lists, strings, numbers, booleans and nil. The error names the place.

      iex> UroDiscord.JSON.encode(%{content: "hi", tts: false})
      {:ok, ~s({"content":"hi","tts":false})}
  """
  @spec encode(term()) :: {:ok, binary()} | {:error, String.t()}
  def encode(term) do
    # Moving to a dirty scheduler costs more than a message's JSON. How long that is shows while it is written.
    with :too_long <- Native.json_encode_inline(term), do: Native.json_encode_dirty(term)
  end

  @doc """
  A term from JSON; objects become maps with binary keys, null becomes nil.

  Of a key that comes twice the last value is kept. Half a surrogate pair is read as U+FFFD, as browsers do. An integer of more
  than 64 bits becomes a float; a number beyond floats, nesting deeper than 127 and more than 32 MiB are errors. A byte order mark at
  the beginning, as programs on Windows write it, is passed over (RFC 8259, 8.1).

      iex> UroDiscord.JSON.decode(~s({"code":50035,"errors":null}))
      {:ok, %{"code" => 50035, "errors" => nil}}

      iex> UroDiscord.JSON.decode(~S(["cut \\ud83d", 18446744073709551616]))
      {:ok, ["cut \\uFFFD", 18446744073709551616.0]}

      iex> UroDiscord.JSON.decode("\uFEFF[1]")
      {:ok, [1]}
  """
  @spec decode(binary()) :: {:ok, term()} | {:error, String.t()}
  def decode(<<0xEF, 0xBB, 0xBF, json::binary>>), do: decode(json)
  def decode(json) when byte_size(json) <= @inline, do: Native.json_decode_inline(json)
  def decode(json), do: Native.json_decode_dirty(json)
end

defmodule UroDiscord.Shards.Shard do
  @moduledoc false
  # What is given of a shard, to what is kept of it. Nothing in it is believed: texts are cleaned and cut, and counts that no
  # game server has are taken as unknown.

  alias UroDiscord.Error
  alias UroDiscord.Shards.Text

  @texts [name: 100, map: 200, host: 64, host_id: 64, address: 255]
  @counts [:players, :max_players]
  @fields [:id, :port] ++ @counts ++ Keyword.keys(@texts)
  @longest_id 64
  @most_players 10_000

  # Of the host's database, or of a list of its own.
  @ids -0x8000_0000_0000_0000..0xFFFF_FFFF_FFFF_FFFF

  @doc "The shard without `opened_at` and `source`, or what is wrong with it."
  @spec cast(map() | keyword()) :: {:ok, map()} | {:error, Error.t()}
  def cast(given) do
    with {:ok, given} <- fields(given) do
      Enum.reduce_while(@fields, {:ok, %{}}, fn field, {:ok, shard} ->
        case value(field, given[field]) do
          {:ok, value} -> {:cont, {:ok, Map.put(shard, field, value)}}
          {:error, what} -> {:halt, {:error, invalid(field, given[field], what)}}
        end
      end)
      |> named()
    end
  end

  @doc "The shard, of which all is unknown that is wrong; without an id that is right it is none."
  @spec believe(map()) :: {:ok, map()} | :error
  def believe(given) do
    case value(:id, given[:id]) do
      {:ok, id} -> named({:ok, Map.new(@fields, &{&1, if(&1 == :id, do: id, else: believed(&1, given[&1]))})})
      {:error, _what} -> :error
    end
  end

  defp believed(field, given) do
    case value(field, given) do
      {:ok, value} -> value
      {:error, _what} -> nil
    end
  end

  defp named({:ok, shard}), do: {:ok, %{shard | name: shard.name || shard.id}}
  defp named({:error, error}), do: {:error, error}

  defp fields(given) when is_map(given) and not is_struct(given), do: given |> Map.to_list() |> fields()

  defp fields(given) when is_list(given) do
    case Enum.reject(given, &match?({key, _value} when key in @fields, &1)) do
      [] ->
        {:ok, Map.new(given)}

      [{key, _value} | _] when is_atom(key) ->
        {:error, Error.invalid("#{key}", "is not a field of a shard; there are #{Enum.join(@fields, ", ")}")}

      [other | _] ->
        {:error, Error.invalid(nil, other, "a field of a shard with its value")}
    end
  end

  defp fields(given),
    do: {:error, Error.invalid(nil, given, "a map or keyword list of a shard's fields")}

  # Each as it is kept, or what it should have been.

  defp value(:id, id) when is_integer(id) and id in @ids, do: {:ok, Integer.to_string(id)}

  defp value(:id, id) when is_binary(id) and byte_size(id) in 1..@longest_id do
    if String.printable?(id), do: {:ok, :binary.copy(id)}, else: {:error, "printable text"}
  end

  defp value(:id, _id), do: {:error, "an integer of 64 bits or a string of 1 to #{@longest_id} bytes"}
  defp value(_field, nil), do: {:ok, nil}
  defp value(:port, port) when port in 1..65_535, do: {:ok, port}
  defp value(:port, _port), do: {:error, "a port (1 to 65535)"}
  defp value(field, count) when field in @counts and count in 0..@most_players, do: {:ok, count}
  # No game server has so many.
  defp value(field, count) when field in @counts and is_integer(count) and count > 0, do: {:ok, nil}
  defp value(field, _count) when field in @counts, do: {:error, "a count"}
  defp value(field, text) when is_binary(text), do: text(text, @texts[field])
  defp value(_field, _text), do: {:error, "a string"}

  # Kept by itself, and not as a part of the megabyte that it may have come in.
  defp text(text, limit) do
    if String.valid?(text),
      do: {:ok, with("" <- text |> Text.clean(limit) |> :binary.copy(), do: nil)},
      else: {:error, "valid UTF-8"}
  end

  # `inspect/1` takes its time for a number of a megabyte.
  defp invalid(field, integer, what) when is_integer(integer) and integer not in @ids,
    do: Error.invalid("#{field}", "is a number of more than 64 bits; it may be #{what}")

  defp invalid(field, value, what), do: Error.invalid("#{field}", value, what)
end

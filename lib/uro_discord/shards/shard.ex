defmodule UroDiscord.Shards.Shard do
  @moduledoc false
  # What is given of a shard, to what is kept of it. Nothing in it is believed: texts are cleaned and cut, and counts that no
  # game server has are taken as unknown.

  alias UroDiscord.Error
  alias UroDiscord.Shards.Text

  @texts [name: 100, map: 200, host: 64, host_id: 64, address: 255]
  @fields [:id, :players, :max_players, :port | Keyword.keys(@texts)]
  @longest_id 64
  @most_players 10_000

  @doc "The shard without `opened_at` and `source`, or what is wrong with it."
  @spec cast(map() | keyword()) :: {:ok, map()} | {:error, Error.t()}
  def cast(given) do
    with {:ok, given} <- fields(given),
         {:ok, id} <- id(given[:id]),
         {:ok, texts} <- texts(given),
         {:ok, players} <- count(given, :players),
         {:ok, max_players} <- count(given, :max_players),
         {:ok, port} <- port(given[:port]) do
      shard = Map.merge(texts, %{id: id, players: players, max_players: max_players, port: port})
      {:ok, %{shard | name: shard.name || id}}
    end
  end

  defp fields(given) when is_map(given) and not is_struct(given), do: given |> Map.to_list() |> fields()

  defp fields(given) when is_list(given) do
    case Enum.reject(given, &match?({key, _value} when key in @fields, &1)) do
      [] ->
        {:ok, Map.new(given)}

      [{key, _value} | _] when is_atom(key) ->
        {:error, Error.invalid("#{key}", "is not a field of a shard; there are #{Enum.join(@fields, ", ")}")}

      [other | _] ->
        {:error, Error.invalid(nil, "#{short(other)} is not a field of a shard with its value")}
    end
  end

  defp fields(given),
    do: {:error, Error.invalid(nil, "#{short(given)} is not a map or keyword list of a shard's fields")}

  defp id(id) when is_integer(id), do: id |> Integer.to_string() |> id()

  defp id(id) when is_binary(id) and byte_size(id) in 1..@longest_id do
    if String.printable?(id), do: {:ok, id}, else: {:error, Error.invalid("id", "is not printable text")}
  end

  defp id(other),
    do: {:error, Error.invalid("id", "#{short(other)} is not an integer or a string of 1 to #{@longest_id} bytes")}

  defp texts(given) do
    Enum.reduce_while(@texts, {:ok, %{}}, fn {field, limit}, {:ok, texts} ->
      case text(given[field], limit) do
        {:ok, text} -> {:cont, {:ok, Map.put(texts, field, text)}}
        {:error, wrong} -> {:halt, {:error, Error.invalid("#{field}", wrong)}}
      end
    end)
  end

  defp text(nil, _limit), do: {:ok, nil}

  defp text(text, limit) when is_binary(text) do
    if String.valid?(text),
      do: {:ok, with("" <- Text.clean(text, limit), do: nil)},
      else: {:error, "is not valid UTF-8"}
  end

  defp text(other, _limit), do: {:error, "#{short(other)} is not a string"}

  defp count(given, field) do
    case given[field] do
      nil -> {:ok, nil}
      count when count in 0..@most_players -> {:ok, count}
      count when is_integer(count) and count > 0 -> {:ok, nil}
      other -> {:error, Error.invalid("#{field}", "#{short(other)} is not a count")}
    end
  end

  defp port(nil), do: {:ok, nil}
  defp port(port) when port in 1..65_535, do: {:ok, port}
  defp port(other), do: {:error, Error.invalid("port", "#{short(other)} is not a port (1 to 65535)")}

  defp short(value), do: inspect(value, limit: 5, printable_limit: 40)
end

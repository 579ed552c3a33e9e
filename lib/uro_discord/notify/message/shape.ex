defmodule UroDiscord.Notify.Message.Shape do
  @moduledoc false
  # What an input must look like, as data, and the cast of an input to it. Out of a cast come only strings, integers,
  # booleans, lists, and maps with string keys, nested as deeply as the shape is: it can always be written as JSON.
  #
  # Lengths are Discord's (`UroDiscord.Length`). Discord trims white space before it counts; here it counts too.

  alias UroDiscord.{Error, Length, Snowflake}

  @typedoc "Where a value is, the innermost key or index first."
  @type path :: [String.t() | non_neg_integer()]

  @typedoc """
  `:text` of at least one character is not blank either. `:one_of` takes atoms for its strings. An `:object` is a map
  or a keyword list, and nil in it is as good as absent. A function is for what has no shape of its own.
  """
  @type t ::
          :boolean
          | :snowflake
          | :timestamp
          | {:text, min :: 0 | 1, max :: pos_integer() | :infinity}
          | {:integer, min :: integer(), max :: integer()}
          | {:one_of, [String.t() | integer()]}
          | {:url, schemes :: [String.t()], max :: pos_integer()}
          | {:list, min :: non_neg_integer(), max :: pos_integer(), t()}
          | {:object, what :: String.t(), [{String.t(), t() | {:required, t()}}]}
          | (term(), path() -> result())

  @type result :: {:ok, term()} | {:error, Error.t()}

  @doc "The input as its shape has it."
  @spec cast(term(), t(), path()) :: result()
  def cast(value, shape, path) when is_function(shape, 2), do: shape.(value, path)

  def cast(value, :boolean, _path) when is_boolean(value), do: {:ok, value}
  def cast(value, :boolean, path), do: is_not(value, "true or false", path)

  def cast(value, :snowflake, path) do
    with :error <- Snowflake.cast(value), do: is_not(value, "an id (17 to 20 digits)", path)
  end

  def cast(value, {:text, min, max}, path) when is_binary(value) do
    length = if String.valid?(value), do: Length.of(value)

    cond do
      length == nil -> invalid(path, "is not valid UTF-8 (#{byte_size(value)} bytes)")
      length > max -> invalid(path, "has #{length} characters; #{max} is the limit")
      min > 0 and blank?(value) -> invalid(path, "is blank")
      true -> {:ok, value}
    end
  end

  def cast(value, {:text, _min, _max}, path), do: is_not(value, "a string", path)

  def cast(value, {:integer, min, max}, _path)
      when is_integer(value) and value >= min and value <= max,
      do: {:ok, value}

  def cast(value, {:integer, min, max}, path),
    do: is_not(value, "an integer from #{min} to #{max}", path)

  def cast(value, {:one_of, allowed}, path) do
    named = if is_atom(value) and not is_boolean(value), do: Atom.to_string(value), else: value

    if named in allowed,
      do: {:ok, named},
      else: is_not(value, "one of #{Enum.join(allowed, ", ")}", path)
  end

  def cast(value, {:url, schemes, max}, path) do
    with {:ok, url} <- cast(value, {:text, 1, max}, path) do
      if url?(url, schemes),
        do: {:ok, url},
        else: is_not(url, "a URL that begins with #{Enum.join(schemes, ":// or ")}://", path)
    end
  end

  def cast(value, :timestamp, path) do
    case timestamp(value) do
      {:ok, %DateTime{year: year} = time} when year in 1..9999 ->
        {:ok, DateTime.to_iso8601(time)}

      _ ->
        is_not(value, "a DateTime or a time as ISO 8601 has it", path)
    end
  end

  def cast(value, {:list, min, max, shape}, path) do
    cond do
      not proper_list?(value) -> is_not(value, "a list", path)
      length(value) > max -> invalid(path, "has #{length(value)} entries; #{max} is the limit")
      length(value) < min -> invalid(path, "has #{length(value)} entries; #{min} is the least")
      true -> cast_each(value, shape, path)
    end
  end

  def cast(value, {:object, what, fields}, path) do
    with {:ok, given} <- fields(value, what, Enum.map(fields, &elem(&1, 0)), path) do
      Enum.reduce_while(fields, {:ok, %{}}, fn {key, shape}, {:ok, object} ->
        case cast_field(Map.get(given, key), shape, [key | path]) do
          :absent -> {:cont, {:ok, object}}
          {:ok, value} -> {:cont, {:ok, Map.put(object, key, value)}}
          {:error, error} -> {:halt, {:error, error}}
        end
      end)
    end
  end

  @doc "The refusal of what is at `path`."
  @spec invalid(path(), String.t()) :: {:error, Error.t()}
  def invalid(path, message) do
    field = if path != [], do: path |> Enum.reverse() |> Enum.join(".")
    {:error, Error.invalid(field, message)}
  end

  @doc "The refusal of a value for not being what it may be."
  @spec is_not(term(), String.t(), path()) :: {:error, Error.t()}
  def is_not(value, allowed, path), do: invalid(path, Error.may_be(value, allowed))

  @doc "Whether Discord would see no text in it."
  @spec blank?(String.t()) :: boolean()
  def blank?(text), do: String.trim(text) == ""

  @doc "The beginning of what `inspect/1` says of a value."
  @spec short(term()) :: String.t()
  defdelegate short(value), to: Error

  defp cast_each(values, shape, path) do
    values
    |> Enum.with_index()
    |> Enum.reduce_while({:ok, []}, fn {value, index}, {:ok, cast} ->
      case cast(value, shape, [index | path]) do
        {:ok, value} -> {:cont, {:ok, [value | cast]}}
        {:error, error} -> {:halt, {:error, error}}
      end
    end)
    |> case do
      {:ok, cast} -> {:ok, Enum.reverse(cast)}
      {:error, error} -> {:error, error}
    end
  end

  defp cast_field(nil, {:required, _shape}, path), do: invalid(path, "is missing")
  defp cast_field(nil, _shape, _path), do: :absent
  defp cast_field(value, {:required, shape}, path), do: cast(value, shape, path)
  defp cast_field(value, shape, path), do: cast(value, shape, path)

  # The entries of a map or keyword list under string keys.
  defp fields(value, what, known, path) do
    if (is_map(value) and not is_struct(value)) or Keyword.keyword?(value),
      do: known_fields(value, what, known, path),
      else: is_not(value, "a map or keyword list (#{what})", path)
  end

  defp known_fields(pairs, what, known, path) do
    Enum.reduce_while(pairs, {:ok, %{}}, fn {key, value}, {:ok, given} ->
      name = if is_atom(key), do: Atom.to_string(key), else: key

      cond do
        name not in known -> {:halt, unknown(name, what, known, path)}
        Map.has_key?(given, name) -> {:halt, invalid([name | path], "is there twice")}
        true -> {:cont, {:ok, Map.put(given, name, value)}}
      end
    end)
  end

  defp unknown(name, what, known, path) do
    text = if is_binary(name) and String.printable?(name), do: name, else: short(name)
    text = String.slice(text, 0, 40)
    nearest = Enum.max_by(known, &String.jaro_distance(&1, text))

    hint =
      if String.jaro_distance(nearest, text) > 0.75,
        do: "did you mean #{nearest}?",
        else: "there are #{Enum.join(known, ", ")}"

    invalid([text | path], "is not a field of #{what}; #{hint}")
  end

  defp url?(url, schemes) do
    case String.split(url, "://", parts: 2) do
      # The rest is the name of a file, as it is and unescaped.
      ["attachment", name] -> "attachment" in schemes and name != ""
      [scheme, rest] -> scheme in schemes and rest =~ ~r/\A[^\s\p{Cc}\/?#][^\s\p{Cc}]*\z/u
      _ -> false
    end
  end

  defp timestamp(%DateTime{calendar: Calendar.ISO} = time),
    do: time |> DateTime.to_iso8601() |> timestamp()

  defp timestamp(%NaiveDateTime{calendar: Calendar.ISO} = time),
    do: time |> NaiveDateTime.to_iso8601() |> timestamp()

  defp timestamp(text) when is_binary(text) do
    with {:ok, time, _offset} <- DateTime.from_iso8601(text) do
      {:ok, time}
    else
      # Without an offset it is UTC.
      {:error, :missing_offset} -> timestamp(text <> "Z")
      {:error, reason} -> {:error, reason}
    end
  end

  defp timestamp(_value), do: :error

  defp proper_list?(value), do: is_list(value) and not List.improper?(value)
end

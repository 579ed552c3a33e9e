defmodule UroDiscord.TestRepo.Literal do
  @moduledoc false
  # Values as SQL, and results as values.

  def list([], []), do: []

  def list(types, parameters) do
    values = types |> Enum.zip(parameters) |> Enum.map(fn {type, value} -> write(type, value) end)

    ["(", Enum.intersperse(values, ", "), ")"]
  end

  defp write(_type, nil), do: "NULL"
  defp write("bigint", value) when is_integer(value), do: to_string(value)
  defp write("double precision", value) when is_number(value), do: to_string(value)
  defp write("bytea", value) when is_binary(value), do: ["'\\x", Base.encode16(value), "'"]

  # As bytes, so that it is the server that says what is no text.
  defp write("text", value) when is_binary(value),
    do: ["convert_from('\\x", Base.encode16(value), "', 'UTF8')"]

  defp write(type, value), do: raise(ArgumentError, "expected #{type}, got #{inspect(value)}")

  def read(columns, rows) do
    oids = for column <- columns, do: elem(column, 3)
    for row <- rows, do: Enum.zip_with(oids, row, &value/2)
  end

  # The numbers are those of pg_type. Another type than these, such as NUMERIC, is none that a store may return.
  defp value(_oid, :null), do: nil
  defp value(20, digits), do: String.to_integer(digits)
  defp value(23, digits), do: String.to_integer(digits)
  defp value(701, digits), do: digits |> Float.parse() |> elem(0)
  defp value(17, "\\x" <> digits), do: Base.decode16!(digits, case: :lower)
  defp value(25, text), do: text
end

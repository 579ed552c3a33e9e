defmodule UroDiscord.Shards.Hidden.Matcher do
  @moduledoc false
  # What the patterns hide. Strangers choose the texts, so none may be dear: no regular expression is tried from each place anew, and a text
  # is walked through once for most patterns together, and once for each of the few that have a `*` in between.

  defstruct exact: MapSet.new(), contained: nil, globs: []

  @typedoc """
  `exact` are the patterns without a `*`; `contained` is a search for all those of the form `*word*` at once; of each other one it is known
  how it begins, what comes in between, and how it ends.
  """
  @type t :: %__MODULE__{
          exact: MapSet.t(String.t()),
          contained: :binary.cp() | nil,
          globs: [{first :: String.t(), between :: [String.t()], last :: String.t()}]
        }

  @doc """
  Of the patterns. Each is the whole of a field, `*` stands for anything, and letters may be large or small.

      iex> matcher = UroDiscord.Shards.Hidden.Matcher.new(["*casino*", "203.0.113.7"])
      iex> shard = %{id: "1", name: "Plaza", map: nil, host: nil, host_id: nil, address: nil}
      iex> UroDiscord.Shards.Hidden.Matcher.matches?(matcher, shard)
      false
      iex> UroDiscord.Shards.Hidden.Matcher.matches?(matcher, %{shard | name: "Ｃasino 24"})
      true
      iex> UroDiscord.Shards.Hidden.Matcher.matches?(matcher, %{shard | address: "203.0.113.7"})
      true
  """
  @spec new([String.t()]) :: t()
  def new(patterns) do
    {contained, matcher} =
      for pattern <- patterns, reduce: {[], %__MODULE__{}} do
        {contained, matcher} ->
          case pattern |> fold() |> String.split("*") do
            [exact] -> {contained, %{matcher | exact: MapSet.put(matcher.exact, exact)}}
            ["", word, ""] when word != "" -> {[word | contained], matcher}
            [first | rest] -> {contained, %{matcher | globs: [glob(first, rest) | matcher.globs]}}
          end
      end

    if contained == [], do: matcher, else: %{matcher | contained: :binary.compile_pattern(contained)}
  end

  defp glob(first, rest) do
    {between, [last]} = Enum.split(rest, -1)
    {first, Enum.reject(between, &(&1 == "")), last}
  end

  @doc "Whether a shard's id, name, map, host, host id or address is what one of the patterns says."
  @spec matches?(t(), map()) :: boolean()
  def matches?(%__MODULE__{} = matcher, shard) do
    [shard.id, shard.name, shard.map, shard.host, shard.host_id, shard.address]
    |> Enum.reject(&is_nil/1)
    |> Enum.any?(&matches_text?(matcher, fold(&1)))
  end

  defp matches_text?(matcher, text) do
    text in matcher.exact or contained?(matcher.contained, text) or Enum.any?(matcher.globs, &glob?(&1, text))
  end

  defp contained?(nil, _text), do: false
  defp contained?(words, text), do: :binary.match(text, words) != :nomatch

  defp glob?({first, between, last}, text) do
    from = byte_size(first)
    to = byte_size(text) - byte_size(last)

    from <= to and String.starts_with?(text, first) and String.ends_with?(text, last) and
      all_between?(between, text, from, to)
  end

  # Each at the first place behind the one before: where one fits later, that leaves less room for the others.
  defp all_between?([], _text, _from, _to), do: true

  defp all_between?([word | rest], text, from, to) do
    case :binary.match(text, word, scope: {from, to - from}) do
      {at, size} -> all_between?(rest, text, at + size, to)
      :nomatch -> false
    end
  end

  # Letters that only look otherwise (full width, in a circle, mathematical) are the same here.
  defp fold(text), do: text |> String.normalize(:nfkc) |> String.downcase()
end

defmodule UroDiscord.Notify.Split.Marks do
  @moduledoc false
  # Where a text has code blocks and what should stay whole, so that a cut can mind them. Places are byte offsets into the
  # text.

  alias UroDiscord.Length

  @enforce_keys [:blocks, :fences, :wholes]
  defstruct @enforce_keys

  # From the first place to the last; a cut at either of them is outside.
  @typep span :: {non_neg_integer(), non_neg_integer()}

  @typedoc "`fences` are what no cut may go through if a code block is to stay one, `wholes` what had better stay whole."
  @type t :: %__MODULE__{blocks: [map()], fences: [span()], wholes: [span()]}

  # What ends a code block that is cut.
  @closing "\n```"

  @spec new(String.t()) :: t()
  def new(text) do
    blocks = blocks(text)

    %__MODULE__{
      blocks: blocks,
      # With a little of the code: a cut right behind a fence, or before one, would leave an empty block.
      fences: Enum.flat_map(blocks, &[{&1.open, &1.code + 1}, {&1.last, &1.close}]),
      wholes: wholes(text)
    }
  end

  @doc "Those that a cut between two places could meet: a long text has many."
  @spec near(t(), non_neg_integer(), non_neg_integer()) :: t()
  def near(marks, from, to) do
    meets? = fn {first, last} -> first < to and from < last end

    %__MODULE__{
      blocks: Enum.filter(marks.blocks, &meets?.({&1.open, &1.close})),
      fences: Enum.filter(marks.fences, meets?),
      wholes: Enum.filter(marks.wholes, meets?)
    }
  end

  @doc "Whether a cut goes through nothing that should stay whole."
  @spec free?(t(), non_neg_integer()) :: boolean()
  def free?(marks, at), do: around(marks.fences ++ marks.wholes, at) == nil

  @doc "The last place after `from` and up to `at` where a cut is free, or at least goes through no fence."
  @spec last_free(t(), non_neg_integer(), non_neg_integer()) :: non_neg_integer()
  def last_free(marks, from, at),
    do: before(marks.fences ++ marks.wholes, from, at) || before(marks.fences, from, at) || at

  @doc "Whether a place is in the code of a block."
  @spec code?(t(), non_neg_integer()) :: boolean()
  def code?(marks, at), do: block(marks, at) != nil

  @doc "What the part that begins at a place needs before it."
  @spec opening(t(), non_neg_integer()) :: String.t()
  def opening(marks, at) do
    case block(marks, at) do
      nil -> ""
      block -> "```#{block.language}\n"
    end
  end

  @doc "What the part that ends at a place needs after it."
  @spec closing(t(), non_neg_integer()) :: String.t()
  def closing(marks, at), do: if(code?(marks, at), do: @closing, else: "")

  @doc "How many characters `closing/2` may have."
  @spec reserve(t()) :: non_neg_integer()
  def reserve(%__MODULE__{blocks: []}), do: 0
  def reserve(%__MODULE__{}), do: Length.of(@closing)

  defp block(marks, at), do: Enum.find(marks.blocks, &(&1.code < at and at < &1.code_end))

  defp around(spans, at), do: Enum.find(spans, fn {first, last} -> first < at and at < last end)

  defp before(spans, from, at) do
    case around(spans, at) do
      nil -> at
      {first, _last} when first > from -> before(spans, from, first)
      _first -> nil
    end
  end

  # A fence and the next one are a pair, and one that is left over is only text.
  defp blocks(text) do
    text
    |> :binary.matches("```")
    |> Enum.map(&elem(&1, 0))
    |> Enum.chunk_every(2, 2, :discard)
    |> Enum.map(fn [open, close] -> block(text, open, close) end)
  end

  defp block(text, open, close) do
    {language, skipped} =
      case Regex.run(~r/\A([A-Za-z0-9_+\-.#]{0,40})\r?\n/, slice(text, open + 3, close)) do
        [line, language] -> {language, byte_size(line)}
        nil -> {"", 0}
      end

    code = open + 3 + skipped
    trimmed = text |> slice(code, close) |> String.trim_trailing()
    code_end = code + byte_size(trimmed)

    %{
      open: open,
      close: close + 3,
      language: language,
      code: code,
      code_end: code_end,
      # Where its last letter begins.
      last: code_end - byte_size(String.last(trimmed) || "")
    }
  end

  defp slice(text, from, to), do: binary_part(text, from, to - from)

  # Mentions, custom emoji and times (https://discord.com/developers/docs/reference#message-formatting), links, and
  # inline code. The lengths bound the search.
  defp wholes(text) do
    ~r"""
    </[^<>\n]{1,120}> | <[^<>\s]{1,120}>
    | https?://[^\s<>]{1,1900}
    | \[[^\[\]\n]{1,200}\]\([^()\s]{1,1000}\)
    | (?<!`)`(?!`) [^`\n]{1,200} `(?!`)
    """ux
    |> Regex.scan(text, return: :index)
    |> Enum.map(fn [{at, size}] -> {at, at + size} end)
  end
end

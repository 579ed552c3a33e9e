defmodule UroDiscord.Notify.Message do
  @moduledoc false
  # What `UroDiscord.notify/2` takes, checked and in the shape that Discord's Create Message wants.

  alias UroDiscord.Error

  # https://discord.com/developers/docs/resources/message#create-message-jsonform-params
  @content_length 2_000
  @fields [:content, :embeds, :allowed_mentions]

  @type input :: String.t() | keyword() | map()
  @type t :: %{required(String.t()) => term()}

  @doc """
      iex> UroDiscord.Notify.Message.new("hello")
      {:ok, %{"content" => "hello", "allowed_mentions" => %{"parse" => []}}}

      iex> {:error, error} = UroDiscord.Notify.Message.new(content: "")
      iex> Exception.message(error)
      "content: is empty, and there is nothing else to send"
  """
  @spec new(input()) :: {:ok, t()} | {:error, Error.t()}
  def new(content) when is_binary(content), do: new(content: content)

  def new(fields) when is_list(fields) or is_map(fields) do
    with {:ok, fields} <- known(fields),
         :ok <- content(fields[:content]),
         :ok <- embeds(fields[:embeds]),
         :ok <- something(fields) do
      # Nobody is pinged unless the caller says so.
      message = Map.put_new(fields, :allowed_mentions, %{"parse" => []})

      {:ok,
       for({field, value} <- message, value != nil, into: %{}, do: {Atom.to_string(field), value})}
    end
  end

  def new(other),
    do:
      {:error,
       Error.invalid(
         nil,
         "a message is a string, a keyword list or a map, not #{inspect(other, limit: 5)}"
       )}

  defp known(fields) do
    Enum.reduce_while(fields, {:ok, %{}}, fn
      {field, value}, {:ok, known} when field in @fields ->
        {:cont, {:ok, Map.put(known, field, value)}}

      {field, _value}, _known ->
        {:halt,
         {:error,
          Error.invalid(
            inspect(field),
            "is not a field of a message; there are #{Enum.join(@fields, ", ")}"
          )}}

      other, _known ->
        {:halt,
         {:error, Error.invalid(nil, "#{inspect(other, limit: 5)} is not a field with a value")}}
    end)
  end

  defp content(nil), do: :ok

  defp content(content) when is_binary(content) do
    cond do
      not String.valid?(content) ->
        {:error, Error.invalid("content", "is not valid UTF-8")}

      (length = String.length(content)) > @content_length ->
        {:error,
         Error.invalid("content", "has #{length} characters, and #{@content_length} is the limit")}

      true ->
        :ok
    end
  end

  defp content(other),
    do: {:error, Error.invalid("content", "is not a string but #{inspect(other, limit: 5)}")}

  defp embeds(nil), do: :ok
  defp embeds(embeds) when is_list(embeds) and length(embeds) <= 10, do: :ok
  defp embeds(_other), do: {:error, Error.invalid("embeds", "is not a list of at most 10 embeds")}

  defp something(fields) do
    if fields[:content] in [nil, ""] and fields[:embeds] in [nil, []],
      do: {:error, Error.invalid("content", "is empty, and there is nothing else to send")},
      else: :ok
  end
end

defmodule UroDiscord.Feeds.Payload do
  @moduledoc false
  # Decoded JSON from outside, where anything may be missing or of another type than it should be.

  @doc """
  What is at a path, if it is there and not null.

      iex> alias UroDiscord.Feeds.Payload
      iex> Payload.get(%{"run" => %{"id" => 1}}, ["run", "id"])
      1
      iex> Payload.get(%{"run" => "none"}, ["run", "id"])
      nil
  """
  @spec get(term(), [String.t()]) :: term()
  def get(term, []), do: term
  def get(%{} = map, [key | rest]), do: map |> Map.get(key) |> get(rest)
  def get(_other, _path), do: nil

  @doc "As `get/2`, of what is a text that says something."
  @spec text(term(), [String.t()]) :: String.t() | nil
  def text(term, path) do
    case get(term, path) do
      text when is_binary(text) and text != "" -> text
      _ -> nil
    end
  end

  @doc "A text or a number, as an id may be."
  @spec id(term(), [String.t()]) :: String.t() | nil
  def id(term, path) do
    case get(term, path) do
      id when is_integer(id) -> Integer.to_string(id)
      id when is_binary(id) and id != "" -> id
      _ -> nil
    end
  end

  @doc "The list at a path; what is none is empty."
  @spec list(term(), [String.t()]) :: list()
  def list(term, path) do
    case get(term, path) do
      list when is_list(list) -> list
      _ -> []
    end
  end

  @doc """
  All of these, or which one is missing.

      iex> UroDiscord.Feeds.Payload.need(id: "1", name: nil)
      {:error, "has no name"}
  """
  @spec need(keyword()) :: :ok | {:error, String.t()}
  def need(fields) do
    case for {name, nil} <- fields, do: name do
      [] -> :ok
      missing -> {:error, "has no " <> Enum.join(missing, ", no ")}
    end
  end

  @doc "The first line of a text."
  @spec line(String.t() | nil) :: String.t() | nil
  def line(nil), do: nil
  def line(text), do: text |> String.split("\n", parts: 2) |> hd() |> String.trim()
end

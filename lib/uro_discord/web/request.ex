defmodule UroDiscord.Web.Request do
  @moduledoc false
  # A request as the routes see it, whichever server it came through. `path` is what follows the mount, decoded; header names
  # are lower case. Headers and bodies hold secrets, so they do not show in `inspect`.

  @derive {Inspect, only: [:method, :path, :peer]}
  @enforce_keys [:method, :path, :query, :headers, :peer]
  defstruct [:method, :path, :query, :headers, :peer, body: ""]

  @type t :: %__MODULE__{
          method: String.t(),
          path: [String.t()],
          query: %{String.t() => String.t()},
          headers: [{String.t(), String.t()}],
          peer: String.t(),
          body: binary()
        }

  @doc """
  A request from what a server has of it: the segments of the path and the query as they came. `:error` where these are not
  percent-encoded UTF-8.

      iex> {:ok, request} = UroDiscord.Web.Request.new("GET", ["notify", "b%C3%BC"], "wait=5", [], "::1")
      iex> {request.path, request.query}
      {["notify", "bü"], %{"wait" => "5"}}

      iex> UroDiscord.Web.Request.new("GET", ["%ZZ"], "", [], "::1")
      :error

      iex> UroDiscord.Web.Request.new("GET", [], "a=%FF", [], "::1")
      :error
  """
  @spec new(String.t(), [String.t()], String.t(), [{String.t(), String.t()}], String.t()) :: {:ok, t()} | :error
  def new(method, segments, query, headers, peer) do
    if Enum.any?([query | segments], &(&1 =~ ~r/%(?![0-9A-Fa-f]{2})/)) do
      :error
    else
      path = Enum.map(segments, &URI.decode/1)
      query = URI.decode_query(query)

      if Enum.all?(path ++ Map.keys(query) ++ Map.values(query), &String.valid?/1),
        do: {:ok, %__MODULE__{method: method, path: path, query: query, headers: headers, peer: peer}},
        else: :error
    end
  end

  @doc "The value of a header that came once; one that came twice is as good as none."
  @spec header(t(), String.t()) :: String.t() | nil
  def header(request, name) do
    case for {^name, value} <- request.headers, do: value do
      [value] -> value
      _none_or_many -> nil
    end
  end

  @doc """
  The media type of the body, without its parameters; nil where none is given.

      iex> {:ok, request} = UroDiscord.Web.Request.new("POST", [], "", [{"content-type", "Text/Plain; charset=utf-8"}], "::1")
      iex> UroDiscord.Web.Request.media_type(request)
      "text/plain"
  """
  @spec media_type(t()) :: String.t() | nil
  def media_type(request) do
    with type when is_binary(type) <- header(request, "content-type"),
         do: type |> String.split(";") |> hd() |> String.trim() |> String.downcase(:ascii)
  end
end

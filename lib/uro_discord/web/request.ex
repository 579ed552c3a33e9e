defmodule UroDiscord.Web.Request do
  @moduledoc false
  # A request as the routes see it, whichever server it came through. `path` is what follows the mount, decoded; header names
  # are lower case. Headers and bodies hold secrets, so they do not show in `inspect`. `conn` is Plug's, where it came through that, for the host's
  # functions that say who is logged in.

  alias UroDiscord.Accounts.Visitor

  @derive {Inspect, only: [:method, :path, :peer]}
  @enforce_keys [:method, :path, :query, :headers, :peer]
  defstruct [:method, :path, :query, :headers, :peer, conn: nil, body: ""]

  @type t :: %__MODULE__{
          method: String.t(),
          path: [String.t()],
          query: %{String.t() => String.t()},
          headers: [{String.t(), String.t()}],
          peer: String.t(),
          conn: struct() | nil,
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

  @doc """
  The cookies, by name; of two with one name the first, which is the one of the narrower path.

      iex> {:ok, request} = UroDiscord.Web.Request.new("GET", [], "", [{"cookie", "a=1; b=x=y;c; a=2"}, {"cookie", "d=4"}], "::1")
      iex> UroDiscord.Web.Request.cookies(request)
      %{"a" => "1", "b" => "x=y", "d" => "4"}
  """
  @spec cookies(t()) :: %{String.t() => String.t()}
  def cookies(request) do
    # HTTP/2 may have each in a header of its own.
    for {"cookie", line} <- request.headers, pair <- String.split(line, ";"), reduce: %{} do
      cookies ->
        case String.split(pair, "=", parts: 2) do
          [name, value] -> Map.put_new(cookies, String.trim(name), String.trim(value))
          _no_pair -> cookies
        end
    end
  end

  @doc """
  The address that limits count, of IPv6 its /64. A proxy on this machine or in its private network says for whom it asks, in the last of `X-Forwarded-For`, as
  for portals (docs/portal.md); what strangers say of themselves is not believed.

      iex> headers = [{"x-forwarded-for", "10.0.0.1, 198.51.100.7"}]
      iex> address = fn peer -> {:ok, request} = UroDiscord.Web.Request.new("GET", [], "", headers, peer); UroDiscord.Web.Request.address(request) end
      iex> {address.("127.0.0.1"), address.("172.18.0.2"), address.("203.0.113.9"), address.("2001:db8::7")}
      {"198.51.100.7", "198.51.100.7", "203.0.113.9", "2001:db8::"}
  """
  @spec address(t()) :: String.t()
  def address(%__MODULE__{peer: peer, headers: headers}) do
    said = for {"x-forwarded-for", value} <- headers, one <- String.split(value, ","), do: String.trim(one)

    with {:ok, address} <- parse(peer) do
      case near?(address) && parse(List.last(said, "")) do
        {:ok, asks} -> site(asks)
        _nobody -> site(address)
      end
    else
      # Behind a Unix socket there is none.
      :error -> peer
    end
  end

  # Some proxies write it with its port.
  defp parse(text) do
    bare = Regex.replace(~r/\A\[(.*)\](:\d+)?\z|\A([\d.]+):\d+\z/, text, "\\1\\3")

    case bare |> :binary.bin_to_list() |> :inet.parse_strict_address() do
      {:ok, {0, 0, 0, 0, 0, 0xFFFF, high, low}} -> {:ok, {div(high, 256), rem(high, 256), div(low, 256), rem(low, 256)}}
      {:ok, address} -> {:ok, address}
      {:error, :einval} -> :error
    end
  end

  defp near?({127, _, _, _}), do: true
  defp near?({10, _, _, _}), do: true
  defp near?({172, second, _, _}), do: second in 16..31
  defp near?({192, 168, _, _}), do: true
  defp near?({169, 254, _, _}), do: true
  defp near?({0, 0, 0, 0, 0, 0, 0, 1}), do: true

  defp near?(address) when tuple_size(address) == 8,
    do: elem(address, 0) in 0xFC00..0xFDFF or elem(address, 0) in 0xFE80..0xFEBF

  defp near?(_far), do: false

  defp site({a, b, c, d, _, _, _, _}), do: "#{:inet.ntoa({a, b, c, d, 0, 0, 0, 0})}"
  defp site(address), do: "#{:inet.ntoa(address)}"

  @doc "What the host's functions are given, that say who is logged in."
  @spec visitor(t()) :: struct()
  def visitor(%__MODULE__{conn: nil} = request),
    do: %Visitor{headers: request.headers, cookies: cookies(request), peer: request.peer}

  def visitor(%__MODULE__{conn: conn}), do: conn
end

defmodule UroDiscord.Browser do
  @moduledoc """
  What a person's browser does, over real sockets: it keeps cookies by host, says where a form comes from, and goes where it is sent when the test
  says so. It is a value: a test may have several, and go back to an older one.
  """

  alias UroDiscord.HttpClient

  defstruct cookies: %{}, response: nil, url: nil

  @type response :: %{status: pos_integer(), headers: %{String.t() => String.t()}, body: String.t()}
  @type t :: %__MODULE__{cookies: map(), response: response() | nil, url: String.t() | nil}

  @doc "With these cookies for every host of this machine."
  @spec new(map()) :: t()
  def new(cookies \\ %{}), do: %__MODULE__{cookies: %{"127.0.0.1" => cookies}}

  @spec get(t(), String.t(), [{String.t(), String.t()}]) :: t()
  def get(browser, url, headers \\ []), do: request(browser, "GET", url, headers, "")

  @doc "Sends a form, from a page of the same origin unless `:origin` says otherwise (nil: says nothing)."
  @spec post(t(), String.t(), keyword()) :: t()
  def post(browser, url, options \\ []) do
    origin = if origin = Keyword.get(options, :origin, origin(url)), do: [{"origin", origin}], else: []
    form = [{"content-type", "application/x-www-form-urlencoded"}]
    headers = origin ++ form ++ Keyword.get(options, :headers, [])
    request(browser, "POST", url, headers, Keyword.get(options, :body, ""))
  end

  @doc "Goes where the answer sends it."
  @spec follow(t()) :: t()
  def follow(%__MODULE__{response: %{status: status} = response} = browser) when status in [302, 303],
    do: get(browser, browser.url |> URI.merge(response.headers["location"]) |> URI.to_string())

  @doc "What the query of a redirect says."
  @spec sent(t()) :: map()
  def sent(%__MODULE__{response: response}),
    do: response.headers["location"] |> URI.parse() |> Map.get(:query) |> to_string() |> URI.decode_query()

  defp request(browser, method, url, headers, body) do
    uri = URI.parse(url)
    path = (uri.path || "/") <> if(uri.query, do: "?" <> uri.query, else: "")
    cookies = Map.get(browser.cookies, uri.host, %{})
    cookie = Enum.map_join(cookies, "; ", fn {name, value} -> "#{name}=#{value}" end)
    cookie = if cookies == %{}, do: [], else: [{"cookie", cookie}]
    headers = [{"host", uri.authority}, {"accept", "text/html"}] ++ cookie ++ headers
    {status, headers, body} = HttpClient.call(url, method, path, headers, body)
    response = %{status: status, headers: headers, body: body}
    %{browser | response: response, url: url, cookies: Map.put(browser.cookies, uri.host, kept(cookies, headers))}
  end

  defp kept(cookies, %{"set-cookie" => cookie}) do
    [name, value] = cookie |> String.split(";") |> hd() |> String.split("=", parts: 2)
    Map.put(cookies, name, value)
  end

  defp kept(cookies, _headers), do: cookies

  defp origin(url) do
    uri = URI.parse(url)
    "#{uri.scheme}://#{uri.authority}"
  end
end

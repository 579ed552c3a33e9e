defmodule UroDiscord.WebCase do
  @moduledoc """
  Requests to the routes, by whichever way: `request/3` makes one, and `UroDiscord.HttpClient` sends bytes over a socket.
  """

  use ExUnit.CaseTemplate
  alias UroDiscord.{JSON, Web}

  using do
    quote do
      import UroDiscord.Case
      import UroDiscord.WebCase
      alias UroDiscord.{DiscordSim, Web}
      alias UroDiscord.Web.{Request, Response}
    end
  end

  @doc "A request to `path`, which follows /discord. Options: `:headers`, `:key`, `:body`, and `:json`, a body as a term."
  def request(method, path, options \\ []) do
    {body, type} =
      case Keyword.fetch(options, :json) do
        {:ok, term} -> {json!(term), [{"content-type", "application/json"}]}
        :error -> {Keyword.get(options, :body, ""), []}
      end

    key = if options[:key], do: [{"authorization", "Bearer #{options[:key]}"}], else: []
    [path | query] = String.split(path, "?", parts: 2)
    segments = String.split(path, "/", trim: true)
    headers = type ++ key ++ Keyword.get(options, :headers, [])
    {:ok, request} = Web.Request.new(method, segments, Enum.join(query), headers, "127.0.0.1")
    %{request | body: body}
  end

  @doc "Where the listener is, when it is there."
  def web_url! do
    # Not by its event: the mailbox may have one of a listener before.
    listening = fn ->
      with {:ok, %{web: %{state: :listening, url: url}}} <- UroDiscord.status(), do: url, else: (_not_yet -> nil)
    end

    UroDiscord.Case.eventually(listening) || ExUnit.Assertions.flunk("nobody listens: #{inspect(UroDiscord.status())}")
  end

  @doc "The answer of the routes, its body decoded."
  def call(method, path, options \\ []) do
    response = method |> request(path, options) |> Web.call()
    {response.status, decoded(response.body), Map.new(response.headers)}
  end

  def decoded(""), do: nil

  def decoded(json) do
    {:ok, term} = JSON.decode(json)
    term
  end

  def json!(term) do
    {:ok, json} = JSON.encode(term)
    json
  end
end

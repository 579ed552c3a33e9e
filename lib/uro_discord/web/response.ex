defmodule UroDiscord.Web.Response do
  @moduledoc false
  # An answer of the routes. What went wrong is said as JSON: `{"error": a word for programs, "message": what to do}`.

  alias UroDiscord.JSON

  defstruct status: 200, headers: [], body: ""

  @type t :: %__MODULE__{status: 200..599, headers: [{String.t(), String.t()}], body: binary()}

  @spec json(200..599, term(), [{String.t(), String.t()}]) :: t()
  def json(status, term, headers \\ []) do
    {:ok, json} = JSON.encode(term)
    headers = [{"content-type", "application/json"}, {"cache-control", "no-store"} | headers]
    %__MODULE__{status: status, headers: headers, body: json}
  end

  @spec empty(200..599) :: t()
  def empty(status), do: %__MODULE__{status: status}

  @doc "An error; `more` are further fields of its JSON."
  @spec error(400..599, String.t(), String.t(), keyword()) :: t()
  def error(status, error, message, options \\ []) do
    {headers, more} = Keyword.pop(options, :headers, [])
    json(status, Map.merge(%{error: error, message: message}, Map.new(more)), headers)
  end

  @doc "What a request without a usable head, path or query gets."
  @spec bad_request(String.t()) :: t()
  def bad_request(message), do: error(400, "bad_request", message)

  @spec too_large(non_neg_integer()) :: t()
  def too_large(limit), do: error(413, "too_large", "the body may have #{limit} bytes here, and has more")

  @spec timeout() :: t()
  def timeout, do: error(408, "timeout", "the request did not come in time; send it again")

  @doc "When to come back, in seconds."
  @spec too_fast(String.t(), String.t(), pos_integer()) :: t()
  def too_fast(error, message, seconds),
    do: error(429, error, message, headers: [{"retry-after", "#{seconds}"}], retry_after: seconds)

  @spec later(String.t()) :: t()
  def later(message), do: error(503, "unavailable", message, headers: [{"retry-after", "5"}])
end

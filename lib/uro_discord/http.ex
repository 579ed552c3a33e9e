defmodule UroDiscord.HTTP do
  @moduledoc false
  # GET of JSON that is somebody else's: a remote Uro's shards, GitHub's runs. Discord's own API goes through
  # `UroDiscord.Rest`, which knows its limits. What others may make this one hold or wait for is bounded in `crates/rest`
  # (`poll`).

  alias UroDiscord.{Error, JSON, Native}
  alias UroDiscord.HTTP.Times

  # Whoever asks for more patience than this is asked again all the same.
  @day_ms 86_400_000

  @type answer ::
          {:ok, term(), headers :: %{String.t() => String.t()}}
          | {:unchanged, headers :: %{String.t() => String.t()}}
          | {:error, Error.t()}

  @doc """
  The JSON at a URL: `:unchanged` where the server says so (304) to the `:etag` that its last answer had.

  Options: `:etag`, `:headers` (a list of pairs; `authorization` belongs here), `:ca_file` (a PEM file with certificate
  authorities to trust beside Mozilla's), `:timeout_ms` (10,000), `:longest_wait`. An answer of more than 5 MiB, or with a head of
  more than 64 KiB, or that is not whole in time, is an error. A redirect is followed up to three times, on the same server only. An
  error has the HTTP `status` where there is one, and `retry_after_ms` where the server says when to come again: at most
  `:longest_wait` (a day).
  """
  @spec get_json(String.t(), keyword()) :: answer()
  def get_json(url, options \\ []) do
    headers =
      [{"accept", "application/json"}, {"user-agent", "uro_discord"}] ++
        Keyword.get(options, :headers, []) ++
        for(etag <- List.wrap(options[:etag]), do: {"if-none-match", etag})

    case get(url, headers, options) do
      {:ok, %{status: 200, body: body, headers: headers}} ->
        json(body, usable(headers))

      {:ok, %{status: 304, headers: headers}} ->
        {:unchanged, headers}

      {:ok, %{status: status, headers: headers}} ->
        {:error, refused(status, headers, options[:longest_wait] || @day_ms)}

      {:error, %Error{} = error} ->
        {:error, error}
    end
  end

  # The tag of an answer is kept, and sent back with the next request: one that no text is, or with which a server would not take
  # the request, is as good as none.
  @longest_etag 256

  defp usable(%{"etag" => etag} = headers) do
    if byte_size(etag) <= @longest_etag and etag =~ ~r/\A[\x20-\x7E]+\z/, do: headers, else: Map.delete(headers, "etag")
  end

  defp usable(headers), do: headers

  defp json(body, headers) do
    case JSON.decode(body) do
      {:ok, term} -> {:ok, term, headers}
      {:error, reason} -> {:error, %Error{kind: :response, status: 200, message: "the answer is no JSON: #{reason}"}}
    end
  end

  defp refused(status, headers, longest_wait) do
    retry_after_ms = Times.retry_after(headers, longest_wait)
    %Error{kind: :http, status: status, message: "the server answered #{status}", retry_after_ms: retry_after_ms}
  end

  defp get(url, headers, options) do
    ref = make_ref()
    request = %{url: url, headers: headers, ca_file: options[:ca_file], deadline_ms: options[:timeout_ms]}

    case Native.http_get(ref, request) do
      :ok ->
        # No timeout here: the client answers every request by its deadline.
        receive do
          {:uro_discord_http, ^ref, {:ok, answer}} -> {:ok, answer}
          {:uro_discord_http, ^ref, {:error, error}} -> {:error, struct!(Error, error)}
        end

      {:error, reason} ->
        {:error, %Error{kind: :invalid, message: reason}}
    end
  end
end

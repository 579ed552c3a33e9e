defmodule UroDiscord.HTTP do
  @moduledoc false
  # GET of JSON that is somebody else's: a remote Uro's shards, GitHub's runs. Discord's own API goes through the NIF
  # (`UroDiscord.Rest`), which knows its limits.

  alias UroDiscord.{Error, Native}
  alias UroDiscord.HTTP.Times

  @max_body 5 * 1024 * 1024
  @timeout_ms 10_000
  # Whoever asks for more patience than this is asked again all the same.
  @day_ms 86_400_000

  @type answer ::
          {:ok, term(), headers :: %{String.t() => String.t()}}
          | {:unchanged, headers :: %{String.t() => String.t()}}
          | {:error, Error.t()}

  @doc """
  The JSON at a URL: `:unchanged` where the server says so (304) to the `:etag` that its last answer had.

  Options: `:etag`, `:headers` (a list of pairs; `authorization` belongs here), `:ca_file` (certificates to trust besides the
  usual ones), `:longest_wait`. An answer of more than 5 MiB, or that is not whole within 10 s, is an error; so is a redirect. An error
  has the HTTP `status` where there is one, and `retry_after_ms` where the server says when to come again: at most `:longest_wait`
  (a day).
  """
  @spec get_json(String.t(), keyword()) :: answer()
  def get_json(url, options \\ []) do
    headers =
      [{"accept", "application/json"}, {"user-agent", "uro_discord"}] ++
        Keyword.get(options, :headers, []) ++
        for(etag <- List.wrap(options[:etag]), do: {"if-none-match", etag})

    case get(url, headers, options[:ca_file]) do
      {:ok, {200, headers, body}} -> json(body, headers)
      {:ok, {304, headers, _body}} -> {:unchanged, headers}
      {:ok, {status, headers, _body}} -> {:error, refused(status, headers, options[:longest_wait] || @day_ms)}
      {:error, %Error{} = error} -> {:error, error}
    end
  end

  defp json(body, headers) do
    case Native.json_decode(body) do
      {:ok, term} -> {:ok, term, headers}
      {:error, reason} -> {:error, %Error{kind: :response, status: 200, message: "the answer is no JSON: #{reason}"}}
    end
  end

  defp refused(status, headers, longest_wait) do
    retry_after_ms = Times.retry_after(headers, longest_wait)
    %Error{kind: :http, status: status, message: "the server answered #{status}", retry_after_ms: retry_after_ms}
  end

  # In a process of its own, whose end takes the connection's messages with it.
  defp get(url, headers, ca_file) do
    task = Task.async(fn -> request(url, headers, ca_file) end)

    case Task.yield(task, @timeout_ms) || Task.shutdown(task, :brutal_kill) do
      {:ok, answer} -> answer
      nil -> {:error, %Error{kind: :timeout, message: "the server did not answer within #{@timeout_ms} ms"}}
    end
  end

  defp request(url, headers, ca_file) do
    headers = for {name, value} <- headers, do: {String.to_charlist(name), String.to_charlist(value)}
    http = [autoredirect: false, connect_timeout: @timeout_ms, ssl: tls(ca_file)]
    # `{:self, :once}`: the body comes piece by piece, each when asked for, so that one too large is not held.
    options = [sync: false, stream: {:self, :once}, body_format: :binary]

    case :httpc.request(:get, {String.to_charlist(url), headers}, http, options) do
      {:ok, id} -> answer(id)
      {:error, reason} -> {:error, unreachable(reason)}
    end
  end

  defp answer(id) do
    receive do
      # Only what is 200 or 206 is streamed.
      {:http, {^id, :stream_start, headers, pid}} ->
        :httpc.stream_next(pid)
        body(id, pid, {200, names(headers)}, [], 0)

      {:http, {^id, {{_version, status, _reason}, headers, body}}} ->
        {:ok, {status, names(headers), body}}

      {:http, {^id, {:error, reason}}} ->
        {:error, unreachable(reason)}
    end
  end

  defp body(id, _pid, _head, _parts, size) when size > @max_body do
    :httpc.cancel_request(id)
    {:error, %Error{kind: :response, message: "the answer has more than #{@max_body} bytes"}}
  end

  defp body(id, pid, {status, headers} = head, parts, size) do
    receive do
      {:http, {^id, :stream, part}} ->
        :httpc.stream_next(pid)
        body(id, pid, head, [parts, part], size + byte_size(part))

      {:http, {^id, :stream_end, _trailers}} ->
        {:ok, {status, headers, IO.iodata_to_binary(parts)}}

      {:http, {^id, {:error, reason}}} ->
        {:error, unreachable(reason)}
    end
  end

  defp names(headers),
    do: Map.new(headers, fn {name, value} -> {String.downcase(to_string(name)), to_string(value)} end)

  defp unreachable(reason), do: %Error{kind: :connect, message: "the server cannot be reached: #{why(reason)}"}

  # The innermost word of what :httpc says; the rest repeats the address.
  defp why({:failed_connect, details}), do: details |> List.last() |> why()
  defp why({_inet, _options, reason}), do: why(reason)
  defp why({:tls_alert, {alert, _text}}), do: "TLS: #{alert}"
  defp why(reason) when is_atom(reason), do: to_string(reason)
  defp why(_reason), do: "the connection ended"

  defp tls(ca_file) do
    ours = if ca_file, do: certificates(ca_file), else: []

    [
      verify: :verify_peer,
      cacerts: ours ++ system(),
      depth: 4,
      customize_hostname_check: [match_fun: :public_key.pkix_verify_hostname_match_fun(:https)]
    ]
  end

  defp certificates(file) do
    for {:Certificate, der, :not_encrypted} <- file |> File.read!() |> :public_key.pem_decode(), do: der
  end

  # A machine without certificates trusts nobody, which the handshake then says.
  defp system do
    :public_key.cacerts_get() |> Enum.map(fn {:cert, der, _otp} -> der end)
  rescue
    _none -> []
  end
end

defmodule UroDiscord.Web.Listener.Exchange do
  @moduledoc false
  # One request, from its head to its answer, in a process of its own. The bridge reads the body only when it is told to.

  alias UroDiscord.{Bridge, Web}
  alias UroDiscord.Web.{Request, Response}

  @spec serve(pos_integer(), map()) :: :ok
  def serve(id, head) do
    # It is finished, also when we are to stop.
    Process.flag(:trap_exit, true)
    Bridge.http(answer(id, response(id, head)))
  end

  @doc "An answer as the bridge takes it."
  @spec answer(pos_integer(), Response.t()) :: tuple()
  def answer(id, response),
    do: {:answer, id, response.status, for({name, value} <- response.headers, do: [name, value]), response.body}

  defp response(id, %{"method" => method, "path" => path, "query" => query, "headers" => headers, "peer" => peer}) do
    headers = for [name, value] <- headers, do: {name, value}

    case Request.new(method, :binary.split(path, "/", [:global]), query, headers, peer) do
      {:ok, request} -> go_on(id, Web.begin(request))
      :error -> Response.bad_request("the path or the query is not percent-encoded UTF-8")
    end
  end

  defp go_on(_id, %Response{} = refusal), do: refusal
  defp go_on(_id, {:read, %{limit: 0}, answer}), do: answer.("")

  defp go_on(id, {:read, %{limit: limit, signed: signed}, answer}) do
    Bridge.http({:read, id, limit, not signed})

    # The bridge has a time limit, and tells the desk when the client goes.
    receive do
      {:body, ^id, body} -> answer.(body)
      {:EXIT, _from, _reason} -> Response.later("uro_discord is stopping; send it again")
    end
  end
end

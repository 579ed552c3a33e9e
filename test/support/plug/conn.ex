defmodule Plug.Conn.Unfetched do
  @moduledoc false
  defstruct [:aspect]
end

defmodule Plug.Conn do
  @moduledoc """
  What `UroDiscord.Plug` and `UroDiscord.BodyReader` call of Plug, which is not here: the functions behave as Plug 1.18 documents
  them, over an adapter as Plug's adapters are. `test/uro_discord/plug_test.exs` was also run with Plug itself.
  """

  alias Plug.Conn.Unfetched

  defstruct adapter: nil,
            body_params: %Unfetched{aspect: :body_params},
            cookies: %Unfetched{aspect: :cookies},
            halted: false,
            method: "GET",
            path_info: [],
            private: %{},
            query_string: "",
            remote_ip: nil,
            req_headers: [],
            request_path: "",
            resp_body: nil,
            resp_headers: [{"cache-control", "max-age=0, private, must-revalidate"}],
            script_name: [],
            state: :unset,
            status: nil

  def read_body(%__MODULE__{adapter: {adapter, state}} = conn, options \\ []) do
    case adapter.read_req_body(state, options) do
      {status, data, state} when status in [:ok, :more] -> {status, data, %{conn | adapter: {adapter, state}}}
      {:error, reason} -> {:error, reason}
    end
  end

  def fetch_cookies(%__MODULE__{} = conn) do
    cookies = for {"cookie", line} <- conn.req_headers, pair <- String.split(line, "; ", trim: true), do: pair
    pairs = for pair <- cookies, [name, value] <- [String.split(pair, "=", parts: 2)], into: %{}, do: {name, value}
    %{conn | cookies: pairs}
  end

  def put_private(conn, key, value), do: %{conn | private: Map.put(conn.private, key, value)}

  def put_resp_header(%__MODULE__{state: :unset} = conn, name, value) when is_binary(name) and is_binary(value),
    do: %{conn | resp_headers: List.keystore(conn.resp_headers, name, 0, {name, value})}

  def send_resp(%__MODULE__{adapter: {adapter, state}, state: :unset} = conn, status, body) do
    {:ok, body, state} = adapter.send_resp(state, status, conn.resp_headers, body)
    %{conn | adapter: {adapter, state}, state: :sent, status: status, resp_body: body}
  end

  def halt(conn), do: %{conn | halted: true}
end

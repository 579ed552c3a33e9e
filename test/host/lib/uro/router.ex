defmodule Uro.Router do
  use Phoenix.Router

  forward("/health", Uro.Health)
end

defmodule Uro.Health do
  def init(options), do: options
  def call(conn, _options), do: Plug.Conn.send_resp(conn, 200, ~s({"services":{"uro":"healthy"}}))
end

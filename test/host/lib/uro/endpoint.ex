defmodule Uro.Endpoint do
  use Phoenix.Endpoint, otp_app: :uro

  plug(Plug.Parsers,
    parsers: [:urlencoded, :json],
    pass: ["*/*"],
    json_decoder: Phoenix.json_library()
  )

  plug(Uro.Router)
end

defmodule UroDiscord.Accounts.Visitor do
  @moduledoc """
  Who opens a page of ours through UroDiscord's own listener (`web: [port:]`), which has no `Plug.Conn`: what `current_user:` and `may_add_bot:` get there.

    * `headers`: the request's, with names in lower case;
    * `cookies`: by their names;
    * `peer`: the address it came from.
  """

  # Headers and cookies are secrets.
  @derive {Inspect, only: [:peer]}
  @enforce_keys [:headers, :cookies, :peer]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          headers: [{String.t(), String.t()}],
          cookies: %{String.t() => String.t()},
          peer: String.t()
        }
end

defmodule UroDiscord.Web.Listener do
  @moduledoc false
  # HTTP for those without Phoenix. The bridge listens, as `web:` wants it, and holds its own against clients; what comes under
  # /discord is answered here by the routes of `UroDiscord.Web`. A port that is taken, or a certificate that cannot be read, is shown in
  # `UroDiscord.status/0`, and tried again by the bridge.

  use Supervisor

  alias UroDiscord.Web.Listener.Desk

  @type options :: %{
          ip: :inet.ip_address(),
          port: :inet.port_number(),
          connections: pos_integer(),
          tls: %{certificate: Path.t(), key: Path.t()} | nil
        }

  @typedoc "As `UroDiscord.status/0` shows it."
  @type status :: %{
          required(:state) => :starting | :listening | :waiting | :closed,
          required(:since) => DateTime.t(),
          required(:url) => String.t() | nil,
          optional(:reason) => String.t()
        }

  @spec start_link(options()) :: Supervisor.on_start()
  def start_link(options), do: Supervisor.start_link(__MODULE__, options, name: __MODULE__)

  @doc "How it is; nil where none is wanted."
  @spec status() :: status() | nil
  defdelegate status, to: Desk

  @doc "The bridge said something of HTTP. What is returned is to be told to it."
  @spec heard(tuple()) :: [tuple()]
  defdelegate heard(message), to: Desk

  @doc "The bridge has ended, and with it all connections."
  @spec ended() :: :ok
  defdelegate ended, to: Desk

  # Requests that are at work end after the desk has closed the listener: they are answered, if they take less than 5 s.
  @impl true
  def init(options) do
    Supervisor.init([{Task.Supervisor, name: __MODULE__.Requests}, {Desk, options}], strategy: :one_for_all)
  end
end

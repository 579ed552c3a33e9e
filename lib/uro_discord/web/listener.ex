defmodule UroDiscord.Web.Listener do
  @moduledoc false
  # HTTP for those without Phoenix. The bridge listens, as `web:` wants it, and holds its own against clients; what comes under
  # /discord is answered here by the routes of `UroDiscord.Web`. A port that is taken, or a certificate that cannot be read, is shown in
  # `UroDiscord.status/0`, and tried again by the bridge.

  use Supervisor
  @behaviour UroDiscord.Bridge.Part

  alias UroDiscord.Domain
  alias UroDiscord.Web.Listener.Desk

  @type options :: %{
          ip: :inet.ip_address(),
          port: :inet.port_number(),
          connections: pos_integer(),
          tls: %{certificate: Path.t(), key: Path.t()} | nil
        }

  @spec start_link(options()) :: Supervisor.on_start()
  def start_link(options), do: Supervisor.start_link(__MODULE__, options, name: __MODULE__)

  @impl UroDiscord.Bridge.Part
  defdelegate heard(bridge, message), to: Desk

  # All connections with it.
  @impl UroDiscord.Bridge.Part
  defdelegate ended(bridge), to: Desk

  # Requests that are at work end after the desk has closed the listener: they are answered, if they take less than 5 s.
  @impl Supervisor
  def init(options) do
    Domain.group([{Task.Supervisor, name: __MODULE__.Requests}, {Desk, options}], :one_for_all)
  end
end

defmodule UroDiscord.FreePort do
  @moduledoc """
  A port of this machine for what is to have the same one when it starts again, or whose port somebody else is to know first.
  """

  # Below those that the system gives out by itself (ip_local_port_range): nobody has it by chance while nothing listens there.
  @ports 20_000..30_000

  @doc "One that nobody has, neither by TCP nor by UDP."
  @spec free_port(:inet.ip4_address()) :: :inet.port_number()
  def free_port(ip \\ {127, 0, 0, 1}) do
    port = Enum.random(@ports)
    if free?(:gen_tcp.listen(port, ip: ip)) and free?(:gen_udp.open(port, ip: ip)), do: port, else: free_port(ip)
  end

  defp free?({:ok, socket}), do: :inet.close(socket) == :ok
  defp free?({:error, :eaddrinuse}), do: false
end

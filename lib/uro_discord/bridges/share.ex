defmodule UroDiscord.Bridges.Share do
  @moduledoc false
  # What one bridge is told of the desired state: `UroDiscord.Desired` has some parts for each bridge, and others for all, with what is otherwise on that
  # bridge's machine. Pure.

  alias UroDiscord.Config.Bridges

  @for_each ["voice", "portals"]

  # What bridges before this version of the protocol do not know.
  @apart 5
  @apart_parts ["voice_states", "elsewhere"]

  @parts %{
    gateway: ["presence", "voice_states"],
    media: ["voice", "media", "portals", "elsewhere", "http"],
    http: ["http", "elsewhere"]
  }

  @type key :: String.t() | {String.t(), atom()}

  @doc "What a bridge with these roles follows in `UroDiscord.Desired`."
  @spec keys(atom(), [Bridges.role()]) :: [key()]
  def keys(name, roles) do
    for part <- roles |> Enum.flat_map(&Map.fetch!(@parts, &1)) |> Enum.uniq(),
        do: if(part in @for_each, do: {part, name}, else: part)
  end

  @doc "The first version of the protocol in which calls may be on another bridge than the gateway."
  @spec apart() :: pos_integer()
  def apart, do: @apart

  @doc "The parts as the bridge is told them, which speaks this version of the protocol."
  @spec told(%{key() => term()}, Bridges.bridge(), pos_integer()) :: %{String.t() => term()}
  def told(parts, bridge, version) do
    for {key, value} <- parts,
        part = part(key),
        version >= @apart or part not in @apart_parts,
        told?(part, value, bridge),
        into: %{} do
      {part, share(part, value, bridge)}
    end
  end

  defp part({part, _name}), do: part
  defp part(part), do: part

  # It has portals' peers, and outlives whoever has closed the listener of `web:` as it stopped.
  defp told?("http", nil, %{node: node, roles: roles}), do: node == nil or :media not in roles
  defp told?(_part, _value, _bridge), do: true

  defp share("voice_states", %{"states" => states} = value, %{name: name}),
    do: %{value | "states" => for({of, state} <- states, of != name, do: state)}

  # Where all are found, and which bridge's they are.
  defp share("elsewhere", %{} = found, %{name: name}) do
    others = for {id, {of, url}} <- found, of != name, into: %{}, do: {id, url}
    if others != %{}, do: others
  end

  defp share("http", %{} = http, %{web: web, roles: roles}) do
    http = Enum.reduce(web, http, &web/2)
    if :http in roles, do: http, else: Map.put(http, "discord", false)
  end

  defp share("media", %{} = media, bridge) do
    udp = Map.get(media, :udp)
    at = Map.merge(udp, bridge.udp)

    media
    |> Map.delete(:udp)
    |> Map.put("addresses", Enum.map(at.ip, &socket(&1, at.port)))
    |> Map.put("public", bridge.public_addresses || media["public"])
  end

  defp share(_part, value, _bridge), do: value

  defp web({:ip, ip}, http), do: %{http | "ip" => "#{:inet.ntoa(ip)}"}
  defp web({:port, port}, http), do: %{http | "port" => port}
  defp web({:tls, nil}, http), do: %{http | "tls" => nil}
  defp web({:tls, tls}, http), do: %{http | "tls" => %{"certificate" => tls.certificate, "key" => tls.key}}

  defp socket(ip, port) when tuple_size(ip) == 4, do: "#{:inet.ntoa(ip)}:#{port}"
  defp socket(ip, port), do: "[#{:inet.ntoa(ip)}]:#{port}"
end

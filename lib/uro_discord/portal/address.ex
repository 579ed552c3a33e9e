defmodule UroDiscord.Portal.Address do
  @moduledoc false
  # Where peers come to a portal.

  alias UroDiscord.{Config, Error, Runtime}
  alias UroDiscord.Config.Bridges

  @type kind :: :whip | :whep | :peer | :still | {:page | :tv | :share, token :: String.t()}

  @kinds ":whip, :whep, :peer, :still, {:page, token}, {:tv, token} or {:share, token}"

  @spec url(Config.t(), String.t(), kind()) :: {:ok, String.t()} | {:error, Error.t()}
  def url(config, id, kind) do
    with {:ok, path} <- path(kind), {:ok, base} <- base(config, id), do: {:ok, "#{base}/portal/#{id}/#{path}"}
  end

  defp path(kind) when kind in [:whip, :whep, :peer], do: {:ok, Atom.to_string(kind)}
  defp path(:still), do: {:ok, "still.jpg"}
  # What follows the # no browser sends to anybody.
  defp path({:page, token}) when is_binary(token), do: {:ok, "#" <> token}
  defp path({:tv, token}) when is_binary(token), do: {:ok, "tv/#" <> token}
  defp path({:share, token}) when is_binary(token), do: {:ok, "share/#" <> token}
  # Perhaps with a token in it.
  defp path({_other, _token}), do: {:error, Error.invalid("kind", "may be #{@kinds}")}
  defp path(kind), do: {:error, Error.invalid("kind", kind, @kinds)}

  # Another bridge than the one that has it would send them there.
  defp base(config, id) do
    media = Bridges.having(config.bridges, :media)
    bridge = Enum.find(media, hd(media), &(&1.name == Runtime.lookup({:portal_bridge, id})))

    case bridge.url || config.portal.public_url do
      nil -> own()
      url -> {:ok, url}
    end
  end

  defp own do
    case Runtime.lookup(:web) do
      %{url: url} when is_binary(url) ->
        {:ok, String.replace_suffix(url, "/discord", "")}

      _ ->
        {:error,
         %Error{
           kind: :unavailable,
           message: "the listener (`web:`) does not listen yet, and there is no portal: [public_url: …]"
         }}
    end
  end
end

defmodule UroDiscord.Config.Bridges do
  @moduledoc false
  # `bridges:`, which bridges there are, and what each is for.

  import UroDiscord.Config.Checks, only: [is_not: 2]

  @roles [:gateway, :http]

  @typedoc "`node` is nil for the process of this VM's own, which is named `:local`; another one has its node's name."
  @type bridge :: %{name: atom(), node: node() | nil, roles: [:gateway | :http]}

  @spec allowed() :: String.t()
  def allowed,
    do:
      ":local, or {:node, name} for a bridge that runs elsewhere and connects to this node; each with roles: " <>
        "(#{Enum.map_join(@roles, ", ", &inspect/1)}), where there are several, and each role once"

  @doc "A list of bridges that have each role once between them."
  @spec check(term()) :: {:ok, [bridge()]} | {:error, String.t()}
  def check([_ | _] = bridges) do
    with {:ok, bridges} <- all(bridges) do
      cond do
        twice = twice(Enum.map(bridges, & &1.name)) -> {:error, "names #{inspect(twice)} twice"}
        twice = twice(Enum.flat_map(bridges, & &1.roles)) -> {:error, "has two bridges with the role #{inspect(twice)}"}
        missing = Enum.find(@roles, fn role -> not Enum.any?(bridges, &(role in &1.roles)) end) -> missing(missing)
        true -> {:ok, bridges}
      end
    end
  end

  def check(other), do: is_not(other, "a list with a bridge in it")

  @doc "The only bridge there is unless said."
  @spec default() :: [bridge()]
  def default, do: [%{name: :local, node: nil, roles: @roles}]

  @doc "Whether one bridge has both: portals' peers come by HTTP first, to where their media is."
  @spec together?([bridge()]) :: boolean()
  def together?(bridges), do: Enum.any?(bridges, &(@roles -- &1.roles == []))

  @doc "Whether the bridge with this role is a process of this VM's own, which has the files of this machine."
  @spec here?([bridge()], :gateway | :http) :: boolean()
  def here?(bridges, role), do: Enum.any?(bridges, &(role in &1.roles and &1.node == nil))

  defp missing(role), do: {:error, "has no bridge with the role #{inspect(role)}"}

  defp twice(names), do: List.first(names -- Enum.uniq(names))

  defp all(bridges) do
    Enum.reduce_while(bridges, {:ok, []}, fn bridge, {:ok, before} ->
      case one(bridge) do
        {:ok, bridge} -> {:cont, {:ok, before ++ [bridge]}}
        {:error, wrong} -> {:halt, {:error, wrong}}
      end
    end)
  end

  defp one(:local), do: one({:local, []})
  defp one({:node, name}), do: one({:node, name, []})
  defp one({:local, options}), do: with({:ok, roles} <- roles(options), do: {:ok, bridge(:local, nil, roles)})

  defp one({:node, name, options}) do
    with :ok <- name(name), {:ok, roles} <- roles(options), do: {:ok, bridge(name, name, roles)}
  end

  defp one(other), do: is_not(other, "a bridge")

  defp bridge(name, node, roles), do: %{name: name, node: node, roles: roles}

  defp name(name) when is_atom(name) do
    case name |> Atom.to_string() |> String.split("@") do
      [alive, host] when alive != "" and host != "" -> :ok
      _ -> is_not(name, "a node's name, such as :\"media1@10.0.0.5\"")
    end
  end

  defp name(name), do: is_not(name, "a node's name, such as :\"media1@10.0.0.5\"")

  defp roles(options) when is_list(options) do
    if Keyword.keyword?(options) and Keyword.keys(options) -- [:roles] == [],
      do: known(Keyword.get(options, :roles, @roles)),
      else: is_not(options, "options of a bridge, of which there is roles:")
  end

  defp roles(other), do: is_not(other, "options of a bridge, of which there is roles:")

  defp known([_ | _] = roles) do
    if roles -- @roles == [], do: {:ok, roles}, else: is_not(roles, "roles, each once, of #{inspect(@roles)}")
  end

  defp known(other), do: is_not(other, "a list of #{inspect(@roles)}")
end

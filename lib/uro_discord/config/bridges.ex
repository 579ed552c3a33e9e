defmodule UroDiscord.Config.Bridges do
  @moduledoc false
  # `bridges:`, which bridges there are, and what each is for.

  import UroDiscord.Config.Checks, only: [integer: 2, is_not: 2]
  alias UroDiscord.Config.{Portal, Web}
  alias UroDiscord.Error

  @roles [:gateway, :media, :http]
  # This belongs to one bridge.
  @single [:http]
  @options [:roles, :weight, :url, :web, :udp, :public_addresses]
  @most_weight 100

  @type role :: :gateway | :media | :http

  @typedoc """
    * `node` is nil for the process of this VM's own, which is named `:local`; another one has its node's name;
    * `weight`: how much of calls and portals it takes, beside others';
    * `url`: where peers find the portals that it has, if not at `public_url:` of `portal:`;
    * `web`, `udp`, `public_addresses`: what is otherwise on its machine than `web:` and `portal:` say.
  """
  @type bridge :: %{
          name: atom(),
          node: node() | nil,
          roles: [role()],
          weight: pos_integer(),
          url: String.t() | nil,
          web: map(),
          udp: map(),
          public_addresses: [String.t()] | nil
        }

  @spec allowed() :: String.t()
  def allowed,
    do:
      ":local, or {:node, name} for a bridge that runs elsewhere and connects to this node; each with roles: " <>
        "(#{Enum.map_join(@roles, ", ", &inspect/1)}) where there are several, of which :gateway and :media may be several bridges', and with weight:, url:, web:, udp: and public_addresses: where it has :media"

  @doc "A list of bridges that have each role between them."
  @spec check(term()) :: {:ok, [bridge()]} | {:error, String.t()}
  def check([_ | _] = bridges) do
    with {:ok, bridges} <- all(bridges) do
      bridges = with_media(bridges)

      cond do
        twice = twice(Enum.map(bridges, & &1.name)) ->
          {:error, "names #{inspect(twice)} twice"}

        twice = twice_role(bridges) ->
          {:error, "has two bridges with the role #{inspect(twice)}: give each its roles:"}

        missing = Enum.find(@roles, &(having(bridges, &1) == [])) ->
          missing(missing)

        idle = Enum.find(bridges, &idle?(&1, bridges)) ->
          {:error, "gives #{inspect(idle.name)} options that are for the role :media"}

        true ->
          {:ok, bridges}
      end
    end
  end

  def check(other), do: is_not(other, "a list with a bridge in it")

  @doc "The only bridge there is unless said."
  @spec default() :: [bridge()]
  def default, do: [bridge(:local, nil, %{roles: @roles})]

  @doc "Those that have a role."
  @spec having([bridge()], role()) :: [bridge()]
  def having(bridges, role), do: Enum.filter(bridges, &(role in &1.roles))

  @doc "Whether calls and portals may be on one of several bridges."
  @spec several?([bridge()]) :: boolean()
  def several?(bridges), do: match?([_, _ | _], having(bridges, :media))

  @doc "Whether the gateway of a call may be on another bridge than the call."
  @spec apart?([bridge()]) :: boolean()
  def apart?(bridges),
    do: having(bridges, :gateway) != having(bridges, :media) or match?([_, _ | _], having(bridges, :gateway))

  @doc """
  Whether calls and portals go on while this node has lost the gateway's lease, as when it does not reach the store: all bridges that have them run elsewhere and have the
  gateway, so that no other node can have it from them.
  """
  @spec outlasting?([bridge()]) :: boolean()
  def outlasting?(bridges), do: bridges |> having(:media) |> Enum.all?(&(&1.node != nil and :gateway in &1.roles))

  @doc "Whether all bridges with this role are processes of this VM's own, which have the files of this machine."
  @spec here?([bridge()], role()) :: boolean()
  def here?(bridges, role), do: bridges |> having(role) |> Enum.all?(&(&1.node == nil))

  @doc "What is wrong with the bridges where there are portals, whose peers come by HTTP to the bridge that has theirs."
  @spec without_url([bridge()], Portal.t()) :: String.t() | nil
  def without_url(bridges, portal) do
    media = having(bridges, :media)
    needed = if several?(bridges), do: media, else: Enum.reject(media, &(:http in &1.roles or portal.public_url != nil))

    if bridge = Enum.find(needed, &(&1.url == nil)),
      do:
        "has portals on #{inspect(bridge.name)} without a url: for it: their peers come by HTTP to the bridge that has them, so each says where it is found"
  end

  # The gateway's bridge has media too where no other one does.
  defp with_media(bridges) do
    if having(bridges, :media) == [],
      do: Enum.map(bridges, &if(:gateway in &1.roles, do: %{&1 | roles: &1.roles ++ [:media]}, else: &1)),
      else: bridges
  end

  # A share of several, which a weight is for, is one of media or of the gateway.
  defp idle?(bridge, bridges) do
    spread? = :gateway in bridge.roles and match?([_, _ | _], having(bridges, :gateway))
    plain = %{bridge(bridge.name, bridge.node, %{}) | roles: bridge.roles}
    :media not in bridge.roles and bridge != %{plain | weight: if(spread?, do: bridge.weight, else: plain.weight)}
  end

  defp missing(role), do: {:error, "has no bridge with the role #{inspect(role)}"}

  defp twice_role(bridges), do: bridges |> Enum.flat_map(& &1.roles) |> Enum.filter(&(&1 in @single)) |> twice()
  defp twice(names), do: List.first(names -- Enum.uniq(names))

  defp all(bridges), do: UroDiscord.Config.Checks.each(bridges, &one/1)

  defp one(:local), do: one({:local, []})
  defp one({:node, name}), do: one({:node, name, []})
  defp one({:local, options}), do: one(:local, nil, options)
  defp one({:node, name, options}), do: with(:ok <- name(name), do: one(name, name, options))

  defp one(other), do: is_not(other, "a bridge")

  defp one(name, node, options) do
    case options(options) do
      {:ok, options} -> {:ok, bridge(name, node, options)}
      {:error, wrong} -> {:error, "#{inspect(name)} #{wrong}"}
    end
  end

  defp bridge(name, node, options) do
    Map.merge(
      %{name: name, node: node, roles: @roles, weight: 1, url: nil, web: %{}, udp: %{}, public_addresses: nil},
      options
    )
  end

  defp name(name) when is_atom(name) do
    case name |> Atom.to_string() |> String.split("@") do
      [alive, host] when alive != "" and host != "" -> :ok
      _ -> is_not(name, "a node's name, such as :\"media1@10.0.0.5\"")
    end
  end

  defp name(name), do: is_not(name, "a node's name, such as :\"media1@10.0.0.5\"")

  defp options(options) do
    if is_list(options) and Keyword.keyword?(options) and Keyword.keys(options) -- @options == [],
      do: checked(options, %{}),
      else:
        {:error,
         "has options that are #{Error.short(options)}; they may be #{Enum.map_join(@options, ", ", &"#{&1}:")}"}
  end

  defp checked([], checked), do: {:ok, checked}

  defp checked([{key, value} | rest], checked) do
    with {:ok, value} <- option(key, value), do: checked(rest, Map.put(checked, key, value))
  end

  defp option(:roles, roles), do: known(roles)
  defp option(:weight, weight), do: named("weight", integer(weight, 1..@most_weight))
  defp option(:url, url), do: named("url", within(Portal.options(), :public_url, url))

  defp option(:public_addresses, given),
    do: named("public_addresses", within(Portal.options(), :public_addresses, given))

  defp option(:web, web), do: some("web", web, [:ip, :port, :tls], Web.options())

  defp option(:udp, udp),
    do: some("udp", udp, [:ip, :port], Enum.find(Portal.options(), &(&1.key == :udp)).options)

  defp some(name, given, keys, options) do
    if is_list(given) and Keyword.keyword?(given) and Keyword.keys(given) -- keys == [] do
      Enum.reduce_while(given, {:ok, %{}}, fn {key, value}, {:ok, checked} ->
        case within(options, key, value) do
          {:ok, value} -> {:cont, {:ok, Map.put(checked, key, value)}}
          {:error, wrong} -> {:halt, {:error, "has #{name}: [#{key}:] that #{wrong}"}}
        end
      end)
    else
      named(name, is_not(given, "a keyword list of #{Enum.join(keys, ", ")}"))
    end
  end

  defp within(options, key, value) do
    %{check: check} = Enum.find(options, &(&1.key == key))
    check.(value)
  end

  defp named(_name, {:ok, value}), do: {:ok, value}
  defp named(name, {:error, wrong}), do: {:error, "has a #{name}: that #{wrong}"}

  defp known([_ | _] = roles) do
    if roles -- @roles == [],
      do: {:ok, roles},
      else: {:error, "has roles: that are #{Error.short(roles)}; they may be some of #{inspect(@roles)}, each once"}
  end

  defp known(other),
    do: {:error, "has roles: that are #{Error.short(other)}; they may be a list of some of #{inspect(@roles)}"}
end

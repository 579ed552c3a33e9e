defmodule UroDiscord.Config do
  @moduledoc """
  Every option of `config :uro_discord`: its meaning, its default, and the check it must pass.

  The documented way is `config/runtime.exs`:

      config :uro_discord,
        token: System.get_env("DISCORD_BOT_TOKEN"),
        channels: [announcements: "1100000000000000001"]

  In a Mix task that is not `mix phx.server` nothing connects, and no token is needed: a host is built, tested and migrated without
  Discord (`enabled:`). A wrong configuration stops the boot with `UroDiscord.ConfigError`. `mix uro_discord.config.options` prints the table of options.
  """

  require Logger
  alias UroDiscord.{ConfigError, Secret, Snowflake}
  alias UroDiscord.Config.{Checks, Schema}

  @enforce_keys [:enabled]
  defstruct [
    :enabled,
    :token,
    :channels,
    :intents,
    :gateway,
    :presence,
    :presence_uncounted,
    :presence_idle,
    :shards,
    :join_link,
    :board,
    :announcements,
    :repo,
    :database,
    :api_url,
    :gateway_url,
    :rest_proxy,
    :ca_file,
    :feeds,
    :bridges,
    :bridge_executable,
    :bridge_media_workers,
    :bridge_restart,
    :web,
    :portal,
    :accounts,
    :commands,
    :interactions,
    :public_key
  ]

  @type t :: %__MODULE__{
          enabled: boolean(),
          token: Secret.t() | nil,
          channels: %{atom() => Snowflake.t()},
          intents: [atom()],
          gateway: %{events: [String.t()], shards: :auto | pos_integer(), identify_floor: non_neg_integer()},
          presence: String.t() | ([UroDiscord.Shards.shard()] -> String.t() | nil) | nil,
          presence_uncounted: String.t() | nil,
          presence_idle: String.t() | nil,
          shards: map(),
          join_link: String.t() | nil,
          board: %{atom() => term()},
          announcements: %{atom() => term()},
          repo: module() | nil,
          database: Path.t(),
          api_url: String.t() | nil,
          gateway_url: String.t() | nil,
          rest_proxy: String.t() | nil,
          ca_file: Path.t() | nil,
          feeds: %{atom() => Config.Feeds.feed()},
          bridges: [Config.Bridges.bridge()],
          bridge_executable: Path.t() | nil,
          bridge_media_workers: 1..64 | nil,
          bridge_restart: {pos_integer(), pos_integer()},
          web: %{ip: :inet.ip_address(), port: :inet.port_number() | nil, connections: pos_integer()},
          portal: Config.Portal.t(),
          accounts: Config.Accounts.t(),
          commands: [module()] | nil,
          interactions: :gateway | :http,
          public_key: <<_::256>> | nil
        }

  @doc false
  # What UroDiscord starts with: these options before those of the application's environment. In a Mix task that is no server what is
  # wrong is told, and stops nothing: the secrets and files may well be on another machine.
  @spec start!(keyword()) :: t()
  def start!(options) do
    if not Keyword.keyword?(options) do
      problem = %{
        key: "{UroDiscord, …}",
        wrong: "the options are not a keyword list (not shown)",
        allowed: "options as config :uro_discord has them",
        example: "{UroDiscord, enabled: false}"
      }

      raise ConfigError, problems: [problem]
    end

    options = :uro_discord |> Application.get_all_env() |> Keyword.merge(options)
    if Keyword.get(options, :enabled, :auto) == :auto and not server?(), do: off(options), else: new!(options)
  end

  defp off(options) do
    case options |> Keyword.put(:enabled, false) |> new() do
      {:ok, config} ->
        config

      {:error, error} ->
        Logger.warning("in a server this would stop the boot: #{Exception.message(error)}")
        wrong = for %{key: key} <- error.problems, do: key |> to_string() |> String.split(".") |> hd()

        # The others hold: a host's tests notify its channels.
        case Keyword.reject(options, fn {key, _value} -> Atom.to_string(key) in wrong end) do
          ^options -> new!(enabled: false)
          others -> off(others)
        end
    end
  end

  @doc false
  # A Mix task builds, migrates or tests, unless it is Phoenix's server, which says so. A release is a server.
  @spec server?() :: boolean()
  def server? do
    Process.whereis(Mix.Supervisor) == nil or System.get_env("RELEASE_NAME") != nil or
      Application.get_env(:phoenix, :serve_endpoints, false) == true
  end

  @doc """
  A checked configuration. Raises `UroDiscord.ConfigError` with every problem.

      iex> config = UroDiscord.Config.new!(enabled: false)
      iex> {config.enabled, config.intents}
      {false, [:guilds]}

      iex> {:error, error} = UroDiscord.Config.new(enabled: false, chanels: [])
      iex> Enum.map(error.problems, & &1.example)
      ["did you mean channels?"]
  """
  @spec new!(keyword()) :: t()
  def new!(options) do
    case new(options) do
      {:ok, config} -> config
      {:error, error} -> raise error
    end
  end

  @doc "As `new!/1`, with the error as a value."
  @spec new(keyword()) :: {:ok, t()} | {:error, ConfigError.t()}
  def new(options) do
    enabled? = Keyword.get(options, :enabled, true) != false

    with {values, []} <- values(Schema.options(), options, enabled?),
         # Where :auto is false was asked before.
         config = struct!(__MODULE__, %{values | enabled: enabled?}),
         {config, []} <- refer(config),
         {config, []} <- keyed(config),
         {config, []} <- files(config),
         {config, []} <- portal(config),
         {config, []} <- accounts(config) do
      {:ok, config}
    else
      {_values, problems} -> {:error, %ConfigError{problems: problems}}
    end
  end

  # Options that name channels, to be replaced by the channels' ids.
  @references [{:board, :channels}, {:board, :voice_channels}, {:announcements, :channel}, :feeds, :portal, :accounts]

  defp refer(config),
    do: Enum.flat_map_reduce(@references, config, &refer/2) |> then(fn {problems, config} -> {config, problems} end)

  defp refer({group, key}, config) do
    named = config |> Map.fetch!(group) |> Map.fetch!(key)
    ids = for name <- List.wrap(named), do: {name, channel_id(config, name)}

    case for({name, :error} <- ids, do: name) do
      [] ->
        ids = for {_name, {:ok, id}} <- ids, do: id
        {[], Map.update!(config, group, &%{&1 | key => if(is_list(named), do: Enum.uniq(ids), else: List.first(ids))})}

      [unknown | _] ->
        {[within(group, key, "#{inspect(unknown)} is not in `channels:` (there: #{channel_names(config)})")], config}
    end
  end

  defp refer(:feeds, config) do
    case __MODULE__.Feeds.refer(config.feeds, &channel_id(config, &1)) do
      {:ok, feeds} ->
        {[], %{config | feeds: feeds}}

      {:error, name, channel} ->
        wrong = "a rule names #{inspect(channel)}, which is not in `channels:` (there: #{channel_names(config)})"
        {[%{problem(option(Schema.options(), :feeds), wrong) | key: "feeds.#{name}"}], config}
    end
  end

  defp refer(:portal, config) do
    case __MODULE__.Portal.Open.refer(config.portal.open, &channel_id(config, &1)) do
      {:ok, open} ->
        {[], put_in(config.portal.open, open)}

      {:error, id, :unknown, channel} ->
        {[
           within(
             :portal,
             :open,
             "#{id} names #{inspect(channel)}, which is not in `channels:` (there: #{channel_names(config)})"
           )
         ], config}

      {:error, id, :taken, other} ->
        {[within(:portal, :open, "#{id} has the channel of #{other}, and a channel has one portal")], config}
    end
  end

  defp refer(:accounts, config) do
    case __MODULE__.Accounts.SelfRoles.refer(config.accounts.self_roles, &channel_id(config, &1)) do
      {:ok, messages} ->
        {[], put_in(config.accounts.self_roles, messages)}

      {:error, name, channel} ->
        wrong = "#{name} names #{inspect(channel)}, which is not in `channels:` (there: #{channel_names(config)})"
        {[within(:accounts, :self_roles, wrong)], config}
    end
  end

  defp within(group, key, wrong) do
    option = Schema.options() |> option(group) |> Map.fetch!(:options) |> option(key)
    %{problem(option, wrong) | key: "#{group}.#{key}"}
  end

  # What comes by HTTP is believed by its signature only.
  defp keyed(%{enabled: true, interactions: :http, public_key: nil} = config) do
    wrong = "is missing, and interactions: :http cannot do without it"
    {config, [Schema.options() |> option(:public_key) |> problem(wrong)]}
  end

  defp keyed(config), do: {config, []}

  # Those of a bridge on another machine are there.
  defp files(%{web: web, bridges: bridges} = config) do
    missing = if __MODULE__.Bridges.here?(bridges, :http), do: __MODULE__.Web.missing(web), else: []
    {config, for(file <- missing, do: within(:web, :tls, "there is no file #{inspect(file)}"))}
  end

  # What a portal cannot do without.
  defp portal(%{enabled: true, portal: portal} = config) do
    if __MODULE__.Portal.keys_of(portal) == [],
      do:
        {config, if(portal.open == [], do: [], else: [within(:portal, :key, "is missing, and portal.open needs it")])},
      else: {config, without_port(config) ++ without_voice(config) ++ without_url(config) ++ without_secret(config)}
  end

  defp portal(config), do: {config, []}

  defp without_secret(%{portal: %{activity: true}, accounts: %{client_secret: nil}}) do
    wrong = "is missing, and portal.activity needs it: by it Discord says who watches"
    [within(:accounts, :client_secret, wrong)]
  end

  defp without_secret(_config), do: []

  defp without_port(%{web: %{port: nil}}),
    do: [within(:web, :port, "is missing, and portals need it: their peers come by HTTP first")]

  defp without_port(_config), do: []

  defp without_url(%{bridges: bridges, portal: portal}) do
    if wrong = __MODULE__.Bridges.without_url(bridges, portal),
      do: [Schema.options() |> option(:bridges) |> problem(wrong)],
      else: []
  end

  defp without_voice(config) do
    if :guild_voice_states in config.intents do
      []
    else
      problem = Schema.options() |> option(:intents) |> problem("lacks :guild_voice_states, which portals need")
      [%{problem | example: "intents: [:guilds, :guild_voice_states]"}]
    end
  end

  defp accounts(%{enabled: true, accounts: accounts} = config) do
    problems = for {key, wrong} <- __MODULE__.Accounts.problems(accounts), do: within(:accounts, key, wrong)
    {config, problems ++ without_guilds(config) ++ without_members(config)}
  end

  defp accounts(config), do: {config, []}

  # Without it Discord does not tell that a role got another place, or more permissions: what may be given goes by that.
  defp without_guilds(%{accounts: %{directory: directory} = accounts, intents: intents}) do
    if directory == nil or (accounts.guilds == [] and accounts.self_roles == []) or :guilds in intents do
      []
    else
      wrong = "lacks :guilds, by which Discord tells of roles: accounts.guilds and accounts.self_roles need it"
      [%{(Schema.options() |> option(:intents) |> problem(wrong)) | example: "intents: [:guilds, :guild_members]"}]
    end
  end

  # Without it Discord lists no members, and does not tell what becomes of them.
  defp without_members(%{accounts: %{directory: directory, guilds: guilds}, intents: intents}) do
    if directory == nil or guilds == [] or :guild_members in intents do
      []
    else
      wrong =
        "lacks :guild_members, which accounts.guilds needs. Switch on \"Server Members Intent\" too: Discord developer portal, the application, " <>
          "Bot, Privileged Gateway Intents"

      [%{(Schema.options() |> option(:intents) |> problem(wrong)) | example: "intents: [:guilds, :guild_members]"}]
    end
  end

  defp option(options, key), do: Enum.find(options, &(&1.key == key))

  @doc "The id of a channel: an alias from `:channels`, or a snowflake as it is."
  @spec channel_id(t(), atom() | String.t() | integer()) :: {:ok, Snowflake.t()} | :error
  def channel_id(%__MODULE__{channels: channels}, name) when is_atom(name),
    do: Map.fetch(channels, name)

  def channel_id(%__MODULE__{}, id), do: Snowflake.cast(id)

  @doc "The names of `:channels`, as an error shows them: ten at most, in order."
  @spec channel_names(t()) :: String.t()
  def channel_names(%__MODULE__{channels: channels}) do
    case channels |> Map.keys() |> Enum.sort() |> Enum.split(10) do
      {[], []} -> "none"
      {names, []} -> Enum.map_join(names, ", ", &inspect/1)
      {names, _more} -> Enum.map_join(names, ", ", &inspect/1) <> " …"
    end
  end

  @doc "As `channel_id/2`, from what came as text, such as a path: an alias by its name, or a snowflake."
  @spec channel_named(t(), String.t()) :: {:ok, Snowflake.t()} | :error
  def channel_named(%__MODULE__{channels: channels}, text) do
    # Not by an atom of it: texts from outside must not become atoms.
    case Enum.find(channels, fn {name, _id} -> Atom.to_string(name) == text end) do
      {_name, id} -> {:ok, id}
      nil -> Snowflake.cast(text)
    end
  end

  defp values(schema, options, enabled?) do
    {values, problems} =
      Enum.reduce(schema, {%{}, unknown(options, schema)}, fn option, {values, problems} ->
        case value(option, Keyword.fetch(options, option.key), enabled?) do
          {:ok, value} -> {Map.put(values, option.key, value), problems}
          {:error, wrong} when is_binary(wrong) -> {values, [problem(option, wrong) | problems]}
          {:error, inner} -> {values, Enum.reverse(inner, problems)}
        end
      end)

    {values, Enum.reverse(problems)}
  end

  defp value(%{options: options} = group, :error, enabled?) when is_list(options), do: group(group, [], enabled?)

  defp value(%{options: options} = group, {:ok, given}, enabled?) when is_list(options) do
    if Keyword.keyword?(given), do: group(group, given, enabled?), else: Checks.is_no_list(given)
  end

  # A disabled UroDiscord needs no token, and one that is there is not looked at.
  defp value(%{required: true}, _given, false), do: {:ok, nil}
  defp value(%{required: true}, given, true) when given in [:error, {:ok, nil}], do: {:error, "is missing"}
  defp value(%{default: default}, :error, _enabled?), do: {:ok, default}
  defp value(%{check: check}, {:ok, value}, _enabled?), do: check.(value)

  # The values of a group are a map, and its problems have keys such as "shards.source".
  defp group(group, given, enabled?) do
    case values(group.options, given, enabled?) do
      {values, []} -> {:ok, values}
      {_values, problems} -> {:error, for(problem <- problems, do: %{problem | key: "#{group.key}.#{problem.key}"})}
    end
  end

  defp problem(option, wrong),
    do: %{key: option.key, wrong: wrong, allowed: option.allowed, example: option.example}

  defp unknown(options, schema) do
    keys = Enum.map(schema, & &1.key)

    for {key, _value} <- options, key not in keys do
      %{
        key: key,
        wrong: "is not an option",
        allowed: keys |> Enum.sort() |> Enum.join(", "),
        example: "did you mean #{Enum.max_by(keys, &String.jaro_distance(to_string(&1), to_string(key)))}?"
      }
    end
  end
end

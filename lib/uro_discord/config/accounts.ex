defmodule UroDiscord.Config.Accounts do
  @moduledoc """
  The options under `accounts:`, by which a Uro user and a Discord account belong together (`UroDiscord.Accounts`, `docs/accounts.md`).

      config :uro_discord,
        accounts: [
          directory: UroDiscord.Accounts.UroDirectory,
          client_secret: System.get_env("DISCORD_CLIENT_SECRET"),
          public_url: "https://uro.example/discord",
          guilds: [
            [
              id: "1100000000000000100",
              roles: [{:linked, "1100000000000000201"}, {{:attribute, "is_admin"}, "1100000000000000202"}],
              nickname: "{display_name}"
            ]
          ]
        ]

  Without a `directory` accounts are off, and nothing else is asked for.
  """

  import UroDiscord.Config.Checks
  import UroDiscord.Config.Option, only: [option: 3]
  alias UroDiscord.Config.Accounts.{Guilds, LinkedRoles, SelfRoles}
  alias UroDiscord.Config.Option
  alias UroDiscord.{Secret, Snowflake}

  @day_ms 86_400_000
  # Timers take no more.
  @longest_ms 49 * @day_ms
  # By its name only: the configuration depends on nothing that depends on it.
  @uro Module.concat(["UroDiscord.Accounts.UroDirectory"])
  @most_keys 16
  @tasks [:groups, :nicknames, :usernames, :all]

  @type t :: %{
          directory: module() | nil,
          client_id: Snowflake.t() | nil,
          client_secret: Secret.t() | nil,
          public_url: String.t() | nil,
          oauth_url: String.t(),
          current_user: {module(), atom()},
          may_add_bot: {module(), atom()} | nil,
          guilds: [Guilds.t()],
          leave_grace: non_neg_integer(),
          on_unlinked: {module(), atom()} | nil,
          token_key: Secret.t() | nil,
          token_keys: [Secret.t()],
          platform_name: String.t(),
          linked_roles: [LinkedRoles.t()],
          self_roles: [SelfRoles.t()],
          tasks: %{max_retries: non_neg_integer(), retry_pause: non_neg_integer(), schedule: [{atom(), pos_integer()}]},
          roles_cache_max_age: non_neg_integer(),
          poll: pos_integer()
        }

  @doc false
  @spec on?(UroDiscord.Config.t()) :: boolean()
  def on?(config), do: config.enabled and config.accounts.directory != nil

  @doc false
  # What is wrong with several options together: the key, and what it is.
  @spec problems(t()) :: [{atom(), String.t()}]
  def problems(%{directory: nil}), do: []

  def problems(accounts) do
    needed = [:client_secret, :public_url] ++ if(accounts.linked_roles == [], do: [], else: [:token_key])
    missing = for key <- needed, accounts[key] == nil, do: {key, "is missing, and accounts need it"}
    missing ++ managed(accounts) ++ idle(accounts)
  end

  # A task that runs by itself, and has nothing to look for.
  defp idle(%{guilds: guilds, tasks: %{schedule: schedule}}) do
    for {task, option, none} <- [{:groups, :roles, []}, {:nicknames, :nickname, nil}],
        Keyword.has_key?(schedule, task) and guilds != [] and Enum.all?(guilds, &(&1[option] == none)),
        do: {:tasks, "schedule has #{task}, and no server of guilds: has #{option}:"}
  end

  # What the rules give and take, nobody else does.
  defp managed(accounts) do
    managed = for guild <- accounts.guilds, {_predicate, role} <- guild.roles, do: role

    for(
      message <- accounts.self_roles,
      {label, role} <- message.roles,
      role in managed,
      do: {message.name, label, role}
    )
    |> Enum.take(1)
    |> Enum.map(fn {name, label, role} ->
      {:self_roles,
       "#{name} has #{label} (#{inspect(role)}), which the rules of guilds give and take, too: leave it to one of them"}
    end)
  end

  @doc false
  @spec options() :: [Option.t()]
  def options do
    linking() ++ rules() ++ times()
  end

  defp linking do
    [
      option(:directory, &module(&1, [{:get, 1}, {:get_many, 1}]),
        doc: "who is who, see `UroDiscord.Accounts.Directory`; without it accounts are off",
        allowed: "a module with get/1 and get_many/1, or nil",
        example: "accounts: [directory: UroDiscord.Accounts.UroDirectory]"
      ),
      option(:client_id, &id/1,
        doc: "the application's id, where it is not the bot's (for applications from before 2017)",
        allowed: "17 to 20 digits, from the General Information page of the Discord developer portal, or nil",
        example: ~s|accounts: [client_id: "1100000000000000001"]|
      ),
      option(:client_secret, &secret/1,
        doc: "the application's secret, from the OAuth2 page of the Discord developer portal",
        allowed: "the text as Discord shows it, 16 bytes or more",
        example: ~s|accounts: [client_secret: System.get_env("DISCORD_CLIENT_SECRET")]|
      ),
      option(:public_url, &base_url(&1, "/link"),
        doc:
          "where browsers find the routes of `docs/http.md`; what stands on the OAuth2 page of the Discord developer portal as a redirect is this " <>
            "with /link/callback behind it",
        allowed: "a http or https URL without ? and #, as the browser has it",
        example: ~s|accounts: [public_url: "https://uro.example/discord"]|
      ),
      option(:oauth_url, &oauth_url/1,
        default: "https://discord.com/oauth2/authorize",
        doc: "where Discord's consent page is (discord-sim prints its own)",
        allowed: "a http or https URL",
        example: ~s|accounts: [oauth_url: "http://127.0.0.1:8080/oauth2/authorize"]|
      ),
      option(:current_user, &function(&1, "MyApp.Session, :current_user"),
        default: {@uro, :current_user},
        doc:
          "who is logged in: a function of the Plug.Conn (with `web: [port:]` of a `UroDiscord.Accounts.Visitor`) that answers {:ok, user_id} or :error",
        allowed: "{module, function} of one argument",
        example: "accounts: [current_user: {UroDiscord.Accounts.UroDirectory, :current_user}]"
      ),
      option(:may_add_bot, &optional(&1, fn value -> function(value, "MyApp.Session, :admin?") end),
        doc:
          "who may add the bot to a server by /link/bot: a function of the same, that answers true or false; nil for nobody",
        allowed: "{module, function} of one argument, or nil",
        example: "accounts: [may_add_bot: {UroDiscord.Accounts.UroDirectory, :admin?}]"
      )
    ]
  end

  defp rules do
    [
      option(:guilds, &Guilds.check/1,
        default: [],
        doc: "the servers that a linked user joins, and what he gets there",
        allowed: Guilds.allowed(),
        example: Guilds.example()
      ),
      option(:self_roles, &SelfRoles.check/1,
        default: [],
        doc: "messages by which people take roles themselves",
        allowed: SelfRoles.allowed(),
        example: SelfRoles.example()
      ),
      option(:platform_name, &text(&1, 1..50),
        default: "Uro",
        doc: "what this Uro is called in a profile's connections (Linked Roles)",
        allowed: "a text of 1 to 50 characters",
        example: ~s|accounts: [platform_name: "V-Sekai"]|
      ),
      option(:linked_roles, &LinkedRoles.check/1,
        default: [],
        doc: "what Discord is told of a user, for a server's admins to make Linked Roles of; needs `token_key`",
        allowed: LinkedRoles.allowed(),
        example: LinkedRoles.example()
      ),
      option(:token_key, &token_key/1,
        doc: "the key that users' OAuth2 tokens are encrypted with, where they are kept (for Linked Roles)",
        allowed: "32 random bytes in Base64 (`openssl rand -base64 32` makes them), or nil",
        example: ~s|accounts: [token_key: System.get_env("URO_DISCORD_TOKEN_KEY")]|
      ),
      option(:token_keys, &token_keys/1,
        default: [],
        doc:
          "keys with which tokens were encrypted that are to be opened still, while they are being replaced (a week)",
        allowed: "a list of at most #{@most_keys} of the same",
        example: ~s|accounts: [token_keys: [System.get_env("URO_DISCORD_OLD_TOKEN_KEY")]]|
      ),
      option(:on_unlinked, &optional(&1, fn value -> function(value, "MyApp.Discord, :unlinked") end),
        doc: "a function of the host that is told of each link that has ended: it gets the link, with the reason",
        allowed: "{module, function} of two arguments, or nil",
        example: "accounts: [on_unlinked: {MyApp.Discord, :unlinked}]"
      )
    ]
  end

  defp times do
    [
      option(:leave_grace, &integer(&1, 0..@longest_ms),
        default: 0,
        doc: "how long, in ms, a link stays after its user has left the last of `guilds`",
        allowed: "an integer from 0 to #{@longest_ms}",
        example: "accounts: [leave_grace: 86_400_000]"
      ),
      option(:roles_cache_max_age, &integer(&1, 0..@longest_ms),
        default: 3_600_000,
        doc: "how old, in ms, what is known of a server's roles may be, where the gateway tells of no change",
        allowed: "an integer from 0 to #{@longest_ms}",
        example: "accounts: [roles_cache_max_age: 3_600_000]"
      ),
      option(:poll, &integer(&1, 1_000..@day_ms),
        default: 60_000,
        doc:
          "how often, in ms, the directory is asked about all linked users, beside what it tells of at once; and how often what could not be taken back is tried again",
        allowed: "an integer from 1000 to #{@day_ms}",
        example: "accounts: [poll: 60_000]"
      ),
      tasks()
    ]
  end

  defp tasks do
    options = [
      option(:max_retries, &integer(&1, 0..100),
        default: 3,
        doc: "how often a step that failed for a passing reason is tried again",
        allowed: "an integer from 0 to 100",
        example: "accounts: [tasks: [max_retries: 3]]"
      ),
      option(:retry_pause, &integer(&1, 0..86_400),
        default: 60,
        doc: "how long it waits before that, in seconds",
        allowed: "an integer from 0 to 86400",
        example: "accounts: [tasks: [retry_pause: 60]]"
      ),
      option(:schedule, &schedule/1,
        default: [usernames: 43_200_000],
        doc: "which of them run by themselves, and how often, in ms",
        allowed: "a keyword list of #{Enum.join(@tasks, ", ")}, each with an integer from 60000 to #{@longest_ms}",
        example: "accounts: [tasks: [schedule: [usernames: 43_200_000]]]"
      )
    ]

    option(:tasks, nil,
      doc: "what goes over all users, see `mix help uro_discord.update_all`",
      allowed: "a keyword list of max_retries, retry_pause, schedule",
      example: "accounts: [tasks: [max_retries: 3, retry_pause: 60]]",
      options: options
    )
  end

  ## The checks. What may be a secret is never shown.

  defp optional(nil, _check), do: {:ok, nil}
  defp optional(value, check), do: check.(value)

  defp module(nil, _functions), do: {:ok, nil}

  defp module(value, functions) when is_atom(value) do
    missing = fn {name, arity} -> not function_exported?(value, name, arity) end

    cond do
      not Code.ensure_loaded?(value) -> {:error, "there is no module #{inspect(value)}"}
      Enum.any?(functions, missing) -> is_not(value, "a module with get/1 and get_many/1")
      true -> {:ok, value}
    end
  end

  defp module(value, _functions), do: is_not(value, "a module")

  # Whether it is there shows when it is called: a host may be compiled later.
  defp function({module, name}, _example) when is_atom(module) and is_atom(name) and module != nil and name != nil,
    do: {:ok, {module, name}}

  defp function(value, example), do: is_not(value, "{module, function}, such as {#{example}}")

  defp id(nil), do: {:ok, nil}
  defp id(value), do: with(:error <- Snowflake.cast(value), do: is_not(value, "an application's id"))

  defp secret(nil), do: {:ok, nil}

  defp secret(value) when is_binary(value) do
    cond do
      byte_size(value) < 16 -> {:error, "has #{byte_size(value)} bytes (not shown)"}
      not (value =~ ~r/\A[\x21-\x7E]+\z/) -> {:error, "has white space or other signs in it (not shown)"}
      true -> {:ok, Secret.wrap(value)}
    end
  end

  defp secret(_value), do: {:error, "is not a string (not shown)"}

  defp token_key(nil), do: {:ok, nil}

  defp token_key(value) when is_binary(value) do
    case Base.decode64(String.trim(value)) do
      {:ok, <<_::256>> = key} -> {:ok, Secret.wrap(key)}
      {:ok, other} -> {:error, "stands for #{byte_size(other)} bytes (not shown)"}
      :error -> {:error, "is not Base64 (not shown)"}
    end
  end

  defp token_key(_value), do: {:error, "is not a string (not shown)"}

  defp token_keys(value) when is_list(value) and length(value) <= @most_keys,
    do: each(value, &if(&1 == nil, do: {:error, "nil is in it"}, else: token_key(&1)))

  defp token_keys(value) when is_list(value), do: {:error, "has #{length(value)} (not shown)"}
  defp token_keys(_value), do: {:error, "is not a list (not shown)"}

  defp oauth_url(nil), do: is_not(nil, "a http or https URL")
  defp oauth_url(value), do: url(value, ["https", "http"])

  defp text(value, first..last//_) when is_binary(value) do
    if String.valid?(value) and String.length(value) in first..last,
      do: {:ok, value},
      else: is_not(value, "a text of #{first} to #{last} characters")
  end

  defp text(value, _range), do: is_not(value, "a string")

  defp schedule(value) when is_list(value) do
    each(value, fn
      {task, every} when task in @tasks and is_integer(every) and every in 60_000..@longest_ms -> {:ok, {task, every}}
      other -> is_not(other, "one of #{Enum.join(@tasks, ", ")} with an integer from 60000 to #{@longest_ms}")
    end)
  end

  defp schedule(value), do: is_no_list(value)
end

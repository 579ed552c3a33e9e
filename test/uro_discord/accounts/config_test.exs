defmodule UroDiscord.Accounts.ConfigTest do
  use ExUnit.Case, async: true

  alias UroDiscord.{Config, ConfigError, Secret}

  @token "MTEwMDAwMDAwMDAwMDAwMDAwMQ.GabcDe.abcdefghijklmnopqrstuvwxyz0123456789-_"
  @secret "the-clients-secret-of-this-application"
  @key Base.encode64(:crypto.hash(:sha256, "a key"))
  @guild "1100000000000000100"
  @role "1100000000000000201"

  defmodule Directory do
    def get(_id), do: :not_found
    def get_many(_ids), do: {:ok, %{}}
  end

  defp new(accounts) do
    on = [directory: Directory, client_secret: @secret, public_url: "https://uro.example/discord/"]

    Config.new(
      token: @token,
      intents: [:guilds, :guild_members],
      channels: [welcome: "1100000000000000005"],
      accounts: Keyword.merge(on, accounts)
    )
  end

  defp accounts(given) do
    assert {:ok, config} = new(given)
    config.accounts
  end

  defp problem(given) do
    assert {:error, %ConfigError{problems: [problem]} = error} = new(given)
    assert problem.allowed != nil and problem.example != nil
    {to_string(problem.key), problem.wrong, Exception.message(error)}
  end

  test "without a directory they are off, and nothing is asked for" do
    assert {:ok, config} = Config.new(token: @token)
    refute Config.Accounts.on?(config)
    assert %{directory: nil, guilds: [], leave_grace: 0, poll: 60_000} = config.accounts
    assert config.accounts.tasks == %{max_retries: 3, retry_pause: 60, schedule: [usernames: 43_200_000]}
  end

  test "with one they are on, and need a secret and where browsers find them" do
    assert {:ok, config} = new([])
    assert Config.Accounts.on?(config)
    assert config.accounts.public_url == "https://uro.example/discord"
    assert {"accounts.client_secret", "is missing" <> _, message} = problem(client_secret: nil)
    assert message =~ "DISCORD_CLIENT_SECRET"
    assert {"accounts.public_url", "is missing" <> _, _} = problem(public_url: nil)
    assert {"accounts.public_url", _, _} = problem(public_url: "ftp://uro.example")
    assert {"accounts.public_url", _, _} = problem(public_url: "https://uro.example/discord?x=1")
    assert {"accounts.directory", "there is no module" <> _, _} = problem(directory: NoSuch.Directory)
    assert {"accounts.directory", _, _} = problem(directory: String)
  end

  test "with servers, the intent that brings their members" do
    on = [directory: Directory, client_secret: @secret, public_url: "https://uro.example/discord"]
    assert {:ok, _config} = Config.new(token: @token, accounts: on)

    assert {:error, %ConfigError{problems: [problem]}} =
             Config.new(token: @token, accounts: [guilds: [[id: @guild]]] ++ on)

    assert %{key: :intents, example: "intents: [:guilds, :guild_members]", wrong: "lacks :guild_members" <> what_to_do} =
             problem

    assert what_to_do =~ "Server Members Intent"
  end

  test "with servers or roles that people take, the intent that tells what becomes of roles" do
    on = [directory: Directory, client_secret: @secret, public_url: "https://uro.example/discord"]
    message = [name: "member", channel: "1100000000000000005", text: "Click.", roles: [{"Member", @role}]]

    for {accounts, intents} <- [{[guilds: [[id: @guild]]], [:guild_members]}, {[self_roles: [message]], []}] do
      assert {:error, %ConfigError{problems: [%{key: :intents, wrong: "lacks :guilds" <> _}]}} =
               Config.new(token: @token, intents: intents, accounts: accounts ++ on)

      assert {:ok, _config} = Config.new(token: @token, intents: [:guilds | intents], accounts: accounts ++ on)
    end
  end

  test "a nickname's template, and a role's name, are looked at" do
    guild = fn fields -> [guilds: [[id: @guild] ++ fields]] end
    assert {"accounts.guilds", wrong, _} = problem(guild.(nickname: "{name}"))
    assert wrong =~ "{name} stands for nothing"
    assert {"accounts.guilds", wrong, _} = problem(guild.(nickname: "Bob"))
    assert wrong =~ "names nobody"
    assert {"accounts.guilds", wrong, _} = problem(guild.(roles: [{:linked, {:named, " @Everyone "}}]))
    assert wrong =~ "everybody has the role"

    assert [%{roles: [{:linked, {:named, "Builder"}}]}] =
             accounts(guild.(roles: [{:linked, {:named, " Builder "}}])).guilds
  end

  test "what runs by itself has something to look for" do
    for {task, option} <- [groups: [roles: [{:linked, {:named, "Builder"}}]], nicknames: [nickname: "{username}"]] do
      given = fn more -> [guilds: [[id: "1100000000000000100"] ++ more], tasks: [schedule: [{task, 60_000}]]] end
      assert {"accounts.tasks", wrong, _} = problem(given.([]))
      assert wrong =~ "schedule has #{task}, and no server of guilds: has #{option |> Keyword.keys() |> hd()}:"
      assert accounts(given.(option)).tasks.schedule == [{task, 60_000}]
    end
  end

  test "secrets are wrapped, and are in no message" do
    accounts = accounts(token_key: @key)
    assert Secret.reveal(accounts.client_secret) == @secret
    assert Secret.reveal(accounts.token_key) == Base.decode64!(@key)
    assert [older] = accounts(token_keys: [@key]).token_keys
    assert Secret.reveal(older) == Base.decode64!(@key)
    refute inspect(accounts, structs: false, limit: :infinity) =~ @secret

    for {key, value} <- [
          client_secret: "short secret!",
          token_key: "AAAA" <> @secret,
          token_key: Base.encode64(@secret),
          token_keys: [@key, "AAAA" <> @secret],
          token_keys: @key
        ] do
      assert {_key, _wrong, message} = problem([{key, value}])
      for text <- List.wrap(value), do: refute(message =~ text)
      refute message =~ @secret
    end
  end

  test "rules are checked as deep as they go" do
    rules = [
      {:linked, @role},
      {{:attribute, "is_admin"}, String.to_integer(@role)},
      {{:attribute, "rank", 3}, {:named, "Three"}},
      {{:not, {:any, [{:group, "banned"}, {:all, [{:attribute, "locked"}]}]}}, @role},
      {{Directory, :get}, @role}
    ]

    assert [%{id: @guild, roles: roles, nickname: nil, nickname_changed: :restore, create_roles: false}] =
             accounts(guilds: [[id: @guild, roles: rules]]).guilds

    assert {{:attribute, "is_admin"}, @role} in roles

    for wrong <- [:admin, {:attribute, :is_admin}, {:all, :linked}, {:not, nil}, "linked", {:any, [:nobody]}] do
      assert {"accounts.guilds", text, _} = problem(guilds: [[id: @guild, roles: [{wrong, @role}]]])
      assert text =~ @guild and text =~ "predicate"
    end

    deep = Enum.reduce(1..20, :linked, fn _, inner -> {:not, inner} end)
    assert {"accounts.guilds", text, _} = problem(guilds: [[id: @guild, roles: [{deep, @role}]]])
    assert text =~ "deep"
    assert {"accounts.guilds", _, _} = problem(guilds: [[id: @guild, roles: [{:linked, "Admin"}]]])
    assert {"accounts.guilds", text, _} = problem(guilds: [[id: @guild], [id: @guild]])
    assert text =~ "twice"
    assert {"accounts.guilds", _, _} = problem(guilds: [[id: "home"]])
    assert {"accounts.guilds", _, _} = problem(guilds: [[id: @guild, role: []]])
    assert {"accounts.guilds", _, _} = problem(guilds: [:home])
  end

  test "messages with roles name a channel that is there" do
    message = [name: "member", channel: :welcome, text: "Click", roles: [{"Member", @role}]]

    assert [%{channel: "1100000000000000005", style: :buttons, rule: nil, only: nil, roles: [{"Member", @role}]}] =
             accounts(self_roles: [message]).self_roles

    assert {"accounts.self_roles", text, _} = problem(self_roles: [Keyword.put(message, :channel, :nowhere)])
    assert text =~ ":nowhere" and text =~ ":welcome"
    assert {"accounts.self_roles", _, _} = problem(self_roles: [Keyword.put(message, :roles, [])])
    assert {"accounts.self_roles", _, _} = problem(self_roles: [message, message])
  end

  test "a role is given by a rule or taken by people, and not both" do
    message = [name: "member", channel: :welcome, text: "Click.", roles: [{"Member", @role}]]
    config = [token: @token, channels: [welcome: "1100000000000000005"], intents: [:guilds, :guild_members]]
    on = [directory: Directory, client_secret: @secret, public_url: "https://uro.example/discord"]
    accounts = on ++ [self_roles: [message], guilds: [[id: @guild, roles: [{:linked, @role}]]]]
    assert {:error, %ConfigError{problems: [problem]}} = Config.new(config ++ [accounts: accounts])
    assert problem.key == "accounts.self_roles"
    assert problem.wrong =~ "member has Member"
  end

  test "Linked Roles need the key that tokens are encrypted with" do
    record = [key: "is_admin", name: "Admin", description: "is an admin", type: :boolean_equal]

    assert [%{attribute: "is_admin", type: :boolean_equal}] =
             accounts(linked_roles: [record], token_key: @key).linked_roles

    assert {"accounts.token_key", "is missing" <> _, _} = problem(linked_roles: [record])
    assert {"accounts.linked_roles", _, _} = problem(token_key: @key, linked_roles: List.duplicate(record, 6))
    assert {"accounts.linked_roles", _, _} = problem(token_key: @key, linked_roles: [Keyword.put(record, :type, 7)])
  end

  test "times, tasks and functions are in their bounds" do
    assert %{current_user: {Directory, :who}} = accounts(current_user: {Directory, :who})
    assert {"accounts.current_user", _, _} = problem(current_user: nil)
    assert {"accounts.may_add_bot", _, _} = problem(may_add_bot: true)
    assert {"accounts.leave_grace", _, _} = problem(leave_grace: -1)
    assert {"accounts.tasks.schedule", _, _} = problem(tasks: [schedule: [usernames: 1]])
    assert {"accounts.tasks.schedule", _, _} = problem(tasks: [schedule: [everything: 60_000]])
    assert {"accounts.poll", _, _} = problem(poll: 0)
  end
end

defmodule UroDiscord.Accounts.Plan do
  @moduledoc false
  # What is to be done about one member, so that he has the roles and the nickname that Uro says: a pure function of the user, the member, the guild and the
  # settings. Only what is ours is changed: the roles that the rules name, and those that we gave while they did.

  alias UroDiscord.Accounts.{Guild, Link, Mapping, Member, Nickname, User}
  alias UroDiscord.Snowflake

  @enforce_keys [:guild_id, :discord_id]
  defstruct @enforce_keys ++ [add: [], remove: [], create: [], nick: :keep, skipped: []]

  @typedoc """
  Why something is left as it is: of a role what `Guild.assignable/2` says, that there is none of its name (`:missing`), or that its rule says
  nothing of the user (`UroDiscord.Accounts.Mapping.judge/2`); of the nickname what
  `Guild.renamable/2` says, that the template has nothing to say (`:empty`), that somebody changed it, who may (`:changed_by_hand`), or
  that Discord makes another one of it (`:altered`).
  """
  @type reason ::
          {:role, Mapping.role(), Guild.refusal() | :missing | {:silent, Mapping.silence()}}
          | {:nickname, :owner | :above_bot | :no_permission | :empty | :changed_by_hand | :altered}

  @type t :: %__MODULE__{
          guild_id: Snowflake.t(),
          discord_id: Snowflake.t(),
          add: [Snowflake.t()],
          remove: [Snowflake.t()],
          create: [String.t()],
          nick: :keep | {:set, String.t()} | :reset,
          skipped: [reason()]
        }

  @typedoc "Of a guild's configuration."
  @type settings :: %{
          :roles => [Mapping.rule()],
          :nickname => String.t() | nil,
          :nickname_changed => :restore | :leave,
          :create_roles => boolean(),
          optional(atom()) => term()
        }

  @typedoc "What we set before: the nickname, what it was until then, the roles; and what Discord made of a nickname that it does not take as it is."
  @type applied :: %{
          nick_set: String.t() | nil,
          nick_before: String.t() | nil,
          roles_set: [Snowflake.t()],
          altered: {asked :: String.t(), got :: String.t() | nil} | nil
        }

  @type part :: :roles | :nickname

  @doc "Nothing was set before."
  @spec nothing_applied() :: applied()
  def nothing_applied, do: %{nick_set: nil, nick_before: nil, roles_set: [], altered: nil}

  @doc "Without a link, or without a user, everything of ours is taken back. `applied` is nil for whom nothing is stored."
  @spec plan(User.t() | nil, Link.t() | nil, Member.t(), Guild.t(), settings(), applied() | nil, [part()]) :: t()
  def plan(user, link, member, guild, settings, applied \\ nil, parts \\ [:roles, :nickname]) do
    applied = applied || nothing_applied()
    linked = if link, do: user
    plan = %__MODULE__{guild_id: guild.id, discord_id: member.id}
    plan = if :roles in parts, do: roles(plan, linked, member, guild, settings, applied), else: plan
    if :nickname in parts, do: nickname(plan, linked, user, member, guild, settings, applied), else: plan
  end

  ## Roles

  defp roles(plan, user, member, guild, settings, applied) do
    {wanted, silent} = Mapping.judge(settings.roles, user)
    found = Map.new(Mapping.all(settings.roles), &{&1, find(&1, guild)})
    wanted_ids = for role <- wanted, {:ok, id} <- [found[role]], uniq: true, do: id
    # Of these nobody knows whether he is to have them.
    left_alone = for {role, _why} <- silent, {:ok, id} <- [found[role]], do: id
    ours = (for({_role, {:ok, id}} <- found, do: id) ++ applied.roles_set) |> Enum.reject(&(&1 in left_alone))

    {add, not_added} = wanted_ids |> Kernel.--(member.roles) |> Enum.split_with(&(Guild.assignable(guild, &1) == :ok))

    {remove, not_removed} =
      for(id <- member.roles, id in ours and id not in wanted_ids, do: id)
      |> Enum.split_with(&(Guild.assignable(guild, &1) == :ok))

    missing = for {:named, _name} = role <- wanted, found[role] == :error, do: role

    {create, lacking} = if settings.create_roles and Guild.may_create?(guild), do: {missing, []}, else: {[], missing}

    refused = for id <- not_added ++ not_removed, {:error, why} = Guild.assignable(guild, id), do: {:role, id, why}

    %{
      plan
      | add: add,
        remove: remove,
        create: for({:named, name} <- create, do: name),
        skipped:
          refused ++
            for(role <- lacking, do: {:role, role, :missing}) ++
            for({role, why} <- silent, do: {:role, role, {:silent, why}})
    }
  end

  defp find({:named, name}, guild), do: Guild.named(guild, name)
  defp find(id, _guild), do: {:ok, id}

  ## The nickname

  # Whoever is locked keeps his, so that people know whom they saw.
  defp nickname(plan, %User{locked?: true}, _user, _member, _guild, _settings, _applied), do: plan

  defp nickname(plan, nil, user, member, guild, settings, applied) do
    cond do
      not ours?(member.nick, user, settings, applied) -> plan
      member.nick == applied.nick_before -> plan
      true -> rename(plan, applied.nick_before, member, guild)
    end
  end

  defp nickname(plan, _linked, _user, _member, _guild, %{nickname: nil}, _applied), do: plan

  defp nickname(plan, user, _user, member, guild, settings, applied) do
    nick = Nickname.fill(settings.nickname, user)

    cond do
      nick == nil -> skip(plan, {:nickname, :empty})
      nick == member.nick -> plan
      applied.altered == {nick, member.nick} -> skip(plan, {:nickname, :altered})
      by_hand?(member, settings, applied) -> skip(plan, {:nickname, :changed_by_hand})
      true -> rename(plan, nick, member, guild)
    end
  end

  defp by_hand?(member, %{nickname_changed: :leave}, %{nick_set: set}) when set != nil, do: member.nick != set
  defp by_hand?(_member, _settings, _applied), do: false

  # What somebody else has changed since is not taken back.
  defp ours?(nil, _user, _settings, _applied), do: false
  defp ours?(nick, _user, _settings, %{nick_set: nick}), do: true
  defp ours?(_nick, _user, %{nickname: nil}, _applied), do: false
  defp ours?(_nick, nil, _settings, _applied), do: false
  defp ours?(nick, user, %{nickname: template}, _applied), do: nick == Nickname.fill(template, user)

  defp rename(plan, nick, member, guild) do
    case Guild.renamable(guild, member) do
      :ok -> %{plan | nick: if(nick, do: {:set, nick}, else: :reset)}
      {:error, why} -> skip(plan, {:nickname, why})
    end
  end

  defp skip(plan, reason), do: %{plan | skipped: plan.skipped ++ [reason]}

  ## What comes of it

  @doc "Whether there is nothing to do."
  @spec empty?(t()) :: boolean()
  def empty?(plan), do: plan.add == [] and plan.remove == [] and plan.create == [] and plan.nick == :keep

  @doc """
  The request that does it: one role is given or taken by itself, so that nothing else can get lost; more are one PATCH, with every other role that the
  member has.

      iex> alias UroDiscord.Accounts.{Member, Plan}
      iex> member = %Member{guild_id: "1", id: "5", roles: ["7", "8"]}
      iex> plan = %Plan{guild_id: "1", discord_id: "5", add: ["9"]}
      iex> Plan.request(plan, member)
      {:give, "9"}
      iex> Plan.request(%{plan | remove: ["7"], nick: :reset}, member)
      {:patch, %{"nick" => nil, "roles" => ["8", "9"]}}
      iex> Plan.request(%{plan | add: []}, member)
      :nothing
  """
  @spec request(t(), Member.t()) :: :nothing | {:give | :take, Snowflake.t()} | {:patch, map()}
  def request(%{add: [], remove: [], nick: :keep}, _member), do: :nothing
  def request(%{add: [role], remove: [], nick: :keep}, _member), do: {:give, role}
  def request(%{add: [], remove: [role], nick: :keep}, _member), do: {:take, role}

  def request(plan, member) do
    nick =
      case plan.nick do
        :keep -> %{}
        :reset -> %{"nick" => nil}
        {:set, nick} -> %{"nick" => nick}
      end

    roles =
      if plan.add == [] and plan.remove == [], do: %{}, else: %{"roles" => (member.roles -- plan.remove) ++ plan.add}

    {:patch, Map.merge(nick, roles)}
  end

  @doc "What we have set before, and the roles that are about to be given."
  @spec given(t(), applied()) :: applied()
  def given(plan, applied), do: %{applied | roles_set: Enum.uniq(applied.roles_set ++ plan.add)}

  @doc """
  What we have set, when Discord has taken the plan and answers that the nickname is `nick`.

      iex> alias UroDiscord.Accounts.Plan
      iex> plan = %Plan{guild_id: "1", discord_id: "5", add: ["9"], nick: {:set, "Ada"}}
      iex> Plan.applied(plan, Plan.nothing_applied(), "ada by hand", "Ada")
      %{nick_set: "Ada", nick_before: "ada by hand", roles_set: ["9"], altered: nil}
  """
  @spec applied(t(), applied(), before :: String.t() | nil, nick :: String.t() | nil) :: applied()
  def applied(plan, applied, before, nick) do
    applied = %{applied | roles_set: Enum.uniq(applied.roles_set ++ plan.add) -- plan.remove}

    case plan.nick do
      :keep ->
        applied

      :reset ->
        %{applied | nick_set: nil, nick_before: nil, altered: nil}

      {:set, asked} ->
        # With what he was called before us he is called so after us.
        before = if applied.nick_set, do: applied.nick_before, else: before
        altered = if asked != nick, do: {asked, nick}
        %{applied | nick_set: nick, nick_before: before, altered: altered}
    end
  end

  @doc """
  The reason in words, for those who read a table or the status.

      iex> alias UroDiscord.Accounts.Plan
      iex> Enum.map([{:role, {:named, "Builder"}, :missing}, {:role, "7", :above_bot}, {:nickname, :owner}], &Plan.describe/1)
      [
        "there is no role \\"Builder\\": make it, or set create_roles: true",
        "the role 7 is not below the bot's highest role: move the bot's role up in the server's settings",
        "nobody but himself can rename the server's owner"
      ]
  """
  @spec describe(reason()) :: String.t()
  def describe({:role, {:named, name}, :missing}),
    do: "there is no role #{inspect(name)}: make it, or set create_roles: true"

  def describe({:role, role, {:silent, :unknown}}),
    do: "the directory does not know now whether he is to have the role #{name(role)}"

  def describe({:role, role, {:silent, {:raised, exception}}}),
    do:
      "the rule of the role #{name(role)} #{if exception, do: "raised #{inspect(exception)}", else: "threw, or exited"}"

  def describe({:role, id, :unknown}), do: "there is no role #{id}: it was deleted, or is another server's"
  def describe({:role, _id, :everyone}), do: "everybody has the role @everyone: take it out of the rules"

  def describe({:role, id, :managed}),
    do: "the role #{id} is managed by Discord or by an application, which alone give it"

  def describe({:role, id, :above_bot}),
    do: "the role #{id} is not below the bot's highest role: move the bot's role up in the server's settings"

  def describe({:role, id, :no_permission}), do: "the bot lacks the permission Manage Roles, which the role #{id} takes"
  def describe({:nickname, :owner}), do: "nobody but himself can rename the server's owner"

  def describe({:nickname, :above_bot}),
    do: "his highest role is not below the bot's: move the bot's role up in the server's settings"

  def describe({:nickname, :no_permission}), do: "the bot lacks the permission Manage Nicknames"
  def describe({:nickname, :empty}), do: "the template says nothing of him that may be a name"
  def describe({:nickname, :changed_by_hand}), do: "somebody has changed it, and nickname_changed: :leave"
  def describe({:nickname, :altered}), do: "Discord makes another name of it"

  defp name({:named, name}), do: inspect(name)
  defp name(id), do: id
end

defmodule UroDiscord.Accounts.Mapping do
  @moduledoc """
  Which roles a Uro user has in Discord: rules, each a predicate of the user and the role that goes with it.

      roles: [
        {:linked, "1100000000000000011"},
        {{:attribute, "is_admin"}, "1100000000000000012"},
        {{:all, [{:attribute, "email_confirmed"}, {:not, {:attribute, "can_upload_maps", false}}]}, {:named, "Builder"}}
      ]

  A predicate is one of these:

    * `:linked`: everybody who is linked;
    * `{:attribute, name}`: the attribute is `true`; `{:attribute, name, value}`: it is this value;
    * `{:group, name}`: the user is in this group;
    * `{:not, predicate}`, `{:all, [predicate]}`, `{:any, [predicate]}`;
    * `{module, function}`, of the `UroDiscord.Accounts.User`: true or false.

  A function that raises, and an attribute that is `:unknown` just now, say nothing: the role stays as it is, and the status and the tasks tell why.

  A role is its id, or `{:named, name}`: the role of this name, as `UroDiscord.Accounts.Guild` finds it. Several rules may give the same role: one that
  holds is enough. Whom Uro has locked, and who is not in Uro any more, has none of these roles.
  """

  alias UroDiscord.Accounts.User
  alias UroDiscord.Snowflake

  @type predicate ::
          :linked
          | {:attribute, String.t()}
          | {:attribute, String.t(), term()}
          | {:group, String.t()}
          | {:not, predicate()}
          | {:all | :any, [predicate()]}
          | {module(), atom()}

  @typedoc "Why a rule says nothing of a user: an attribute is not known, or the rule's function raised this."
  @type silence :: :unknown | {:raised, module() | nil}

  @unknown {__MODULE__, :unknown}

  @type role :: Snowflake.t() | {:named, String.t()}
  @type rule :: {predicate(), role()}

  @doc """
  The roles that a user is to have, each once, in the order of the rules. Nil, for a user who is not there any more, has none.

      iex> alias UroDiscord.Accounts.{Mapping, User}
      iex> rules = [{:linked, "11"}, {{:attribute, "is_admin"}, "12"}, {{:group, "builders"}, {:named, "Builder"}}]
      iex> Mapping.roles(rules, %User{id: "1", attributes: %{"is_admin" => true}, groups: []})
      ["11", "12"]
      iex> Mapping.roles(rules, %User{id: "1", attributes: %{}, groups: ["builders"], locked?: true})
      []
      iex> Mapping.roles(rules, nil)
      []
  """
  @spec roles([rule()], User.t() | nil) :: [role()]
  def roles(rules, user), do: rules |> judge(user) |> elem(0)

  @doc """
  The same, and the roles of which the rules say nothing, each with the reason.

      iex> alias UroDiscord.Accounts.{Mapping, User}
      iex> rules = [{:linked, "11"}, {{:attribute, "hosts_shard"}, "11"}, {{:attribute, "hosts_shard"}, "12"}]
      iex> Mapping.judge(rules, %User{id: "1", attributes: %{"hosts_shard" => :unknown}})
      {["11"], [{"12", :unknown}]}
  """
  @spec judge([rule()], User.t() | nil) :: {[role()], [{role(), silence()}]}
  def judge(_rules, nil), do: {[], []}
  def judge(_rules, %User{locked?: true}), do: {[], []}

  def judge(rules, user) do
    judged = for {predicate, role} <- rules, do: {role, judge_one(predicate, user)}
    wanted = for {role, true} <- judged, uniq: true, do: role
    {wanted, for({role, {:silent, why}} <- judged, role not in wanted, do: {role, why}) |> Enum.uniq_by(&elem(&1, 0))}
  end

  # The only place where a function of the host's is called for a rule.
  defp judge_one(predicate, user) do
    holds?(predicate, user)
  rescue
    exception -> {:silent, {:raised, exception.__struct__}}
  catch
    :throw, @unknown -> {:silent, :unknown}
    _kind, _reason -> {:silent, {:raised, nil}}
  end

  @doc "Every role that the rules name: the ones that are ours to give and to take."
  @spec all([rule()]) :: [role()]
  def all(rules), do: for({_predicate, role} <- rules, uniq: true, do: role)

  @doc """
  Whether a predicate holds for a user. It throws where an attribute that it asks for is `:unknown`, and a function of the host's may raise: `judge/2` catches
  both.

      iex> alias UroDiscord.Accounts.{Mapping, User}
      iex> user = %User{id: "1", attributes: %{"rank" => 3}, groups: ["a"]}
      iex> for p <- [{:attribute, "rank"}, {:attribute, "rank", 3}, {:not, {:group, "b"}}, {:all, []}, {:any, []}], do: Mapping.holds?(p, user)
      [false, true, true, true, false]
  """
  @spec holds?(predicate(), User.t()) :: boolean()
  def holds?(:linked, _user), do: true
  def holds?({:attribute, name}, user), do: attribute(user, name) == {:ok, true}
  def holds?({:attribute, name, value}, user), do: attribute(user, name) == {:ok, value}
  def holds?({:group, name}, user), do: name in user.groups
  def holds?({:not, predicate}, user), do: not holds?(predicate, user)
  def holds?({:all, predicates}, user), do: Enum.all?(predicates, &holds?(&1, user))
  def holds?({:any, predicates}, user), do: Enum.any?(predicates, &holds?(&1, user))
  def holds?({module, function}, user), do: apply(module, function, [user]) == true

  defp attribute(%{attributes: attributes}, name),
    do: with({:ok, :unknown} <- Map.fetch(attributes, name), do: throw(@unknown))
end

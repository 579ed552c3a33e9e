defmodule UroDiscord.Config.Accounts.Guilds do
  @moduledoc false
  # The check of `accounts: [guilds:]`: of each server its id, its rules, and its nicknames.

  alias UroDiscord.Accounts.Nickname
  alias UroDiscord.Config.Checks
  alias UroDiscord.{Length, Snowflake}

  @keys [:id, :roles, :nickname, :nickname_changed, :create_roles]
  @most 200
  # Predicates within predicates; more than anybody can read.
  @deepest 8

  @type predicate ::
          :linked
          | {:attribute, String.t()}
          | {:attribute, String.t(), term()}
          | {:group, String.t()}
          | {:not, predicate()}
          | {:all | :any, [predicate()]}
          | {module(), atom()}

  @type role :: Snowflake.t() | {:named, String.t()}

  @type t :: %{
          id: Snowflake.t(),
          roles: [{predicate(), role()}],
          nickname: String.t() | nil,
          nickname_changed: :restore | :leave,
          create_roles: boolean()
        }

  @spec allowed() :: String.t()
  def allowed,
    do:
      "a list of [id:, roles: [{predicate, role}], nickname:, nickname_changed: :restore or :leave, create_roles:], each with another id; a predicate " <>
        "is #{predicates()}; a role is an id, or {:named, name}"

  @spec example() :: String.t()
  def example,
    do:
      ~s|accounts: [guilds: [[id: "1100000000000000100", roles: [{:linked, "1100000000000000201"}], nickname: "{display_name}"]]]|

  @spec check(term()) :: {:ok, [t()]} | {:error, String.t()}
  def check(guilds) when is_list(guilds), do: Checks.entries(guilds, @keys, &guild/1)
  def check(value), do: Checks.is_not(value, "a list")

  defp guild(given) do
    with {:ok, id} <- id(given[:id]),
         {:ok, roles} <- roles(Keyword.get(given, :roles, [])),
         {:ok, nickname} <- nickname(given[:nickname]),
         {:ok, changed} <- Checks.one_of(Keyword.get(given, :nickname_changed, :restore), [:restore, :leave]),
         {:ok, create} <- Checks.boolean(Keyword.get(given, :create_roles, false)) do
      {:ok, %{id: id, roles: roles, nickname: nickname, nickname_changed: changed, create_roles: create}}
    end
  end

  defp id(value), do: with(:error <- Snowflake.cast(value), do: {:error, "the id " <> wrong(value, "a server's id")})

  defp roles(value) when is_list(value) and length(value) <= @most, do: Checks.each(value, &rule/1)
  defp roles(value) when is_list(value), do: {:error, "roles has #{length(value)} rules; it may have #{@most}"}
  defp roles(value), do: {:error, "roles " <> wrong(value, "a list of {predicate, role}")}

  defp rule({predicate, role}) do
    with {:ok, predicate} <- predicate(predicate, @deepest), {:ok, role} <- role(role), do: {:ok, {predicate, role}}
  end

  defp rule(value), do: {:error, "a rule " <> wrong(value, "{predicate, role}")}

  @doc "A role, by its id or by its name."
  @spec role(term()) :: {:ok, role()} | {:error, String.t()}
  def role({:named, name}) when is_binary(name) do
    trimmed = if String.valid?(name), do: String.trim(name), else: ""

    cond do
      Length.of(trimmed) not in 1..100 ->
        {:error, "a role's name may have 1 to 100 characters"}

      String.downcase(trimmed) in ["@everyone", "everyone"] ->
        {:error, "everybody has the role @everyone, and nobody can be given it"}

      true ->
        {:ok, {:named, trimmed}}
    end
  end

  def role(value),
    do: with(:error <- Snowflake.cast(value), do: {:error, "a role " <> wrong(value, "an id, or {:named, name}")})

  @doc "What a predicate may be, in words."
  @spec predicates() :: String.t()
  def predicates,
    do:
      ":linked, {:attribute, name}, {:attribute, name, value}, {:group, name}, {:not, predicate}, {:all, predicates}, {:any, predicates} or " <>
        "{module, function} of the user"

  @doc "A predicate of the rules."
  @spec predicate(term()) :: {:ok, predicate()} | {:error, String.t()}
  def predicate(value), do: predicate(value, @deepest)

  defp predicate(_value, 0), do: {:error, "predicates may be #{@deepest - 1} deep"}
  defp predicate(:linked, _deep), do: {:ok, :linked}
  defp predicate({:attribute, name} = it, _deep) when is_binary(name), do: {:ok, it}
  defp predicate({:attribute, name, _value} = it, _deep) when is_binary(name), do: {:ok, it}
  defp predicate({:group, name} = it, _deep) when is_binary(name), do: {:ok, it}

  defp predicate({:not, inner}, deep),
    do: with({:ok, inner} <- predicate(inner, deep - 1), do: {:ok, {:not, inner}})

  defp predicate({of, inner}, deep) when of in [:all, :any] and is_list(inner),
    do: with({:ok, inner} <- Checks.each(inner, &predicate(&1, deep - 1)), do: {:ok, {of, inner}})

  defp predicate({word, _inner} = it, _deep) when word in [:attribute, :group, :all, :any],
    do: {:error, "a predicate " <> wrong(it, predicates())}

  defp predicate({module, function} = it, _deep) when is_atom(module) and is_atom(function), do: {:ok, it}
  defp predicate(value, _deep), do: {:error, "a predicate " <> wrong(value, predicates())}

  defp nickname(nil), do: {:ok, nil}

  defp nickname(value) when is_binary(value) do
    cond do
      not String.valid?(value) or Length.of(value) not in 1..200 ->
        {:error, "nickname " <> wrong(value, "a text of 1 to 200 characters, or nil")}

      problem = Nickname.problem(value) ->
        {:error, "nickname " <> problem}

      true ->
        {:ok, value}
    end
  end

  defp nickname(value), do: {:error, "nickname " <> wrong(value, "a text, or nil")}

  defp wrong(value, allowed), do: UroDiscord.Error.may_be(value, allowed)
end

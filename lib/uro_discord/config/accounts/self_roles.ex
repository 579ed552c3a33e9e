defmodule UroDiscord.Config.Accounts.SelfRoles do
  @moduledoc false
  # The check of `accounts: [self_roles:]`: messages whose buttons or menu give and take roles.

  alias UroDiscord.Config.Accounts.Guilds
  alias UroDiscord.Config.Checks
  alias UroDiscord.{Error, Snowflake}

  @keys [:name, :channel, :text, :style, :roles, :rule, :only]
  # Five rows of five buttons, or one menu.
  @most_roles 25

  @typedoc "`channel` is an alias or an id, and an id when all is checked."
  @type t :: %{
          name: String.t(),
          channel: atom() | Snowflake.t(),
          text: String.t(),
          style: :buttons | :menu,
          roles: [{label :: String.t(), Guilds.role()}],
          rule: nil | :one,
          only: nil | :linked
        }

  @spec allowed() :: String.t()
  def allowed,
    do:
      "a list of [name:, channel:, text:, style: :buttons or :menu, roles: [{label, role}], rule: nil or :one, only: nil or :linked], each with another name"

  @spec example() :: String.t()
  def example,
    do:
      ~s|accounts: [self_roles: [[name: "member", channel: :welcome, text: "Read the rules, then click.", roles: [{"Member", "1100000000000000203"}]]]]|

  @spec check(term()) :: {:ok, [t()]} | {:error, String.t()}
  def check(messages) when is_list(messages), do: Checks.entries(messages, @keys, &message/1)
  def check(value), do: Checks.is_not(value, "a list")

  @doc "The messages with the ids of their channels; or the first message and channel that is unknown."
  @spec refer([t()], (term() -> {:ok, Snowflake.t()} | :error)) :: {:ok, [t()]} | {:error, String.t(), term()}
  def refer(messages, id) do
    case Enum.find(messages, &(id.(&1.channel) == :error)) do
      nil -> {:ok, for(message <- messages, {:ok, channel} = id.(message.channel), do: %{message | channel: channel})}
      unknown -> {:error, unknown.name, unknown.channel}
    end
  end

  defp message(given) do
    with {:ok, name} <- name(given[:name]),
         {:ok, text} <- Checks.text(given[:text], 2_000, "text"),
         {:ok, style} <- Checks.one_of(Keyword.get(given, :style, :buttons), [:buttons, :menu]),
         {:ok, roles} <- roles(given[:roles]),
         {:ok, rule} <- Checks.one_of(given[:rule], [nil, :one]),
         {:ok, only} <- Checks.one_of(given[:only], [nil, :linked]) do
      {:ok, %{name: name, channel: given[:channel], text: text, style: style, roles: roles, rule: rule, only: only}}
    end
  end

  defp name(value) do
    if is_binary(value) and value =~ ~r/\A[a-z0-9][a-z0-9_-]{0,31}\z/,
      do: {:ok, value},
      else: {:error, "name " <> Error.may_be(value, "1 to 32 of a to z, 0 to 9, _ and -")}
  end

  defp roles([_ | _] = value) when length(value) <= @most_roles, do: Checks.each(value, &role/1)
  defp roles(value), do: {:error, "roles " <> Error.may_be(value, "a list of 1 to #{@most_roles} {label, role}")}

  defp role({label, role}) do
    with {:ok, label} <- Checks.text(label, 80, "a label"), {:ok, role} <- Guilds.role(role), do: {:ok, {label, role}}
  end

  defp role(value), do: {:error, "one of roles " <> Error.may_be(value, "{label, role}")}
end

defmodule UroDiscord.Config.Accounts.LinkedRoles do
  @moduledoc false
  # The check of `accounts: [linked_roles:]`: what Discord is told of a linked user.
  # https://discord.com/developers/docs/resources/application-role-connection-metadata

  alias UroDiscord.Config.Checks
  alias UroDiscord.Error

  @keys [:key, :name, :description, :type, :attribute]

  # By the number that Discord has for it.
  @types [
    integer_at_most: 1,
    integer_at_least: 2,
    integer_equal: 3,
    integer_not_equal: 4,
    datetime_before: 5,
    datetime_after: 6,
    boolean_equal: 7,
    boolean_not_equal: 8
  ]
  @most 5

  @type t :: %{
          key: String.t(),
          name: String.t(),
          description: String.t(),
          type: atom(),
          attribute: String.t()
        }

  @spec allowed() :: String.t()
  def allowed,
    do:
      "a list of at most #{@most}, each [key:, name:, description:, type:, attribute:] with another key; a type is one of #{@types |> Keyword.keys() |> Enum.join(", ")}"

  @spec example() :: String.t()
  def example,
    do:
      ~s|accounts: [linked_roles: [[key: "admin", name: "Admin", description: "is an admin of Uro", type: :boolean_equal, attribute: "is_admin"]]]|

  @doc "Discord's number of a type."
  @spec number(atom()) :: 1..8
  def number(type), do: Keyword.fetch!(@types, type)

  @doc "What sort of value a type compares."
  @spec kind(atom()) :: :integer | :datetime | :boolean
  def kind(type) when type in [:datetime_before, :datetime_after], do: :datetime
  def kind(type) when type in [:boolean_equal, :boolean_not_equal], do: :boolean
  def kind(_type), do: :integer

  @spec check(term()) :: {:ok, [t()]} | {:error, String.t()}
  def check(records) when is_list(records) and length(records) <= @most, do: Checks.entries(records, @keys, &record/1)
  def check(records) when is_list(records), do: {:error, "has #{length(records)} records, and Discord takes #{@most}"}
  def check(value), do: Checks.is_not(value, "a list")

  defp record(given) do
    with {:ok, key} <- key(given[:key]),
         {:ok, name} <- Checks.text(given[:name], 100, "name"),
         {:ok, description} <- Checks.text(given[:description], 200, "description"),
         {:ok, type} <- type(given[:type]),
         {:ok, attribute} <- Checks.text(Keyword.get(given, :attribute, key), 100, "attribute") do
      {:ok, %{key: key, name: name, description: description, type: type, attribute: attribute}}
    end
  end

  defp key(value) do
    if is_binary(value) and value =~ ~r/\A[a-z0-9_]{1,50}\z/,
      do: {:ok, value},
      else: {:error, "key " <> Error.may_be(value, "1 to 50 of a to z, 0 to 9 and _")}
  end

  defp type(value) do
    if is_atom(value) and Keyword.has_key?(@types, value),
      do: {:ok, value},
      else: {:error, "type " <> Error.may_be(value, @types |> Keyword.keys() |> Enum.join(", "))}
  end
end

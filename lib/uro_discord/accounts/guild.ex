defmodule UroDiscord.Accounts.Guild do
  @moduledoc false
  # A guild as it was when Discord was asked: its roles, its owner, and what the bot may do there. Pure: `UroDiscord.Accounts.Guilds` asks and remembers.
  #
  # Roles are ordered by position, and those of equal position by id: the older one is higher. A bot gives and takes roles below its highest one, and
  # renames members whose highest role is below that; nobody but himself renames the owner.

  alias UroDiscord.Accounts.{Mapping, Member}
  alias UroDiscord.Snowflake

  @enforce_keys [:id, :owner_id, :bot_id, :roles, :bot_roles]
  defstruct @enforce_keys ++ [:name, names: %{}, read_at: 0]

  @type role :: %{
          id: Snowflake.t(),
          name: String.t(),
          position: integer(),
          permissions: non_neg_integer(),
          managed?: boolean()
        }

  @type t :: %__MODULE__{
          id: Snowflake.t(),
          name: String.t() | nil,
          owner_id: Snowflake.t(),
          bot_id: Snowflake.t(),
          roles: %{Snowflake.t() => role()},
          bot_roles: [Snowflake.t()],
          names: %{(folded :: String.t()) => [role()]},
          read_at: integer()
        }

  @type refusal :: :unknown | :everyone | :managed | :above_bot | :no_permission

  @administrator 3
  @manage_nicknames 27
  @manage_roles 28

  @doc "From Discord's guild and the bot's member of it, both JSON."
  @spec read(map(), map()) :: {:ok, t()} | :error
  def read(%{"id" => id, "owner_id" => owner_id, "roles" => roles} = guild, %{
        "user" => %{"id" => bot_id},
        "roles" => bot_roles
      })
      when is_list(roles) and is_list(bot_roles) do
    roles =
      for %{"id" => role_id, "name" => name} = role <- roles, into: %{}, do: {role_id, read_role(role_id, name, role)}

    guild = %__MODULE__{
      id: id,
      name: guild["name"],
      owner_id: owner_id,
      bot_id: bot_id,
      roles: roles,
      bot_roles: bot_roles
    }

    {:ok, index(guild)}
  end

  def read(_guild, _member), do: :error

  defp read_role(id, name, role) do
    permissions =
      with text when is_binary(text) <- role["permissions"], {bits, ""} <- Integer.parse(text), do: bits, else: (_ -> 0)

    %{id: id, name: name, position: role["position"] || 0, permissions: permissions, managed?: role["managed"] == true}
  end

  @doc "With one more role, or one that is otherwise than it was."
  @spec put_role(t(), map()) :: t()
  def put_role(guild, %{"id" => id, "name" => name} = role),
    do: index(%{guild | roles: Map.put(guild.roles, id, read_role(id, name, role))})

  # By name, as each rule asks for each member: those that may be given before those above the bot, the lowest first.
  defp index(guild) do
    names =
      guild.roles
      |> Map.values()
      |> Enum.reject(&(&1.managed? or &1.id == guild.id))
      |> Enum.sort_by(&{not below_bot?(guild, &1), rank(&1)})
      |> Enum.group_by(&String.downcase(&1.name))

    %{guild | names: names}
  end

  @doc "Whether the bot can give a role to a member and take it away, or why not."
  @spec assignable(t(), Snowflake.t()) :: :ok | {:error, refusal()}
  def assignable(%{id: id}, id), do: {:error, :everyone}

  def assignable(guild, role_id) do
    case guild.roles do
      %{^role_id => %{managed?: true}} ->
        {:error, :managed}

      %{^role_id => role} ->
        cond do
          not below_bot?(guild, role) -> {:error, :above_bot}
          not may?(guild, @manage_roles) -> {:error, :no_permission}
          true -> :ok
        end

      _none ->
        {:error, :unknown}
    end
  end

  @doc """
  The role of a name: the very same one before one that differs in case, and of several the lowest. Never a managed one; one above the bot is found
  only where no other is, for its refusal to be told.
  """
  @spec named(t(), String.t()) :: {:ok, Snowflake.t()} | :error
  def named(guild, name) do
    case guild.names[String.downcase(name)] do
      nil -> :error
      [role] -> {:ok, role.id}
      roles -> {:ok, Enum.min_by(roles, &{not below_bot?(guild, &1), &1.name != name}).id}
    end
  end

  @doc "Whether the bot can rename a member, or why not."
  @spec renamable(t(), Member.t()) :: :ok | {:error, :owner | :above_bot | :no_permission}
  def renamable(%{owner_id: id, bot_id: bot_id}, %{id: id}) when id != bot_id, do: {:error, :owner}

  def renamable(guild, member) do
    cond do
      not may?(guild, @manage_nicknames) -> {:error, :no_permission}
      top(guild, member.roles) >= top(guild, guild.bot_roles) -> {:error, :above_bot}
      true -> :ok
    end
  end

  @doc "What of a guild decides about roles and nicknames by these rules: where it is the same, nothing has changed for anybody."
  @spec fingerprint(t(), [Mapping.rule()]) :: term()
  def fingerprint(guild, rules) do
    roles =
      for role <- Mapping.all(rules) do
        case role do
          {:named, name} -> with {:ok, id} <- named(guild, name), do: {id, assignable(guild, id)}
          id -> assignable(guild, id)
        end
      end

    {roles, guild.owner_id, permissions(guild), top(guild, guild.bot_roles)}
  end

  @doc "Whether the bot may create roles."
  @spec may_create?(t()) :: boolean()
  def may_create?(guild), do: may?(guild, @manage_roles)

  defp below_bot?(guild, role), do: rank(role) < top(guild, guild.bot_roles)

  # The rank of the highest of these roles; a member without roles has that of @everyone.
  defp top(guild, role_ids) do
    ranks = for id <- role_ids, role = guild.roles[id], do: rank(role)
    Enum.max(ranks, fn -> {0, 0} end)
  end

  # The older of two has the smaller id, and is the higher.
  defp rank(role), do: {role.position, -String.to_integer(role.id)}

  @doc "The bits of what the bot may do in the whole guild."
  @spec permissions(t()) :: non_neg_integer()
  def permissions(guild) do
    for(id <- [guild.id | guild.bot_roles], role = guild.roles[id], do: role.permissions)
    |> Enum.reduce(0, &Bitwise.bor/2)
  end

  defp may?(guild, bit) do
    Bitwise.band(permissions(guild), Bitwise.bor(Bitwise.bsl(1, bit), Bitwise.bsl(1, @administrator))) != 0
  end
end

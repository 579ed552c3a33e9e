defmodule UroDiscord.Accounts.SelfRoles.Grants do
  @moduledoc false
  # Which roles may be given to whoever clicks: those that the bot can give at all, and that do no harm.

  alias UroDiscord.Accounts.Guild
  alias UroDiscord.Accounts.SelfRoles.Content
  alias UroDiscord.Config.Accounts.SelfRoles, as: Config
  alias UroDiscord.Error
  alias UroDiscord.Setup.Permissions

  @doc "The roles of a message with their ids; or what is wrong with the first that may not be given."
  @spec resolve(Config.t(), Guild.t()) :: {:ok, [Content.role()]} | {:error, Error.t()}
  def resolve(message, guild) do
    with {:ok, roles} <- each(message.roles, guild) do
      ids = for {_label, id} <- roles, do: id
      if ids == Enum.uniq(ids), do: {:ok, roles}, else: refused("role #{hd(ids -- Enum.uniq(ids))} is there twice")
    end
  end

  defp each(roles, guild) do
    Enum.reduce_while(roles, {:ok, []}, fn {label, wanted}, {:ok, resolved} ->
      with {:ok, id} <- find(wanted, guild), :ok <- check(id, guild) do
        {:cont, {:ok, resolved ++ [{label, id}]}}
      else
        {:error, wrong} -> {:halt, refused(~s|"#{label}" (#{words(wanted)}) #{wrong}|)}
      end
    end)
  end

  defp find({:named, name}, guild),
    do: with(:error <- Guild.named(guild, name), do: {:error, "is no role of server #{guild.id}"})

  defp find(id, _guild), do: {:ok, id}

  @doc "Whether a role of this guild may be given to whoever asks."
  @spec check(String.t(), Guild.t()) :: :ok | {:error, String.t()}
  def check(id, guild) do
    case Guild.assignable(guild, id) do
      :ok -> harmless(guild.roles[id])
      {:error, refusal} -> {:error, refusal(refusal, guild)}
    end
  end

  defp refusal(:unknown, guild), do: "is no role of server #{guild.id}"
  defp refusal(:everyone, _guild), do: "is @everyone, which all have"
  defp refusal(:managed, _guild), do: "is managed by Discord or by another bot, so that nobody can give it"
  defp refusal(:above_bot, _guild), do: "is not below the bot's highest role: drag the bot's role above it"

  defp refusal(:no_permission, guild),
    do: "cannot be given: the bot lacks Manage Roles in server #{guild.id}. Give its role that permission"

  defp harmless(%{permissions: permissions}) do
    case Permissions.elevated(permissions) do
      [] ->
        :ok

      [power | _] ->
        {:error,
         "has the permission #{Permissions.called(power)}, and anybody could take it: take the permission from the role"}
    end
  end

  defp words({:named, name}), do: "the role named #{inspect(name)}"
  defp words(id), do: "role #{id}"

  defp refused(wrong), do: {:error, Error.invalid("roles", wrong)}
end

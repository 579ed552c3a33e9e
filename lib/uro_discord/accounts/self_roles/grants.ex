defmodule UroDiscord.Accounts.SelfRoles.Grants do
  @moduledoc false
  # Which roles may be given to whoever clicks: those that the bot can give at all, that do no harm, and that no rule gives; and to whom.

  alias UroDiscord.Accounts.{Directory, Guild, Links, Mapping}
  alias UroDiscord.Accounts.SelfRoles.Content
  alias UroDiscord.Config.Accounts.Guilds
  alias UroDiscord.Config.Accounts.SelfRoles, as: Config
  alias UroDiscord.{Error, Runtime, Snowflake}
  alias UroDiscord.Setup.Permissions

  @doc "The roles of a message with their ids, beside these rules; or what is wrong with the first that may not be given."
  @spec resolve(Config.t(), Guild.t(), [Guilds.t()]) :: {:ok, [Content.role()]} | {:error, Error.t()}
  def resolve(message, guild, guilds) do
    with {:ok, roles} <- each(message.roles, guild, ruled(guild, guilds)) do
      ids = for {_label, id} <- roles, do: id
      if ids == Enum.uniq(ids), do: {:ok, roles}, else: refused("role #{hd(ids -- Enum.uniq(ids))} is there twice")
    end
  end

  # What the rules give and take, nobody else does. One of both may have it by its name.
  defp ruled(guild, guilds) do
    for %{id: id, roles: rules} <- guilds,
        id == guild.id,
        role <- Mapping.all(rules),
        {:ok, id} <- [find(role, guild)],
        do: id
  end

  defp each(roles, guild, ruled) do
    Enum.reduce_while(roles, {:ok, []}, fn {label, wanted}, {:ok, resolved} ->
      with {:ok, id} <- find(wanted, guild), :ok <- check(id, guild), :ok <- unruled(id, ruled) do
        {:cont, {:ok, resolved ++ [{label, id}]}}
      else
        {:error, wrong} -> {:halt, refused(~s|"#{label}" (#{words(wanted)}) #{wrong}|)}
      end
    end)
  end

  defp unruled(id, ruled) do
    if id in ruled,
      do: {:error, "is given and taken by the rules of guilds, too: leave it to one of them"},
      else: :ok
  end

  defp find({:named, name}, guild),
    do: with(:error <- Guild.named(guild, name), do: {:error, "is no role of server #{guild.id}"})

  defp find(id, _guild), do: {:ok, id}

  defp check(id, guild) do
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
    case Permissions.powers(permissions) do
      [] ->
        :ok

      [power | _] ->
        {:error, "has the permission #{power}, and anybody could take it: take the permission from the role"}
    end
  end

  @doc "Whether somebody may have now what is for the linked only."
  @spec linked(Runtime.t(), Snowflake.t()) :: :ok | :locked | :not_linked | {:error, Error.t()}
  def linked(%{store: store, config: config}, discord_id) do
    with {:ok, link} <- Links.by_discord(store, discord_id),
         {:ok, user} <- Directory.user(config, link.user_id) do
      if user.locked?, do: :locked, else: :ok
    else
      {:error, error} -> {:error, error}
      # Neither is there a link, or the user of it.
      _none -> :not_linked
    end
  end

  defp words({:named, name}), do: "the role named #{inspect(name)}"
  defp words(id), do: "role #{id}"

  defp refused(wrong), do: {:error, Error.invalid("roles", wrong)}
end

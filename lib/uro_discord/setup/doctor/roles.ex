defmodule UroDiscord.Setup.Doctor.Roles do
  @moduledoc false
  # The roles that are given to people: whether they are there, below the bot's highest, and not more than they should be.

  import UroDiscord.Setup.Doctor.Finding

  alias UroDiscord.Accounts.Guild
  alias UroDiscord.Setup.Doctor.{Facts, Finding}
  alias UroDiscord.Setup.Permissions

  # https://discord.com/developers/docs/topics/permissions#permission-hierarchy
  @most 250

  @spec look(Facts.t()) :: [Finding.t()]
  def look(%{config: %{accounts: %{directory: nil}}}), do: []

  def look(%{config: %{accounts: accounts}} = facts) do
    mapped = for guild <- accounts.guilds, {rule, role} <- guild.roles, do: {guild.id, role, {:rule, rule, guild}}

    # The server is that of the message's channel.
    taken =
      for message <- accounts.self_roles,
          {:ok, %{"guild_id" => guild_id}} <- [facts.channels[message.channel]],
          {_label, role} <- message.roles,
          do: {guild_id, role, {:taken, message.name}}

    for {guild_id, role, use} <- Enum.uniq(mapped ++ taken),
        {:ok, guild} <- [facts.guilds[guild_id]],
        finding <- look(role, use, guild),
        do: finding
  end

  defp look({:named, name}, use, guild) do
    case Guild.named(guild, name) do
      {:ok, id} -> look(id, use, guild) ++ others(name, id, guild)
      :error -> [missing({:named, name}, use, guild)]
    end
  end

  defp look(id, use, guild) do
    role = guild.roles[id]
    called = role && "#{role.name} (#{id}) in #{guild.name}"

    case Guild.assignable(guild, id) do
      :ok -> [power(role, called, use)]
      # That is said of the server.
      {:error, :no_permission} -> []
      {:error, :unknown} -> [missing(id, use, guild)]
      {:error, refusal} -> [refused(refusal, called, use)]
    end
  end

  defp refused(:everyone, called, use),
    do: wrong(:roles, "#{whose(use)} #{called}, which everybody has", "name another role")

  defp refused(:managed, called, use),
    do:
      wrong(
        :roles,
        "#{whose(use)} #{called}, which belongs to a bot, to boosters or to Linked Roles: nobody can give it",
        "make a role of its own for this (Server Settings, Roles, Create Role)"
      )

  defp refused(:above_bot, called, use),
    do:
      wrong(
        :roles,
        "#{whose(use)} #{called}, which is not below the bot's highest role: Discord refuses it (50013)",
        "Server Settings, Roles: drag the bot's role above it"
      )

  defp power(role, called, use) do
    case {Permissions.powers(role.permissions), use} do
      {[], _use} ->
        ok(:roles, "#{whose(use)} #{called}, which the bot can give")

      {powers, {:taken, _name}} ->
        wrong(
          :roles,
          "#{whose(use)} #{called}, and gets #{Enum.join(powers, ", ")} with it",
          "take these from the role, or take the role out of `self_roles:`"
        )

      {powers, _rule} ->
        warning(
          :roles,
          "#{whose(use)} #{called}, and gets #{Enum.join(powers, ", ")} with it: so does whoever brings Uro to say that of him",
          "if that is meant, leave it; else take these permissions from the role"
        )
    end
  end

  defp missing({:named, name}, {:rule, _rule, %{create_roles: true}}, guild) do
    if map_size(guild.roles) < @most,
      do: ok(:roles, "the role #{inspect(name)} is made in #{guild.name} when somebody is to have it"),
      else:
        wrong(
          :roles,
          "the role #{inspect(name)} would be made in #{guild.name}, which has #{@most} roles, as many as Discord allows",
          "delete roles there, or name one that is there"
        )
  end

  defp missing(role, use, guild),
    do:
      wrong(
        :roles,
        "#{whose(use)} the role #{inspect(id_or_name(role))}, and there is none in #{guild.name}",
        "Server Settings, Roles: right-click the role, Copy Role ID (Developer Mode on); a role by name is made with `create_roles: true` only"
      )

  defp others(name, taken, guild) do
    case for {id, %{name: ^name, managed?: false}} <- guild.roles, id not in [taken, guild.id], do: id do
      [] ->
        []

      others ->
        [
          warning(
            :roles,
            "there are #{length(others) + 1} roles called #{inspect(name)} in #{guild.name}, and the lowest (#{taken}) is taken",
            "name the one that is meant by its id: #{Enum.join([taken | others], ", ")}"
          )
        ]
    end
  end

  defp id_or_name({:named, name}), do: name
  defp id_or_name(id), do: id

  defp whose({:rule, rule, _guild}), do: "who is #{inspect(rule)} gets"
  defp whose({:taken, name}), do: "who clicks the message #{inspect(name)} gets"
end

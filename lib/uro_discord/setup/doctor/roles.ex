defmodule UroDiscord.Setup.Doctor.Roles do
  @moduledoc false
  # The roles that are given to people: whether they are there, below the bot's highest, and not more than they should be.

  import UroDiscord.Setup.Doctor.Finding

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
        {:ok, here} <- [facts.guilds[guild_id]],
        do: look(role, use, here)
  end

  defp look(role, use, %{guild: guild, role_ids: role_ids}) do
    top = guild["roles"] |> Enum.filter(&(&1["id"] in role_ids)) |> Enum.map(&rank/1) |> Enum.max(fn -> {0, 0} end)

    case named(role, guild) do
      [found] -> judge(found, use, top, guild)
      [] -> missing(role, use, guild)
      several -> several(role, several, guild)
    end
  end

  defp named({:named, name}, guild), do: Enum.filter(guild["roles"], &(&1["name"] == name and &1["id"] != guild["id"]))
  defp named(id, guild), do: Enum.filter(guild["roles"], &(&1["id"] == id))

  # Of roles at the same height the one with the lower id is above.
  defp rank(role), do: {role["position"], -String.to_integer(role["id"])}

  defp judge(role, use, top, guild) do
    called = "#{role["name"]} (#{role["id"]}) in #{guild["name"]}"

    cond do
      role["id"] == guild["id"] ->
        wrong(:roles, "#{whose(use)} the role @everyone of #{guild["name"]}, which everybody has", "name another role")

      role["managed"] == true ->
        wrong(
          :roles,
          "#{whose(use)} #{called}, which belongs to a bot, to boosters or to Linked Roles: nobody can give it",
          "make a role of its own for this (Server Settings, Roles, Create Role)"
        )

      rank(role) >= top ->
        wrong(
          :roles,
          "#{whose(use)} #{called}, which is not below the bot's highest role: Discord refuses it (50013)",
          "Server Settings, Roles: drag the bot's role above it"
        )

      true ->
        power(role, called, use)
    end
  end

  defp power(role, called, use) do
    {bits, _} = Integer.parse(role["permissions"] || "0")

    case {Permissions.elevated(bits), use} do
      {[], _use} ->
        ok(:roles, "#{whose(use)} #{called}, which the bot can give")

      {powers, {:taken, _name}} ->
        wrong(
          :roles,
          "#{whose(use)} #{called}, and gets #{names(powers)} with it",
          "take these from the role, or take the role out of `self_roles:`"
        )

      {powers, _rule} ->
        warning(
          :roles,
          "#{whose(use)} #{called}, and gets #{names(powers)} with it: so does whoever brings Uro to say that of him",
          "if that is meant, leave it; else take these permissions from the role"
        )
    end
  end

  defp missing({:named, name}, {:rule, _rule, %{create_roles: true}}, guild) do
    if length(guild["roles"]) < @most,
      do: ok(:roles, "the role #{inspect(name)} is made in #{guild["name"]} when somebody is to have it"),
      else:
        wrong(
          :roles,
          "the role #{inspect(name)} would be made in #{guild["name"]}, which has #{@most} roles, as many as Discord allows",
          "delete roles there, or name one that is there"
        )
  end

  defp missing(role, use, guild),
    do:
      wrong(
        :roles,
        "#{whose(use)} the role #{inspect(id_or_name(role))}, and there is none in #{guild["name"]}",
        "Server Settings, Roles: right-click the role, Copy Role ID (Developer Mode on); a role by name is made with `create_roles: true` only"
      )

  defp several(role, several, guild),
    do:
      wrong(
        :roles,
        "there are #{length(several)} roles called #{inspect(id_or_name(role))} in #{guild["name"]}",
        "name the one that is meant by its id: #{Enum.map_join(several, ", ", & &1["id"])}"
      )

  defp id_or_name({:named, name}), do: name
  defp id_or_name(id), do: id

  defp whose({:rule, rule, _guild}), do: "who is #{inspect(rule)} gets"
  defp whose({:taken, name}), do: "who clicks the message #{inspect(name)} gets"

  defp names(powers), do: Enum.map_join(powers, ", ", &Permissions.called/1)
end

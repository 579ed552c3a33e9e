defmodule Bench.Accounts.Guild do
  @moduledoc """
  A guild of discord-sim, what happens to it, and what its members should have: everybody the role Member, member i the roles of the groups
  g(i mod 3) and g((i + 1) mod 3), and each hundredth that of the group rare.
  """

  alias UroDiscord.DiscordSim

  @enforce_keys [:id, :members]
  defstruct @enforce_keys ++ [left: [], locked: []]

  @doc "A guild with so many people, who have no roles."
  def add!(sim, count) do
    [%{"id" => id}] = DiscordSim.post(sim, "/guilds", %{count: 1, people: count})
    people = for %{"user" => %{"username" => "person-" <> _} = user} <- members(sim, id), do: user["id"]
    ^count = length(people)
    %__MODULE__{id: id, members: people}
  end

  @doc "Everybody gets what he should have, of roles that are there then."
  def give_all!(sim, guild) do
    below = for name <- ["Member", "g0", "g1", "g2", "rare"], do: %{role: name}
    DiscordSim.post(sim, "/guild", %{guild: guild.id, roles: below ++ [%{role: "Uro", position: 10}]})

    for {roles, members} <- guild.members |> Enum.with_index() |> Enum.group_by(&roles(elem(&1, 1)), &elem(&1, 0)),
        do: DiscordSim.post(sim, "/members", %{action: "roles", guild: guild.id, users: members, roles: roles})

    guild
  end

  @doc "A role is taken from these members."
  def take!(sim, guild, role, members),
    do: DiscordSim.post(sim, "/members", %{action: "roles", guild: guild.id, users: members, remove: [role]})

  def leave!(sim, guild, member),
    do: DiscordSim.post(sim, "/members", %{action: "leave", guild: guild.id, user: member})

  def delete_role!(sim, guild, role),
    do: DiscordSim.post(sim, "/guild", %{guild: guild.id, roles: [%{role: role, delete: true}]})

  @doc "How many of the members have the roles that they should have; who left should have none, and who is locked none of these."
  def right(sim, guild) do
    names = Map.new(DiscordSim.get(sim, "/guild?id=#{guild.id}")["roles"], &{&1["id"], &1["name"]})

    have =
      Map.new(
        members(sim, guild.id),
        &{&1["user"]["id"], &1["roles"] |> Enum.map(fn id -> names[id] end) |> Enum.sort()}
      )

    guild.members
    |> Enum.with_index()
    |> Enum.count(fn {member, i} ->
      cond do
        member in guild.left -> not Map.has_key?(have, member)
        # Whether one throws him out is another matter.
        member in guild.locked -> "Member" not in Map.get(have, member, []) and "g0" not in Map.get(have, member, [])
        true -> have[member] == roles(i)
      end
    end)
  end

  defp roles(i) do
    rare = if rem(i, 100) == 0, do: ["rare"], else: []
    Enum.sort(["Member", "g#{rem(i, 3)}", "g#{rem(i + 1, 3)}"] ++ rare)
  end

  defp members(sim, guild_id), do: DiscordSim.get(sim, "/members?guild=#{guild_id}")
end

defmodule UroDiscord.Accounts.Preview do
  @moduledoc """
  What a sync of all linked members would do, before it does it: `mix uro_discord.roles.plan`. It changes nothing.

  Where UroDiscord runs, `UroDiscord.Accounts.Preview.print()` shows the same.
  """

  alias UroDiscord.Accounts.{Applied, Guild, Guilds, Members, Plan, Reconcile, Running, Sync}
  alias UroDiscord.{Error, Length, Snowflake}

  @typedoc "Of a server: how many `members` it has and how many of them are `linked`; and of whom something is to be changed, or is left alone, his plan."
  @type t :: %{
          guild_id: Snowflake.t(),
          guild: Guild.t(),
          members: non_neg_integer(),
          linked: non_neg_integer(),
          problems: [String.t()],
          plans: [{Sync.entry(), Plan.t()}]
        }

  @titles ["MEMBER", "USER IN URO", "GETS", "LOSES", "NICKNAME", "LEFT ALONE"]
  # No column is wider.
  @widest 48

  @doc "What would be done in each configured server."
  @spec all() :: {:ok, [{Snowflake.t(), {:ok, t()} | {:error, Error.t()}}]} | {:error, Error.t()}
  def all do
    with {:ok, %{config: config} = runtime} <- Running.fetch(),
         do: {:ok, for(settings <- config.accounts.guilds, do: {settings.id, guild(runtime, settings)})}
  end

  defp guild(%{config: config, store: store}, %{id: id} = settings) do
    with {:ok, guild} <- Guilds.fetch_now(id) do
      start = %{
        guild_id: id,
        guild: guild,
        members: 0,
        linked: 0,
        problems: Guilds.problems(guild, settings),
        plans: []
      }

      id
      |> Members.stream()
      |> Enum.reduce_while({:ok, start}, fn page, {:ok, seen} ->
        with {:ok, members} <- page,
             {:ok, entries, unread} <- Reconcile.entries(config, store, members),
             {:ok, applied} <- Applied.of(store, id, for({_user, _link, member} <- entries, do: member.id)) do
          plans = for entry <- entries, plan = plan(entry, guild, settings, applied), told?(plan), do: {entry, plan}
          linked = seen.linked + length(entries) + length(unread)

          unread =
            for {link, error} <- unread, do: "the user #{link.user_id} cannot be read: #{Exception.message(error)}"

          seen = %{seen | members: seen.members + length(members), linked: linked, problems: seen.problems ++ unread}
          {:cont, {:ok, %{seen | plans: seen.plans ++ plans}}}
        else
          {:error, error} -> {:halt, {:error, error}}
        end
      end)
    end
  end

  defp plan({user, link, member}, guild, settings, applied),
    do: Plan.plan(user, link, member, guild, settings, applied[member.id])

  defp told?(plan), do: not Plan.empty?(plan) or plan.skipped != []

  @doc "Prints it as tables. Returns an exit status: 0, or 1 where a server could not be looked at."
  @spec print() :: 0 | 1
  def print do
    case all() do
      {:ok, []} ->
        IO.puts(:stderr, "there is no server in `config :uro_discord, accounts: [guilds: …]`")
        1

      {:ok, guilds} ->
        for {id, result} <- guilds, do: IO.puts(text(id, result))
        if Enum.any?(guilds, &match?({_id, {:error, _}}, &1)), do: 1, else: 0

      {:error, error} ->
        IO.puts(:stderr, Exception.message(error))
        1
    end
  end

  defp text(id, {:error, error}), do: "the server #{id} could not be looked at: #{Guilds.advice(error)}\n"

  defp text(id, {:ok, seen}) do
    changes = Enum.count(seen.plans, fn {_entry, plan} -> not Plan.empty?(plan) end)
    created = for {_entry, plan} <- seen.plans, name <- plan.create, uniq: true, do: name

    head =
      "#{seen.guild.name} (#{id}): #{seen.members} members, #{seen.linked} linked, #{changes} to be changed" <>
        if(created == [], do: "", else: "; roles to be made: #{Enum.join(created, ", ")}")

    rows = Enum.map(seen.plans, &row(&1, seen.guild))

    Enum.join(
      [head] ++
        Enum.map(seen.problems, &("  ! " <> &1)) ++ if(rows == [], do: [], else: [""] ++ table([@titles | rows])),
      "\n"
    ) <> "\n"
  end

  defp row({{user, link, member}, plan}, guild) do
    who =
      if user, do: "#{user.display_name || user.username || "?"} (#{link.user_id})", else: "not there (#{link.user_id})"

    [
      member.username || member.id,
      who,
      Enum.map_join(plan.add, ", ", &role(guild, &1)) |> and_new(plan.create),
      Enum.map_join(plan.remove, ", ", &role(guild, &1)),
      nickname(plan.nick),
      Enum.map_join(plan.skipped, "; ", &Plan.describe/1)
    ]
  end

  defp and_new(given, created),
    do: Enum.join(if(given == "", do: [], else: [given]) ++ Enum.map(created, &"#{&1} (new)"), ", ")

  defp role(guild, id), do: with(%{name: name} <- guild.roles[id], do: name, else: (_ -> id))

  defp nickname(:keep), do: ""
  defp nickname(:reset), do: "(none)"
  defp nickname({:set, nick}), do: nick

  # The last column is as long as what is in it.
  defp table(rows) do
    rows = for row <- rows, do: row |> Enum.map(&String.replace(&1, ~r/\s+/u, " ")) |> List.update_at(-1, &{:last, &1})

    widths =
      for column <- 0..(length(@titles) - 2),
          do: rows |> Enum.map(&(&1 |> Enum.at(column) |> String.length())) |> Enum.max() |> min(@widest)

    for row <- rows do
      {cells, [{:last, last}]} = Enum.split(row, -1)
      line = Enum.zip_with(cells, widths, fn cell, width -> cell |> Length.cut(width) |> String.pad_trailing(width) end)
      String.trim_trailing("  " <> Enum.join(line ++ [last], "  "))
    end
  end
end

defmodule UroDiscord.Accounts.Tasks.Walk do
  @moduledoc false
  # Goes over all links in the order of Discord's ids, and over the members of every server in the same order, and brings both together: each link once,
  # with what its account is a member of. Members come by pages of 1,000; a page begins before the next link, so where nobody is linked nothing is asked
  # for. One id says how far it has come in all servers.

  alias UroDiscord.Accounts.{Link, Member}
  alias UroDiscord.Error

  @page 1_000

  @typedoc "How it reads: links after a Discord id, and a server's members after one, 1,000 at most."
  @type reads :: %{
          links: (String.t() | nil -> {:ok, [Link.t()]} | {:error, Error.t()}),
          members: (guild_id :: String.t(), non_neg_integer() -> {:ok, [Member.t()]} | {:error, Error.t()})
        }

  @typedoc "`through`: the id up to which `members` has all that there are."
  @type guild :: %{id: String.t(), members: [Member.t()], through: non_neg_integer() | :end}

  @type t :: %__MODULE__{cursor: String.t() | nil, guilds: [guild()], links: [Link.t()]}

  @enforce_keys [:cursor, :guilds]
  defstruct [:cursor, :guilds, links: []]

  @doc "Begins behind a Discord id; nil: with the first."
  @spec new(String.t() | nil, [String.t()]) :: t()
  def new(cursor, guild_ids),
    do: %__MODULE__{cursor: cursor, guilds: for(id <- guild_ids, do: %{id: id, members: [], through: 0})}

  @doc "No longer looks into this server."
  @spec without(t(), String.t()) :: t()
  def without(walk, guild_id), do: %{walk | guilds: Enum.reject(walk.guilds, &(&1.id == guild_id))}

  @doc """
  The next links, each with its memberships, in order. After an error the same may be asked again, of the walk that comes with it; it says which server
  could not be read, nil where it was the store.
  """
  @spec next(t(), reads()) ::
          {:ok, [{Link.t(), [Member.t()]}], t()} | {:done, t()} | {:error, String.t() | nil, Error.t(), t()}
  def next(%{links: []} = walk, reads) do
    case reads.links.(walk.cursor) do
      {:ok, []} -> {:done, walk}
      {:ok, links} -> read(%{walk | links: links}, reads)
      {:error, error} -> {:error, nil, error, walk}
    end
  end

  def next(walk, reads), do: read(walk, reads)

  defp read(walk, reads) do
    first = number(hd(walk.links).discord_id)

    case cover(walk.guilds, first, reads, []) do
      {:ok, guilds} -> take(%{walk | guilds: guilds})
      {:error, guild_id, error, guilds} -> {:error, guild_id, error, %{walk | guilds: guilds}}
    end
  end

  # Each server is known as far as the first link at least.
  defp cover([], _first, _reads, covered), do: {:ok, Enum.reverse(covered)}

  defp cover([guild | guilds], first, reads, covered) do
    if guild.through == :end or guild.through >= first do
      cover(guilds, first, reads, [guild | covered])
    else
      case reads.members.(guild.id, max(guild.through, first - 1)) do
        {:ok, members} ->
          cover(guilds, first, reads, [%{guild | members: members, through: through(members)} | covered])

        {:error, error} ->
          {:error, guild.id, error, Enum.reverse(covered, [guild | guilds])}
      end
    end
  end

  defp through(members) when length(members) < @page, do: :end
  defp through(members), do: members |> List.last() |> Map.fetch!(:id) |> number()

  # All links that every server is known as far as. An atom is greater than any number.
  defp take(walk) do
    through = walk.guilds |> Enum.map(& &1.through) |> Enum.min(fn -> :end end)
    {links, later} = Enum.split_while(walk.links, &(number(&1.discord_id) <= through))

    {entries, guilds} =
      Enum.map_reduce(links, walk.guilds, fn link, guilds ->
        {found, guilds} = guilds |> Enum.map(&meet(&1, number(link.discord_id))) |> Enum.unzip()
        {{link, Enum.reject(found, &is_nil/1)}, guilds}
      end)

    {:ok, entries, %{walk | guilds: guilds, links: later, cursor: List.last(links).discord_id}}
  end

  # The members before are linked to nobody.
  defp meet(guild, id) do
    case Enum.drop_while(guild.members, &(number(&1.id) < id)) do
      [member | later] ->
        if number(member.id) == id,
          do: {member, %{guild | members: later}},
          else: {nil, %{guild | members: [member | later]}}

      [] ->
        {nil, %{guild | members: []}}
    end
  end

  defp number(id), do: String.to_integer(id)
end

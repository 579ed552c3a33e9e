defmodule UroDiscord.Accounts.Tasks.Reader do
  @moduledoc false
  # Reads the next users that a task is to look at, and compares what they have with what they are to have. What takes no request for each is done here: names
  # are stored, the directory is asked once for all, and users who have left are found. It is called in a process of its own.

  alias UroDiscord.Accounts.{Applied, Departures, Directory, Guilds, Link, Links, Member, Members, Plan, Sync}
  alias UroDiscord.Accounts.Tasks.{Tally, Walk}
  alias UroDiscord.{Error, Runtime}

  @typedoc "A user who was looked at: what became of him so far, and in which servers he is still to be changed."
  @type found :: %{link: Link.t(), outcome: Tally.outcome(), change: [Sync.entry()]}

  @doc """
  `parts` are of `:roles`, `:nickname` and `:username`. With `complete?: false` some server is not looked at, so that nobody is known to have left.
  """
  @spec read(Walk.t(), [atom()], boolean(), Runtime.t()) ::
          {:ok, [found()], Walk.t()} | {:done, Walk.t()} | {:error, String.t() | nil, Error.t(), Walk.t()}
  def read(walk, parts, complete?, runtime) do
    case Walk.next(walk, reads(runtime)) do
      {:ok, entries, later} ->
        # An entry's work may be done twice, but not left out: the walk goes on when all of it is done.
        case look(entries, parts, complete?, runtime) do
          {:ok, found} -> {:ok, found, later}
          {:error, guild_id, error} -> {:error, guild_id, error, walk}
          {:error, error} -> {:error, nil, error, walk}
        end

      other ->
        other
    end
  end

  defp reads(runtime) do
    %{
      links: &Links.page(runtime.store, &1),
      members: &Members.page(&1, Integer.to_string(&2), priority: :low)
    }
  end

  defp look(entries, parts, complete?, runtime) do
    compared_parts = parts -- [:username]

    with {:ok, users} <- if(compared_parts == [], do: {:ok, %{}}, else: users(entries, runtime)),
         {:ok, renamed} <- rename(entries, parts, runtime),
         {:ok, compared} <- entries |> known(users) |> compare(compared_parts, runtime) do
      {:ok, for({link, members} <- entries, do: found(link, members, users, renamed, compared, complete?))}
    end
  end

  ## Names

  defp rename(entries, parts, runtime) do
    names =
      for {link, [%Member{username: name} | _]} <- entries,
          :username in parts and name != nil and name != link.username,
          do: {link.discord_id, name}

    with :ok <- Links.put_usernames(runtime.store, names), do: {:ok, MapSet.new(names, &elem(&1, 0))}
  end

  ## Who is who

  defp users(entries, %{config: config}), do: Directory.each(config, for({link, [_ | _]} <- entries, do: link.user_id))

  ## What is to be changed

  defp known(entries, users) do
    for {link, members} <- entries, {:ok, user} <- [users[link.user_id]], member <- members, do: {user, link, member}
  end

  defp compare(entries, parts, runtime) do
    entries
    |> Enum.group_by(fn {_user, _link, member} -> member.guild_id end)
    |> Enum.reduce_while({:ok, %{}}, fn {guild_id, entries}, {:ok, compared} ->
      case compare_in(guild_id, entries, parts, runtime) do
        {:ok, results} -> {:cont, {:ok, Map.merge(compared, results)}}
        error -> {:halt, error}
      end
    end)
  end

  defp compare_in(guild_id, entries, parts, %{store: store, config: config}) do
    settings = Enum.find(config.accounts.guilds, &(&1.id == guild_id))

    with {:ok, applied} <- Applied.of(store, guild_id, for({_user, _link, member} <- entries, do: member.id)) do
      case Guilds.fetch(guild_id) do
        {:ok, guild} -> {:ok, Map.new(entries, &{key(&1), compare_one(&1, guild, settings, applied, parts)})}
        {:error, error} -> {:error, guild_id, error}
      end
    end
  end

  defp compare_one({user, link, member} = entry, guild, settings, applied, parts) do
    plan = Plan.plan(user, link, member, guild, settings, applied[member.id], parts)
    if Plan.empty?(plan), do: {:same, skipped(plan)}, else: {:change, entry}
  end

  defp key({_user, link, member}), do: {member.guild_id, link.user_id}

  @doc "What a plan leaves as it is. A rule that raises is a failure."
  @spec skipped(Plan.t()) :: Tally.outcome()
  def skipped(plan) do
    for reason <- plan.skipped do
      how = if match?({:role, _, {:silent, {:raised, _}}}, reason), do: :failed, else: :skipped
      {how, Plan.describe(reason)}
    end
  end

  @doc "What has failed for good."
  @spec failed(Error.t()) :: Tally.outcome()
  def failed(error), do: [{:failed, Guilds.advice(error)}]

  @doc "Why somebody who was to be changed is as he was after all: a role that is not there could not be made."
  @spec left_alone(Sync.entry(), [atom()], Runtime.t()) :: Tally.outcome()
  def left_alone({user, link, member}, parts, %{config: config}) do
    settings = Enum.find(config.accounts.guilds, &(&1.id == member.guild_id))

    case Guilds.fetch(member.guild_id) do
      {:ok, guild} ->
        skipped(Plan.plan(user, link, member, guild, %{settings | create_roles: false}, nil, parts))

      {:error, error} ->
        failed(error)
    end
  end

  ## One by one

  defp found(link, [], _users, _renamed, _compared, complete?) do
    outcome = if complete?, do: left(link), else: [{:skipped, "not found, and not all servers could be read"}]

    %{link: link, outcome: outcome, change: []}
  end

  defp found(link, members, users, renamed, compared, _complete?) do
    outcome =
      if(link.discord_id in renamed, do: [:changed], else: []) ++
        case users[link.user_id] do
          {:ok, nil} -> [{:skipped, "no longer in Uro"}]
          {:error, error} -> failed(error)
          _known_or_not_asked -> []
        end

    results = for member <- members, result = compared[{member.guild_id, link.user_id}], do: result
    same = for {:same, outcome} <- results, one <- outcome, do: one
    %{link: link, outcome: outcome ++ same, change: for({:change, entry} <- results, do: entry)}
  end

  @doc "Somebody seems to be in none of the servers. A page says so by saying nothing: before he loses his link Discord is asked for him alone."
  @spec left(Link.t()) :: Tally.outcome()
  def left(link) do
    case Departures.settle(link) do
      # He has joined since the page was read, with what is his.
      :there -> []
      :unlinked -> [:left]
      :waits -> [{:skipped, "has left, and is unlinked after leave_grace"}]
      :kept_out -> [{:skipped, "was in none of the servers since he linked"}]
      {:error, error} -> failed(error)
    end
  end
end

defmodule UroDiscord.Accounts.Sync do
  @moduledoc false
  # Gives members the roles and nicknames that Uro says. Whoever asks waits for it; `later/2` does not.
  #
  # `UroDiscord.Accounts.Change` does so with one member in one guild.

  require Logger

  alias UroDiscord.Accounts.{
    Applied,
    Change,
    Directory,
    Guilds,
    Link,
    Links,
    Member,
    Plan,
    Queue,
    Roles,
    Running,
    Seen,
    User
  }

  alias UroDiscord.{Error, Snowflake}

  @type entry :: {User.t() | nil, Link.t(), Member.t()}

  # What is known of a guild for so long is looked at again before many are changed by it.
  @guild_ms 10_000
  # Who ends a link waits for what is taken back; what takes longer than this is done later.
  @release_ms 8_000
  @guilds_at_once 8
  # So long who joins waits for a role that is made for him.
  @joining_ms 60_000

  @doc "Brings a user's roles and nickname in every configured guild to what they are to be, and waits for it."
  @spec sync(String.t(), String.t() | atom(), keyword()) ::
          {:ok, %{Snowflake.t() => Change.outcome()}} | {:error, Error.t()}
  def sync(user_id, reason, options \\ []) do
    with {:ok, %{config: config, store: store}} <- Running.fetch() do
      case Links.get(store, user_id) do
        {:ok, link} ->
          {:ok, Map.new(each(config, &{&1.id, &1 |> Change.job(link, reason, options) |> Change.run()}))}

        :error ->
          {:error, %Error{kind: :unknown, message: "the user #{Error.short(user_id)} is not linked"}}

        {:error, error} ->
          {:error, error}
      end
    end
  end

  @doc "Asks for the same, soon; it is tried again until it is done or cannot be done."
  @spec later(String.t(), String.t() | atom()) :: :ok | {:error, Error.t()}
  defdelegate later(user_id, reason), to: Queue, as: :put

  @doc """
  Of these members of one guild, each as the caller has read them: a lazy stream of `{entry, outcome}`, those for whom there is nothing to do first, and
  then each as it is done. A user of nil is one that Uro does not have any more.

  Options: `:only` (`[:roles, :nickname]`), `:priority` (`:low`), `:reason`, `:max_concurrency` (8).
  """
  @spec sync_members([entry()], Snowflake.t(), keyword()) :: Enumerable.t()
  def sync_members(entries, guild_id, options \\ []) do
    with {:ok, %{store: store, config: config}} <- Running.fetch(),
         %{} = settings <- settings(config, guild_id),
         {:ok, guild} <- Guilds.fetch(guild_id),
         {:ok, applied} <- Applied.of(store, guild_id, for({_user, _link, member} <- entries, do: member.id)) do
      {same, others} = split(entries, guild, settings, applied, Change.parts(options))

      Stream.concat(Stream.map(same, &{&1, :unchanged}), change_all(others, settings, options))
    else
      nil -> Stream.map(entries, &{&1, {:error, Error.invalid("guild_id", "#{guild_id} is none of accounts.guilds")}})
      {:error, error} -> Stream.map(entries, &{&1, {:error, error}})
    end
  end

  # Before many are changed by what is known of the guild, that is looked at again, unless the gateway tells of what changes there: a role that was
  # deleted would be tried for each of them.
  defp split(entries, guild, settings, applied, parts) do
    {same, others} = Enum.split_with(entries, &same?(&1, guild, settings, applied, parts))

    if others == [] or Seen.told_since?(guild.read_at, @guild_ms) do
      {same, others}
    else
      case Guilds.newer(guild) do
        {:ok, guild} -> Enum.split_with(entries, &same?(&1, guild, settings, applied, parts))
        # Each says so.
        {:error, _error} -> {same, others}
      end
    end
  end

  defp same?({user, link, member}, guild, settings, applied, parts) do
    plan = Plan.plan(user, link, member, guild, settings, applied[member.id], parts)
    Guilds.note_skipped(plan)
    Change.satisfied(plan, parts)
    Plan.empty?(plan)
  end

  defp change_all(entries, settings, options) do
    options = Keyword.put_new(options, :priority, :low)

    jobs =
      for {_user, link, member} = entry <- entries,
          do: {entry, Change.job(settings, link, options[:reason] || "sync", [member: member] ++ options)}

    UroDiscord.Accounts.TaskSupervisor
    |> Task.Supervisor.async_stream_nolink(jobs, fn {entry, job} -> {entry, Change.run(job)} end,
      max_concurrency: Keyword.get(options, :max_concurrency, 8),
      ordered: false,
      timeout: :infinity,
      zip_input_on_exit: true
    )
    |> Stream.map(fn
      {:ok, result} -> result
      {:exit, {{entry, _job}, reason}} -> {entry, {:error, crashed(reason)}}
    end)
  end

  defp crashed(reason), do: %Error{kind: :crash, message: "it crashed: #{Error.short(reason)}"}

  @doc """
  What a user joins a guild with: the roles that can be given at once, and the nickname; made of nothing where the guild cannot be asked now, since a sync
  follows.
  """
  @spec joining(User.t(), Plan.settings()) :: %{roles: [Snowflake.t()], nick: String.t() | nil}
  def joining(user, %{id: guild_id} = settings) do
    link = %Link{user_id: user.id, discord_id: "0", username: "", linked_at: DateTime.utc_now()}

    with {:ok, guild} <- Guilds.fetch(guild_id),
         nobody = %Member{guild_id: guild_id, id: "0"},
         plan = Plan.plan(user, link, nobody, guild, settings),
         {:ok, guild} <- Roles.make(guild, plan, priority: :normal, deadline_ms: @joining_ms) do
      plan = Plan.plan(user, link, nobody, guild, settings)
      %{roles: plan.add, nick: with({:set, nick} <- plan.nick, do: nick, else: (_ -> nil))}
    else
      {:error, error} ->
        Logger.warning(
          "accounts: who joins the server #{guild_id} gets roles and nickname later: #{Exception.message(error)}"
        )

        %{roles: [], nick: nil}
    end
  end

  @doc """
  Takes back what was given to an account that is not linked any more. What cannot be done now is done later: the store knows of it until then. What the bot
  may not take back is not tried again while the guild is as it was.
  """
  @spec release(Link.t()) :: :ok | {:error, Error.t()}
  def release(%Link{} = link) do
    with {:ok, %{config: config}} <- Running.fetch() do
      user = with {:ok, user} <- Directory.user(config, link.user_id), do: user, else: (_unknown -> nil)
      options = [priority: :high, deadline_ms: @release_ms]
      config |> each(&release_in(&1, link, user, options)) |> Enum.find(:ok, &match?({:error, _}, &1))
    end
  end

  @doc "The same in one guild, by nothing but the account."
  @spec release(Snowflake.t(), Snowflake.t()) :: Change.outcome()
  def release(guild_id, discord_id) do
    with {:ok, %{config: config, store: store}} <- Running.fetch() do
      link = %Link{user_id: "", discord_id: discord_id, username: "", linked_at: DateTime.utc_now()}

      case settings(config, guild_id) do
        nil -> with :ok <- Applied.delete(store, guild_id, discord_id), do: :unchanged
        settings -> release_in(settings, link, nil, priority: :low)
      end
    end
  end

  defp release_in(settings, link, user, options) do
    # What is taken back later is found by this.
    with {:ok, %{store: store}} <- Running.fetch(),
         :ok <- Applied.ensure(store, settings.id, link.discord_id),
         {:ok, guild} <- Guilds.fetch(settings.id),
         nil <- Guilds.noted_refusal(guild, link.discord_id, :release) do
      Change.run(Change.job(settings, link, "the accounts are not linked any more", [release: user] ++ options))
    else
      {:refused, error} -> {:error, error}
      {:error, error} -> {:error, error}
    end
  end

  @doc "How each configured guild is, for `UroDiscord.status/0`."
  @spec status(UroDiscord.Config.t()) :: [map()]
  def status(config), do: Guilds.status(config.accounts.guilds)

  # One server that is slow, or waits for its limits, holds up no other one.
  defp each(config, function) do
    config.accounts.guilds
    |> Task.async_stream(function, max_concurrency: @guilds_at_once, timeout: :infinity)
    |> Enum.map(fn {:ok, result} -> result end)
  end

  defp settings(config, guild_id), do: Enum.find(config.accounts.guilds, &(&1.id == guild_id))
end

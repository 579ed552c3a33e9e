defmodule UroDiscord.Accounts.Guilds do
  @moduledoc false
  # What is known of the guilds: each as Discord said (`UroDiscord.Accounts.Guild`), for as long as `roles_cache_max_age` says, or until something tells
  # that it is otherwise. It is kept in `UroDiscord.Runtime`, where `status/0` finds it too.

  require Logger
  alias UroDiscord.Accounts.{Guild, Mapping, Plan, Turns}
  alias UroDiscord.{Backoff, Error, Events, Rest, Runtime, Snowflake}

  # Who waits for a guild has its time too.
  @deadline_ms 15_000
  # A guild that cannot be asked is asked again after this, and not for each of its members.
  @again_ms 30_000
  # The bot is not in the guild, or may not look at it.
  @lost [10_004, 50_001]
  @no_2fa 60_003
  # After so many members in a row, each refused although nothing that is known forbids it, the server is taken to refuse all. Each refusal counts against the
  # bot: after many of them the breaker of crates/rest, and then Discord, stop it everywhere.
  @in_a_row 10
  @hold_ms {60_000, 300_000}

  @typep what :: Snowflake.t() | {:role, String.t()} | :server
  @type settings :: %{required(:id) => Snowflake.t(), optional(atom()) => term()}

  @doc "The guild, from memory where that is young enough."
  @spec fetch(Snowflake.t()) :: {:ok, Guild.t()} | {:error, Error.t()}
  def fetch(guild_id) do
    with {:ok, %{config: config}} <- Runtime.fetch_enabled() do
      max_age = config.accounts.roles_cache_max_age
      with :old <- known(guild_id, now() - max_age), do: ask(guild_id, now() - max_age)
    end
  end

  @doc "The guild, if it was asked for later than this one was: it has turned out to be otherwise."
  @spec newer(Guild.t()) :: {:ok, Guild.t()} | {:error, Error.t()}
  def newer(%Guild{id: id, read_at: read_at}), do: ask(id, read_at + 1)

  @doc "The guild as it is now."
  @spec fetch_now(Snowflake.t()) :: {:ok, Guild.t()} | {:error, Error.t()}
  def fetch_now(guild_id), do: ask(guild_id, now() + 1)

  @doc "Something has changed there."
  @spec forget(Snowflake.t()) :: :ok
  def forget(guild_id), do: Runtime.delete({:accounts_guild, guild_id})

  @doc "What a request there has failed with. That the bot is not there any more holds for all its members."
  @spec note_failure(Snowflake.t(), Error.t()) :: :ok
  def note_failure(guild_id, %Error{code: code} = error) when code in @lost, do: put(guild_id, {:error, error}, now())
  def note_failure(_guild_id, _error), do: :ok

  @doc """
  A change of a member was refused: whose refusal it is. `:member`: it concerns this one. `{:server, error}`: the server refuses the changes of all members, and
  none is asked for until something changes in the server, or a while later. Nothing tells when that is over, so the error counts as one that passes.
  """
  @spec whose_refusal(Snowflake.t(), Error.t()) :: :member | {:server, Error.t()}
  def whose_refusal(_guild_id, %Error{status: status}) when status != 403, do: :member

  def whose_refusal(guild_id, %Error{code: code} = error) do
    times = (Runtime.lookup({:accounts_in_a_row, guild_id}) || 0) + 1
    Runtime.put({:accounts_in_a_row, guild_id}, times)

    cond do
      code == @no_2fa -> hold(guild_id, times, error)
      times > @in_a_row -> hold(guild_id, times - @in_a_row, %{error | message: in_a_row(error)})
      true -> :member
    end
  end

  defp hold(guild_id, times, error) do
    error = %{error | kind: :server}
    put(guild_id, {:error, error}, now() + Backoff.delay(@hold_ms, times - 1) - @again_ms)
    {:server, error}
  end

  defp in_a_row(error),
    do:
      "of more than #{@in_a_row} members in a row all is refused, though by the server's roles it may be done (is the bot in time-out?): #{error.message}"

  @doc "A change of a member was carried out. Where all were refused before, those of whom it was noted are looked at again."
  @spec done(Snowflake.t()) :: :ok
  def done(guild_id) do
    times = Runtime.lookup({:accounts_in_a_row, guild_id})
    if times != nil, do: Runtime.delete({:accounts_in_a_row, guild_id})
    if times != nil and times > @in_a_row, do: Events.publish(:accounts_queue, {:accepted, guild_id})
    :ok
  end

  @doc "Whether an error means that nothing can be done in the guild."
  @spec lost?(Error.t()) :: boolean()
  def lost?(%Error{code: code}), do: code in @lost

  @doc "Whether an error of a member's may be over by the next try."
  @spec passing?(Error.t()) :: boolean()
  def passing?(error), do: not Error.final?(error) and not lost?(error)

  defp known(guild_id, after_ms) do
    case Runtime.lookup({:accounts_guild, guild_id}) do
      %{known: {:ok, guild}, at: at} when at >= after_ms -> {:ok, guild}
      %{known: {:error, error}, at: at} -> if now() - at < @again_ms, do: {:error, error}, else: :old
      _old -> :old
    end
  end

  # Of many who want it one asks.
  defp ask(guild_id, after_ms) do
    Turns.here({:guild, guild_id}, fn ->
      with :old <- known(guild_id, after_ms) do
        at = now()
        result = request(guild_id, at)
        put(guild_id, result, at)
        result
      end
    end)
  end

  defp request(guild_id, at) do
    options = [retry: :safe, priority: :normal, deadline_ms: @deadline_ms]

    with {:ok, %{rest: rest, bot_id: bot_id}} <- Runtime.fetch_enabled(),
         {:ok, %{body: guild}} <- Rest.call(rest, {:get_guild, guild_id}, options),
         {:ok, %{body: member}} <- Rest.call(rest, {:get_member, guild_id, bot_id}, options) do
      case Guild.read(guild, member) do
        {:ok, guild} ->
          {:ok, %{guild | read_at: at}}

        :error ->
          {:error,
           %Error{kind: :response, message: "what Discord says of the server #{guild_id} is not as it should be"}}
      end
    end
  end

  defp put(guild_id, result, at) do
    with {:ok, guild} <- result, do: named(guild)
    Runtime.put({:accounts_guild, guild_id}, %{known: result, at: at})
  end

  # That a role could not be made is over when there is one.
  defp named(%{id: guild_id} = guild) do
    for {{^guild_id, {:role, name} = what}, _refusal} <- Runtime.all(:accounts_refused),
        {:ok, _id} <- [Guild.named(guild, name)],
        do: forget_refusal(guild, what)
  end

  @doc "A role that was just made."
  @spec put_role(Guild.t(), map()) :: {:ok, Guild.t()}
  def put_role(guild, role) do
    guild = Guild.put_role(guild, role)
    put(guild.id, {:ok, guild}, guild.read_at)
    {:ok, guild}
  end

  ## What Discord refuses of one member is not asked for again while the guild is as it was then.

  @doc "Notes that a request for a member, or for `{:role, name}`, was refused; or any in the whole `:server`."
  @spec note_refusal(Guild.t(), what(), term(), Error.t()) :: :ok
  def note_refusal(guild, discord_id, request, error),
    do:
      Runtime.put({:accounts_refused, {guild.id, discord_id}}, %{request: request, read_at: guild.read_at, error: error})

  @doc "The refusal of the same request, noted while the guild was as it is now; nil where there is none."
  @spec noted_refusal(Guild.t(), what(), term()) :: {:refused, Error.t()} | nil
  def noted_refusal(%{id: id, read_at: read_at}, discord_id, request) do
    case Runtime.lookup({:accounts_refused, {id, discord_id}}) do
      %{request: ^request, read_at: ^read_at, error: error} -> {:refused, error}
      _other -> nil
    end
  end

  @doc "The request is refused no longer, or is wanted no longer."
  @spec forget_refusal(%{:id => Snowflake.t(), optional(atom()) => term()}, what()) :: :ok
  def forget_refusal(%{id: guild_id}, what), do: Runtime.delete({:accounts_refused, {guild_id, what}})

  @doc "A member has left: what was refused of him, or left as it is, is forgotten."
  @spec forget_member(Snowflake.t(), Snowflake.t()) :: :ok
  def forget_member(guild_id, discord_id) do
    forget_refusal(%{id: guild_id}, discord_id)
    Runtime.delete({:accounts_skipped, {guild_id, discord_id}})
  end

  ## Discord's limits, for those who wait until one is over.

  @doc "Members there can be changed after so many ms."
  @spec put_held(Snowflake.t(), non_neg_integer()) :: :ok
  def put_held(guild_id, ms), do: Runtime.put({:accounts_held, guild_id}, now() + ms)

  @doc "For how long they cannot, as far as that is known."
  @spec held_ms(Snowflake.t()) :: non_neg_integer()
  def held_ms(guild_id), do: max((Runtime.lookup({:accounts_held, guild_id}) || now()) - now(), 0)

  @doc """
  Notes of whom something is left as it is, and why: his nickname, or a role of which a rule says nothing of him. What else is wrong with roles is wrong with
  the rules, see `problems/2`.
  """
  @spec note_skipped(Plan.t()) :: :ok
  def note_skipped(plan) do
    key = {:accounts_skipped, {plan.guild_id, plan.discord_id}}

    case Enum.find(plan.skipped, &(match?({:role, _, {:silent, _}}, &1) or match?({:nickname, _}, &1))) do
      nil ->
        Runtime.delete(key)

      reason ->
        with {:role, _role, {:silent, {:raised, _exception}}} <- reason, do: raised(plan.guild_id, reason)
        Runtime.put(key, reason)
    end
  end

  # Said once: it is the host's rule, and raises of others too.
  defp raised(guild_id, reason) do
    key = {:accounts_raised, {guild_id, reason}}

    if Runtime.lookup(key) == nil do
      Runtime.put(key, true)

      Logger.error(
        "accounts: in the server #{guild_id}, #{Plan.describe(reason)}: whoever has that role keeps it, and nobody else gets it, until it does not"
      )
    end
  end

  @doc "Why some of the linked members there are not as they should be, since the last look at all; nil where they are."
  @spec behind(Snowflake.t()) :: Error.t() | nil
  def behind(guild_id), do: Runtime.lookup({:accounts_behind, guild_id})

  @spec put_behind(Snowflake.t(), Error.t() | nil) :: :ok
  def put_behind(guild_id, nil), do: Runtime.delete({:accounts_behind, guild_id})
  def put_behind(guild_id, error), do: Runtime.put({:accounts_behind, guild_id}, error)

  ## For `UroDiscord.status/0`

  # So many of a guild are shown.
  @shown 100

  @doc """
  How each configured guild is: `state` (`:unknown` until it was asked, `:well`, `:troubled`, `:unreachable`), the `problems` of its rules, and that not all
  members could be looked at, what was `refused`, and of whom a nickname or a role was `skipped`.
  """
  @spec status([settings()]) :: [map()]
  def status(settings) do
    refused = Runtime.all(:accounts_refused)
    skipped = Runtime.all(:accounts_skipped)

    for %{id: id} = guild_settings <- settings do
      refused = for {{^id, what}, %{error: error}} <- refused, do: %{what: what, reason: advice(error)}
      skipped = for {{^id, discord_id}, reason} <- skipped, do: %{discord_id: discord_id, reason: Plan.describe(reason)}

      id
      |> described(guild_settings, refused)
      |> Map.merge(%{id: id, refused: Enum.take(refused, @shown), skipped: Enum.take(skipped, @shown)})
    end
  end

  defp described(id, settings, refused) do
    case Runtime.lookup({:accounts_guild, id}) do
      %{known: {:ok, guild}} ->
        problems = problems(guild, settings) ++ late(id)
        %{name: guild.name, state: if(problems == [] and refused == [], do: :well, else: :troubled), problems: problems}

      %{known: {:error, error}} ->
        %{name: nil, state: :unreachable, problems: [advice(error)]}

      nil ->
        %{name: nil, state: :unknown, problems: []}
    end
  end

  defp late(guild_id) do
    case behind(guild_id) do
      nil -> []
      error -> ["not all linked members are as they should be, and are looked at again: #{advice(error)}"]
    end
  end

  @doc "What is wrong with the rules of a guild, in words."
  @spec problems(Guild.t(), settings()) :: [String.t()]
  def problems(guild, settings) do
    for role <- Mapping.all(settings.roles), reason = problem(guild, role, settings), do: Plan.describe(reason)
  end

  defp problem(guild, {:named, name} = role, settings) do
    case Guild.named(guild, name) do
      {:ok, id} -> problem(guild, id, settings)
      :error -> unless settings.create_roles and Guild.may_create?(guild), do: {:role, role, :missing}
    end
  end

  defp problem(guild, id, _settings) do
    case Guild.assignable(guild, id) do
      :ok -> nil
      {:error, why} -> {:role, id, why}
    end
  end

  @doc "What to do about an error of a guild's."
  @spec advice(Error.t()) :: String.t()
  def advice(%Error{code: code} = error) when code in @lost,
    do: "#{Exception.message(error)}: the bot is not in the server; add it (mix uro_discord.invite prints the link)"

  def advice(%Error{code: 50_013} = error),
    do:
      "#{Exception.message(error)}: give the bot Manage Roles and Manage Nicknames, and move its role above those that it gives, and above the " <>
        "highest of those whom it renames"

  def advice(%Error{code: 60_003} = error),
    do:
      "#{Exception.message(error)}: the server wants two-factor authentication of moderators; the owner of the application has to switch it on"

  def advice(%Error{code: 30_005} = error),
    do: "#{Exception.message(error)}: the server has 250 roles, and Discord makes no more; delete some"

  def advice(error), do: Exception.message(error)

  defp now, do: System.monotonic_time(:millisecond)
end

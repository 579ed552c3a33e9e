defmodule UroDiscord.Accounts.Change do
  @moduledoc false
  # Brings one member of one guild to what he is to be: carries out what `UroDiscord.Accounts.Plan` finds.
  #
  # A member is changed by one at a time, here and among nodes (`UroDiscord.Accounts.Turns`), with what Uro, the store and Discord say when it is his turn.
  # So the last change is made by whoever looked last. Of a member for whom there is nothing to do only what the caller brought is looked at.
  #
  # A change that meets one of Discord's limits leaves the turn, waits in a row with all others of that server, and then looks at the member again. What it knew
  # before the wait does not count: it would undo what others did meanwhile, and a user who is locked meanwhile would wait behind what he was to be given.

  require Logger

  alias UroDiscord.Accounts.{Applied, Directory, Guilds, Link, Links, Mapping, Members, Plan, Roles, Seen, Turns}
  alias UroDiscord.{Error, Events, Length, Rest, Runtime, Store}

  @typedoc "What became of the member. `:left`: he is not in the guild."
  @type outcome :: :unchanged | {:changed, Plan.t()} | :left | {:error, Error.t()}

  @typedoc "What is to be done, and what was seen of it so far."
  @opaque job :: map()

  # A member who was read so many ms ago counts as unchanged, but for what the gateway has told.
  @fresh_ms 1_000
  # How long one change may take, with all waiting.
  @deadline_ms 60_000
  # How long after a look its request may be sent; later there is a new look. A request that replaces all roles would undo what others did since, so that it gets
  # less. After one that Discord did not answer in time, the next one gets twice as long.
  @at_once_ms 2_000
  @roles_at_once_ms 500
  @least_ms 20
  # When a limit ends, those come first for whom somebody waits.
  @behind_ms %{normal: 30, low: 150}
  # How often the guild is looked at anew because a request says that it is otherwise.
  @looks 1
  # Unknown role, invalid role, missing permissions.
  @changed_guild [10_011, 50_028, 50_013]

  @doc """
  What is to be done of a link in a guild. Options: `:only` (`[:roles, :nickname]`), `:priority` (`:normal`), `:deadline_ms` (60,000, with all waiting),
  `:member`, as the caller has read him, and `:release`: the link has ended, and what was given is taken back, but for what this user (or nil) is told to have.
  """
  @spec job(Plan.settings(), Link.t(), String.t() | atom(), keyword()) :: job()
  def job(settings, link, reason, options) do
    %{
      settings: settings,
      link: link,
      member: options[:member],
      parts: parts(options),
      priority: Keyword.get(options, :priority, :normal),
      deadline_ms: Keyword.get(options, :deadline_ms, @deadline_ms),
      times_longer: 1,
      # What Discord was asked for and did not answer in time, and the member's nickname before that.
      asked: nil,
      reason: "Uro: " <> Length.cut(words(reason), 400),
      release?: Keyword.has_key?(options, :release),
      released: options[:release]
    }
  end

  defp words(reason) when is_atom(reason), do: reason |> Atom.to_string() |> String.replace("_", " ")
  defp words(reason) when is_binary(reason), do: reason

  @doc "The parts of a member that are looked at."
  @spec parts(keyword()) :: [Plan.part()]
  def parts(options), do: Keyword.get(options, :only, [:roles, :nickname])

  @doc "What was refused of a member who is as he is to be is not wanted any more."
  @spec satisfied(Plan.t(), [Plan.part()]) :: :ok | nil
  def satisfied(plan, parts) do
    if Plan.empty?(plan) and length(parts) == 2, do: Guilds.forget_refusal(%{id: plan.guild_id}, plan.discord_id)
  end

  @doc "Does it, and waits until it is done."
  @spec run(job()) :: outcome()
  def run(job), do: change(job, now() + job.deadline_ms, 0)

  defp change(job, until, held_ms) do
    wait(job, until, held_ms)

    case turn(Map.put(job, :until, until)) do
      {:later, error, job} -> if now() < until, do: change(job, until, error.retry_after_ms || 0), else: {:error, error}
      outcome -> outcome
    end
  end

  # A change of high priority is in no row, and waits for no limit but the one that it has met.
  defp wait(%{priority: :high}, until, held_ms), do: sleep(held_ms, until)

  # The others go on in the order in which they came; one that comes again is behind them.
  defp wait(%{settings: %{id: guild_id}, priority: priority}, until, _held_ms) do
    Turns.here({:row, guild_id, priority}, fn ->
      with ms when ms > 0 <- Guilds.held_ms(guild_id), do: sleep(ms + @behind_ms[priority], until)
    end)
  end

  defp sleep(ms, until), do: Process.sleep(max(min(ms, until - now()), 0))

  defp turn(%{settings: %{id: guild_id}, link: link} = job) do
    Turns.run("#{guild_id}/#{link.discord_id}", fn turn ->
      {:ok, %{store: store, rest: rest, config: config}} = Runtime.fetch_enabled()
      job = Map.merge(job, %{store: store, rest: rest, config: config, turn: turn})

      case still_linked(job) do
        {:ok, link} -> attempt(%{job | link: link}, @looks)
        # That he is released is another's turn.
        :other -> :unchanged
        {:error, error} -> {:error, error}
      end
    end)
  end

  # Nothing is asked for after the turn.
  defp left_ms(%{until: until, turn: turn}), do: max(min(until - now(), Turns.left_ms(turn)), 0)

  defp still_linked(%{store: store, link: link, release?: release?}) do
    case Links.by_discord(store, link.discord_id) do
      {:ok, _link} when release? -> :other
      {:ok, %{user_id: user_id} = now} when user_id == link.user_id -> {:ok, now}
      {:ok, _another_users} -> :other
      :error -> if release?, do: {:ok, link}, else: :other
      {:error, error} -> {:error, error}
    end
  end

  defp attempt(%{settings: %{id: guild_id} = settings, link: link} = job, looks) do
    with {:ok, user} <- user(job),
         {:ok, guild} <- Guilds.fetch(guild_id),
         {:ok, member, sure?} <- member(job),
         {:ok, applied} <- Applied.get(job.store, guild_id, link.discord_id),
         plan = Plan.plan(user, unless(job.release?, do: link), member, guild, settings, applied, job.parts),
         {:ok, guild} <- Roles.make(guild, plan, priority: job.priority, deadline_ms: left_ms(job)) do
      # What could not be made is missing.
      plan =
        if plan.create == [],
          do: plan,
          else: Plan.plan(user, link, member, guild, %{settings | create_roles: false}, applied, job.parts)

      Guilds.note_skipped(plan)
      request = Plan.request(plan, member)

      cond do
        # Replacing all his roles would undo what somebody did since he was read.
        match?({:patch, %{"roles" => _}}, request) and not sure? -> attempt(%{job | member: nil}, looks)
        one_by_one?(job, plan) -> one_by_one(job, plan, guild, member, applied, looks)
        true -> carry_out(job, plan, request, guild, member, applied, looks)
      end
    else
      :left -> left(job)
      {:error, error} -> {:error, error}
    end
  end

  # Discord counts the requests that take one role apart from those that rename or give. What somebody is to lose at once is taken by the former, so that no
  # limit of the latter is in its way.
  defp one_by_one?(job, plan),
    do:
      job.priority == :high and not job.release? and match?([_, _ | _], plan.remove) and plan.add == [] and
        plan.nick == :keep

  defp one_by_one(job, %{remove: [first | _others]} = plan, guild, member, applied, looks) do
    plan = %{plan | remove: [first]}

    with {:changed, plan} <- carry_out(job, plan, {:take, first}, guild, member, applied, looks) do
      member = %{member | roles: List.delete(member.roles, first), read_at: now()}

      case attempt(%{job | member: member}, looks) do
        {:changed, others} -> {:changed, %{others | remove: plan.remove ++ others.remove}}
        :unchanged -> {:changed, plan}
        other -> other
      end
    end
  end

  defp user(%{release?: true, released: user}), do: {:ok, user}

  defp user(%{config: config, link: link} = job),
    do: with(:not_found <- Directory.user(config, link.user_id, left_ms(job)), do: {:ok, nil})

  # And whether he surely is so still.
  defp member(%{settings: %{id: guild_id}, link: %{discord_id: id}, member: nil} = job) do
    with {:ok, member} <- Members.fetch(guild_id, id, priority: job.priority, deadline_ms: left_ms(job)),
         do: {:ok, member, true}
  end

  defp member(%{member: read}) do
    member = Seen.current(read, @fresh_ms)
    {:ok, member || read, member != nil}
  end

  defp carry_out(job, plan, request, guild, member, applied, looks) do
    case request != :nothing && Guilds.noted_refusal(guild, member.id, request) do
      false -> nothing_to_do(job, plan, guild, member, applied)
      nil -> send_request(job, plan, guild, member, applied, request, looks)
      {:refused, error} -> hopeless(job, guild, member, error)
    end
  end

  # What a member has already, and is to have, is noted too: so it can be taken back when the rules do not name it any more.
  defp nothing_to_do(%{release?: true} = job, plan, guild, member, _applied) do
    with :ok <- released(job, plan, guild, member), do: :unchanged
  end

  # It was done, and the answer was late.
  defp nothing_to_do(%{asked: {asked, nick}} = job, _plan, guild, member, applied),
    do: done(job, asked, guild, %{member | nick: nick}, applied, member.nick)

  defp nothing_to_do(job, plan, guild, member, nil) do
    applied = %{Plan.nothing_applied() | roles_set: held(job, member)}
    with :ok <- note(job, plan, applied), do: nothing_to_do(job, plan, guild, member, applied)
  end

  defp nothing_to_do(job, plan, _guild, _member, _applied) do
    satisfied(plan, job.parts)
    :unchanged
  end

  # What the bot may not take back just now stays known, and is taken back when the guild is another one.
  defp released(job, plan, guild, member) do
    case for(reason <- plan.skipped, elem(reason, tuple_size(reason) - 1) in [:above_bot, :no_permission], do: reason) do
      [] ->
        Guilds.forget_refusal(guild, member.id)
        Applied.delete(job.store, guild.id, member.id, job.turn)

      kept ->
        hopeless(job, guild, member, Error.invalid(nil, Enum.map_join(kept, "; ", &Plan.describe/1)))
    end
  end

  defp held(%{settings: settings}, member) do
    for role <- Mapping.all(settings.roles), is_binary(role), role in member.roles, do: role
  end

  defp send_request(job, plan, guild, member, applied, request, looks) do
    # Before anything is given, that it may be taken back whatever happens next.
    given = Plan.given(plan, applied || Plan.nothing_applied())

    with :ok <- if(given == applied or job.release?, do: :ok, else: note(job, plan, given)) do
      {route, options} = route(request, guild.id, member.id)
      deadline_ms = min(job.times_longer * at_once_ms(request), left_ms(job))
      options = options ++ [reason: job.reason, priority: job.priority, deadline_ms: deadline_ms, retry: :safe]

      case Rest.call(job.rest, route, options) do
        {:ok, answer} ->
          done(job, plan, guild, member, applied, nick(answer, plan, member))

        {:error, %Error{kind: kind} = error} when kind in [:rate_limited, :deadline] ->
          later(job, plan, guild, member, error)

        {:error, error} ->
          failed(job, guild, member, request, error, looks)
      end
    end
  end

  defp later(job, _plan, guild, _member, %{kind: :rate_limited} = error) do
    Guilds.put_held(guild.id, max(error.retry_after_ms || 0, @least_ms))
    {:later, error, job}
  end

  # It may have been done.
  defp later(job, plan, _guild, member, error),
    do: {:later, error, %{job | times_longer: 2 * job.times_longer, asked: {plan, member.nick}}}

  defp at_once_ms({:patch, %{"roles" => _all}}), do: @roles_at_once_ms
  defp at_once_ms(_others_stay), do: @at_once_ms

  defp route({:give, role}, guild_id, id), do: {{:add_member_role, guild_id, id, role}, []}
  defp route({:take, role}, guild_id, id), do: {{:remove_member_role, guild_id, id, role}, []}
  defp route({:patch, body}, guild_id, id), do: {{:update_member, guild_id, id}, [json: body]}

  defp nick(%{body: %{"nick" => nick}}, _plan, _member), do: nick
  defp nick(_without, %{nick: {:set, nick}}, _member), do: nick
  defp nick(_without, %{nick: :reset}, _member), do: nil
  defp nick(_without, %{nick: :keep}, member), do: member.nick

  defp done(job, plan, guild, member, applied, nick) do
    for what <- [member.id, :server], do: Guilds.forget_refusal(guild, what)
    Guilds.done(guild.id)

    stored =
      if job.release?,
        do: released(job, plan, guild, member),
        else: note(job, plan, Plan.applied(plan, applied || Plan.nothing_applied(), member.nick, nick))

    Events.publish(
      :accounts,
      {:synced, %{user_id: job.link.user_id, discord_id: member.id, guild_id: guild.id, plan: plan}}
    )

    case stored do
      :ok ->
        {:changed, plan}

      {:error, error} when job.release? ->
        {:error, error}

      {:error, error} ->
        Store.failed(error, "what was set of the member #{member.id} was not stored")
        {:changed, plan}
    end
  end

  defp note(job, plan, applied), do: Applied.put(job.store, plan.guild_id, plan.discord_id, applied, job.turn)

  defp failed(job, guild, member, request, %Error{code: code} = error, looks) do
    cond do
      Members.left?(error) -> left(job)
      Guilds.lost?(error) -> lost(guild, error)
      code in @changed_guild and looks > 0 -> look_again(%{job | member: member}, guild, error, looks)
      Error.final?(error) -> refused(job, guild, member, request, error)
      true -> {:error, error}
    end
  end

  # A role was deleted or moved, or the bot's was.
  defp look_again(job, guild, error, looks) do
    with {:ok, _guild} <- Guilds.newer(guild) do
      attempt(job, looks - 1)
    else
      {:error, %Error{}} -> {:error, error}
    end
  end

  defp lost(guild, error) do
    Guilds.note_failure(guild.id, error)
    {:error, error}
  end

  defp refused(job, guild, member, request, error) do
    case Guilds.whose_refusal(guild.id, error) do
      :member ->
        Logger.warning(
          "accounts: Discord refuses what is to be done of the member #{member.id} in the server #{guild.id}: #{Guilds.advice(error)}"
        )

        Guilds.note_refusal(guild, member.id, request, error)
        hopeless(job, guild, member, error)

      {:server, error} ->
        # Once for each look at the server.
        if Guilds.noted_refusal(guild, :server, :all) == nil,
          do: Logger.warning("accounts: the server #{guild.id} refuses all changes of members: #{Guilds.advice(error)}")

        Guilds.note_refusal(guild, :server, :all, error)
        {:error, error}
    end
  end

  # What cannot be taken back is tried again when the guild is another one: the store knows of it until then.
  defp hopeless(job, guild, member, error) do
    if job.release?, do: Guilds.note_refusal(guild, member.id, :release, error)
    {:error, error}
  end

  defp left(%{settings: %{id: guild_id}, link: link} = job) do
    Guilds.forget_member(guild_id, link.discord_id)

    with :ok <- Applied.delete(job.store, guild_id, link.discord_id, job.turn) do
      unless job.release?,
        do:
          Events.publish(:accounts, {:left, %{discord_id: link.discord_id, user_id: link.user_id, guild_id: guild_id}})

      :left
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end

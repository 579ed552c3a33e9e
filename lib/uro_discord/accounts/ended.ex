defmodule UroDiscord.Accounts.Ended do
  @moduledoc false
  # Links that have ended, and what follows on that, whoever ended them: the login that linking made is taken from the host, the tokens are revoked, the
  # roles that he took as a linked user are taken back, and the host is told. (What was given to him by rules is found by `uro_discord_members`.)
  #
  # That all this is to be done is stored by the transaction that deletes the link, and each part is struck out when it is done. So nothing of it is lost
  # with a process: what is left is done by `UroDiscord.Accounts.Ended.Keeper`, on whatever node. A part may be done twice.

  require Logger

  alias UroDiscord.{Accounts, Backoff, Clock, Error, Runtime, Store}
  alias UroDiscord.Accounts.{Directory, Link, Links, Running, Tokens}
  alias UroDiscord.Accounts.SelfRoles.Release

  @enforce_keys [:id, :link, :reason, :todo, :identity?, :tokens, :failures, :ended_at]
  defstruct @enforce_keys

  @type part :: :identity | :tokens | :taken | :host
  @type t :: %__MODULE__{
          id: String.t(),
          link: Link.t(),
          reason: atom(),
          todo: [part()],
          identity?: boolean(),
          tokens: %{access: String.t(), refresh: String.t() | nil} | nil,
          failures: non_neg_integer(),
          ended_at: integer()
        }

  @typedoc "Ends the link only where this column of it has a moment that is not after this one."
  @type condition :: {:left_at | :missing_at | :agreed_at, DateTime.t()} | nil

  @parts [:identity, :tokens, :taken, :host]
  # In words of the store, so that no atom is made of what is read.
  @part_names Map.new(@parts, &{Atom.to_string(&1), &1})
  @reasons [:user, :discord, :deauthorized, :left, :banned, :admin, :not_found]
  @reason_names Map.new(@reasons, &{Atom.to_string(&1), &1})

  # Whoever is at it has it for so long to himself.
  @taken_ms 120_000
  @pauses {1_000, 3_600_000}
  # What still fails after so long is not tried again.
  @longest_ms 7 * 86_400_000
  @most 100
  # How often it is said that something fails.
  @told 3
  @keeper __MODULE__.Keeping

  @columns "id, user_id, discord_id, username, linked_at, agreed_at, left_at, identity, access_token, refresh_token, reason, todo, failures, ended_at"

  ## The end

  @doc """
  Deletes a link, stores what follows on that, and that there may be roles and a nickname to take back. `:error` where there is no such link (any more), or
  the condition does not hold: of several who end one at once only one has it.
  """
  @spec put(Runtime.t(), Link.t(), atom(), condition()) :: {:ok, t()} | :error | {:error, Error.t()}
  def put(_runtime, _link, reason, _condition) when reason not in @reasons,
    do: {:error, Error.invalid("reason", reason, "one of #{Enum.map_join(@reasons, ", ", &inspect/1)}")}

  def put(%{store: store, config: config}, link, reason, condition) do
    id = Base.encode16(:crypto.strong_rand_bytes(16), case: :lower)
    now = now()
    {where, more} = where(condition)
    which = [link.user_id, link.discord_id | more]

    # The first one makes others who end it wait.
    lock = {"UPDATE uro_discord_links SET username = username WHERE #{where}", which}

    members =
      for %{id: guild_id} <- config.accounts.guilds do
        at = length(which) + 1

        {"""
         INSERT INTO uro_discord_members (guild_id, discord_id)
         SELECT CAST($#{at} AS TEXT), discord_id FROM uro_discord_links WHERE #{where} ON CONFLICT (guild_id, discord_id) DO NOTHING
         """, which ++ [guild_id]}
      end

    [at_id, at_reason, at_todo, at_due, at_now] = for n <- 1..5, do: "$#{length(which) + n}"

    ended =
      {"""
       INSERT INTO uro_discord_ended_links
         (id, user_id, discord_id, username, linked_at, agreed_at, left_at, identity, access_token, refresh_token, reason, todo, failures, due_at, ended_at)
       SELECT CAST(#{at_id} AS TEXT), user_id, discord_id, username, linked_at, agreed_at, left_at, identity, access_token, refresh_token,
         CAST(#{at_reason} AS TEXT), CAST(#{at_todo} AS TEXT), 0, CAST(#{at_due} AS BIGINT), CAST(#{at_now} AS BIGINT)
       FROM uro_discord_links WHERE #{where} RETURNING #{@columns}
       """, which ++ [id, Atom.to_string(reason), todo(@parts), now + @taken_ms, now]}

    delete = {"DELETE FROM uro_discord_links WHERE #{where}", which}

    with {:ok, answers} <- Store.run(store, [lock, ended] ++ members ++ [delete], :write) do
      case Enum.at(answers, 1) do
        %{rows: [row]} -> {:ok, %{read(row) | link: link}}
        %{rows: []} -> :error
      end
    end
  end

  defp where(nil), do: {"user_id = $1 AND discord_id = $2", []}

  defp where({column, at}) when column in [:left_at, :missing_at, :agreed_at],
    do: {"user_id = $1 AND discord_id = $2 AND #{column} <= $3", [DateTime.to_unix(at, :millisecond)]}

  ## What follows

  @doc """
  Does what follows: what the user sees at once, and the rest in a process of its own, which nobody waits for; or at once too, where no process of ours runs,
  as in a Mix task.
  """
  @spec go_on(Runtime.t(), t()) :: :ok
  def go_on(runtime, ended) do
    ended = do_parts(runtime, ended, [:identity, :tokens])
    start(fn -> runtime |> do_parts(ended, [:taken, :host]) |> settle(runtime) end)
  end

  defp start(rest) do
    {:ok, _pid} = Task.Supervisor.start_child(Accounts.TaskSupervisor, rest, shutdown: 5_000)
    :ok
  catch
    :exit, _not_there -> with {:error, error} <- rest.(), do: failed_to_store(error)
  end

  defp failed_to_store(error), do: Store.failed(error, "what follows on the end of a link is done later")

  @doc "The name of the process that does what is left. It depends on this module, and not the other way round."
  @spec keeper() :: atom()
  def keeper, do: @keeper

  @doc "Those of which something is to be done by now: 100 at most, the longest due first."
  @spec due(Store.t()) :: {:ok, [t()]} | {:error, Error.t()}
  def due(store) do
    sql = "SELECT #{@columns} FROM uro_discord_ended_links WHERE due_at <= $1 ORDER BY due_at LIMIT #{@most}"
    with {:ok, [%{rows: rows}]} <- Store.run(store, [{sql, [now()]}], :read), do: {:ok, Enum.map(rows, &read/1)}
  end

  @doc "In how many ms the next one is due; nil where there is none."
  @spec next(Store.t()) :: {:ok, integer() | nil} | {:error, Error.t()}
  def next(store) do
    with {:ok, [%{rows: [[due_at]]}]} <-
           Store.run(store, [{"SELECT MIN(due_at) FROM uro_discord_ended_links", []}], :read),
         do: {:ok, due_at && max(due_at - now(), 0)}
  end

  @doc "Does all that is left of it, unless another node does so just now."
  @spec again(Runtime.t(), t()) :: :ok | {:error, Error.t()}
  def again(%{store: store} = runtime, ended) do
    sql = """
    UPDATE uro_discord_ended_links SET failures = failures + 1, due_at = $1 WHERE id = $2 AND failures = $3 AND due_at <= $4
    RETURNING #{@columns}
    """

    now = now()

    with {:ok, [%{rows: [row]}]} <- Store.run(store, [{sql, [now + @taken_ms, ended.id, ended.failures, now]}], :write) do
      ended = read(row)
      runtime |> do_parts(ended, ended.todo) |> settle(runtime)
    else
      {:ok, [%{rows: []}]} -> :ok
      {:error, error} -> {:error, error}
    end
  end

  # What is done is struck out at once: a host that was told is not told again because something else fails.
  defp do_parts(runtime, ended, parts) do
    for part <- parts, part in ended.todo, reduce: ended do
      ended ->
        case attempt(part, ended, runtime) do
          :ok -> done(runtime, ended, part)
          {:error, why} -> failed(ended, part, why)
        end
    end
  end

  defp attempt(part, ended, runtime) do
    with {:error, error} <- do_part(part, ended, runtime), do: {:error, Exception.message(error)}
  catch
    kind, reason -> {:error, Exception.format_banner(kind, reason, __STACKTRACE__)}
  end

  defp done(%{store: store}, ended, part) do
    ended = %{ended | todo: List.delete(ended.todo, part)}

    statement =
      if ended.todo == [],
        do: {"DELETE FROM uro_discord_ended_links WHERE id = $1", [ended.id]},
        else: {"UPDATE uro_discord_ended_links SET todo = $1 WHERE id = $2", [todo(ended.todo), ended.id]}

    with {:error, error} <- Store.run(store, [statement], :write),
         do: Store.failed(error, "that #{words(part)} of #{ended.link.discord_id} is done was not stored")

    ended
  end

  defp failed(ended, part, why) do
    if ended.failures < @told,
      do:
        Logger.error(
          "accounts: #{words(part)} of #{ended.link.discord_id}, who is unlinked, failed, and is tried again: #{why}"
        )

    ended
  end

  # When what is left is tried again.
  defp settle(%{todo: []}, _runtime), do: :ok

  defp settle(ended, %{store: store}) do
    if now() - ended.ended_at > @longest_ms do
      Logger.error(
        "accounts: #{Enum.map_join(ended.todo, ", ", &words/1)} of #{ended.link.discord_id}, who is unlinked, has failed for a week, and is not tried again"
      )

      delete(store, ended)
    else
      pause = Backoff.delay(@pauses, ended.failures)
      statement = {"UPDATE uro_discord_ended_links SET due_at = $1 WHERE id = $2", [now() + pause, ended.id]}

      with {:ok, _} <- Store.run(store, [statement], :write) do
        GenServer.cast(@keeper, {:soon, pause})
      end
    end
  end

  defp delete(store, ended) do
    with {:ok, _} <- Store.run(store, [{"DELETE FROM uro_discord_ended_links WHERE id = $1", [ended.id]}], :write),
         do: :ok
  end

  defp words(:identity), do: "the login by Discord"
  defp words(:tokens), do: "revoking the tokens"
  defp words(:taken), do: "taking back the roles that he took himself"
  defp words(:host), do: "on_unlinked"

  ## The parts. Who has linked the same account again by now keeps what belongs to that.

  defp do_part(:identity, %{identity?: false}, _runtime), do: :ok

  defp do_part(:identity, %{link: link}, %{store: store, config: config}) do
    case Links.by_discord(store, link.discord_id) do
      # It is that link's by now.
      {:ok, %{user_id: user_id}} when user_id == link.user_id -> Links.put_identity(store, link.discord_id, true)
      {:error, error} -> {:error, error}
      _none_or_another_users -> remove_identity(config, link)
    end
  end

  defp do_part(:tokens, %{tokens: nil}, _runtime), do: :ok
  # What he has ended himself is ended.
  defp do_part(:tokens, %{reason: :deauthorized}, _runtime), do: :ok

  defp do_part(:tokens, %{link: link, tokens: tokens}, runtime),
    do: unless_linked(runtime, link, fn -> Tokens.revoke(runtime, link, tokens) end)

  defp do_part(:taken, %{link: link}, runtime), do: unless_linked(runtime, link, fn -> Release.run(link) end)

  defp do_part(:host, %{link: link, reason: reason}, _runtime) do
    with {:ok, %{config: %{accounts: %{on_unlinked: {module, function}}}}} <- Running.fetch() do
      apply(module, function, [link, reason])
      :ok
    else
      # Nobody wants to be told.
      {:ok, _runtime} -> :ok
      {:error, error} -> {:error, error}
    end
  end

  defp unless_linked(%{store: store}, link, function) do
    case Links.by_discord(store, link.discord_id) do
      {:ok, _again} -> :ok
      :error -> function.()
      {:error, error} -> {:error, error}
    end
  end

  # Uro keeps it where he could not log in any more without it.
  defp remove_identity(config, link) do
    with :kept <- Directory.remove_identity(config, link.user_id, link.discord_id) do
      Logger.warning("accounts: Uro keeps the login by Discord of #{link.user_id}: he could not log in without it")
    end
  end

  ## Rows

  defp read([id, user_id, discord_id, username, linked, agreed, left, identity, access, refresh | more]) do
    [reason, todo, failures, ended_at] = more

    %__MODULE__{
      id: id,
      link: %Link{
        user_id: user_id,
        discord_id: discord_id,
        username: username,
        linked_at: time(linked),
        agreed_at: time(agreed),
        left_at: left && time(left)
      },
      reason: Map.fetch!(@reason_names, reason),
      todo: for(name <- String.split(todo), do: Map.fetch!(@part_names, name)),
      identity?: identity == 1,
      tokens: access && %{access: access, refresh: refresh},
      failures: failures,
      ended_at: ended_at
    }
  end

  defp time(ms), do: DateTime.from_unix!(ms, :millisecond)
  defp todo(parts), do: Enum.map_join(parts, " ", &Atom.to_string/1)
  defp now, do: Clock.discord()
end

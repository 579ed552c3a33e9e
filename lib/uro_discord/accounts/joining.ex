defmodule UroDiscord.Accounts.Joining do
  @moduledoc false
  # Brings somebody who has just linked his account into the guilds of the configuration, with roles and nickname. Whatever is not right then is put right
  # by the sync that follows.

  require Logger

  alias UroDiscord.Accounts.{Applied, Directory, Guilds, Link, Links, OAuth, Plan, Sync, Turns}
  alias UroDiscord.{Config, Error, Rest, Runtime, Secret, Snowflake, Store}

  @deadline_ms 10_000
  @at_once 8
  # Bodies that one may not give: missing permissions, hierarchy, an unknown or a managed role.
  @body_refused [10_011, 50_013, 50_028, 50_035]

  @typedoc """
  What became of it in one guild: `:full`, he is in as many guilds as Discord allows; `:refused`, the bot may not; `:not_there`, the bot is not in it.
  """
  @type outcome :: :joined | :there | :full | :banned | :relink | :refused | :not_there | :unlinked | :later

  @spec join(Runtime.t(), Link.t(), Secret.t()) :: [{Snowflake.t(), outcome()}]
  def join(%{config: config} = runtime, link, access) do
    guilds = config.accounts.guilds
    user = with {:ok, user} <- Directory.user(config, link.user_id), do: user, else: (_unknown -> nil)

    outcomes =
      UroDiscord.Accounts.TaskSupervisor
      |> Task.Supervisor.async_stream_nolink(guilds, &into(runtime, &1, user, link, access),
        max_concurrency: @at_once,
        timeout: 2 * @deadline_ms + 1_000,
        on_timeout: :kill_task
      )
      |> Enum.map(fn
        {:ok, outcome} -> outcome
        {:exit, _logged} -> :later
      end)

    note_whether_joined(runtime, link, outcomes)

    with {:error, error} <- Sync.later(link.user_id, :linked),
         do: Logger.warning("accounts: what follows on the link is done later: #{Exception.message(error)}")

    guilds |> Enum.map(& &1.id) |> Enum.zip(outcomes)
  end

  # A user who could be brought into none of the servers is not taken to have left them.
  defp note_whether_joined(_runtime, _link, []), do: :ok

  defp note_whether_joined(%{store: store}, link, outcomes) do
    noted =
      if Enum.any?(outcomes, &(&1 in [:joined, :there])),
        do: Links.put_joined(store, link.discord_id),
        else: Links.put_kept_out(store, link.discord_id)

    with {:error, error} <- noted,
         do: Store.failed(error, "whether #{link.discord_id} has joined a server was not stored")
  end

  # In the member's turn, as a sync is: whoever unlinks him meanwhile waits, and takes back what he gets here.
  defp into(%{store: store} = runtime, %{id: guild_id} = guild, user, link, access) do
    joined =
      Turns.run("#{guild_id}/#{link.discord_id}", fn turn ->
        with :ok <- still_linked(store, link),
             # The store knows that there may be something to take back before there is.
             :ok <- Applied.ensure(store, guild_id, link.discord_id),
             do: join_one(runtime, turn, guild_id, link, access, gifts(guild, user))
      end)

    case joined do
      {:error, %Error{kind: :not_linked}} -> :unlinked
      answer -> outcome(answer, guild_id)
    end
  end

  defp still_linked(store, %{user_id: user_id, discord_id: discord_id}) do
    case Links.get(store, user_id) do
      {:ok, %{discord_id: ^discord_id}} -> :ok
      {:error, error} -> {:error, error}
      _another_or_none -> {:error, %Error{kind: :not_linked, message: "he is unlinked by now"}}
    end
  end

  defp join_one(runtime, turn, guild_id, link, access, gifts) do
    case put(runtime, turn, guild_id, link, access, gifts) do
      {:error, %Error{code: code}} when code in @body_refused and gifts != %{} ->
        join_one(runtime, turn, guild_id, link, access, %{})

      {:ok, %{status: 201}} = answer ->
        note(runtime, turn, guild_id, link, gifts)
        answer

      answer ->
        answer
    end
  end

  defp note(%{store: store}, turn, guild_id, link, gifts) do
    applied = %{Plan.nothing_applied() | roles_set: Map.get(gifts, :roles, []), nick_set: gifts[:nick]}

    with {:error, error} <- Applied.put(store, guild_id, link.discord_id, applied, turn),
         do: Store.failed(error, "what the member #{link.discord_id} has joined with was not stored")
  end

  defp gifts(_guild, nil), do: %{}

  @spec gifts(Config.Accounts.Guilds.t(), UroDiscord.Accounts.User.t()) :: map()
  defp gifts(guild, user) do
    %{roles: roles, nick: nick} = Sync.joining(user, guild)
    if(roles == [], do: %{}, else: %{roles: roles}) |> Map.merge(if nick, do: %{nick: nick}, else: %{})
  end

  defp put(%{rest: rest}, turn, guild_id, link, access, gifts) do
    Rest.call(rest, {:add_guild_member, guild_id, link.discord_id},
      json: Map.put(gifts, :access_token, Secret.reveal(access)),
      priority: :high,
      retry: :safe,
      deadline_ms: min(@deadline_ms, Turns.left_ms(turn))
    )
  end

  defp outcome({:ok, %{status: 201}}, _guild_id), do: :joined
  # 204: roles and nickname were not looked at.
  defp outcome({:ok, _there}, _guild_id), do: :there
  defp outcome({:error, %Error{code: 30_001}}, _guild_id), do: :full
  defp outcome({:error, %Error{code: 40_007}}, _guild_id), do: :banned

  defp outcome({:error, error}, guild_id) do
    cond do
      OAuth.refused?(error) -> :relink
      Guilds.lost?(error) -> logged(:not_there, guild_id, error)
      Error.final?(error) -> logged(:refused, guild_id, error)
      true -> logged(:later, guild_id, error)
    end
  end

  defp logged(outcome, guild_id, error) do
    Logger.warning("accounts: nobody could be brought into the server #{guild_id}: #{Exception.message(error)}")
    outcome
  end
end

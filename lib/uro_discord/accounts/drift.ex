defmodule UroDiscord.Accounts.Drift do
  @moduledoc false
  # Hears of the members and roles of the configured guilds, by the gateway. What somebody has changed of a linked member is put back; when roles change, or
  # the gateway begins anew, all are looked at, as they are when this node gets the gateway. Members come in bursts: what comes within a moment is one look.
  #
  # Nothing of that is forgotten because it fails: a member who cannot be put right now goes into the queue, roles are looked at again, and a look at all of
  # whom some could not be put right is repeated as a whole, with pauses that grow.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.Accounts.{Applied, Guild, Guilds, Member, Queue, Reconcile, Running, Seen, Sync, Work}
  alias UroDiscord.{Backoff, Config, Error, Events, Gateway, Runtime}

  @moment_ms 200
  @roles_ms 1_000
  @sweep_ms 60_000
  @pauses {5_000, 600_000}
  # Another bot may want the opposite. After so many times within this time it has its way until that is over.
  @times 5
  @within_ms 600_000

  @guild_types ~w(GUILD_CREATE GUILD_UPDATE GUILD_ROLE_CREATE GUILD_ROLE_UPDATE GUILD_ROLE_DELETE)

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(config) do
    Seen.init()
    for topic <- [:status, :accounts_queue], do: :ok = Events.subscribe(topic)
    for type <- ["GUILD_MEMBER_UPDATE", "GUILD_DELETE" | @guild_types], do: :ok = Events.subscribe({:gateway, type})
    :timer.send_interval(@sweep_ms, :sweep)
    {:ok, %{bot_id: bot_id}} = Runtime.fetch()

    state = %{
      guilds: Map.new(config.accounts.guilds, &{&1.id, &1}),
      bot_id: bot_id,
      # Members who have changed, by guild and id; and the timer or the task of the look at them.
      members: %{},
      look: nil,
      # Guilds whose roles may have changed, the timer or the task of the look at these, and what it found last. Then the same of the guilds all of whose members
      # are to be looked at (`due`).
      roles: MapSet.new(),
      roles_look: nil,
      fingerprints: %{},
      due: MapSet.new(),
      reconcile: nil,
      # Of each guild how often in a row the look at all its members failed, and the one at its roles. Both are tried again.
      failures: %{},
      roles_failures: %{},
      # Of each member how often he was put back, and since when. Those whom another bot wants otherwise are left alone for a while, each as he was last.
      repairs: %{},
      left: %{}
    }

    {:ok, if(Gateway.Leader.held?(), do: all_due(state), else: state)}
  end

  @impl true
  def handle_info({:uro_discord, {:gateway, "GUILD_MEMBER_UPDATE"}, %{data: %{"guild_id" => guild_id} = data}}, state)
      when is_map_key(state.guilds, guild_id) do
    case Member.read_now(data, guild_id) do
      # Its own roles decide what it may do.
      {:ok, %{id: id}} when id == state.bot_id -> {:noreply, roles_changed(state, guild_id)}
      {:ok, member} -> {:noreply, member_changed(state, member)}
      :error -> {:noreply, state}
    end
  end

  def handle_info({:uro_discord, {:gateway, type}, %{data: data}}, state) when type in @guild_types do
    guild_id = data["guild_id"] || data["id"]

    cond do
      not is_map_key(state.guilds, guild_id) -> {:noreply, state}
      type == "GUILD_CREATE" -> {:noreply, state |> roles_changed(guild_id) |> due(guild_id)}
      true -> {:noreply, roles_changed(state, guild_id)}
    end
  end

  # Thrown out, unless it is only away.
  def handle_info({:uro_discord, {:gateway, "GUILD_DELETE"}, %{data: %{"id" => guild_id} = data}}, state) do
    if is_map_key(state.guilds, guild_id) and data["unavailable"] != true do
      Logger.warning("accounts: the bot was removed from the server #{guild_id}")
      Guilds.forget(guild_id)
    end

    {:noreply, state}
  end

  def handle_info({:uro_discord, :status, {:lease, :held}}, state), do: {:noreply, all_due(state)}

  # Another node sees to them, and says how they are.
  def handle_info({:uro_discord, :status, {:lease, :lost}}, state) do
    for guild_id <- Map.keys(state.guilds), do: Guilds.put_behind(guild_id, nil)
    {:noreply, %{state | due: MapSet.new(), failures: %{}}}
  end

  # What users are like may have been unknown without its source.
  def handle_info({:uro_discord, :status, {:shards, :reachable}}, state), do: {:noreply, all_due(state)}

  def handle_info({:uro_discord, :status, {:gateway, _shard, %{state: :active}}}, state) do
    Seen.connected()
    {:noreply, state}
  end

  # Who was to be synced is forgotten.
  def handle_info({:uro_discord, :accounts_queue, :began}, state), do: {:noreply, all_due(state)}
  # A server that refused everything does not any more.
  def handle_info({:uro_discord, :accounts_queue, {:accepted, guild_id}}, state), do: {:noreply, due(state, guild_id)}
  def handle_info({:uro_discord, _topic, _event}, state), do: {:noreply, state}

  def handle_info(:look, state), do: {:noreply, look(%{state | look: nil})}
  def handle_info(:roles, state), do: {:noreply, look_at_roles(%{state | roles_look: nil})}
  def handle_info(:reconcile, state), do: {:noreply, reconcile(%{state | reconcile: nil})}

  def handle_info({:again, guild_id}, state) when is_map_key(state.failures, guild_id),
    do: {:noreply, due(state, guild_id)}

  def handle_info({:roles_again, guild_id}, state) when is_map_key(state.roles_failures, guild_id),
    do: {:noreply, roles_soon(%{state | roles: MapSet.put(state.roles, guild_id)})}

  # It was successful meanwhile.
  def handle_info({again, _guild_id}, state) when again in [:again, :roles_again], do: {:noreply, state}

  def handle_info(:sweep, state) do
    Seen.sweep()
    before = now() - @within_ms
    repairs = Map.reject(state.repairs, fn {_who, {_times, since}} -> since < before end)
    # Another bot has had its way for long enough.
    {left, again} = Map.split(state.left, Map.keys(repairs))
    {:noreply, with_members(%{state | repairs: repairs, left: left}, again)}
  end

  def handle_info({ref, result}, %{look: {:task, ref, _guilds}} = state) do
    Process.demonitor(ref, [:flush])
    {:noreply, looked(%{state | look: nil}, result)}
  end

  def handle_info({ref, result}, %{reconcile: {:task, ref, guild_id}} = state) do
    Process.demonitor(ref, [:flush])
    {:noreply, reconciled(%{state | reconcile: nil}, guild_id, result)}
  end

  def handle_info({ref, result}, %{roles_look: {:task, ref, _guilds}} = state) do
    Process.demonitor(ref, [:flush])
    {:noreply, roles_looked_at(%{state | roles_look: nil}, result)}
  end

  # They crashed, as is reported.
  def handle_info({:DOWN, ref, :process, _pid, _reason}, %{look: {:task, ref, guilds}} = state),
    do: {:noreply, looked(%{state | look: nil}, {[], guilds})}

  def handle_info({:DOWN, ref, :process, _pid, _reason}, %{reconcile: {:task, ref, guild_id}} = state),
    do: {:noreply, reconciled(%{state | reconcile: nil}, guild_id, :crashed)}

  def handle_info({:DOWN, ref, :process, _pid, _reason}, %{roles_look: {:task, ref, guilds}} = state),
    do: {:noreply, roles_looked_at(%{state | roles_look: nil}, {%{}, guilds})}

  ## Members

  defp member_changed(state, member) do
    Seen.put(member)
    key = {member.guild_id, member.id}

    if contested?(state, key),
      do: %{state | left: Map.put(state.left, key, member)},
      else: with_members(state, %{key => member})
  end

  defp with_members(state, members) when members == %{}, do: state
  defp with_members(state, members), do: look_soon(%{state | members: Map.merge(state.members, members)})

  defp look_soon(%{look: nil} = state), do: %{state | look: Process.send_after(self(), :look, @moment_ms)}
  defp look_soon(state), do: state

  defp look(%{members: members} = state) when members == %{}, do: state

  defp look(%{members: members} = state) do
    guilds = members |> Map.keys() |> Enum.map(&elem(&1, 0)) |> Enum.uniq()
    %{state | members: %{}, look: {:task, Work.start(fn -> put_back(members) end), guilds}}
  end

  # Returns who was put back, by guild and member, and the guilds all of whose members are to be looked at.
  defp put_back(members) do
    {:ok, runtime} = Running.fetch()

    for {guild_id, members} <- members |> Map.values() |> Enum.group_by(& &1.guild_id),
        members <- Enum.chunk_every(members, 1_000),
        reduce: {[], []} do
      {changed, due} ->
        case put_back_in(runtime, guild_id, members) do
          {:ok, who} ->
            {who ++ changed, due}

          {:error, error} ->
            Logger.warning("accounts: members who changed are looked at later: #{Exception.message(error)}")
            {changed, [guild_id | due]}
        end
    end
  end

  defp put_back_in(%{config: config, store: store}, guild_id, members) do
    with {:ok, entries, unread} <- Reconcile.entries(config, store, members),
         {:ok, applied} <- Applied.of(store, guild_id, for({_user, _link, member} <- entries, do: member.id)) do
      outcomes = entries |> Sync.sync_members(guild_id, priority: :normal, reason: "changed by hand") |> Enum.to_list()
      for {{_user, link, _member}, {:error, error}} <- outcomes, Guilds.passing?(error), do: later(link, error)
      for {link, error} <- unread, do: later(link, error)
      {:ok, for({{_, _, %{id: id}}, {:changed, plan}} <- outcomes, opposed?(plan, applied[id]), do: {guild_id, id})}
    end
  end

  # Only what undoes something of ours counts as put back. What is new in Uro, and is done with it, does not.
  defp opposed?(_plan, nil), do: false

  defp opposed?(plan, applied),
    do:
      Enum.any?(plan.add, &(&1 in applied.roles_set)) or Enum.any?(plan.remove, &(&1 not in applied.roles_set)) or
        plan.nick == {:set, applied.nick_set}

  defp later(link, error) do
    with {:error, full} <- Queue.put(link.user_id, "changed by hand"),
         do:
           Logger.warning(
             "accounts: what was changed of the user #{link.user_id} is not put back (#{Exception.message(error)}): #{Exception.message(full)}"
           )
  end

  defp looked(state, {changed, due}) do
    repairs =
      Enum.reduce(changed, state.repairs, fn who, repairs ->
        {times, since} = Map.get(repairs, who, {0, now()})
        if times + 1 == @times, do: warn(who)
        Map.put(repairs, who, {times + 1, since})
      end)

    state = Enum.reduce(due, %{state | repairs: repairs}, &due(&2, &1))
    if state.members == %{}, do: state, else: look_soon(state)
  end

  defp contested?(state, who) do
    case state.repairs do
      %{^who => {times, since}} -> times >= @times and now() - since < @within_ms
      _none -> false
    end
  end

  defp warn({guild_id, id}),
    do:
      Logger.warning(
        "accounts: the member #{id} of the server #{guild_id} was changed and put back #{@times} times in a row: another bot wants it otherwise. " <>
          "It is left for ten minutes"
      )

  ## Roles

  defp roles_changed(state, guild_id) do
    Guilds.forget(guild_id)
    roles_soon(%{state | roles: MapSet.put(state.roles, guild_id)})
  end

  defp roles_soon(%{roles_look: nil} = state),
    do: %{state | roles_look: Process.send_after(self(), :roles, @roles_ms)}

  defp roles_soon(state), do: state

  defp look_at_roles(state) do
    settings = Map.take(state.guilds, MapSet.to_list(state.roles))
    ref = Work.start(fn -> fingerprints(settings) end)
    %{state | roles: MapSet.new(), roles_look: {:task, ref, Map.keys(settings)}}
  end

  # Returns the guilds that could not be asked, too, but for those that have thrown the bot out: Discord tells when one of these takes it back.
  defp fingerprints(settings) do
    Enum.reduce(settings, {%{}, []}, fn {guild_id, settings}, {found, failed} ->
      case Guilds.fetch(guild_id) do
        {:ok, guild} -> {Map.put(found, guild_id, Guild.fingerprint(guild, settings.roles)), failed}
        {:error, error} -> {found, if(Guilds.lost?(error), do: failed, else: [guild_id | failed])}
      end
    end)
  end

  defp roles_looked_at(state, {fingerprints, failed}) do
    changed =
      for {guild_id, fingerprint} <- fingerprints, state.fingerprints[guild_id] not in [nil, fingerprint], do: guild_id

    failures = again(Map.drop(state.roles_failures, Map.keys(fingerprints)), failed, :roles_again)
    state = %{state | roles_failures: failures, fingerprints: Map.merge(state.fingerprints, fingerprints)}
    state = Enum.reduce(changed, state, &due(&2, &1))
    if MapSet.size(state.roles) == 0, do: state, else: roles_soon(state)
  end

  # One guild that fails is in no other's way.
  defp again(failures, guild_ids, what) do
    for guild_id <- guild_ids, reduce: failures do
      failures ->
        Process.send_after(self(), {what, guild_id}, Backoff.delay(@pauses, Map.get(failures, guild_id, 0)))
        Map.update(failures, guild_id, 1, &(&1 + 1))
    end
  end

  ## All

  defp all_due(state) do
    ids = Map.keys(state.guilds)
    Enum.reduce(ids, roles_soon(%{state | roles: MapSet.new(ids)}), &due(&2, &1))
  end

  defp due(state, guild_id), do: reconcile_soon(%{state | due: MapSet.put(state.due, guild_id)}, @roles_ms)

  defp reconcile_soon(%{reconcile: nil} = state, pause),
    do: %{state | reconcile: Process.send_after(self(), :reconcile, pause)}

  defp reconcile_soon(state, _pause), do: state

  # One guild after the other; only where this node has the gateway, or each node would.
  defp reconcile(state) do
    case Gateway.Leader.held?() && Enum.at(state.due, 0) do
      guild_id when is_binary(guild_id) ->
        ref = Work.start(fn -> Reconcile.run(guild_id, "sync of all members") end)
        %{state | due: MapSet.delete(state.due, guild_id), reconcile: {:task, ref, guild_id}}

      _nothing_or_another_node ->
        %{state | due: MapSet.new()}
    end
  end

  defp reconciled(state, guild_id, {:ok, summary}) do
    if Guilds.behind(guild_id), do: Logger.info("accounts: the members of the server #{guild_id} are as they should be")
    Guilds.put_behind(guild_id, nil)
    Runtime.put({:accounts_reconciled, guild_id}, Map.put(summary, :at, DateTime.utc_now()))
    next(%{state | failures: Map.delete(state.failures, guild_id)})
  end

  defp reconciled(state, guild_id, failure) do
    error =
      case failure do
        {:error, error} -> error
        :crashed -> %Error{kind: :crash, message: "it crashed, as the log tells"}
      end

    # Said once, until it is well; status/0 says it meanwhile.
    if Guilds.behind(guild_id) == nil,
      do:
        Logger.warning(
          "accounts: the members of the server #{guild_id} are looked at again later: #{Guilds.advice(error)}"
        )

    Guilds.put_behind(guild_id, error)
    # One that throws the bot out says so when it takes it back.
    failures =
      if Guilds.lost?(error), do: Map.delete(state.failures, guild_id), else: again(state.failures, [guild_id], :again)

    next(%{state | failures: failures})
  end

  defp next(state), do: if(MapSet.size(state.due) == 0, do: state, else: reconcile_soon(state, 0))

  defp now, do: System.monotonic_time(:millisecond)
end

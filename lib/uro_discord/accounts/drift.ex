defmodule UroDiscord.Accounts.Drift do
  @moduledoc false
  # Hears of the members and roles of the configured guilds, by the gateway. What somebody has changed of a linked member is put back; when roles change, or
  # the gateway begins anew, all are looked at, as they are when this node gets the gateway. Members come in bursts: what comes within a moment is one look.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.Accounts.{Guild, Guilds, Member, Reconcile, Running, Seen, Sync}
  alias UroDiscord.{Backoff, Config, Events, Gateway, Runtime}

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
    topics = [:status | for(type <- ["GUILD_MEMBER_UPDATE", "GUILD_DELETE" | @guild_types], do: {:gateway, type})]
    for topic <- topics, do: :ok = Events.subscribe(topic)
    :timer.send_interval(@sweep_ms, :sweep)
    {:ok, %{bot_id: bot_id}} = Runtime.fetch()

    state = %{
      guilds: Map.new(config.accounts.guilds, &{&1.id, &1}),
      bot_id: bot_id,
      # Members who changed, and the look at them.
      members: %{},
      look: nil,
      # Guilds whose roles may have changed, those all of whose members are to be looked at, and that.
      roles: MapSet.new(),
      roles_look: nil,
      fingerprints: %{},
      due: MapSet.new(),
      reconcile: nil,
      failures: 0,
      repairs: %{}
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
  def handle_info({:uro_discord, _topic, _event}, state), do: {:noreply, state}

  def handle_info(:all, state), do: {:noreply, all_due(state)}
  def handle_info(:look, state), do: {:noreply, look(%{state | look: nil})}
  def handle_info(:roles, state), do: {:noreply, look_at_roles(%{state | roles_look: nil})}
  def handle_info(:reconcile, state), do: {:noreply, reconcile(%{state | reconcile: nil})}

  def handle_info(:sweep, state) do
    Seen.sweep()
    before = now() - @within_ms
    {:noreply, %{state | repairs: Map.reject(state.repairs, fn {_who, {_times, since}} -> since < before end)}}
  end

  def handle_info({ref, result}, %{look: {:task, ref}} = state) do
    Process.demonitor(ref, [:flush])
    {:noreply, looked(%{state | look: nil}, result)}
  end

  def handle_info({ref, result}, %{reconcile: {:task, ref, guild_id}} = state) do
    Process.demonitor(ref, [:flush])
    {:noreply, reconciled(%{state | reconcile: nil}, guild_id, result)}
  end

  def handle_info({ref, result}, %{roles_look: {:task, ref}} = state) do
    Process.demonitor(ref, [:flush])
    {:noreply, roles_looked_at(%{state | roles_look: nil}, result)}
  end

  # They crashed, as is reported.
  def handle_info({:DOWN, ref, :process, _pid, _reason}, %{look: {:task, ref}} = state),
    do: {:noreply, looked(%{state | look: nil}, [])}

  def handle_info({:DOWN, ref, :process, _pid, _reason}, %{reconcile: {:task, ref, guild_id}} = state),
    do: {:noreply, reconciled(%{state | reconcile: nil}, guild_id, :crashed)}

  def handle_info({:DOWN, ref, :process, _pid, _reason}, %{roles_look: {:task, ref}} = state),
    do: {:noreply, roles_looked_at(%{state | roles_look: nil}, %{})}

  ## Members

  defp member_changed(state, member) do
    Seen.put(member)
    key = {member.guild_id, member.id}
    if contested?(state, key), do: state, else: look_soon(%{state | members: Map.put(state.members, key, member)})
  end

  defp look_soon(%{look: nil} = state), do: %{state | look: Process.send_after(self(), :look, @moment_ms)}
  defp look_soon(state), do: state

  defp look(%{members: members} = state) when members == %{}, do: state

  defp look(%{members: members} = state) do
    task = Task.Supervisor.async_nolink(UroDiscord.Accounts.TaskSupervisor, fn -> put_back(members) end)
    %{state | members: %{}, look: {:task, task.ref}}
  end

  # Who was changed, by guild and member.
  defp put_back(members) do
    {:ok, %{store: store, config: config}} = Running.fetch()

    for {guild_id, members} <- members |> Map.values() |> Enum.group_by(& &1.guild_id),
        members <- Enum.chunk_every(members, 1_000),
        {{_user, _link, member}, {:changed, _plan}} <-
          entries(config, store, members) |> Sync.sync_members(guild_id, priority: :normal, reason: "changed by hand"),
        do: {guild_id, member.id}
  end

  # What cannot be read now is looked at with all the others, when the store or the directory is back.
  defp entries(config, store, members) do
    case Reconcile.entries(config, store, members) do
      {:ok, entries} ->
        entries

      {:error, error} ->
        Logger.warning("accounts: members who changed are looked at later: #{Exception.message(error)}")
        send(__MODULE__, :all)
        []
    end
  end

  defp looked(state, changed) do
    repairs =
      Enum.reduce(changed, state.repairs, fn who, repairs ->
        {times, since} = Map.get(repairs, who, {0, now()})
        if times + 1 == @times, do: warn(who)
        Map.put(repairs, who, {times + 1, since})
      end)

    state = %{state | repairs: repairs}
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
          "It is left for some minutes"
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

    task =
      Task.Supervisor.async_nolink(UroDiscord.Accounts.TaskSupervisor, fn ->
        for {guild_id, settings} <- settings,
            {:ok, guild} <- [Guilds.fetch(guild_id)],
            into: %{},
            do: {guild_id, Guild.fingerprint(guild, settings.roles)}
      end)

    %{state | roles: MapSet.new(), roles_look: {:task, task.ref}}
  end

  defp roles_looked_at(state, fingerprints) do
    changed =
      for {guild_id, fingerprint} <- fingerprints, state.fingerprints[guild_id] not in [nil, fingerprint], do: guild_id

    state = Enum.reduce(changed, %{state | fingerprints: Map.merge(state.fingerprints, fingerprints)}, &due(&2, &1))
    if MapSet.size(state.roles) == 0, do: state, else: roles_soon(state)
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
        task =
          Task.Supervisor.async_nolink(UroDiscord.Accounts.TaskSupervisor, fn ->
            Reconcile.run(guild_id, "sync of all members")
          end)

        %{state | due: MapSet.delete(state.due, guild_id), reconcile: {:task, task.ref, guild_id}}

      _nothing_or_another_node ->
        %{state | due: MapSet.new()}
    end
  end

  defp reconciled(state, guild_id, {:ok, summary}) do
    Runtime.put({:accounts_reconciled, guild_id}, Map.put(summary, :at, DateTime.utc_now()))
    again(%{state | failures: 0})
  end

  defp reconciled(state, guild_id, failure) do
    with {:error, error} <- failure,
         do:
           Logger.warning(
             "accounts: the members of the server #{guild_id} are looked at later: #{Guilds.advice(error)}"
           )

    # One that throws the bot out says so when it takes it back.
    lost? = match?({:error, _}, failure) and Guilds.lost?(elem(failure, 1))
    state = if lost?, do: state, else: %{state | due: MapSet.put(state.due, guild_id)}

    if MapSet.size(state.due) == 0,
      do: state,
      else: reconcile_soon(%{state | failures: state.failures + 1}, Backoff.delay(@pauses, state.failures))
  end

  defp again(state), do: if(MapSet.size(state.due) == 0, do: state, else: reconcile_soon(state, 0))

  defp now, do: System.monotonic_time(:millisecond)
end

defmodule UroDiscord.Accounts.Changes do
  @moduledoc false
  # What changes in Uro, and has to show in Discord: at once where Ecto tells of a write (`UroDiscord.Accounts.Changes.Hint`), or of a shard that
  # opens or closes (its host has an attribute), and by asking the directory about all linked users every `poll` ms.
  #
  # The first answer about all users says only what they are like; all members are looked at when a node gets the gateway (`UroDiscord.Accounts.Drift`). Each
  # node keeps what it has heard, so that a hint shows there what has changed; by the clock only the one with the gateway acts.
  #
  # Who is locked, or gone, or loses what a rule gives a role for, waits behind nobody else (the first lane of `UroDiscord.Accounts.Queue`).

  use UroDiscord.Server
  require Logger

  alias UroDiscord.Accounts.{Directory, Links, Mapping, Queue, Running, User, Vanished, Work}
  alias UroDiscord.Accounts.Changes.Hint
  alias UroDiscord.{Config, Error, Events, Gateway, Runtime, Store}

  # Ecto tells before the commit, so there is a second look. The first one waits a little, for what comes together.
  @first_look_ms 100
  @second_look_ms 700
  # All are not asked about again and again because of hints that name nobody.
  @between_polls_ms 2_000
  @page 1_000

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @doc "When all linked users were last asked for, how many could not be read then, and what has failed since."
  @spec status() :: %{polled_at: DateTime.t() | nil, unread: non_neg_integer(), error: Error.t() | nil}
  def status, do: Runtime.lookup(:accounts_changes) || %{polled_at: nil, unread: 0, error: nil}

  @impl true
  def init(config) do
    # To detach the hint at the end.
    Process.flag(:trap_exit, true)
    :ok = Events.subscribe(:shards)

    state = %{
      config: config,
      hint: Hint.attach(Directory.changes(config)),
      # What each linked user was like when he was last asked for: a hash, the roles that the rules gave him, whether he was locked or gone, and which of his
      # attributes were unknown.
      known: %{},
      # Whether all were asked for.
      all_known?: false,
      # Who was named since the question about all was put: what its answer says of them may be older.
      named: MapSet.new(),
      # Users to be asked about, whether it is all of them, and when all were asked about last.
      users: MapSet.new(),
      all?: false,
      polled_at: nil,
      # Of :users and :all, the task that asks, with what it was asked.
      tasks: %{},
      failing?: false,
      # How many could not be read when all were asked for.
      unread: 0
    }

    {:ok, poll_in(state, 0)}
  end

  defp poll_in(state, ms) do
    Process.send_after(self(), :poll, ms)
    state
  end

  @impl true
  def handle_info(:poll, state), do: {:noreply, state |> poll_in(state.config.accounts.poll) |> poll(:clock)}
  def handle_info(:look, state), do: {:noreply, look(state)}

  def handle_info(:hint, state) do
    {users, all?} = Hint.take(state.hint)
    for ms <- [@first_look_ms, @second_look_ms], do: Process.send_after(self(), {:hinted, users, all?}, ms)
    {:noreply, state}
  end

  def handle_info({:hinted, users, all?}, state),
    do: {:noreply, look(%{state | users: MapSet.union(state.users, MapSet.new(users)), all?: state.all? or all?})}

  # Which shards there are is known at once.
  def handle_info({:uro_discord, :shards, {what, %{host_id: host}}}, state)
      when what in [:opened, :closed] and is_binary(host),
      do: {:noreply, look(%{state | users: MapSet.put(state.users, host)})}

  def handle_info({:uro_discord, :shards, _other}, state), do: {:noreply, state}

  def handle_info({ref, result}, state) when is_reference(ref) do
    Process.demonitor(ref, [:flush])
    {:noreply, ended(state, ref, result)}
  end

  # It crashed, as is reported.
  def handle_info({:DOWN, ref, :process, _pid, _reason}, state),
    do: {:noreply, ended(state, ref, {:error, %Error{kind: :crash, message: "it crashed"}})}

  def handle_info({:EXIT, _pid, _reason}, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, state), do: Hint.detach(state.hint)

  ## Asking: one question about named users at a time, and one about all beside it, which may take long

  defp look(state), do: state |> look_at_users() |> look_at_all()

  defp look_at_users(%{tasks: %{users: _task}} = state), do: state

  defp look_at_users(state) do
    if MapSet.size(state.users) == 0 do
      state
    else
      {users, rest} = state.users |> MapSet.to_list() |> Enum.split(@page)
      state = %{state | users: MapSet.new(rest), named: MapSet.union(state.named, MapSet.new(users))}
      ask(state, :users, {:users, users}, fn %{store: store} -> Links.of_users(store, users) end)
    end
  end

  defp look_at_all(%{all?: true, tasks: tasks} = state) when not is_map_key(tasks, :all) do
    case state.polled_at && state.polled_at + @between_polls_ms - now() do
      wait when is_integer(wait) and wait > 0 ->
        Process.send_after(self(), :look, wait)
        state

      _long_ago ->
        poll(%{state | all?: false}, :hint)
    end
  end

  defp look_at_all(state), do: state

  defp poll(%{tasks: %{all: _task}} = state, :clock), do: state

  defp poll(state, why) do
    state = %{state | polled_at: now(), named: MapSet.new()}
    ask(state, :all, why, fn runtime -> all_links(runtime.store, nil, []) end)
  end

  defp ask(state, kind, why, links) do
    ref =
      Work.start(fn ->
        with {:ok, runtime} <- Running.fetch(), {:ok, links} <- links.(runtime) do
          seen(runtime, Map.new(links))
        end
      end)

    %{state | tasks: Map.put(state.tasks, kind, {ref, why})}
  end

  defp ended(state, ref, result) do
    case Enum.find(state.tasks, fn {_kind, {task, _why}} -> task == ref end) do
      {kind, {^ref, why}} -> answered(%{state | tasks: Map.delete(state.tasks, kind)}, why, result)
      nil -> state
    end
  end

  defp all_links(store, after_id, found) do
    case Links.page(store, after_id, @page) do
      {:ok, []} -> {:ok, found}
      {:ok, links} -> all_links(store, List.last(links).discord_id, Enum.reduce(links, found, &[{&1.user_id, &1} | &2]))
      {:error, error} -> {:error, error}
    end
  end

  # What each user is like, also one who is not there any more. For one who cannot be read there is an error in his place.
  defp seen(%{config: config} = runtime, links) do
    nobody = %{likes: %{}, away: [], back: []}

    with {:ok, seen} <- links |> Enum.chunk_every(@page) |> Enum.reduce_while({:ok, nobody}, &page(&1, &2, config)) do
      vanished(runtime, seen)
      {:ok, seen.likes}
    end
  end

  defp page(links, {:ok, seen}, config) do
    case Directory.each(config, for({id, _link} <- links, do: id)) do
      {:ok, users} ->
        {:cont, {:ok, Enum.reduce(links, seen, fn {id, link}, seen -> one(seen, link, users[id], config) end)}}

      {:error, error} ->
        {:halt, {:error, error}}
    end
  end

  defp one(seen, link, user, config) do
    seen = %{seen | likes: Map.put(seen.likes, link.user_id, with({:ok, user} <- user, do: like(config, user)))}

    case user do
      {:ok, nil} -> %{seen | away: [link | seen.away]}
      {:ok, _user} when link.missing_at != nil -> %{seen | back: [link | seen.back]}
      _there_or_unread -> seen
    end
  end

  # What ending a link takes is not waited for here.
  defp vanished(runtime, seen) do
    noted =
      for(link <- seen.back, do: Vanished.back(runtime, link)) ++
        for link <- seen.away, do: Vanished.away(runtime, link)

    over = for {:over, link} <- noted, do: link

    with {:error, error} <- Enum.find(noted, &match?({:error, _error}, &1)),
         do: Store.failed(error, "that users are not in Uro any more, or are again, is noted later")

    if over != [],
      do: Task.Supervisor.start_child(UroDiscord.Accounts.TaskSupervisor, fn -> Enum.each(over, &unlink/1) end)
  end

  defp unlink(link) do
    with {:error, error} <- Vanished.unlink(link),
         do: Store.failed(error, "a user who is not in Uro any more is unlinked later")
  end

  defp like(_config, nil), do: %{hash: 0, roles: [], out?: true, unknown: []}

  defp like(config, %User{} = user) do
    roles = for %{id: id, roles: rules} <- config.accounts.guilds, role <- Mapping.roles(rules, user), do: {id, role}
    unknown = for {name, :unknown} <- user.attributes, do: name
    hash = :erlang.phash2(%{user | attributes: Map.drop(user.attributes, unknown)}, 4_294_967_296)
    %{hash: hash, roles: roles, out?: user.locked?, unknown: Enum.sort(unknown)}
  end

  defp answered(state, why, {:ok, seen}) do
    {unread, seen} = Enum.split_with(seen, fn {_id, like} -> match?({:error, _}, like) end)
    named? = match?({:users, _}, why)
    state = if named?, do: state, else: polled(state, unread)
    seen = if named?, do: seen, else: Enum.reject(seen, fn {id, _like} -> id in state.named end)

    changed =
      for {id, now} <- seen, changed?(state.known[id], now, why, state.all_known?), do: {id, lane(state.known[id], now)}

    acts? = why != :clock or Gateway.Leader.held?()
    # The queue tries those again whom a hint names and whom the directory cannot read just now.
    asked = if named?, do: for({id, _error} <- unread, do: {id, :normal}), else: []
    refused = if acts?, do: for({id, _lane} = one <- changed ++ asked, changed(one) != :ok, do: id), else: []

    # Of users whom the queue did not take, and of those who cannot be read, what was known before stays: so the change is found again. So does, beside the
    # answer about all, what a newer one said of those who were named.
    unread_or_newer = for({id, _error} <- unread, do: id) ++ if(named?, do: [], else: MapSet.to_list(state.named))
    kept = Map.take(state.known, refused ++ unread_or_newer)
    seen = seen |> Map.new() |> Map.drop(refused) |> Map.merge(kept)
    known = if named?, do: Map.merge(state.known, seen), else: seen
    look(%{state | known: known, all_known?: state.all_known? or not named?, failing?: false})
  end

  # A hint is not lost because the directory is away just then.
  defp answered(state, why, {:error, error}) do
    unless state.failing?, do: Store.failed(error, "accounts: changes in Uro are looked for later")
    Runtime.put(:accounts_changes, %{status() | error: error})
    state = %{state | failing?: true}
    Process.send_after(self(), :look, @between_polls_ms)

    case why do
      {:users, users} -> %{state | users: MapSet.union(state.users, MapSet.new(users))}
      :hint -> %{state | all?: true}
      :clock -> state
    end
  end

  # Those who cannot be read are said when there are some, and not at each poll.
  defp polled(state, unread) do
    with {[{id, {:error, error}} | _], 0} <- {unread, state.unread},
         do:
           Logger.warning(
             "accounts: of #{length(unread)} linked users, such as #{id}, no change shows while the directory cannot read them: #{Exception.message(error)}"
           )

    Runtime.put(:accounts_changes, %{polled_at: DateTime.utc_now(), unread: length(unread), error: nil})
    %{state | unread: length(unread)}
  end

  defp changed({user_id, lane}) do
    Events.publish(:accounts, {:changed, %{user_id: user_id}})

    with {:error, error} <- Queue.put(user_id, "changed in Uro", lane) do
      Logger.warning(
        "accounts: the change of the user #{user_id} in Uro does not show yet: #{Exception.message(error)}"
      )

      :refused
    end
  end

  # Whoever is named by a hint, or is linked since all were asked for, may have changed before anybody knew what he was like.
  defp changed?(nil, _now, why, all_known?), do: all_known? or match?({:users, _}, why)

  # That more, or less, is known of him is no change: when there is more, all are looked at (`UroDiscord.Accounts.Drift`).
  defp changed?(%{unknown: before} = was, %{unknown: now} = is, why, _all_known?) when before != now,
    do: match?({:users, _}, why) or was.out? != is.out?

  defp changed?(was, is, _why, _all_known?), do: was.hash != is.hash or was.out? != is.out?

  defp lane(_before, %{out?: true}), do: :first
  defp lane(nil, _now), do: :normal
  defp lane(before, now), do: if(before.roles -- now.roles == [], do: :normal, else: :first)

  defp now, do: System.monotonic_time(:millisecond)
end

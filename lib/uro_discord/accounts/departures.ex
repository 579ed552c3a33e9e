defmodule UroDiscord.Accounts.Departures do
  @moduledoc false
  # Ends the links of those who go: who takes the application's permission back, leaves the last of the servers (`leave_grace` later, if he has not come
  # back), or is banned from one.
  #
  # Since when somebody is in none is in the store, from when Discord has said so, and before a link ends for that Discord is asked again. So nothing
  # depends on which events came, in which order, and to which node; those who left while nobody listened are found by the tasks over all users
  # (`settle/1`).
  #
  # The gateway waits for this process, which therefore only notes who is to be looked at, and has tasks look: one at a time of each kind.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Backoff, Clock, Config, Error, Events, Store}
  alias UroDiscord.Accounts.{Guilds, Link, Links, Members, Running, Sync, TaskSupervisor, Unlinking, Work}
  alias UroDiscord.Gateway.Leader

  # Of a ban, Discord tells that the member is gone, too: the ban is to be the reason.
  @settle_ms 1_000
  # How often it is looked who has been gone for long enough, beside when that is due.
  @look_ms 60_000
  # What could not be stored is tried again, and so is what Discord did not say, as of a server that it does not tell of for days.
  @again_ms %{ends: {1_000, 60_000}, presence: {1_000, 3_600_000}}
  # So is whoever has been gone for long enough, where Discord does not say whether he is back.
  @unsure_ms {60_000, 3_600_000}
  @at_once 8
  @most 1_000
  # What is heard of so many is kept; the others are found by the tasks.
  @most_heard 100_000
  @deadline_ms 15_000
  # For one of them, who may be in many servers.
  @longest_ms 300_000

  @left {:gateway, "GUILD_MEMBER_REMOVE"}
  @joined {:gateway, "GUILD_MEMBER_ADD"}
  @banned {:gateway, "GUILD_BAN_ADD"}

  ## One of them. It needs no process of ours.

  @typedoc "`:there`: he is in a server; `:waits`: in none, and he may come back; `:kept_out`: he could be brought into none when he linked, and keeps his link."
  @type settled :: :there | :waits | :kept_out | :unlinked | {:error, Error.t()}

  @doc "Asks Discord whether somebody is in a server, and does what follows: ends his link, or waits for as long as the configuration says."
  @spec settle(Link.t()) :: settled()
  def settle(link) do
    with {:ok, %{config: config, store: store}} <- Running.fetch() do
      case whereabouts(link, config.accounts.guilds) do
        :there -> there(store, link)
        :gone when not link.joined? and link.left_at == nil -> :kept_out
        :gone -> gone(store, link, config.accounts.leave_grace)
        {:error, error} -> {:error, error}
      end
    end
  end

  # Without servers nobody leaves them.
  defp whereabouts(_link, []), do: :there

  defp whereabouts(link, guilds) do
    Enum.reduce_while(guilds, :gone, fn %{id: guild_id}, elsewhere ->
      case member(guild_id, link) do
        {:ok, _member} -> {:halt, :there}
        :left -> {:cont, elsewhere}
        # Nobody knows, as where the bot was thrown out.
        {:error, error} -> {:cont, {:error, error}}
      end
    end)
  end

  # That the bot is not in a server is asked for once, and not for each who has left.
  defp member(guild_id, link) do
    with {:ok, _guild} <- Guilds.fetch(guild_id),
         {:error, error} <- Members.fetch(guild_id, link.discord_id, priority: :low, deadline_ms: @deadline_ms) do
      Guilds.note_failure(guild_id, error)
      {:error, error}
    end
  end

  defp there(_store, %{left_at: nil, joined?: true}), do: :there
  defp there(store, link), do: with(:ok <- returned(store, link), do: :there)

  defp returned(store, link) do
    with :ok <- Links.put_joined(store, link.discord_id) do
      # Where nobody syncs, as in a Mix task, all are looked at.
      Sync.later(link.user_id, :joined)
      :ok
    end
  end

  # He may have come back since Discord was asked: that is noted, and he keeps his link.
  defp gone(store, link, grace) do
    now = Clock.now()
    long_enough = DateTime.add(now, -grace, :millisecond)
    left_at = link.left_at || now

    with :ok <- Links.put_left(store, link.discord_id, now) do
      if DateTime.compare(left_at, long_enough) == :gt,
        do: :waits,
        else: unlink(%{link | left_at: left_at}, :left, {:left_at, long_enough})
    end
  end

  defp unlink(link, reason, condition) do
    case Unlinking.unlink_account(link.discord_id, reason, condition) do
      {:ok, _link} -> :unlinked
      # Another node was quicker, or it is otherwise by now.
      :error -> :there
      {:error, error} -> {:error, error}
    end
  end

  @doc """
  Discord says that a user has taken the application's permission back, at this moment. It may come minutes late: who has agreed again since then has given
  it again. It is stored when this returns.
  """
  @spec deauthorized(term(), term()) :: :ok | {:error, Error.t()}
  def deauthorized(%{"user" => %{"id" => id}}, timestamp) when is_binary(id) do
    case Unlinking.unlink_account_soon(id, :deauthorized, agreed_before(timestamp)) do
      {:error, %Error{kind: :disabled}} -> :ok
      {:error, error} -> {:error, error}
      _ended_or_nobodys -> :ok
    end
  end

  def deauthorized(_nobody, _timestamp), do: :ok

  defp agreed_before(text) do
    with text when is_binary(text) <- text,
         {:ok, at, _offset} <- DateTime.from_iso8601(text),
         do: {:agreed_at, at},
         else: (_ -> nil)
  end

  ## The process

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(config) do
    for topic <- topics(config), do: :ok = Events.subscribe(topic)

    state = %{
      guilds: for(guild <- config.accounts.guilds, do: guild.id),
      grace: config.accounts.leave_grace,
      # By kind, of whom something was heard: what, from when on it may be looked into, and how often that has failed.
      heard: %{presence: %{}, ends: %{}},
      # Users who have been gone for long enough, and of whom Discord did not say whether they are back: how often, and until when each is left alone.
      unsure: %{},
      # By kind, and for :look: the task that is at it, with what it is at; and the timer, with when it ends.
      tasks: %{},
      timers: %{}
    }

    {:ok, wake(state, :look, @settle_ms)}
  end

  # What Discord does not tell of without an intent is found by the tasks.
  defp topics(config) do
    members = if :guild_members in config.intents, do: [@left, @joined], else: []
    bans = if :guild_moderation in config.intents, do: [@banned], else: []
    members ++ bans ++ [:accounts, :status]
  end

  @impl true
  # Those who have left are looked at by the node that has the gateway.
  def handle_info({:uro_discord, :status, {:lease, :held}}, state), do: {:noreply, wake(state, :look, @settle_ms)}

  def handle_info({:uro_discord, topic, event}, state) do
    case about(topic, event, state) do
      {kind, id, what} -> {:noreply, note(state, kind, id, what)}
      :none -> {:noreply, state}
    end
  end

  def handle_info({:wake, kind}, state), do: {:noreply, start(%{state | timers: Map.delete(state.timers, kind)}, kind)}

  def handle_info({ref, result}, state) when is_reference(ref) do
    Process.demonitor(ref, [:flush])
    {:noreply, ended(state, ref, result)}
  end

  # It crashed, as is reported.
  def handle_info({:DOWN, ref, :process, _pid, _reason}, state), do: {:noreply, ended(state, ref, :crashed)}

  # Who was never there is not there either.
  defp about(:accounts, {:left, %{discord_id: id}}, _state), do: {:presence, id, :absent}

  defp about({:gateway, _type} = topic, %{data: %{"guild_id" => guild_id, "user" => %{"id" => id}}}, state) do
    cond do
      guild_id not in state.guilds -> :none
      topic == @joined -> {:presence, id, :joined}
      topic == @banned -> {:ends, id, :banned}
      true -> {:presence, id, :left}
    end
  end

  defp about(_topic, _event, _state), do: :none

  ## Who is to be looked at

  # What is heard of the same one later counts, but a ban is not undone.
  defp note(state, kind, id, what) do
    ms = if what in [:left, :absent], do: @settle_ms, else: 0
    put(state, kind, id, entry(what, ms))
  end

  defp entry(what, ms), do: %{what: what, at: now() + ms, failures: 0}

  defp put(%{heard: heard} = state, kind, _key, _entry) when map_size(:erlang.map_get(kind, heard)) >= @most_heard,
    do: state

  defp put(state, kind, key, entry) do
    heard = Map.put(state.heard[kind], key, entry)
    wake(%{state | heard: Map.put(state.heard, kind, heard)}, kind, max(entry.at - now(), 0))
  end

  # The earlier of two moments.
  defp wake(state, kind, ms) do
    at = now() + ms

    case state.timers do
      %{^kind => {_timer, sooner}} when sooner <= at ->
        state

      timers ->
        with %{^kind => {timer, _later}} <- timers, do: Process.cancel_timer(timer)
        %{state | timers: Map.put(timers, kind, {Process.send_after(self(), {:wake, kind}, ms), at})}
    end
  end

  # When the one before has ended, there is another one.
  defp start(state, kind) when is_map_key(state.tasks, kind), do: state

  defp start(state, :look) do
    %{grace: grace, unsure: unsure} = state

    if state.guilds != [] and Leader.held?(),
      do: run(state, :look, nil, fn -> look(grace, unsure) end),
      else: wake(state, :look, @look_ms)
  end

  defp start(state, kind) do
    now = now()
    {due, later} = Enum.split_with(state.heard[kind], fn {_key, entry} -> entry.at <= now end)
    {batch, rest} = Enum.split(due, @most)

    if batch == [] do
      wake_for(state, kind)
    else
      state = %{state | heard: Map.put(state.heard, kind, Map.new(later ++ rest))}
      run(state, kind, batch, fn -> work(kind, batch) end)
    end
  end

  defp run(state, kind, batch, function) do
    %{state | tasks: Map.put(state.tasks, kind, {Work.start(function), batch})}
  end

  defp wake_for(state, kind) do
    case Map.values(state.heard[kind]) do
      [] -> state
      entries -> wake(state, kind, max((entries |> Enum.map(& &1.at) |> Enum.min()) - now(), 0))
    end
  end

  defp ended(state, ref, result) do
    case Enum.find(state.tasks, fn {_kind, {task, _batch}} -> task == ref end) do
      {kind, {^ref, batch}} -> ended(%{state | tasks: Map.delete(state.tasks, kind)}, kind, batch, result)
      nil -> state
    end
  end

  defp ended(state, :look, _batch, {:looked, unsure, ms}), do: wake(%{state | unsure: unsure}, :look, ms)
  defp ended(state, :look, _batch, :crashed), do: wake(state, :look, @look_ms)

  defp ended(state, kind, batch, result) do
    failed = if result == :crashed, do: batch, else: result
    # What was heard of them meanwhile is newer.
    again = for {key, entry} <- failed, not is_map_key(state.heard[kind], key), do: {key, later(kind, entry)}
    state = %{state | heard: Map.put(state.heard, kind, Map.merge(state.heard[kind], Map.new(again)))}
    # Who has left now may be gone for long enough after the grace.
    state = if kind == :presence, do: wake(state, :look, max(state.grace, @settle_ms)), else: state
    wake_for(state, kind)
  end

  defp later(kind, entry),
    do: %{entry | at: now() + Backoff.delay(@again_ms[kind], entry.failures), failures: entry.failures + 1}

  defp now, do: System.monotonic_time(:millisecond)

  ## What the tasks do: of those with whom it failed, they say so

  defp work(kind, batch) do
    with {:ok, %{store: store}} <- Running.fetch(),
         {:ok, links} <- Links.of_accounts(store, for({id, _entry} <- batch, do: id)) do
      # Others are nobody's.
      linked = for {id, _entry} = one <- batch, is_map_key(links, id), do: one
      done = each(linked, fn {id, entry} -> act(entry.what, links[id], store) end)
      failed = for {one, {:error, error}} <- done, do: {one, error}
      said(failed, kind)
      for {one, _error} <- failed, do: one
    else
      {:error, error} ->
        Store.failed(error, "who has gone, or come back, is looked at again")
        batch
    end
  end

  defp act(:joined, link, store), do: returned(store, link)
  defp act(:absent, link, _store), do: settle(link)
  defp act(:left, link, _store), do: settle(%{link | joined?: true})
  defp act(:banned, link, _store), do: unlink(link, :banned, nil)

  # Each with what became of it; one that crashes does not keep the others from it.
  defp each(list, function) do
    results =
      Task.Supervisor.async_stream_nolink(TaskSupervisor, list, function,
        max_concurrency: @at_once,
        timeout: @longest_ms,
        on_timeout: :kill_task
      )

    for {one, result} <- Enum.zip(list, results) do
      case result do
        {:ok, result} -> {one, result}
        {:exit, _reported} -> {one, {:error, %Error{kind: :crash, message: "it crashed"}}}
      end
    end
  end

  defp said([], _kind), do: :ok

  defp said([{_one, error} | _] = failed, kind) do
    what = if kind == :ends, do: "unlinked", else: "looked at"

    # Those who fail again are not said again.
    if Enum.any?(failed, fn {{_key, entry}, _error} -> entry.failures == 0 end),
      do: Logger.warning("accounts: #{length(failed)} who have gone are #{what} later: #{Exception.message(error)}")
  end

  # Those who have been gone for long enough; and when somebody will have been.
  defp look(grace, unsure) do
    with {:ok, %{store: store}} <- Running.fetch(),
         before = DateTime.add(Clock.now(), -grace, :millisecond),
         {:ok, unsure} <- pages(store, before, nil, unsure, %{}),
         {:ok, next} <- Links.next_left(store, before) do
      ms = if next, do: DateTime.diff(next, before, :millisecond) + 1, else: @look_ms
      {:looked, unsure, ms |> max(@settle_ms) |> min(@look_ms)}
    else
      {:error, error} ->
        Store.failed(error, "who has left the servers could not be looked up")
        {:looked, unsure, @look_ms}
    end
  end

  defp pages(store, before, last, unsure, still) do
    case Links.left(store, before, last) do
      {:ok, []} ->
        {:ok, still}

      {:ok, links} ->
        {left_alone, due} = Enum.split_with(links, &left_alone?(unsure[&1.discord_id]))
        failed = for {link, {:error, error}} <- each(due, &settle/1), do: {link, error}
        with [{_link, error} | _] <- failed, do: warn(failed, unsure, error)

        still =
          for({%{discord_id: id}, _error} <- failed, do: {id, put_off(unsure[id])})
          |> Enum.concat(for %{discord_id: id} <- left_alone, do: {id, unsure[id]})
          |> Enum.into(still)

        pages(store, before, List.last(links), unsure, still)

      {:error, error} ->
        {:error, error}
    end
  end

  defp left_alone?(nil), do: false
  defp left_alone?({_times, until}), do: now() < until

  defp put_off(nil), do: put_off({0, 0})
  defp put_off({times, _until}), do: {times + 1, now() + Backoff.delay(@unsure_ms, times)}

  defp warn(failed, unsure, error) do
    if Enum.any?(failed, fn {link, _error} -> unsure[link.discord_id] == nil end),
      do:
        Logger.warning(
          "accounts: whether #{length(failed)} have left the servers is seen later: #{Exception.message(error)}"
        )
  end
end

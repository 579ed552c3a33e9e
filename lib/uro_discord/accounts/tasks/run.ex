defmodule UroDiscord.Accounts.Tasks.Run do
  @moduledoc false
  # One run of a task. This process decides. It waits for messages, and once a second for the store, which keeps the cursor. One process reads who is next and
  # compares (`Tasks.Reader`); others change one member each (`UroDiscord.Accounts.Sync`), a bounded number at a time in each server; what failed waits for its
  # pause beside them. What ends this process ends them.

  alias UroDiscord.Accounts.{Guilds, Links, Sync}
  alias UroDiscord.Accounts.Tasks.{Cursor, Output, Reader, Retries, Tally, Text, Walk, Window}
  alias UroDiscord.{Error, Runtime, Telemetry}

  # The next users are read when no more than so many wait to be changed.
  @ahead 64
  # Under way in one server: more than Discord's limits allow in a burst, so that nothing of what they allow is unused.
  @requests 16
  # How many may wait behind the cursor, when many have failed and wait for their pause.
  @most_waiting 5_000
  @tick_ms 100
  # How often the cursor is stored: after a crash, what was done since is looked at again. It renews the lease too.
  @keep_ms 1_000
  # A run that could not reach the store for so long stops: another node may have taken the task up.
  @lost_ms 25_000

  # Which parts of a member each task compares.
  @parts %{groups: [:roles], nicknames: [:nickname], usernames: [:username], all: [:roles, :nickname, :username]}

  @enforce_keys [
    :task,
    :runtime,
    :taken,
    :settings,
    :window,
    :walk,
    :retries,
    :total,
    :output,
    :supervisor,
    :began,
    :kept_at
  ]
  defstruct @enforce_keys ++ [reading: :idle, todo: %{}, busy: %{}, open: %{}, left_out: %{}]

  @doc "The tasks there are."
  @spec tasks() :: [atom()]
  def tasks, do: [:groups, :nicknames, :usernames, :all]

  @doc "Runs a task that was taken up, to its end. In a process of its own, whose messages these are."
  @spec run(atom(), Cursor.t(), non_neg_integer(), Output.t(), Runtime.t()) ::
          {:ok, UroDiscord.Accounts.Tasks.summary()} | {:error, Error.t()}
  def run(task, taken, settings, output, runtime) do
    with {:ok, total} <- Links.count(runtime.store) do
      {:ok, supervisor} = Task.Supervisor.start_link()
      accounts = runtime.config.accounts

      run = %__MODULE__{
        task: task,
        runtime: runtime,
        taken: taken,
        settings: settings,
        window: %Window{cursor: taken.cursor, tally: taken.tally},
        walk: Walk.new(taken.cursor, for(guild <- accounts.guilds, do: guild.id)),
        retries: %Retries{max: accounts.tasks.max_retries, pause_ms: accounts.tasks.retry_pause * 1_000},
        total: total,
        output: output,
        supervisor: supervisor,
        began: now(),
        kept_at: now()
      }

      Output.say(output, begins(run))
      Process.send_after(self(), :tick, @tick_ms)
      result = run |> go_on() |> finish()
      Supervisor.stop(supervisor)
      result
    end
  end

  @doc "The name of the process that runs a task here: one at a time in a VM, as a lease is the VM's."
  @spec name(atom()) :: module()
  def name(task), do: Module.concat(__MODULE__, task |> Atom.to_string() |> Macro.camelize())

  @doc "How each task is that was run in this VM, or how its last run ended, for `UroDiscord.status/0`."
  @spec status() :: [map()]
  def status do
    for {task, progress} <- Enum.sort(Runtime.all(:accounts_task)) do
      killed? = progress.state == :running and Process.whereis(name(task)) == nil
      progress |> Map.drop([:here, :ms]) |> Map.put(:state, if(killed?, do: :interrupted, else: progress.state))
    end
  end

  defp parts(task), do: Map.fetch!(@parts, task)

  defp begins(%{task: task, taken: taken, total: total}) do
    case taken.begun do
      :new ->
        "#{task}: begins with #{Text.number(total)} linked users"

      :goes_on ->
        "#{task}: goes on after #{Text.number(taken.tally.looked)} of #{Text.number(total)}, where the run before it ended"

      {:anew, why} ->
        "#{task}: begins anew with #{Text.number(total)} linked users: #{why}"
    end
  end

  ## What is to be done next

  defp go_on(run) do
    run = run |> read() |> try_again() |> change()

    if run.reading == :done and run.retries.parked == [] and run.busy == %{},
      do: run,
      else: receive(do: (message -> run |> handle(message) |> next()))
  end

  defp next({:stop, error, run}), do: {:stop, error, run}
  defp next(run), do: go_on(run)

  defp read(%{reading: :idle} = run) do
    waiting = run.todo |> Map.values() |> Enum.map(&length/1) |> Enum.sum()
    if waiting <= @ahead and Window.waiting(run.window) < @most_waiting, do: start_reading(run, 1), else: run
  end

  defp read(run), do: run

  defp start_reading(run, try_number) do
    %{walk: walk, runtime: runtime} = run
    parts = parts(run.task)
    complete? = run.left_out == %{}
    %{run | reading: {start(run, fn -> Reader.read(walk, parts, complete?, runtime) end), try_number}}
  end

  defp try_again(run) do
    {due, retries} = Retries.due(run.retries, now())

    Enum.reduce(due, %{run | retries: retries}, fn
      {:read, try_number}, run -> start_reading(run, try_number)
      {entry, try_number}, run -> wait(run, [{entry, try_number}])
    end)
  end

  defp wait(run, entries) do
    by_guild = Enum.group_by(entries, fn {{_user, _link, member}, _try} -> member.guild_id end)
    %{run | todo: Map.merge(run.todo, by_guild, fn _guild_id, before, later -> before ++ later end)}
  end

  defp change(run), do: Enum.reduce(Map.keys(run.todo), run, &change/2)

  defp change(guild_id, run) do
    busy = Enum.count(run.busy, fn {_ref, {{_user, _link, member}, _try}} -> member.guild_id == guild_id end)
    {now, later} = Enum.split(run.todo[guild_id], max(@requests - busy, 0))
    started = for {entry, _try} = item <- now, into: %{}, do: {start_change(run, guild_id, entry), item}
    %{run | todo: Map.put(run.todo, guild_id, later), busy: Map.merge(run.busy, started)}
  end

  # By the time that it is somebody's turn he may be another: he is looked at again then.
  defp start_change(run, guild_id, entry) do
    %{runtime: runtime} = run
    parts = parts(run.task) -- [:username]
    options = [only: parts, priority: :low, reason: "update_all_#{run.task}"]
    alone? = match?([_], runtime.config.accounts.guilds)

    start(run, fn ->
      case [entry] |> Sync.sync_members(guild_id, options) |> Enum.to_list() do
        # Since the page was read. The next run finds out whether he is in another server.
        [{{_user, link, _member}, :left}] ->
          {:left, if(alone?, do: Reader.left(link), else: [{:skipped, "has left meanwhile"}])}

        [{_entry, :unchanged}] ->
          {:unchanged, Reader.left_alone(entry, parts, runtime)}

        [{_entry, outcome}] ->
          outcome
      end
    end)
  end

  defp start(run, fun), do: Task.Supervisor.async_nolink(run.supervisor, fun).ref

  ## What has happened

  defp handle(run, :tick) do
    Process.send_after(self(), :tick, @tick_ms)
    run |> tell() |> keep()
  end

  defp handle(run, {ref, answer}) when is_reference(ref) do
    Process.demonitor(ref, [:flush])
    answered(run, ref, answer)
  end

  defp handle(run, {:DOWN, ref, :process, _pid, reason}), do: answered(run, ref, {:error, crashed(reason)})
  defp handle(run, _unrelated), do: run

  defp answered(%{reading: {ref, try_number}} = run, ref, answer) do
    run = %{run | reading: :idle}

    case answer do
      {:error, error} -> was_read(run, {:error, nil, error, run.walk}, try_number)
      answer -> was_read(run, answer, try_number)
    end
  end

  defp answered(run, ref, answer) do
    case Map.pop(run.busy, ref) do
      {{entry, try_number}, busy} -> became(%{run | busy: busy}, entry, try_number, answer)
      {nil, _busy} -> run
    end
  end

  defp crashed({exception, _stacktrace}) when is_exception(exception), do: crashed_by(inspect(exception.__struct__))
  defp crashed(_reason), do: crashed_by("an exit")

  defp crashed_by(what), do: %Error{kind: :crash, message: "a crash, which the log tells of (#{what})"}

  defp was_read(run, {:ok, found, walk}, _try) do
    run = %{
      run
      | walk: walk,
        window: Window.add(run.window, for(one <- found, do: {one.link.discord_id, one.link.user_id}))
    }

    found
    |> Enum.reduce(run, &open/2)
    |> wait(for(one <- found, entry <- one.change, do: {entry, 1}))
  end

  defp was_read(run, {:done, walk}, _try), do: %{run | walk: walk, reading: :done}

  defp was_read(run, {:error, guild_id, error, walk}, try_number) do
    run = %{run | walk: walk}

    cond do
      error.kind == :unauthorized -> {:stop, error, run}
      Error.final?(error) -> unreadable(run, guild_id, error)
      true -> read_again(run, guild_id, error, try_number)
    end
  end

  defp read_again(run, guild_id, error, try_number) do
    case Retries.failed(run.retries, :read, try_number, now()) do
      {:again, retries} -> %{run | retries: retries, reading: :parked}
      :over -> unreadable(run, guild_id, error)
    end
  end

  defp unreadable(run, nil, error), do: {:stop, error, run}

  defp unreadable(run, guild_id, error) do
    walk = Walk.without(run.walk, guild_id)
    run = %{run | walk: walk, left_out: Map.put(run.left_out, guild_id, Guilds.advice(error))}
    if walk.guilds == [], do: {:stop, error, run}, else: run
  end

  # `parts`: how many servers are to say what became of him there.
  defp open(%{change: []} = found, run), do: settle(run, found.link.discord_id, found.outcome)

  defp open(found, run) do
    one = %{parts: length(found.change), outcome: found.outcome}
    %{run | open: Map.put(run.open, found.link.discord_id, one)}
  end

  defp settle(run, discord_id, outcome),
    do: %{
      run
      | open: Map.delete(run.open, discord_id),
        window: Window.ended(run.window, discord_id, Enum.uniq(outcome))
    }

  defp became(run, entry, _try, {:unchanged, outcome}), do: part(run, entry, outcome)
  defp became(run, entry, _try, {:changed, plan}), do: part(run, entry, [:changed | Reader.skipped(plan)])
  defp became(run, entry, _try, {:left, outcome}), do: part(run, entry, outcome)
  defp became(run, _entry, _try, {:error, %Error{kind: :unauthorized} = error}), do: {:stop, error, run}

  defp became(run, entry, try_number, {:error, error}) do
    with false <- Error.final?(error),
         {:again, retries} <- Retries.failed(run.retries, entry, try_number, now()) do
      %{run | retries: retries}
    else
      _hopeless -> part(run, entry, Reader.failed(error))
    end
  end

  defp part(run, {_user, link, _member}, outcome) do
    case Map.fetch!(run.open, link.discord_id) do
      %{parts: 1, outcome: before} -> settle(run, link.discord_id, before ++ outcome)
      one -> %{run | open: Map.put(run.open, link.discord_id, %{parts: one.parts - 1, outcome: one.outcome ++ outcome})}
    end
  end

  ## What it tells and keeps

  defp tell(run) do
    progress = progress(run)
    Runtime.put({:accounts_task, run.task}, Map.put(progress, :state, :running))
    %{run | output: Output.progress(run.output, progress, now())}
  end

  defp progress(%{window: window} = run) do
    done = Window.done(window)
    ended = Map.values(window.ended)

    %{
      task: run.task,
      done: done,
      total: max(run.total, done),
      here: done - run.taken.tally.looked,
      ms: now() - run.began,
      changed: window.tally.changed + Enum.count(ended, &(:changed in &1)),
      failed: Tally.sum(window.tally.failed) + Enum.count(ended, &List.keymember?(&1, :failed, 0)),
      waiting: length(run.retries.parked)
    }
  end

  defp keep(run) do
    if now() - run.kept_at < @keep_ms do
      run
    else
      case Cursor.keep(run.runtime.store, run.taken, run.window.cursor, run.window.tally, run.settings) do
        :ok -> %{run | kept_at: now()}
        {:error, %Error{kind: :conflict} = error} -> {:stop, error, run}
        {:error, error} -> if now() - run.kept_at < @lost_ms, do: run, else: {:stop, error, run}
      end
    end
  end

  defp finish({:stop, error, run}) do
    %{runtime: %{store: store}, taken: taken, window: window} = run
    stopped(run, :interrupted)

    # So the next run need not wait for the lease to run out; who has it by now keeps it.
    with :ok <- Cursor.keep(store, taken, window.cursor, window.tally, run.settings), do: Cursor.release(store, taken)

    for line <- Text.summary(summary(run)), do: Output.say(run.output, line)
    Output.say(run.output, "#{run.task}: it has stopped: #{Exception.message(error)}. The next run goes on from there")
    {:error, error}
  end

  defp finish(run) do
    stopped(run, :done)
    summary = summary(run)

    with :ok <- Cursor.finish(run.runtime.store, run.taken, run.window.tally, run.settings) do
      for line <- Text.summary(summary), do: Output.say(run.output, line)
      {:ok, Map.merge(Map.from_struct(summary.tally), Map.delete(summary, :tally))}
    end
  end

  defp stopped(run, state) do
    Runtime.put({:accounts_task, run.task}, Map.put(progress(run), :state, state))
    tally = run.window.tally

    counts = %{
      duration_ms: now() - run.began,
      looked: tally.looked,
      changed: tally.changed,
      left: tally.left,
      skipped: Tally.sum(tally.skipped),
      failed: Tally.sum(tally.failed)
    }

    Telemetry.execute([:accounts, :task], counts, %{task: run.task})
  end

  defp summary(run) do
    %{
      task: run.task,
      tally: run.window.tally,
      guilds: run.left_out,
      took_ms: now() - run.began,
      went_on?: run.taken.begun == :goes_on
    }
  end

  defp now, do: System.monotonic_time(:millisecond)
end

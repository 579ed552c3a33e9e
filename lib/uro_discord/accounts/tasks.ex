defmodule UroDiscord.Accounts.Tasks do
  @moduledoc """
  What goes over all linked users: whether each has the roles and the nickname that are his, and what Discord calls him now.

      {:ok, summary} = UroDiscord.Accounts.Tasks.run(:groups, progress: true)

  The tasks are `:groups` (roles), `:nicknames`, `:usernames` (Discord's names of the accounts, as `UroDiscord.Accounts` shows them) and `:all`. Each also
  finds out who has left all servers. From the command line it is `mix uro_discord.update_all_groups` and its like, in a release

      bin/uro rpc 'UroDiscord.Accounts.Tasks.run(:groups, progress: true)'

  in the running node, or, where none is running, `bin/uro eval` as `docs/accounts.md` shows.

  Members are read by pages of 1,000, so that who is as he should be costs no request; changes go as fast as Discord's limits allow, behind
  everything else that waits for them. What fails for a passing reason is tried again (`accounts: [tasks: [max_retries:, retry_pause:]]`) while the others
  go on. How far it is, is in the store: a run that was interrupted, or whose machine has died, is gone on with by the next one, on whatever
  node; of several nodes one is at it.
  """

  alias UroDiscord.Accounts.{Applied, Running}
  alias UroDiscord.Accounts.Tasks.{Cursor, Output, Run}
  alias UroDiscord.Error

  @type task :: :groups | :nicknames | :usernames | :all

  @typedoc """
  How many users were `looked` at (with those of the interrupted runs that this one went on with), `changed`, and found to have `left` all servers; how many were
  `skipped` and have `failed`, by the reason; `who` failed, the first 20, each with the reason; the `guilds` that were left out, with the reason. `went_on?`: it went
  on with a run that was interrupted.
  """
  @type summary :: %{
          task: task(),
          looked: non_neg_integer(),
          changed: non_neg_integer(),
          left: non_neg_integer(),
          skipped: %{String.t() => pos_integer()},
          failed: %{String.t() => pos_integer()},
          who: [{user_id :: String.t(), reason :: String.t()}],
          guilds: %{UroDiscord.Snowflake.t() => String.t()},
          took_ms: non_neg_integer(),
          went_on?: boolean()
        }

  # How long a lease that may be a dead node's is watched, and how often.
  @watch_ms 40_000
  @look_ms 1_000

  @doc """
  Runs a task to its end, or goes on with one that was interrupted.

    * `progress:` `true` prints how it is getting on, on a terminal as a bar; `false` (the default) has it in the log;
    * `restart:` `true` does not go on with an interrupted run, but begins anew;
    * `wait:` `false` does not wait until it is clear whether another node that was at it is still there (40 s at most).

  While it is being run already, here or elsewhere, it is an error of the kind `:busy`; so it is where another node came to its end while this one waited.
  `:invalid`: there is no such task or option, or no server of `guilds:` has what the task is for. A run that has begun stops with an error where Discord does not
  take the token (`:unauthorized`), where no server can be read, where the store or the directory stays away, and where another node has taken it up
  (`:conflict`). The next run goes on from there.
  """
  @spec run(task(), progress: boolean(), restart: boolean(), wait: boolean()) :: {:ok, summary()} | {:error, Error.t()}
  def run(task, options \\ []) do
    with :ok <- known(task, options),
         {:ok, runtime} <- Running.fetch(),
         :ok <- servers(runtime.config.accounts),
         :ok <- something(task, runtime) do
      # Its messages are not the caller's; it ends with the caller.
      fn -> alone(task, options, runtime) end |> Task.async() |> Task.await(:infinity)
    end
  end

  defp known(task, options) do
    cond do
      task not in Run.tasks() ->
        {:error, Error.invalid("task", task, Enum.map_join(Run.tasks(), ", ", &inspect/1))}

      not Keyword.keyword?(options) or Keyword.keys(options) -- [:progress, :restart, :wait] != [] ->
        {:error, Error.invalid("options", options, "[progress: true, restart: true, wait: false]")}

      true ->
        :ok
    end
  end

  defp servers(%{guilds: []}),
    do: {:error, Error.invalid("accounts.guilds", "is empty: there is no server to look into")}

  defp servers(_accounts), do: :ok

  # Nothing that is to be would be found everywhere, and all would seem well.
  defp something(:nicknames, %{config: %{accounts: %{guilds: guilds}}}),
    do: if(Enum.any?(guilds, & &1.nickname), do: :ok, else: none("nickname:"))

  defp something(:groups, %{config: %{accounts: %{guilds: guilds}}, store: store}) do
    with false <- Enum.any?(guilds, &(&1.roles != [])), {:ok, false} <- Applied.roles?(store) do
      none("roles:")
    else
      {:error, error} -> {:error, error}
      # What rules gave that are not there any more is taken back.
      _there_is -> :ok
    end
  end

  defp something(_usernames, _runtime), do: :ok

  defp none(option), do: {:error, Error.invalid("accounts.guilds", "no server of guilds: has #{option}")}

  defp alone(task, options, runtime) do
    if first?(task), do: begin(task, options, runtime), else: {:error, busy(task, "here")}
  end

  defp first?(task) do
    Process.register(self(), Run.name(task))
  rescue
    # The name is taken.
    ArgumentError -> false
  end

  defp begin(task, options, runtime) do
    output = Output.new(Keyword.get(options, :progress, false))
    settings = :erlang.phash2(runtime.config.accounts.guilds)
    until = System.monotonic_time(:millisecond) + if(Keyword.get(options, :wait, true), do: @watch_ms, else: 0)

    with {:ok, taken} <- take(task, settings, options, runtime, output, nil, until),
         do: Run.run(task, taken, settings, output, runtime)
  end

  defp take(task, settings, options, runtime, output, watch, until) do
    case Cursor.take(runtime.store, task, runtime.owner, settings, watch, options) do
      {:held, later} -> held(task, settings, options, runtime, output, watch, later, until)
      answer -> answer
    end
  end

  defp held(task, settings, options, runtime, output, watch, later, until) do
    cond do
      watch != nil and later != nil and elem(watch, 0) != elem(later, 0) ->
        {:error, busy(task, "on another node")}

      System.monotonic_time(:millisecond) >= until ->
        {:error, busy(task, "on another node")}

      true ->
        if watch == nil, do: Output.say(output, "#{task}: another node was at it; it is watched whether it still is")
        Process.sleep(@look_ms)
        take(task, settings, options, runtime, output, later, until)
    end
  end

  defp busy(task, where),
    do: %Error{kind: :busy, message: "the task #{task} is being run #{where}: wait for its end"}
end

defmodule UroDiscord.Apart do
  @moduledoc """
  UroDiscord without its gateway and its bridge, in a VM that is no server: for what takes the store, the directory and Discord's REST API, and
  ends. The node that serves may be running, here or elsewhere.

  In a release, where there is no mix, this is `mix uro_discord.update_all_groups`:

      bin/uro eval 'System.halt(UroDiscord.Apart.task(:groups))'

  It starts the Repo that `config :uro_discord, repo:` names, and nothing else of the host. A directory that needs more has it started before:

      bin/uro eval '{:ok, _} = Application.ensure_all_started(:redix); System.halt(UroDiscord.Apart.task(:groups))'

  Where the release is running, `bin/uro rpc 'UroDiscord.Accounts.Tasks.run(:groups, progress: true)'` does it in the running node, whose requests it then
  lets go first.
  """

  alias UroDiscord.{Accounts, Config, Error, Runtime, Shards, Store}

  # What tasks of the host's are told of the last ones may take so long.
  @last_ms 10_000

  @doc """
  Starts it with `config :uro_discord`, linked to the calling process. Where UroDiscord runs in this VM already, that is used.
  """
  @spec start() :: :ok | {:error, Error.t()}
  def start do
    case Runtime.fetch_enabled() do
      {:ok, _runtime} -> :ok
      {:error, _off} -> start(:uro_discord |> Application.get_all_env() |> Keyword.put(:enabled, true) |> Config.new!())
    end
  end

  defp start(config) do
    with :ok <- there(),
         {:ok, source} <- source(config),
         {:ok, store} <- Store.open(source),
         :ok <- Runtime.enable(config, store) do
      children = [Accounts.Turns, {Task.Supervisor, name: Accounts.TaskSupervisor}]
      {:ok, _pid} = Supervisor.start_link(children, strategy: :rest_for_one, name: __MODULE__)
      # Nobody asks for them here, nor puts any.
      Shards.put_source_status(:starting)
    end
  end

  # Its table and its subscriptions.
  defp there do
    case UroDiscord.start_link(enabled: false) do
      {:ok, _pid} -> :ok
      {:error, {:already_started, _pid}} -> :ok
    end
  end

  defp source(%{repo: nil, database: database}), do: {:ok, {:sqlite, database}}

  defp source(%{repo: repo}) do
    # The host's: they are there if its Repo is.
    for application <- [:ecto_sql, :postgrex], do: Application.ensure_all_started(application)

    case repo.start_link(pool_size: 4) do
      {:ok, _pid} ->
        {:ok, {:repo, repo}}

      {:error, {:already_started, _pid}} ->
        {:ok, {:repo, repo}}

      {:error, reason} ->
        {:error, %Error{kind: :unavailable, message: "#{inspect(repo)} could not be started: #{Error.short(reason)}"}}
    end
  end

  @doc """
  A task of `UroDiscord.Accounts.Tasks`, with what it says on stdout, and its exit status: 0 where everybody was done, 1 where somebody or a server was not,
  or it has stopped. The options are those of `UroDiscord.Accounts.Tasks.run/2`.
  """
  @spec task(Accounts.Tasks.task(), keyword()) :: 0 | 1
  def task(task, options \\ []) do
    with :ok <- start(),
         {:ok, summary} <- Accounts.Tasks.run(task, Keyword.put_new(options, :progress, true)) do
      finish(System.monotonic_time(:millisecond) + @last_ms)
      if summary.failed == %{} and summary.guilds == %{}, do: 0, else: 1
    else
      {:error, error} ->
        IO.puts(:stderr, "#{task}: #{Exception.message(error)}")
        1
    end
  end

  # The VM ends after this.
  defp finish(until) do
    if Task.Supervisor.children(Accounts.TaskSupervisor) != [] and System.monotonic_time(:millisecond) < until do
      Process.sleep(20)
      finish(until)
    end
  end
end

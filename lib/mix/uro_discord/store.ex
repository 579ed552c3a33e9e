defmodule Mix.UroDiscord.Store do
  @moduledoc false
  # The store that the host's configuration names, for a task: the node that uses it may be running, here or elsewhere.

  alias UroDiscord.{Config, Store}

  @doc "The store and the configuration; an error ends the task with its message."
  @spec open!() :: %{store: Store.t(), config: Config.t()}
  def open! do
    Mix.Task.run("app.config")
    # What a task stores is none of Discord's business: the secrets of everything else may well be on another machine.
    options = Keyword.take(Application.get_all_env(:uro_discord), [:repo, :database, :channels, :bridges])
    config = Config.new!([enabled: false] ++ options)
    %{store: config |> configured() |> Store.open() |> result!(), config: config}
  end

  @doc "The value of a result, or of `:ok`; an error ends the task with its message."
  @spec result!(:ok | {:ok, value} | {:error, Exception.t()}) :: :ok | value when value: term()
  def result!(:ok), do: :ok
  def result!({:ok, value}), do: value
  def result!({:error, error}), do: Mix.raise(Exception.message(error))

  defp configured(%{repo: nil, database: database}), do: {:sqlite, database}

  defp configured(%{repo: repo}) do
    # The host's: they are there if its Repo is.
    for application <- [:ecto_sql, :postgrex], do: Application.ensure_all_started(application)

    case repo.start_link(pool_size: 2) do
      {:ok, _pid} -> {:repo, repo}
      {:error, {:already_started, _pid}} -> {:repo, repo}
      {:error, reason} -> Mix.raise("#{inspect(repo)} could not be started: #{inspect(reason)}")
    end
  end
end

defmodule Mix.Tasks.UroDiscord.Store.Move do
  @shortdoc "Moves what a SQLite file keeps into the Repo"
  @moduledoc """
  Moves all that uro_discord keeps in its SQLite file into the Repo that `config :uro_discord, repo:` names: keys of the HTTP API, the messages
  of status boards, what was announced, notifications and dead letters, feeds, hidden patterns, gateway sessions.

      mix uro_discord.gen.migration
      mix ecto.migrate
      mix uro_discord.store.move

  Stop every UroDiscord that uses the file first. What the Repo has already stays as it is there, so the task can be run again, should it
  stop half way. In the end the file is renamed, with `.moved` behind its name, so that nothing in it is sent twice.

    * `--from`: the file, where it is not `config :uro_discord, database:`.

  In a release, where there is no mix:

      bin/uro eval '{:ok, _} = Application.ensure_all_started(:postgrex); {:ok, _} = Application.ensure_all_started(:ecto_sql);
        {:ok, _} = Uro.Repo.start_link(); IO.inspect(UroDiscord.Store.Move.file("/app/uro_discord.sqlite3", {:repo, Uro.Repo}))'
  """
  use Mix.Task

  import Mix.UroDiscord.Store, only: [open!: 0, result!: 1]
  alias Mix.UroDiscord.Arguments
  alias UroDiscord.Store.Move

  @impl true
  def run(arguments) do
    {[], options} =
      Arguments.read!(arguments, 0, [from: :string], "mix uro_discord.store.move [--from uro_discord.sqlite3]")

    %{config: config} = open!()

    if config.repo == nil,
      do: Mix.raise("there is nowhere to move to: name the host's Repo, config :uro_discord, repo: MyApp.Repo")

    file = Keyword.get(options, :from, config.database)
    moved = file |> Move.file({:repo, config.repo}) |> result!()

    for %{table: "uro_discord_" <> table, moved: moved, there: there} <- moved do
      already = if there > 0, do: "; #{there} were there already, and stay as they are there", else: ""
      Mix.shell().info("#{table}: #{moved} moved#{already}")
    end

    Mix.shell().info("#{file} is #{file}.moved now; delete it when all is well")
  end
end

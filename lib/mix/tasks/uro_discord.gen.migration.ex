defmodule Mix.Tasks.UroDiscord.Gen.Migration do
  @shortdoc "Writes the Ecto migrations of uro_discord's tables"
  @moduledoc """
  Writes the Ecto migrations that make uro_discord's tables, for `repo: MyApp.Repo`.

      mix uro_discord.gen.migration
      mix ecto.migrate

  There is one file for each version of the tables; those that are there already are left alone, so that this can be run
  after every update of uro_discord.

    * `--repo-path`: the Repo's folder, whose `migrations` get them. Default: `priv/repo`.
  """
  use Mix.Task

  alias UroDiscord.Store.Schema

  @impl true
  def run(arguments) do
    {[], options} =
      Mix.UroDiscord.Arguments.read!(
        arguments,
        0,
        [repo_path: :string],
        "mix uro_discord.gen.migration [--repo-path priv/repo]"
      )

    folder = options |> Keyword.get(:repo_path, "priv/repo") |> Path.join("migrations")
    File.mkdir_p!(folder)

    case Enum.reject(Schema.versions(), &written?(folder, &1)) do
      [] -> Mix.shell().info("#{folder} has all of uro_discord's migrations")
      versions -> versions |> Enum.with_index() |> Enum.each(&write(folder, &1))
    end
  end

  defp written?(folder, version), do: Path.wildcard("#{folder}/*_#{name(version)}.exs") != []

  # Ecto wants a number of its own for each: the seconds count up.
  defp write(folder, {version, index}) do
    number = DateTime.utc_now() |> DateTime.add(index) |> Calendar.strftime("%Y%m%d%H%M%S")
    file = Path.join(folder, "#{number}_#{name(version)}.exs")
    File.write!(file, migration(version))
    Mix.shell().info("wrote #{file}; now run `mix ecto.migrate`")
  end

  defp name(version), do: "uro_discord_v#{version}"

  defp migration(version) do
    statements = for {up, down} <- Schema.statements(:postgres, version), do: execute(up, down)

    """
    defmodule UroDiscord.Migrations.V#{version} do
      use Ecto.Migration

      # CockroachDB wants schema changes outside of transactions, and has no locks of this kind. Each statement can be run
      # again, should the migration stop half way.
      @disable_ddl_transaction true
      @disable_migration_lock true

      def change do
    #{Enum.join(statements, "\n\n")}
      end
    end
    """
  end

  defp execute(up, down) do
    lines = for line <- String.split(up, "\n"), do: "      #{line}\n"
    ~s|    execute(\n      """\n#{lines}      """,\n      "#{down}"\n    )|
  end
end

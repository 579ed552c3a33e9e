defmodule Mix.Tasks.UroDiscord.Invite do
  @shortdoc "Prints the link that adds the bot to a server"
  @moduledoc """
  Prints the link by which a server's admin adds the bot, and of each permission what it is for.

      mix uro_discord.invite
      mix uro_discord.invite --guild 1100000000000000100

  It asks for the least that the features of `config :uro_discord` need, and never for Administrator. Print it again when a feature is added: opened
  once more, it adds what is missing.

    * `--guild`: the id of the server, which is chosen in Discord's form then.

  In a release: `bin/uro eval 'UroDiscord.Setup.Invite.run()'`.
  """
  use Mix.Task

  alias UroDiscord.Setup.Invite
  alias UroDiscord.Snowflake

  @usage "mix uro_discord.invite [--guild ID]"

  @impl true
  def run(arguments) do
    {[], options} = Mix.UroDiscord.Arguments.read!(arguments, 0, [guild: :string], @usage)
    Mix.Task.run("app.config")
    Mix.shell().info(Invite.text(guild_id: guild(options[:guild])))
  rescue
    error in UroDiscord.ConfigError -> Mix.raise(Exception.message(error))
  end

  defp guild(nil), do: nil

  defp guild(text) do
    case Snowflake.cast(text) do
      {:ok, id} -> id
      :error -> Mix.raise("--guild: #{inspect(text)} is no server's id (17 to 20 digits). usage: #{@usage}")
    end
  end
end

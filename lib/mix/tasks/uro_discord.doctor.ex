defmodule Mix.Tasks.UroDiscord.Doctor do
  @shortdoc "Looks whether everything is set up as it must be"
  @moduledoc """
  Looks at everything that must be right for the features of `config :uro_discord`, here and in Discord: the configuration, the NIF, the bridge, the store, the
  clock, the token, the application, intents, servers, permissions, two-factor authentication, roles and their order, channels, and the addresses in the
  Developer Portal. Of each it says what it found, whether that is all right, and what to do.

      mix uro_discord.doctor
      mix uro_discord.doctor --json

  UroDiscord need not run. Nothing is changed: it posts nothing, connects to no gateway, and spends none of the day's identifies.

    * `--json`: prints `{"exit_status": 0, "findings": [{"check", "state", "found", "advice"}]}`.

  The exit status is 0 where all is right, warnings aside; 1 where something is wrong; 2 where something could not be looked at, such as Discord, or the
  task was not understood.

  In a release, where there is no mix: `bin/uro eval 'System.halt(UroDiscord.Setup.Doctor.run())'` (see `UroDiscord.Setup.Doctor`).
  """
  use Mix.Task

  alias UroDiscord.Setup.Doctor

  @impl true
  def run(arguments) do
    {[], options} = read(arguments)
    Mix.Task.run("app.config")

    case Doctor.run(options) do
      0 -> :ok
      status -> exit({:shutdown, status})
    end
  end

  # 1 is for what the doctor finds.
  defp read(arguments) do
    Mix.UroDiscord.Arguments.read!(arguments, 0, [json: :boolean], "mix uro_discord.doctor [--json]")
  rescue
    error in Mix.Error ->
      Mix.shell().error(Exception.message(error))
      exit({:shutdown, 2})
  end
end

defmodule UroDiscord.Setup.Doctor do
  @moduledoc """
  Looks at everything that must be right for the features of the configuration, here and in Discord, and says of each thing what it found, whether
  that is all right, and what to do.

      mix uro_discord.doctor

  In a release, where there is no mix:

      bin/uro eval 'System.halt(UroDiscord.Setup.Doctor.run())'      # beside a server that runs, or without one
      bin/uro rpc 'UroDiscord.Setup.Doctor.run()'                    # in the server, with the options of its supervision tree

  It only reads: it posts nothing, connects to no gateway (so that none of the day's identifies is spent), and makes and migrates no store.
  """

  alias UroDiscord.Setup.Doctor.{Addresses, Channels, Facts, Finding, Identity, Machine, Report, Roles, Servers}
  alias UroDiscord.Setup.Settings

  @doc """
  Prints what it found, and returns the exit status: 0 where all is right, warnings aside; 1 where something is wrong; 2 where nothing is wrong as far as
  could be seen, but something could not be looked at, such as Discord.

  Options: `:json` (false) prints JSON; `:config`, options that go before those of `config :uro_discord`.
  """
  @spec run(keyword()) :: 0 | 1 | 2
  def run(options \\ []) do
    findings = findings(Keyword.get(options, :config, []))
    findings |> Report.render(Keyword.get(options, :json, false)) |> IO.puts()
    Finding.exit_status(findings)
  end

  @doc false
  @spec findings(keyword()) :: [Finding.t()]
  def findings(options \\ []) do
    {config, problems} = Settings.read(options)
    machine = Machine.look(config, problems)

    machine ++
      if Machine.nif?(machine) do
        facts = Facts.ask(config)
        Enum.flat_map([Identity, Servers, Roles, Channels, Addresses], & &1.look(facts))
      else
        [Finding.unknown(:discord, "Discord was not asked: that takes the NIF", "mend the NIF first")]
      end
  end
end

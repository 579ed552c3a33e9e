defmodule Mix.Tasks.UroDiscord.Keys.New do
  @shortdoc "Makes a key of the HTTP API"
  @moduledoc """
  Makes a key with which CI and other programs post to Discord through UroDiscord (see `docs/http.md`).

      mix uro_discord.keys.new ci --channels builds,releases
      mix uro_discord.keys.new admin --channels '*' --per-minute 300

  It is shown once, on a line of its own on stdout. It works at once, in the running UroDiscord too, as both use the store
  that `config :uro_discord` names.

    * `--channels`: aliases of `config :uro_discord, channels:` or ids; `*` for every channel.
    * `--per-minute`: how many requests it may make (60).

  In a release, where there is no mix, the same is `bin/uro rpc 'IO.inspect(UroDiscord.Keys.new("ci", channels: ["builds"]))'`, and so are the
  functions of the other tasks.
  """
  use Mix.Task

  import Mix.UroDiscord.Store, only: [open!: 0, result!: 1]
  alias Mix.UroDiscord.Arguments
  alias UroDiscord.Keys

  @impl true
  def run(arguments) do
    {[name], options} =
      Arguments.read!(
        arguments,
        1,
        [channels: :string, per_minute: :integer],
        "mix uro_discord.keys.new NAME --channels A,B [--per-minute N]"
      )

    channels = options |> Keyword.get(:channels, "") |> String.split(",", trim: true)
    key = result!(Keys.new(name, Keyword.put(options, :channels, channels), open!()))
    Mix.shell().info("the key #{name}, which is not shown again:\n#{key}")
  end
end

defmodule Mix.Tasks.UroDiscord.Config do
  @shortdoc "Prints the options of config :uro_discord"
  @moduledoc """
  Prints every option of `config :uro_discord`: what it is for, what is allowed, its default and an example.

      mix uro_discord.config
  """
  use Mix.Task

  @impl true
  def run(_args) do
    for option <- UroDiscord.Config.Schema.options() do
      default = if option.required, do: "none: it is required", else: inspect(option.default)

      Mix.shell().info("""
      #{option.key}: #{option.doc}
        allowed: #{option.allowed}
        default: #{default}
        example: #{option.example}
      """)
    end
  end
end

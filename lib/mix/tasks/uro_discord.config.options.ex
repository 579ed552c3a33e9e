defmodule Mix.Tasks.UroDiscord.Config.Options do
  @shortdoc "Prints the options of config :uro_discord"
  @moduledoc """
  Prints every option of `config :uro_discord`: what it is for, what is allowed, its default and an example.

      mix uro_discord.config.options
  """
  use Mix.Task

  @impl true
  def run(arguments) do
    Mix.UroDiscord.Arguments.read!(arguments, 0, [], "mix uro_discord.config.options")
    Enum.each(UroDiscord.Config.Schema.options(), &print(&1, ""))
  end

  defp print(%{options: nil} = option, group) do
    default = if option.required, do: "none: it is required", else: inspect(option.default)

    Mix.shell().info("""
    #{group}#{option.key}: #{option.doc}
      allowed: #{option.allowed}
      default: #{default}
      example: #{option.example}
    """)
  end

  defp print(option, group) do
    Mix.shell().info("#{group}#{option.key}: #{option.doc}\n")
    Enum.each(option.options, &print(&1, "#{group}#{option.key}."))
  end
end

defmodule Uro.MixProject do
  use Mix.Project

  # A project in Uro's shape, as it is before README's steps: test/uro_discord/host_test.exs takes these in a copy of it. What Uro has from
  # Hex is in fixtures/, with what the test has of UroDiscord's own test support.
  def project do
    [
      app: :uro,
      version: "0.1.0",
      elixir: ">= 1.14.0",
      # Not *_test.exs, which uro_discord's own `mix test` would take for its own.
      test_pattern: "*_checks.exs",
      elixirc_paths: ["lib", "fixtures"],
      start_permanent: Mix.env() == :prod,
      aliases: aliases(),
      deps: deps()
    ]
  end

  def application, do: [extra_applications: [:logger], mod: {Uro.Application, []}]

  defp deps do
    [
      # Uro's 72 are in fixtures.
    ]
  end

  defp aliases do
    [
      "uro.apigen": ["openapi.spec.json"],
      test: ["ecto.migrate", "test"]
    ]
  end
end

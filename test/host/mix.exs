defmodule Host.MixProject do
  use Mix.Project

  # A project that uses uro_discord as Uro does, for test/uro_discord/host_test.exs.
  def project do
    [
      app: :host,
      version: "0.1.0",
      elixir: ">= 1.14.0",
      start_permanent: Mix.env() == :prod,
      deps: [{:uro_discord, path: "../.."}]
    ]
  end

  def application, do: [extra_applications: [:logger], mod: {Host.Application, []}]
end

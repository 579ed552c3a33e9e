# Not a `.ex` file: the compiler must exist before Mix compiles anything of this project.
Code.require_file("lib/mix/tasks/compile.uro_discord_cargo.exs", __DIR__)

defmodule UroDiscord.MixProject do
  use Mix.Project

  def project do
    [
      app: :uro_discord,
      version: "0.1.0",
      elixir: ">= 1.14.0",
      # The NIF is loaded while `UroDiscord.Native` compiles, so Cargo goes first.
      compilers: [:uro_discord_cargo] ++ Mix.compilers(),
      elixirc_paths: if(Mix.env() == :test, do: ["lib", "test/support"], else: ["lib"]),
      start_permanent: Mix.env() == :prod,
      # The host's, which Elixir 1.14 sees here when it builds us.
      xref: [exclude: [:telemetry]],
      # Hex is not needed, now or later: Plug, Ecto and Phoenix belong to the host.
      deps: []
    ]
  end

  def application do
    # The tests meet our HTTPS with OTP's ssl, which Mix since 1.15 shows only to those that name it.
    [extra_applications: [:logger, :crypto] ++ if(Mix.env() == :test, do: [:ssl], else: [])]
  end
end

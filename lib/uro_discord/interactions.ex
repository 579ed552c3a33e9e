defmodule UroDiscord.Interactions do
  @moduledoc false
  # Commands and components, from wherever they come: `Interactions.Gateway` has them from the gateway, `Web.Interactions` by HTTP.
  # Each is answered by a process of its own, `Interactions.Run`.

  use Supervisor
  require Logger

  alias UroDiscord.{Config, Interaction}
  alias UroDiscord.Interactions.{Answer, Commands, Gateway, Registration, Run, Seen}

  # So many at once: a handler that hangs must not take all memory with it.
  @at_once 64

  @spec start_link(Config.t()) :: Supervisor.on_start()
  def start_link(config), do: Supervisor.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(config) do
    # A run depends on its handler's supervisor, which is stopped after it: what is under way is finished.
    base = [
      Seen,
      {Task.Supervisor, name: __MODULE__.Handlers},
      {Task.Supervisor, name: __MODULE__.Runs, max_children: @at_once}
    ]

    commands = if config.commands, do: [{Registration, config}], else: []
    gateway = if config.commands && config.interactions == :gateway, do: [Gateway], else: []
    Supervisor.init(base ++ gateway ++ commands, strategy: :rest_for_one)
  end

  @doc """
  Has an interaction answered. `respond` takes Discord's interaction response, the one that must be there within 3 s, and is
  called once, by another process or by this one.
  """
  @spec answer(Interaction.t(), Config.t(), Run.respond()) :: :ok
  def answer(interaction, config, respond) do
    case Commands.find(config, interaction) do
      {:ok, module} -> run(interaction, module, respond)
      :error -> unknown(interaction, respond)
    end
  end

  @spec run(Interaction.t(), module(), Run.respond()) :: :ok
  defp run(interaction, module, respond) do
    case Task.Supervisor.start_child(__MODULE__.Runs, Run, :run, [interaction, module, respond], shutdown: 5_000) do
      {:ok, _pid} ->
        :ok

      {:error, :max_children} ->
        Logger.warning("#{@at_once} interactions are being answered already; #{Run.name(interaction)} was put off")
        respond.(Answer.apology(interaction, "I am busy just now. Please try again in a moment."))
        :ok
    end
  end

  # Discord keeps buttons for ever, and commands until they are registered anew.
  defp unknown(interaction, respond) do
    respond.(Answer.apology(interaction, "I do not know this any more. Please try the command again."))
    :ok
  end

  @doc "The commands that come with UroDiscord."
  @spec built_in() :: [module()]
  def built_in, do: [Commands.Worlds, Commands.Who, Commands.Uro]

  @doc "Whether this module can be in `config :uro_discord, commands:`."
  @spec command?(term()) :: boolean()
  def command?(module) do
    is_atom(module) and Code.ensure_loaded?(module) and function_exported?(module, :handle, 1) and
      (function_exported?(module, :command, 0) or function_exported?(module, :component, 0))
  end

  @doc "Who sees what this module answers."
  @spec answers(module(), Interaction.t()) :: :private | :public | :update
  def answers(module, interaction) do
    case function_exported?(module, :answers, 1) && module.answers(interaction) do
      :public -> :public
      # A command is on no message, and neither is a modal that a command was answered with.
      :update -> if is_map(interaction.data["message"]), do: :update, else: :private
      _ -> :private
    end
  end
end

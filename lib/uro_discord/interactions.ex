defmodule UroDiscord.Interactions do
  @moduledoc false
  # Commands and components, from wherever they come: `Interactions.GatewayListener` has them from the gateway, `Web.Interactions` by HTTP.
  # Each is answered by a process of its own, `Interactions.Responder`.

  use Supervisor
  require Logger

  alias UroDiscord.{Config, Interaction}
  alias UroDiscord.Interactions.{Answer, Commands, GatewayListener, Registration, Responder, ReplayGuard}

  # So many at once: a handler that hangs must not take all memory with it. Others are told so, as long as these are not too many.
  @at_once 64
  @put_off_at_once 256

  @spec start_link(Config.t()) :: Supervisor.on_start()
  def start_link(config), do: Supervisor.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(config) do
    # A responder depends on its handler's supervisor, which is stopped after it: what is under way is finished.
    base = [
      ReplayGuard,
      {Task.Supervisor, name: __MODULE__.Handlers},
      Supervisor.child_spec({Task.Supervisor, name: __MODULE__.PutOff, max_children: @put_off_at_once}, id: :put_off),
      {Task.Supervisor, name: __MODULE__.Responders, max_children: @at_once}
    ]

    commands = if config.commands, do: [{Registration, config}], else: []
    gateway = if config.commands && config.interactions == :gateway, do: [GatewayListener], else: []
    Supervisor.init(base ++ gateway ++ commands, strategy: :rest_for_one)
  end

  @doc """
  Has an interaction answered. Returns at once: whatever its command does, and however long `respond` takes, is the matter of another
  process. `respond` takes Discord's interaction response, the one that must be there within 3 s, and is called once.
  """
  @spec answer(Interaction.t(), Config.t(), Responder.respond()) :: :ok
  def answer(interaction, config, respond) do
    # In a function, of which no report shows what is in it.
    case start(__MODULE__.Responders, fn -> run(interaction, config, respond) end) do
      :ok -> :ok
      :full -> put_off(interaction, respond)
    end
  end

  defp run(interaction, config, respond) do
    # When UroDiscord stops, what is under way gets the time that its supervisor gives it.
    Process.flag(:trap_exit, true)

    case Commands.find(config, interaction) do
      {:ok, module} ->
        Responder.run(interaction, module, respond)

      # Discord keeps buttons for ever, and commands until they are registered anew.
      :error ->
        respond.(Answer.apology(interaction, "I do not know this any more. Please try the command again."))
    end
  end

  defp put_off(interaction, respond) do
    Logger.warning("#{@at_once} interactions are being answered already; #{Responder.name(interaction)} was put off")
    busy = Answer.apology(interaction, "I am busy just now. Please try again in a moment.")

    if start(__MODULE__.PutOff, fn -> respond.(busy) end) == :full,
      do:
        Logger.error(
          "#{@put_off_at_once} interactions are being put off already; #{Responder.name(interaction)} got no answer"
        )

    :ok
  end

  defp start(supervisor, function) do
    case Task.Supervisor.start_child(supervisor, function, shutdown: 5_000) do
      {:ok, _pid} -> :ok
      {:error, :max_children} -> :full
    end
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
